"""The background service that fires schedules whose time has come.

Any number of processes may run it. Each time is handled in one transaction, under the schedule's lock, by the
first of them that gets it; the others find that the schedule has moved.
"""

from __future__ import annotations

from datetime import timedelta

import structlog

from orchestration.v1 import schedule_pb2
from orchestration_server.codec.schedules import schedule_of
from orchestration_server.db.database import Database
from orchestration_server.errors import (
    Aborted,
    AlreadyExists,
    Conflict,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    LedgerError,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from orchestration_server.model import Call, Request
from orchestration_server.recurrence import recurrence, zone_fault
from orchestration_server.services.firing import (
    AGENT,
    RPC,
    FireTime,
    HandleTime,
    Held,
    Moved,
    creation,
    firing_at,
)
from orchestration_server.services.generation import Generation
from orchestration_server.store import schedules as schedule_store
from orchestration_server.store.schedules import ReadSchedule
from orchestration_server.writes.gate import Gate

log = structlog.get_logger()

BATCH = 200
LATE = timedelta(minutes=1)
"""The age from which a time counts as missed."""
_FAILURES = (InvalidArgument, NotFound, FailedPrecondition, AlreadyExists)
"""The errors that another try would get, too."""
_WAITS = (Aborted, Conflict, DeadlineExceeded, ResourceExhausted, Unavailable)
"""The errors after which the schedule stays due."""


class Schedules:
    """The background service. Any number of processes may run it at once."""

    name = "schedules"
    interval = 1.0

    def __init__(self, db: Database, gate: Gate, generation: Generation) -> None:
        self._db = db
        self._gate = gate
        self._generation = generation

    def run_once(self) -> int:
        """Handle the schedules that are due. Return the number of those whose time this process handled.

        A schedule that cannot be handled now, because the database refuses it, stays due. The others go on,
        and its error is raised after them.
        """
        with self._db.connection() as conn:
            found = schedule_store.due(conn, limit=BATCH)
        handled = 0
        failure: Exception | None = None
        for read in found:
            try:
                handled += self._handle(read)
            except (Moved, Held):
                continue
            except Exception as error:
                log.warning("schedule waits", project=read.project, schedule=read.row.code, error=error)
                failure = error
        if failure is not None:
            raise failure
        return handled

    def _handle(self, read: ReadSchedule) -> int:
        """Handle the last time up to now. Return 1, or 0 if this process does not know the time zone."""
        row, schedule = read.row, schedule_of(read.row)
        assert row.next_time is not None
        if fault := zone_fault(schedule.time_zone):
            log.warning("schedule of an unknown time zone", schedule=row.code, error=fault)
            return 0
        times = recurrence(schedule.cron, schedule.time_zone)
        last, count = times.last_due(row.next_time, read.now)
        firing = firing_at(row.code, last, missed=count - 1)
        call = Call(RPC, read.project, correlation_id=firing.code, agent=AGENT)

        def move(event: str, payload: dict[str, object], error: LedgerError | None = None) -> HandleTime:
            return HandleTime(
                call, Request(RPC, "", b""), row.code, read=row, time=last, next_time=times.after(last),
                event=event, payload=payload, error=error,
            )  # fmt: skip

        if schedule.catch_up == schedule_pb2.CATCH_UP_POLICY_SKIP and read.now - last > LATE:
            self._gate.write(move("skipped", {"reason": "missed", "missed": count}))
            return 1
        try:
            inner = creation(self._generation, schedule, firing, call)
            self._gate.write(FireTime(
                call, Request(RPC, "", b""), row.code, read=row, time=last, next_time=times.after(last),
                payload={}, firing=firing, inner=inner,
            ))  # fmt: skip
        except (Moved, Held, *_WAITS):
            raise
        except Exception as error:
            failure = _failure(error, read)
            missed = {"missed": firing.missed} if firing.missed else {}
            failed = {"reason": failure.reason, "message": failure.message, **missed}
            self._gate.write(move("failed", failed, failure))
        return 1


def _failure(error: Exception, read: ReadSchedule) -> LedgerError:
    """Return the error that the schedule shows. A fault of the server must not keep it due for ever."""
    if isinstance(error, _FAILURES):
        return error
    log.error("schedule failed", project=read.project, schedule=read.row.code, error=error, exc_info=error)
    return FailedPrecondition(
        "it could not be fired, by a fault of the server: its log has the details",
        reason="INTERNAL", subject=f"schedule {read.row.code}",
    )  # fmt: skip
