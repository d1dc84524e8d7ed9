"""The schema of the database: its migrations, and the epochs of the log.

Migrations only go forward. Each file of ``migrations/`` runs once, in a transaction that holds an advisory
lock.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from importlib import resources

from orchestration_server.db import partitions
from orchestration_server.db.connect import PlainConnection
from orchestration_server.db.connection import Connection
from orchestration_server.db.partitions import MIGRATION_LOCK
from orchestration_server.errors import UnfitDatabase

NONCE_BYTES = 8


def migrate(conn: PlainConnection, *, new_epoch: bool = False) -> list[str]:
    """Apply the migrations that are missing, and return their names. Several processes may run it at once.

    ``new_epoch`` begins an epoch in a copy of the log that lost its last commits, see ``_continue_log``.
    Raises UnfitDatabase if the search_path hides a ledger.
    """
    applied = []
    _check_schema(conn)
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        conn.execute(
            "create table if not exists migrations"
            " (name text primary key, apply_time timestamptz not null default now())"
        )
        done = _applied(conn)
        files = resources.files("orchestration_server.migrations")
        for name in released():
            if name in done:
                continue
            conn.execute((files / name).read_text().encode(), prepare=False)
            conn.execute("insert into migrations (name) values (%s)", (name,))
            applied.append(name)
        _continue_log(conn, new_epoch=new_epoch)
        partitions.add_missing(conn)
    return applied


def state(conn: Connection) -> tuple[str, datetime]:
    """Return the name of the last migration, and the database's clock."""
    row = conn.execute("select max(name), clock_timestamp() from migrations", name="server.state").fetchone()
    assert row is not None
    return row[0], row[1]


def schema(conn: Connection) -> str:
    """Return the name of the last migration, or an empty string if the database has no ledger."""
    row = conn.execute("select to_regclass('migrations') is null", name="server.schema").fetchone()
    if row is None or row[0]:
        return ""
    return state(conn)[0] or ""


def released() -> list[str]:
    """Return the names of this release's migrations, in order."""
    files = resources.files("orchestration_server.migrations").iterdir()
    return sorted(file.name for file in files if file.name.endswith(".sql"))


def ahead(conn: PlainConnection) -> list[str]:
    """Return the names of applied migrations that this release does not have, in order."""
    return sorted(_applied(conn).difference(released()))


def _applied(conn: PlainConnection) -> set[str]:
    return {name for (name,) in conn.execute("select name from migrations")}


def _check_schema(conn: PlainConnection) -> None:
    """Raise UnfitDatabase if a new ledger would hide the existing one from the search_path."""
    row = conn.execute(
        "select current_schema()::text, n.nspname::text from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass('log_state')"
    ).fetchone()
    if row is not None and row[0] != row[1]:
        first, found = row
        raise UnfitDatabase(
            f"the ledger is in the schema {found}, and the search_path names {first} before it",
            f"end DATABASE_URL in ?options=-csearch_path%3D{found}, or drop the schema {first}",
        )


def _continue_log(conn: PlainConnection, *, new_epoch: bool) -> None:
    """Begin epoch 1 in a new log. Begin the next epoch if the log is a copy.

    A log is a copy if it comes from another cluster, or if ``new_epoch`` says so. The transaction ids of a
    dump belong to the cluster that it was taken from, so older epochs are complete and come before all that
    this cluster writes. A cluster that is restored to a point in time assigns the ids after that point again.
    Each epoch has a nonce, because copies of one dump share its secret and count the same epochs.
    """
    row = conn.execute("select system_identifier::text from pg_control_system()").fetchone()
    assert row is not None
    cluster = row[0]
    log = conn.execute("select cluster from log_state").fetchone()
    if log is None:
        conn.execute(
            "insert into log_state (secret, epoch, nonce, cluster) values (%s, 1, %s, %s)",
            (secrets.token_bytes(32), secrets.token_bytes(NONCE_BYTES), cluster),
        )
    elif new_epoch or log[0] != cluster:
        conn.execute(
            "insert into log_epochs (epoch, nonce, last_xid) select s.epoch, s.nonce,"
            " (select coalesce(max(e.xid), '0'::xid8) from ("
            "select epoch, xid from events union all select epoch, xid from archive_edges"
            ") e where e.epoch = s.epoch) from log_state s"
        )
        conn.execute(
            "update log_state set epoch = epoch + 1, nonce = %s, cluster = %s",
            (secrets.token_bytes(NONCE_BYTES), cluster),
        )
