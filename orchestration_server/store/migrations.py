"""Brings a database to this release's schema, and opens a new log epoch in another cluster.

Forward only: each file of ``migrations/`` runs once, in a transaction that holds an advisory lock.
"""

from __future__ import annotations

import secrets
from importlib import resources
from typing import Any

import psycopg

from orchestration_server.db import partitions
from orchestration_server.db.partitions import MIGRATION_LOCK
from orchestration_server.errors import UnfitDatabase

Connection = psycopg.Connection[tuple[Any, ...]]

NONCE_BYTES = 8


def migrate(conn: Connection, *, new_epoch: bool = False) -> list[str]:
    """Applies what is missing and returns its names. Any number may run at once.

    ``new_epoch``: the log goes on from a copy that lost its last commits, see ``_continue_log``.
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


def _check_schema(conn: Connection) -> None:
    """Raise UnfitDatabase if a new ledger would be made in front of the one that is there."""
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


def released() -> list[str]:
    """The names of this release's migrations, in order."""
    files = resources.files("orchestration_server.migrations").iterdir()
    return sorted(file.name for file in files if file.name.endswith(".sql"))


def ahead(conn: Connection) -> list[str]:
    """The names of those that a newer release applied and this one does not know, in order."""
    return sorted(_applied(conn).difference(released()))


def _applied(conn: Connection) -> set[str]:
    return {name for (name,) in conn.execute("select name from migrations")}


def _continue_log(conn: Connection, *, new_epoch: bool) -> None:
    """Starts epoch 1 in a new log, and the next one where the log came from another cluster, or is said to
    have lost commits.

    A dump holds transaction ids of the cluster that it was taken from, which say nothing in this one:
    what stands in older epochs is complete and comes before all that is written from here on. Each
    epoch gets a nonce: copies of one dump share its secret, and count the same number next. A cluster
    restored to a point in time gives out again the ids that it gave out after that point.
    """
    row = conn.execute("select system_identifier::text from pg_control_system()").fetchone()
    assert row is not None
    cluster = row[0]
    state = conn.execute("select cluster from log_state").fetchone()
    if state is None:
        conn.execute(
            "insert into log_state (secret, epoch, nonce, cluster) values (%s, 1, %s, %s)",
            (secrets.token_bytes(32), secrets.token_bytes(NONCE_BYTES), cluster),
        )
    elif new_epoch or state[0] != cluster:
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
