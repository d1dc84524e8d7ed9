"""Postgres itself: reached, of a version that is supported, with the rights and the room servers need."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
from psycopg import conninfo

from orchestration_server.app import BACKGROUND_CONNECTIONS
from orchestration_server.db import session_options
from orchestration_server.doctor.findings import Finding, Subject, failed, ok, warning
from orchestration_server.store import diagnosis
from orchestration_server.store.connection import Connection

OLDEST, NEWEST = 15, 18
CLOCK_SECONDS = 2.0
ALREADY_PLANNED = "force_generic_plan"


def reached(subject: Subject) -> Finding:
    """There is a connection."""
    where = "the built-in Postgres" if subject.built_in else "DATABASE_URL"
    return ok(f"{where} answers")


def out_of_reach(subject: Subject, error: psycopg.Error) -> Finding:
    """There is none: why, and what that calls for. The URL is not shown, for it may hold a password."""
    if not is_url(subject.database_url):
        return failed(
            "DATABASE_URL is not valid", "export DATABASE_URL=postgresql://USER:PASSWORD@HOST:5432/NAME"
        )
    text = first_line(error)
    given = {key: str(value) for key, value in conninfo.conninfo_to_dict(subject.database_url).items()}
    place = "".join(f" -{flag} {given[key]}" for flag, key in (("h", "host"), ("p", "port")) if key in given)
    if "does not exist" in text and "database" in text:
        return failed(text, f"createdb{place} {given.get('dbname', 'orchestration')}")
    if "does not exist" in text and "role" in text:
        return failed(text, f"createuser{place} --pwprompt {given.get('user', 'orchestration')}")
    if "password" in text or "pg_hba" in text:
        return failed(text, 'psql "$DATABASE_URL" -c "select 1"    # with another user or password')
    return failed(text, f"pg_isready{place}")


def is_url(text: str) -> bool:
    """Whether libpq takes it. Not where a part of the password would be taken for the host or the port, which
    errors name: where an @ in it is not written as %40, say."""
    try:
        given = conninfo.conninfo_to_dict(text)
    except psycopg.Error:
        return False
    ports = [port for port in str(given.get("port", "")).split(",") if port]
    return "@" not in str(given.get("host", "")) and all(port.isdecimal() for port in ports)


def version(subject: Subject) -> Iterator[Finding]:
    """One of those that the ledger is tested with, and no replica."""
    about = diagnosis.about(subject.conn)
    named = f"Postgres {about.version}"
    if about.replica:
        yield failed(f"{named} is a read replica", "DATABASE_URL has to name the primary")
    if about.major < OLDEST:
        yield failed(f"{named}: the ledger needs {OLDEST} to {NEWEST}", "pg_upgrade, or a newer server")
    elif about.major > NEWEST:
        yield warning(f"{named} is newer than the ledger is tested with ({OLDEST} to {NEWEST})")
    else:
        yield ok(named)


def encoding(subject: Subject) -> Iterator[Finding]:
    """UTF8: other encodings cannot hold what agents write."""
    about = diagnosis.about(subject.conn)
    if about.encoding == "UTF8":
        yield ok("UTF8")
    else:
        yield failed(
            f"the database's encoding is {about.encoding}",
            f"createdb --encoding=UTF8 --template=template0 {about.database}_utf8    # then load a dump",
        )


def durability(subject: Subject) -> Iterator[Finding]:
    """What a call is answered stays, also when the machine stops."""
    about = diagnosis.about(subject.conn)
    lost = "what was acknowledged can be lost"
    for name, on in (("fsync", about.fsync), ("full_page_writes", about.full_page_writes)):
        if not on:
            yield failed(f"{name} is off: {lost} when the machine stops, and more may be damaged",
                         _alter(subject, name))  # fmt: skip
    if not about.waits_for_disk:
        yield warning(
            f"synchronous_commit is off: {lost} when Postgres stops", _alter(subject, "synchronous_commit")
        )
    if about.fsync and about.full_page_writes and about.waits_for_disk:
        yield ok("a commit waits for the disk")


def _alter(subject: Subject, name: str) -> str:
    return subject.superuser(f"alter system set {name} = on", "select pg_reload_conf()")


def role(subject: Subject) -> Iterator[Finding]:
    """It may make tables and partitions, and sees who holds the horizon."""
    about, found = diagnosis.about(subject.conn), diagnosis.role(subject.conn)
    if not found.creates:
        yield failed(
            f"{about.user} may not create tables in the schema {about.schema or 'that there is none of'}",
            subject.superuser(f"grant create on schema {about.schema or 'public'} to {about.user}"),
        )
    if found.not_owned:
        yield failed(
            f"{about.user} does not own {', '.join(found.not_owned)}: no partition can be added",
            "docs/operating.md, Backup and restore: into a database of its own, with --role",
        )
    if not found.reads_control:
        yield failed(
            f"{about.user} may not call pg_control_system(), which tells a restored copy from the log it was"
            " taken from",
            subject.superuser(f"grant execute on function pg_control_system() to {about.user}"),
        )
    if not found.sees_sessions:
        yield warning(
            f"{about.user} does not see how old the transactions of other roles are",
            subject.superuser(f"grant pg_read_all_stats to {about.user}"),
        )
    if found.creates and not found.not_owned and found.reads_control:
        yield ok(f"{about.user} has the rights that servers need")


def clock(subject: Subject) -> Iterator[Finding]:
    """The clocks agree: events have the database's time, leases and logs are read by this one's."""
    before = datetime.now(UTC)
    there = diagnosis.clock(subject.conn)
    after = datetime.now(UTC)
    apart = max((before - there).total_seconds(), (there - after).total_seconds(), 0.0)
    if apart > CLOCK_SECONDS:
        yield warning(f"this clock and the database's are {apart:.1f} s apart", "timedatectl set-ntp true")
    else:
        yield ok(f"within {max(apart, (after - before).total_seconds()) * 1_000:.0f} ms of the database's")


def connections(subject: Subject) -> Iterator[Finding]:
    """The pools of the server that these settings make fit beside what is connected already."""
    settings, found = subject.settings, diagnosis.connections(subject.conn)
    each = settings.connections or settings.threads + BACKGROUND_CONNECTIONS
    wanted = settings.workers * each
    limits = [found.most - found.reserved, *(n for n in (found.of_role, found.of_database) if n >= 0)]
    room = min(limits)
    text = (
        f"one server: {wanted}, {settings.workers} x ({settings.threads} threads + {BACKGROUND_CONNECTIONS});"
        f" {room} may be open, {found.open} are, {found.of_servers} of them by servers and workers"
    )
    if wanted > room:
        more = found.reserved + 2 * wanted
        yield failed(text, _more_connections(subject, more))
    elif wanted > room - found.open + found.of_servers:
        yield warning(text, f"orchestration serve --threads {max(2, settings.threads // 2)}")
    elif wanted > room - found.open:
        more = found.most + wanted
        yield warning(f"{text}: one more server does not fit", _more_connections(subject, more))
    else:
        yield ok(text)


def _more_connections(subject: Subject, number: int) -> str:
    return subject.superuser(f"alter system set max_connections = {number}", note="then restart Postgres")


def sessions(subject: Subject) -> Iterator[Finding]:
    """A session keeps its settings and what it prepared: behind a pooler that lends a connection for each
    transaction it does not."""
    options = session_options(subject.settings.statement_seconds)
    straight = "DATABASE_URL straight to Postgres; each server has a pool of its own"
    try:
        with _session(subject, options) as one, _session(subject, options) as other:
            row = one.execute("select current_setting('plan_cache_mode')").fetchone()
            with other.transaction():
                # It now has the connection that a pooler would lend next.
                other.execute("select pg_backend_pid()")
                one.execute("select current_setting('plan_cache_mode')")
    except psycopg.Error as error:
        text = first_line(error)
        if "startup parameter" in text:
            yield failed(f"a pooler in between takes no settings for a session: {text}", straight)
        else:
            yield failed(
                f"prepared statements do not last: a pooler in transaction mode is in between ({text})",
                f"{straight}; else pool_mode = session in pgbouncer.ini",
            )
        return
    assert row is not None
    if row[0] != ALREADY_PLANNED:
        yield failed(
            "settings of a session are dropped on the way, the longest time of a statement among them",
            straight,
        )
    else:
        yield ok("prepared statements and settings last")


def _session(subject: Subject, options: str) -> Connection:
    return Connection.connect(
        subject.database_url, autocommit=True, connect_timeout=5, options=options,
        application_name="orchestration-doctor",
    )  # fmt: skip


def first_line(error: psycopg.Error) -> str:
    """What the driver says, without the statement."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
