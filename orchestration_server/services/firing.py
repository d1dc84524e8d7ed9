"""The writes that fire a schedule, and those that skip or fail one of its times.

A firing creates the task or sprint, moves the schedule to its next time and logs all events in one statement,
which fails if the schedule is no longer as it was read. So each time is handled once, by one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from orchestration.v1 import schedule_pb2
from orchestration_server.codec.schedules import schedule_event, schedule_of
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.codec.wire import RESULT_FIELD, embed
from orchestration_server.db.connection import Connection
from orchestration_server.errors import Aborted, InvalidArgument, LedgerError, NotFound
from orchestration_server.model import Call, EntityType
from orchestration_server.recurrence import recurrence
from orchestration_server.services.generation import Generation
from orchestration_server.store import schedules as schedule_store
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.schedules import ScheduleRow, ScheduleState
from orchestration_server.store.writes import Change
from orchestration_server.templates import TemplateKind
from orchestration_server.writes.write import Lock, Write

AGENT = "orchestration.schedules"
RPC = "ScheduleService/Background"
SCHEDULED_TIME = "scheduled_time"
"""The variable with the time of the schedule, for templates that declare it."""
_MESSAGE = 1_000


class Moved(Exception):
    """The schedule is not as it was read: another process was first, or a caller changed it."""


class Held(Exception):
    """The project was paused since the schedule was read."""


class Firing(NamedTuple):
    """One use of a schedule's template."""

    time: datetime
    """The scheduled time, or the time of the call that triggers it."""
    code: str
    """The code of the task or sprint."""
    missed: int = 0
    """The number of earlier times that nobody fired, up to a limit."""
    manual: bool = False

    @property
    def payload(self) -> dict[str, Any]:
        """Return what the events say of the firing."""
        found: dict[str, Any] = {"scheduled_time": self.time.isoformat(), "created": self.code}
        return (
            found
            | ({"missed": self.missed} if self.missed else {})
            | ({"manual": True} if self.manual else {})
        )


def firing_at(code: str, time: datetime, *, missed: int = 0) -> Firing:
    """Return the firing of a schedule at one of its times, which are whole minutes in UTC.

    The created code depends on the schedule and the time alone.
    """
    return Firing(time, f"{code}-{time:%Y%m%dT%H%MZ}", missed)


def firing_now(code: str, now: datetime) -> Firing:
    """Return the firing that a caller triggers. Its code differs from those of all scheduled times."""
    return Firing(now, f"{code}-{now:%Y%m%dT%H%M%S.%fZ}", manual=True)


def creation(
    generation: Generation, schedule: schedule_pb2.Schedule, firing: Firing, call: Call
) -> Write[Any]:
    """Return the write that creates what a firing makes. Raises the errors of the template."""
    template = generation.template(schedule.template)
    if template.kind not in (TemplateKind.TASK, TemplateKind.SPRINT):
        raise InvalidArgument({"template": f"must be of kind TASK or SPRINT, not {template.kind.name}"})
    if template.kind is TemplateKind.SPRINT and schedule.sprint_code:
        raise InvalidArgument({"sprint_code": "must be empty, as the template creates a sprint"})
    variables = schedule.variables
    declared = {variable.name for variable in template.variables}
    if SCHEDULED_TIME in declared and SCHEDULED_TIME not in variables.fields:
        local = recurrence(schedule.cron, schedule.time_zone).local(firing.time)
        variables[SCHEDULED_TIME] = local.isoformat(timespec="seconds")
    return generation.scheduled(
        template.kind, schedule.template, firing.code, schedule.sprint_code, variables, call,
        {"schedule": schedule.code, "scheduled_time": firing.time.isoformat()},
    )  # fmt: skip


@dataclass
class ScheduleWrite(Write[Any]):
    """A write of one schedule, which holds the schedule's lock from its first read on."""

    code: str

    @property
    def locks(self) -> Sequence[Lock]:
        return [("schedule", self.code)]

    @property
    def lock_first(self) -> bool:
        # The decision depends on the work that was created last, which the statement does not check.
        return True

    def prepare(self, conn: Connection) -> Prepared[Any]:
        return schedule_store.prepare(
            conn, project=self.call.project, request=self.request, code=self.code, sprint=self.sprint
        )

    @property
    def sprint(self) -> str:
        """Return the code of a sprint that the decision depends on."""
        return ""

    def current(self, state: ScheduleState) -> ScheduleRow:
        """Return the stored schedule. Raises NotFound if it does not exist or is deleted."""
        if state.row is None or state.deleted:
            raise NotFound("schedule", self.code)
        return state.row


@dataclass(kw_only=True)
class HandleTime(ScheduleWrite):
    """A write that moves a schedule over one of its times, without creating anything."""

    read: ScheduleRow
    """The schedule as it was read."""
    time: datetime
    """The last time that the write handles."""
    next_time: datetime | None
    event: str
    payload: dict[str, Any]
    error: LedgerError | None = None

    def unchanged(self, state: ScheduleState) -> ScheduleRow:
        """Return the stored schedule. Raises Moved if it is not as it was read."""
        row = state.row
        if row is None or state.deleted or row[:3] != self.read[:3]:
            raise Moved
        return row

    def decide(self, conn: Connection, found: Prepared[ScheduleState]) -> Change:
        row = self.unchanged(found.extra)
        return self.passed(row, found, self.event, self.payload)

    def passed(self, row: ScheduleRow, found: Prepared[Any], event: str, payload: dict[str, Any]) -> Change:
        """Return the change that moves the schedule on and logs an event."""
        error = row.last_error if self.error is None else self._error(self.error, found).SerializeToString()
        params = schedule_store.move_params(
            row, next_time=self.next_time, last_time=self.time, created=None, error=error
        )
        payload = {"scheduled_time": self.time.isoformat(), **payload}
        logged = schedule_event(self.call, event, schedule_of(row), found, payload)
        return Change(b"", sql=schedule_store.MOVE, params=params, expected=1, events=[logged])

    def _error(self, error: LedgerError, found: Prepared[Any]) -> schedule_pb2.ScheduleError:
        return schedule_pb2.ScheduleError(
            reason=error.reason, message=error.message[:_MESSAGE], scheduled_time=to_timestamp(self.time),
            fail_time=to_timestamp(found.now),
        )  # fmt: skip


class _Both(NamedTuple):
    """The rows of the schedule and those of what it creates."""

    state: ScheduleState
    made: Prepared[Any] | None


@dataclass(kw_only=True)
class FireTime(HandleTime):
    """The write of a scheduled time: it creates the task or sprint, unless the earlier work is not done."""

    firing: Firing
    inner: Write[Any]
    event: str = "fired"

    @property
    def locks(self) -> Sequence[Lock]:
        return [*super().locks, *self.inner.locks]

    def prepare(self, conn: Connection) -> Prepared[Any]:
        schedule_store.take_turn(conn, project=self.call.project)
        own = super().prepare(conn)
        return replace(own, extra=_Both(own.extra, self.inner.prepare(conn)))

    def decide(self, conn: Connection, found: Prepared[Any]) -> Change:
        both: _Both = found.extra
        row = self.unchanged(both.state)
        if both.state.project_paused:
            raise Held
        schedule = schedule_of(row)
        if both.state.open and schedule.overlap != schedule_pb2.OVERLAP_POLICY_ALLOW:
            missed = {"missed": self.firing.missed} if self.firing.missed else {}
            return self.passed(row, found, "skipped", {"reason": "overlap", "open": row.last_code, **missed})
        assert both.made is not None
        return fired(
            self.call, self.inner.decide(conn, both.made), row, found, self.firing,
            next_time=self.next_time, last_time=self.time,
        )  # fmt: skip


@dataclass(kw_only=True)
class Trigger(ScheduleWrite):
    """The write of a caller that uses the template now. It moves no time."""

    read: ScheduleRow | None
    inner: Write[Any] | LedgerError
    firing: Firing | None

    @property
    def locks(self) -> Sequence[Lock]:
        return [*super().locks, *(() if isinstance(self.inner, LedgerError) else self.inner.locks)]

    def prepare(self, conn: Connection) -> Prepared[Any]:
        own = super().prepare(conn)
        made = None if isinstance(self.inner, LedgerError) else self.inner.prepare(conn)
        return replace(own, extra=_Both(own.extra, made))

    def decide(self, conn: Connection, found: Prepared[Any]) -> Change:
        both: _Both = found.extra
        if isinstance(self.inner, LedgerError):
            raise self.inner
        row = self.current(both.state)
        assert both.made is not None
        assert self.read is not None
        assert self.firing is not None
        if row.revision != self.read.revision:
            raise Aborted(f"schedule {self.code} was changed meanwhile: try again")
        return fired(
            self.call, self.inner.decide(conn, both.made), row, found, self.firing,
            next_time=row.next_time, last_time=row.last_time,
        )  # fmt: skip


def fired(
    call: Call, change: Change, row: ScheduleRow, found: Prepared[Any], firing: Firing, *,
    next_time: datetime | None, last_time: datetime | None,
) -> Change:  # fmt: skip
    """Return the change that creates what a firing makes, with the move of the schedule and its event."""
    kind = EntityType.SPRINT if change.sql == schedule_store.NEW_SPRINT else EntityType.TASK
    after = row._replace(
        next_time=next_time, last_time=last_time, last_kind=kind, last_code=firing.code, last_error=None
    )
    schedule = schedule_of(row)
    payload = {"template": schedule.template, "kind": kind.name.lower(), **firing.payload}
    return replace(
        change,
        response=embed(RESULT_FIELD, schedule_of(after).SerializeToString()),
        sql=schedule_store.FIRE[change.sql],
        params=change.params
        | schedule_store.move_params(
            row, next_time=next_time, last_time=last_time, created=(kind, firing.code), error=None
        ),
        expected=change.expected + 1,
        events=[*change.events, schedule_event(call, "fired", schedule, found, payload)],
    )
