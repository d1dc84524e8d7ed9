"""Checks of Postgres itself: its version, and the rights and connections that servers need."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg

from orchestration_server.app import BACKGROUND_CONNECTIONS
from orchestration_server.db import connect
from orchestration_server.db.connection import Connection
from orchestration_server.doctor.database_errors import explain
from orchestration_server.doctor.findings import Finding, Installation, failed, ok, warning
from orchestration_server.errors import UnfitDatabase
from orchestration_server.store import diagnosis

OLDEST, NEWEST = 15, 18
CLOCK_SECONDS = 2.0
ROLE_LIMIT, DATABASE_LIMIT = "the role's limit", "the database's limit"


def connected(installation: Installation) -> Finding:
    """Return the finding about a connection that works."""
    where = "the built-in Postgres" if installation.built_in else "DATABASE_URL"
    return ok(f"{where} answers")


def version(installation: Installation) -> Iterator[Finding]:
    """Check that Postgres has a version that the ledger is tested with, and is no replica."""
    about = diagnosis.postgres_facts(installation.conn)
    named = f"Postgres {about.version}"
    if about.replica:
        yield failed(f"{named} is a read replica", "DATABASE_URL must name the primary")
    if about.major < OLDEST:
        yield failed(f"{named}: the ledger needs {OLDEST} to {NEWEST}", "pg_upgrade, or a newer server")
    elif about.major > NEWEST:
        yield warning(f"{named} is newer than the versions the ledger is tested with ({OLDEST} to {NEWEST})")
    else:
        yield ok(named)


def encoding(installation: Installation) -> Iterator[Finding]:
    """Check for UTF8: other encodings cannot store all that agents write."""
    about = diagnosis.postgres_facts(installation.conn)
    if about.encoding == "UTF8":
        yield ok("UTF8")
    else:
        yield failed(
            f"the database's encoding is {about.encoding}",
            f"createdb --encoding=UTF8 --template=template0 {about.database}_utf8    # then restore a dump",
        )


def durability(installation: Installation) -> Iterator[Finding]:
    """Check that acknowledged writes survive a crash of Postgres or of the machine."""
    about = diagnosis.postgres_facts(installation.conn)
    lost = "acknowledged writes can be lost"
    for name, on in (("fsync", about.fsync), ("full_page_writes", about.full_page_writes)):
        if not on:
            yield failed(f"{name} is off: {lost} when the machine stops, and more may be damaged",
                         _alter(installation, name))  # fmt: skip
    if not about.waits_for_disk:
        yield warning(
            f"synchronous_commit is off: {lost} when Postgres stops",
            _alter(installation, "synchronous_commit"),
        )
    if about.fsync and about.full_page_writes and about.waits_for_disk:
        yield ok("a commit waits for the disk")


def _alter(installation: Installation, name: str) -> str:
    return installation.as_superuser(f"alter system set {name} = on", "select pg_reload_conf()")


def role(installation: Installation) -> Iterator[Finding]:
    """Check that the role may create tables and partitions, and sees the transactions of other roles."""
    about, found = diagnosis.postgres_facts(installation.conn), diagnosis.role_rights(installation.conn)
    if not about.schema:
        yield failed(
            f"the search_path of {about.user} names no existing schema that the role may use",
            installation.as_superuser(f"grant usage, create on schema public to {about.user}")
            + ", or end DATABASE_URL in ?options=-csearch_path%3DSCHEMA",
        )
    elif not found.creates:
        yield failed(
            f"{about.user} may not create tables in the schema {about.schema}",
            installation.as_superuser(f"grant create on schema {about.schema} to {about.user}"),
        )
    if found.not_owned:
        yield failed(
            f"{about.user} does not own {', '.join(found.not_owned)}: no partition can be added",
            "docs/operating.md, Backup and restore: restore into a separate database, with --role",
        )
    if not found.reads_control:
        yield failed(
            f"{about.user} may not call pg_control_system(), which distinguishes a restored copy from its"
            " original",
            installation.as_superuser(f"grant execute on function pg_control_system() to {about.user}"),
        )
    if not found.sees_sessions:
        yield warning(
            f"{about.user} does not see the age of other roles' transactions",
            installation.as_superuser(f"grant pg_read_all_stats to {about.user}"),
        )
    if found.creates and not found.not_owned and found.reads_control:
        yield ok(f"{about.user} has the rights that servers need")


def clock(installation: Installation) -> Iterator[Finding]:
    """Check that the clocks agree: events have the database's time, logs and leases this machine's."""
    before = datetime.now(UTC)
    there = diagnosis.clock(installation.conn)
    after = datetime.now(UTC)
    apart = max((before - there).total_seconds(), (there - after).total_seconds(), 0.0)
    if apart > CLOCK_SECONDS:
        yield warning(f"this clock and the database's are {apart:.1f} s apart", "timedatectl set-ntp true")
    else:
        yield ok(f"within {max(apart, (after - before).total_seconds()) * 1_000:.0f} ms of the database's")


def connections(installation: Installation) -> Iterator[Finding]:
    """Check that the connections of a server with these settings fit beside the open ones."""
    settings, found = installation.settings, diagnosis.connections(installation.conn)
    each = settings.connections or settings.threads + BACKGROUND_CONNECTIONS
    wanted = settings.workers * each
    limits = [(found.most - found.reserved, "max_connections")]
    of = ((found.of_role, ROLE_LIMIT), (found.of_database, DATABASE_LIMIT))
    limits += [(most, name) for most, name in of if most >= 0]
    room, limit = min(limits)
    text = (
        f"one server: {wanted}, {settings.workers} x ({settings.threads} threads + {BACKGROUND_CONNECTIONS});"
        f" {limit} allows {room}, {found.open} are open, {found.of_servers} of them of servers and workers"
    )
    if wanted > room:
        yield failed(text, _more_connections(installation, limit, 2 * wanted, found.reserved))
    elif wanted > room - found.open + found.of_servers:
        yield warning(text, f"orchestration serve --threads {max(2, settings.threads // 2)}")
    elif wanted > room - found.open:
        more = _more_connections(installation, limit, room + wanted, found.reserved)
        yield warning(f"{text}: one more server does not fit", more)
    else:
        yield ok(text)


def _more_connections(installation: Installation, limit: str, number: int, reserved: int) -> str:
    about = diagnosis.postgres_facts(installation.conn)
    if limit == ROLE_LIMIT:
        return installation.as_superuser(f"alter role {about.user} connection limit {number}")
    if limit == DATABASE_LIMIT:
        return installation.as_superuser(f"alter database {about.database} connection limit {number}")
    number += reserved
    return installation.as_superuser(
        f"alter system set max_connections = {number}", note="then restart Postgres"
    )


def sessions(installation: Installation) -> Iterator[Finding]:
    """Check that a session keeps its settings and prepared statements.

    Behind a pooler that assigns a connection for each transaction it does not.
    """
    try:
        with _session(installation) as one, _session(installation) as other:
            one.execute("select current_setting('plan_cache_mode')")
            with other.transaction():
                # It now has the connection that a pooler would assign next.
                other.execute("select pg_backend_pid()")
                one.execute("select current_setting('plan_cache_mode')")
            pooled = connect.check(one).pooled
            if pooled:
                connect.check_lasting(installation.database_url, one)
    except UnfitDatabase as error:
        yield failed(error.message, error.fix)
    except psycopg.Error as error:
        yield explain(installation, error)
    else:
        yield ok("prepared statements and settings last" + (", through a pooler" if pooled else ""))


def _session(installation: Installation) -> Connection:
    return connect.open_connection(
        installation.database_url,
        application=diagnosis.DOCTOR_APPLICATION_NAME,
        statement_seconds=installation.settings.statement_seconds,
    )
