"""ScheduleService: templates that are used at the times of a cron line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import Message

from orchestration.v1 import schedule_pb2
from orchestration_server.codec.content import field_changes, new_uid
from orchestration_server.codec.cursors import CursorSigner, page_size
from orchestration_server.codec.requests import request_key
from orchestration_server.codec.schedules import definition, schedule_event, schedule_of
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.codec.wire import PAGE_TOKEN_FIELD, RESULT_FIELD, embed, embed_all
from orchestration_server.db.connection import Connection
from orchestration_server.db.database import Database
from orchestration_server.errors import (
    AlreadyExists,
    InvalidArgument,
    LedgerError,
    NotFound,
    ResourceExhausted,
)
from orchestration_server.model import Call
from orchestration_server.recurrence import NEVER, UTC_ZONE, recurrence
from orchestration_server.services import firing
from orchestration_server.services.generation import Generation
from orchestration_server.store import schedules as schedule_store
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.schedules import ScheduleRow, ScheduleState
from orchestration_server.store.writes import Change
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.preconditions import check_revision
from orchestration_server.writes.write import Lock, Write

MAX_SCHEDULES = 1_000
"""The most schedules of a project."""
_DEFINED = ("template", "variables", "sprint_code", "cron", "time_zone", "paused", "catch_up", "overlap")


class ScheduleService:
    """The rpcs of ScheduleService."""

    def __init__(self, db: Database, gate: Gate, cursors: CursorSigner, generation: Generation) -> None:
        self._db = db
        self._gate = gate
        self._cursors = cursors
        self._generation = generation

    def CreateSchedule(self, request: schedule_pb2.CreateScheduleRequest, call: Call) -> bytes:
        return self._gate.write(
            _Create(
                call, request_key(call, request), request.schedule.code, given=request.schedule,
                generation=self._generation,
            )
        )  # fmt: skip

    def GetSchedule(self, request: schedule_pb2.GetScheduleRequest, call: Call) -> bytes:
        with self._db.connection(call) as conn:
            read = schedule_store.get(conn, project=call.project, code=request.schedule_code)
        if read is None:
            raise NotFound("schedule", request.schedule_code)
        return _response(read.row)

    def ListSchedules(self, request: schedule_pb2.ListSchedulesRequest, call: Call) -> bytes:
        scope = ["schedules", call.project]
        position = self._cursors.page_position(request.page_token, scope)
        size = page_size(request.page_size)
        after = "" if position is None else position[0]
        with self._db.connection(call) as conn:
            page = schedule_store.list_page(conn, project=call.project, after=after, limit=size)
        body = embed_all(RESULT_FIELD, [schedule_of(row).SerializeToString() for row in page.rows])
        if not page.more:
            return body
        return body + embed(PAGE_TOKEN_FIELD, self._cursors.page_token(scope, [page.rows[-1].code]).encode())

    def UpdateSchedule(self, request: schedule_pb2.UpdateScheduleRequest, call: Call) -> bytes:
        return self._gate.write(
            _Update(
                call, request_key(call, request), request.schedule.code, given=request.schedule,
                paths=list(request.update_mask.paths), expected=request.expected_revision,
                generation=self._generation,
            )
        )  # fmt: skip

    def DeleteSchedule(self, request: schedule_pb2.DeleteScheduleRequest, call: Call) -> bytes:
        return self._gate.write(
            _Delete(
                call, request_key(call, request), request.schedule_code, expected=request.expected_revision
            )
        )

    def TriggerSchedule(self, request: schedule_pb2.TriggerScheduleRequest, call: Call) -> bytes:
        code, key = request.schedule_code, request_key(call, request)
        with self._db.connection(call) as conn:
            read = schedule_store.get(conn, project=call.project, code=code)
        now = None if read is None else firing.firing_now(code, read.now)
        inner: Write[object] | LedgerError
        try:
            if read is None or now is None:
                raise NotFound("schedule", code)
            inner = firing.creation(self._generation, schedule_of(read.row), now, call)
        except LedgerError as error:
            # A retry gets the stored response, even if the schedule or the template is gone since.
            if not key.request_id:
                raise
            inner = error
        return self._gate.write(
            firing.Trigger(call, key, code, read=None if read is None else read.row, inner=inner, firing=now)
        )


def _response(row: ScheduleRow) -> bytes:
    return embed(RESULT_FIELD, schedule_of(row).SerializeToString())


@dataclass(kw_only=True)
class _Define(firing.ScheduleWrite):
    """A write of what a caller defines."""

    given: schedule_pb2.Schedule
    generation: Generation

    @property
    def sprint(self) -> str:
        return self.given.sprint_code

    def next_time(self, schedule: schedule_pb2.Schedule, now: datetime) -> datetime | None:
        """Return the first time from now on; None if the schedule is paused. Raises InvalidArgument."""
        following = recurrence(schedule.cron, schedule.time_zone).after(now)
        if following is None:
            raise InvalidArgument({"schedule.cron": NEVER})
        return None if schedule.paused else following

    def check(
        self, schedule: schedule_pb2.Schedule, found: Prepared[ScheduleState], at: datetime | None
    ) -> None:
        """Raise an error if the schedule could not create anything now."""
        if schedule.sprint_code and not found.extra.has_sprint:
            raise NotFound("sprint", schedule.sprint_code)
        tried = schedule_pb2.Schedule()
        tried.CopyFrom(schedule)
        try:
            firing.creation(
                self.generation, tried, firing.firing_at(schedule.code, at or found.now), self.call
            )
        except InvalidArgument as error:
            violations = {_path(path): text for path, text in error.violations.items()}
            raise InvalidArgument(violations, reason=error.reason) from None

    def defaults(self, schedule: schedule_pb2.Schedule) -> None:
        """Set what the caller left out."""
        schedule.time_zone = schedule.time_zone or UTC_ZONE
        schedule.catch_up = schedule.catch_up or schedule_pb2.CATCH_UP_POLICY_ONCE
        schedule.overlap = schedule.overlap or schedule_pb2.OVERLAP_POLICY_SKIP
        schedule.DiscardUnknownFields()


def _path(path: str) -> str:
    """Return the path of a violation of the template's request as one of a schedule."""
    path = path.removeprefix("items[0].")
    own = path.startswith("variables") or path in ("template", "sprint_code")
    return f"schedule.{path}" if own else f"schedule.template.{path}"


@dataclass(kw_only=True)
class _Create(_Define):
    @property
    def locks(self) -> Sequence[Lock]:
        # Schedules of a project are created one at a time, so the limit is exact.
        return [*super().locks, ("schedules", "")]

    def decide(self, conn: Connection, found: Prepared[ScheduleState]) -> Change:
        state, now = found.extra, found.now
        if state.row is not None:
            raise AlreadyExists("schedule", self.code, deleted=state.deleted)
        if schedule_store.count(conn, project=self.call.project) >= MAX_SCHEDULES:
            raise ResourceExhausted(
                f"the project has {MAX_SCHEDULES} schedules: delete one that is not needed",
                reason="TOO_MANY_SCHEDULES",
                retry_after=None,
            )
        made = schedule_pb2.Schedule(code=self.code, uid=new_uid(), agent=self.call.agent, revision=1)
        _set(made, self.given, _DEFINED)
        self.defaults(made)
        made.create_time.CopyFrom(to_timestamp(now))
        made.update_time.CopyFrom(to_timestamp(now))
        following = self.next_time(made, now)
        self.check(made, found, following)
        row = ScheduleRow(self.code, 1, following, None, 0, "", None, made.SerializeToString())
        return Change(
            _response(row),
            sql=schedule_store.INSERT,
            params=_params(row, now),
            expected=1,
            anchors=[made.sprint_code] if made.sprint_code else (),
            events=[schedule_event(self.call, "created", made, found, {"definition": definition(made)})],
        )


@dataclass(kw_only=True)
class _Update(_Define):
    paths: Sequence[str]
    expected: int

    @property
    def sprint(self) -> str:
        return self.given.sprint_code if "sprint_code" in self.paths else ""

    def decide(self, conn: Connection, found: Prepared[ScheduleState]) -> Change:
        row, now = self.current(found.extra), found.now
        check_revision(f"schedule {self.code}", self.expected, row.revision)
        schedule = schedule_pb2.Schedule.FromString(row.body)
        before = definition(schedule)
        _set(schedule, self.given, self.paths)
        self.defaults(schedule)
        changes = field_changes(before, definition(schedule))
        if not changes:
            return Change(_response(row))
        following = row.next_time
        if changes.keys() & {"cron", "time_zone", "paused"}:
            following = self.next_time(schedule, now)
        # A schedule whose template is broken can still be paused.
        if changes.keys() & {"template", "variables", "sprint_code"}:
            self.check(schedule, found, following)
        schedule.revision = row.revision + 1
        schedule.update_time.CopyFrom(to_timestamp(now))
        after = row._replace(next_time=following, body=schedule.SerializeToString())
        return Change(
            _response(after),
            sql=schedule_store.UPDATE,
            params=_params(after, now),
            expected=1,
            anchors=[self.sprint] if self.sprint else (),
            events=[schedule_event(self.call, "updated", schedule, found, {"changes": changes})],
        )


@dataclass(kw_only=True)
class _Delete(firing.ScheduleWrite):
    expected: int

    def decide(self, conn: Connection, found: Prepared[ScheduleState]) -> Change:
        row = self.current(found.extra)
        check_revision(f"schedule {self.code}", self.expected, row.revision)
        deleted = schedule_event(self.call, "deleted", schedule_of(row), found, {}, revision=row.revision + 1)
        return Change(
            b"",
            sql=schedule_store.DELETE,
            params={"n_code": self.code, "n_revision": row.revision, "n_time": found.now},
            expected=1,
            events=[deleted],
        )


def _set(schedule: schedule_pb2.Schedule, given: schedule_pb2.Schedule, paths: Sequence[str]) -> None:
    """Set fields to the values that they have in a caller's message."""
    for path in paths:
        value = getattr(given, path)
        if isinstance(value, Message):
            schedule.ClearField("variables")
            if given.variables.fields:
                schedule.variables.CopyFrom(given.variables)
        else:
            setattr(schedule, path, value)


def _params(row: ScheduleRow, now: datetime) -> dict[str, object]:
    return {
        "n_code": row.code, "n_revision": row.revision, "n_next": row.next_time, "n_time": now,
        "n_body": row.body,
    }  # fmt: skip
