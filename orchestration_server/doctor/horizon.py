"""Checks for open transactions and replication slots that delay the timeline or keep dead rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestration_server.doctor.findings import (
    HOUR,
    Finding,
    Installation,
    failed,
    format_duration,
    format_size,
    ok,
    warning,
)
from orchestration_server.store import diagnosis

SLOW_SECONDS = 5.0
"""The age of an open write from which readers notice the delay."""
STUCK_SECONDS = 60.0
IDLE_SECONDS = 10.0
"""The timeout of idle transactions in the ledger's own sessions."""
OLD_VIEW_SECONDS = HOUR
SLOT_BYTES = 10 * 1024**3


def horizon(installation: Installation) -> Iterator[Finding]:
    """Check that no write stays open for long, because events behind the oldest one are not sent."""
    sessions = diagnosis.sessions_holding_horizon(installation.conn)
    waiting = diagnosis.prepared_transactions(installation.conn)
    user = diagnosis.postgres_facts(installation.conn).user
    for session in sessions:
        if session.seconds is None:
            yield warning(
                f"{session.name} (pid {session.pid}) delays the timeline; since when is hidden",
                installation.as_superuser(f"grant pg_read_all_stats to {user}"),
            )
        elif session.seconds > SLOW_SECONDS:
            say = failed if session.seconds > STUCK_SECONDS else warning
            yield say(
                f"{session.name} (pid {session.pid}, {session.state}) has delayed the timeline for"
                f" {format_duration(session.seconds)}",
                _terminate(installation, session),
            )
    for transaction in waiting:
        say = failed if transaction.seconds > STUCK_SECONDS else warning
        yield say(
            f"the prepared transaction {transaction.gid} of {transaction.owner} has delayed the timeline"
            f" for {format_duration(transaction.seconds)}",
            installation.as_superuser(f"rollback prepared '{transaction.gid}'", note="or: commit prepared"),
        )
    oldest = max((session.seconds or 0.0 for session in sessions), default=0.0)
    if oldest <= SLOW_SECONDS and not waiting:
        yield ok(
            f"the oldest open write is {format_duration(oldest)} old" if sessions else "no write is open"
        )


def idle(installation: Installation) -> Iterator[Finding]:
    """Check that no session is idle in a transaction."""
    found = diagnosis.idle_transactions(installation.conn, seconds=IDLE_SECONDS)
    yield from _each(installation, found, "has been idle in a transaction", IDLE_SECONDS)


def old_views(installation: Installation) -> Iterator[Finding]:
    """Check that no statement runs for hours, because rows deleted after its start cannot be cleaned up."""
    found = diagnosis.sessions_holding_vacuum(installation.conn, seconds=OLD_VIEW_SECONDS)
    yield from _each(installation, found, "has kept dead rows", OLD_VIEW_SECONDS)


def _each(
    installation: Installation, found: Sequence[diagnosis.BackendSession], what: str, seconds: float
) -> Iterator[Finding]:
    for session in found:
        yield warning(
            f"{session.name} (pid {session.pid}, {session.state}) {what}"
            f" for {format_duration(session.seconds or 0.0)}",
            _terminate(installation, session),
        )
    if not found:
        yield ok(f"none for longer than {format_duration(seconds)}")


def slots(installation: Installation) -> Iterator[Finding]:
    """Check that no replication slot without a reader keeps dead rows, or log until the disk is full."""
    found = diagnosis.slots(installation.conn)
    for slot in found:
        text = (
            f"{slot.name} keeps {format_size(slot.bytes)} of log"
            f" and the dead rows of {slot.age:,} transactions"
        )
        if slot.active and slot.bytes < SLOT_BYTES:
            yield ok(text)
        else:
            state = "its reader is far behind" if slot.active else "nobody reads it"
            drop = f"select pg_drop_replication_slot('{slot.name}')"
            yield warning(
                f"{text}, and {state}",
                installation.as_superuser(drop, note="if its reader does not return"),
            )
    if not found:
        yield ok("none")


def _terminate(installation: Installation, session: diagnosis.BackendSession) -> str:
    return installation.psql_command(f"select pg_terminate_backend({session.pid})")
