"""What holds the timeline back, and what keeps dead rows: transactions that stay open, and slots."""

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
"""How old a write may be before readers notice."""
STUCK_SECONDS = 60.0
IDLE_SECONDS = 10.0
"""What the ledger's own sessions are given."""
OLD_VIEW_SECONDS = HOUR
SLOT_BYTES = 10 * 1024**3


def horizon(installation: Installation) -> Iterator[Finding]:
    """No write is open for long: no event behind the oldest one is sent."""
    sessions = diagnosis.sessions_holding_horizon(installation.conn)
    waiting = diagnosis.prepared_transactions(installation.conn)
    user = diagnosis.postgres_facts(installation.conn).user
    for session in sessions:
        if session.seconds is None:
            yield warning(
                f"{session.name} (pid {session.pid}) holds the timeline back; how long is hidden",
                installation.as_superuser(f"grant pg_read_all_stats to {user}"),
            )
        elif session.seconds > SLOW_SECONDS:
            say = failed if session.seconds > STUCK_SECONDS else warning
            yield say(
                f"{session.name} (pid {session.pid}, {session.state}) has held the timeline back for"
                f" {format_duration(session.seconds)}",
                _terminate(installation, session),
            )
    for transaction in waiting:
        say = failed if transaction.seconds > STUCK_SECONDS else warning
        yield say(
            f"the prepared transaction {transaction.gid} of {transaction.owner} has held the timeline back"
            f" for {format_duration(transaction.seconds)}",
            installation.as_superuser(f"rollback prepared '{transaction.gid}'", note="or: commit prepared"),
        )
    oldest = max((session.seconds or 0.0 for session in sessions), default=0.0)
    if oldest <= SLOW_SECONDS and not waiting:
        yield ok(
            f"the oldest open write is {format_duration(oldest)} old" if sessions else "no write is open"
        )


def idle(installation: Installation) -> Iterator[Finding]:
    """No session sits in a transaction and does nothing."""
    found = diagnosis.idle_transactions(installation.conn, seconds=IDLE_SECONDS)
    yield from _each(installation, found, "has done nothing in its transaction", IDLE_SECONDS)


def old_views(installation: Installation) -> Iterator[Finding]:
    """No statement reads for hours: what is deleted after it began cannot be cleaned away."""
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
    """No replication slot keeps dead rows, or log until the disk is full, for a reader that is gone."""
    found = diagnosis.slots(installation.conn)
    for slot in found:
        text = (
            f"{slot.name} keeps {format_size(slot.bytes)} of log"
            f" and the dead rows of {slot.age:,} transactions"
        )
        if slot.active and slot.bytes < SLOT_BYTES:
            yield ok(text)
        else:
            state = "is read, and far behind" if slot.active else "is read by nobody"
            drop = f"select pg_drop_replication_slot('{slot.name}')"
            yield warning(
                f"{text}, and {state}",
                installation.as_superuser(drop, note="where nobody comes back to it"),
            )
    if not found:
        yield ok("none")


def _terminate(installation: Installation, session: diagnosis.BackendSession) -> str:
    return installation.psql_command(f"select pg_terminate_backend({session.pid})")
