"""The rpcs of CoordinationService that stop claims and limit them: pauses, and limits of work in progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchestration.v1 import coordination_pb2, task_pb2
from orchestration_server.codec.cursors import CursorSigner, page_size
from orchestration_server.codec.events import change_event
from orchestration_server.codec.names import PAUSE_MODE_NAMES
from orchestration_server.codec.requests import request_key
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.codec.wire import PAGE_TOKEN_FIELD, RESULT_FIELD, embed, embed_all
from orchestration_server.db.connection import Connection
from orchestration_server.db.database import Database
from orchestration_server.errors import NotFound
from orchestration_server.model import PRIORITY_P1, Call, EntityType, EventRow
from orchestration_server.store import pauses as pause_store
from orchestration_server.store.pauses import ListedLimit, ListedPause, PauseState
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.writes import Change, Stamp
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.preconditions import present
from orchestration_server.writes.write import Lock, Write

_SCOPES: Mapping[str, int] = {"project": 1, "sprint_code": 2, "agent": 3, "label": 4, "task_code": 5}
"""The kinds of pauses, as the table has them."""
_SCOPE_FIELDS = {kind: field for field, kind in _SCOPES.items()}
_KEYS: Mapping[str, int] = {"agent": 1, "label": 2, "provider": 3}
"""The kinds of limits, as the table has them."""
_KEY_FIELDS = {kind: field for field, kind in _KEYS.items()}
_FIRST = (0, "")


class PauseRpcs:
    """The rpcs about pauses and limits. CoordinationService inherits them."""

    _db: Database
    _gate: Gate
    _cursors: CursorSigner

    def PauseWork(self, request: coordination_pb2.PauseWorkRequest, call: Call) -> bytes:
        mode = request.mode or coordination_pb2.PAUSE_MODE_PAUSE
        response = self._gate.write(_Pause(
            call, request_key(call, request), scope=_PauseScope.of(request.scope), mode=mode,
            reason=request.reason,
        ))  # fmt: skip
        self._settle_claims(call)
        return response

    def ResumeWork(self, request: coordination_pb2.ResumeWorkRequest, call: Call) -> bytes:
        return self._gate.write(_Resume(
            call, request_key(call, request), scope=_PauseScope.of(request.scope), reason=request.reason
        ))  # fmt: skip

    def ListPauses(self, request: coordination_pb2.ListPausesRequest, call: Call) -> bytes:
        scope = ["pauses", call.project]
        position = self._cursors.page_position(request.page_token, scope)
        size = page_size(request.page_size)
        with self._db.connection(call) as conn:
            rows = pause_store.list_page(
                conn, project=call.project, limit=size + 1,
                after=_FIRST if position is None else (position[0], position[1]),
            )  # fmt: skip
        body = embed_all(RESULT_FIELD, [_pause(row).SerializeToString() for row in rows[:size]])
        return body + self._next_page(rows, scope, size)

    def SetWorkLimit(self, request: coordination_pb2.SetWorkLimitRequest, call: Call) -> bytes:
        field = request.limit.WhichOneof("key") or ""
        kind, value = _KEYS[field], getattr(request.limit, field)
        most = None if request.remove else request.limit.max_leases
        response = self._gate.write(
            _SetLimit(call, request_key(call, request), kind=kind, value=value, most=most)
        )
        self._settle_claims(call)
        return response

    def ListWorkLimits(self, request: coordination_pb2.ListWorkLimitsRequest, call: Call) -> bytes:
        scope = ["limits", call.project]
        position = self._cursors.page_position(request.page_token, scope)
        size = page_size(request.page_size)
        with self._db.connection(call) as conn:
            rows = pause_store.list_limits(
                conn, project=call.project, limit=size + 1,
                after=_FIRST if position is None else (position[0], position[1]),
            )  # fmt: skip
        body = embed_all(RESULT_FIELD, [_limit(row).SerializeToString() for row in rows[:size]])
        return body + self._next_page(rows, scope, size)

    def _next_page(self, rows: Sequence[ListedPause | ListedLimit], scope: list[Any], size: int) -> bytes:
        if len(rows) <= size:
            return b""
        last = rows[size - 1]
        return embed(PAGE_TOKEN_FIELD, self._cursors.page_token(scope, [last.kind, last.value]).encode())

    def _settle_claims(self, call: Call) -> None:
        """Let no claim that was decided before this commit before the response."""
        with self._db.connection(call) as conn:
            pause_store.settle_claims(conn, project=call.project)


class _PauseScope(NamedTuple):
    """A part of a project, as the table of pauses has it."""

    kind: int
    value: str

    @classmethod
    def of(cls, scope: coordination_pb2.WorkScope) -> _PauseScope:
        field = scope.WhichOneof("scope") or ""
        return cls(_SCOPES[field], "" if field == "project" else getattr(scope, field))

    @property
    def message(self) -> coordination_pb2.WorkScope:
        if self.kind == _SCOPES["project"]:
            return coordination_pb2.WorkScope(project=True)
        scope = coordination_pb2.WorkScope()
        setattr(scope, _SCOPE_FIELDS[self.kind], self.value)
        return scope

    @property
    def entity(self) -> EntityType:
        return {2: EntityType.SPRINT, 5: EntityType.TASK}.get(self.kind, EntityType.NONE)


@dataclass(kw_only=True)
class _PauseWrite(Write[PauseState | None]):
    """A write of one pause."""

    scope: _PauseScope
    reason: str

    @property
    def locks(self) -> Sequence[Lock]:
        return [("pause", f"{self.scope.kind}\0{self.scope.value}")]

    def prepare(self, conn: Connection) -> Prepared[PauseState | None]:
        return pause_store.prepare(
            conn, project=self.call.project, request=self.request, kind=self.scope.kind,
            value=self.scope.value,
        )  # fmt: skip

    def event(self, name: str, mode: int, found: Prepared[PauseState | None]) -> tuple[EventRow, list[Stamp]]:
        """Return the event of a pause, and the fields of a task that it carries."""
        scope, stamps, uid, sprint = self.scope, [], "", ""
        if scope.entity is EntityType.SPRINT:
            sprint = scope.value
        elif scope.entity is EntityType.TASK and scope.value in found.rows:
            task = task_pb2.Task.FromString(found.rows[scope.value].body)
            uid, sprint = task.uid, task.sprint_code
            stamps.append(Stamp(self.call.project, task.code, task.sprint_code, task.priority))
        payload = {
            "scope": {_SCOPE_FIELDS[scope.kind]: scope.value or True},
            "mode": PAUSE_MODE_NAMES[mode],
            "reason": self.reason,
            "agent": self.call.agent,
        }
        event = change_event(
            self.call, f"work.{name}", found.now, entity=scope.entity,
            code=scope.value if scope.entity else "", uid=uid, revision=0, payload=payload,
            sprint_code=sprint, priority=PRIORITY_P1,
        )  # fmt: skip
        return event, stamps


@dataclass(kw_only=True)
class _Pause(_PauseWrite):
    mode: int

    def decide(self, conn: Connection, found: Prepared[PauseState | None]) -> Change:
        scope = self.scope
        if scope.entity is not EntityType.NONE:
            present(found, scope.entity.name.lower(), scope.value)
        row = ListedPause(*scope, self.mode, self.reason, self.call.agent, found.now)
        event, stamps = self.event("paused", self.mode, found)
        return Change(
            embed(RESULT_FIELD, _pause(row).SerializeToString()),
            sql=pause_store.PAUSE,
            params={
                "c_kind": scope.kind,
                "c_value": scope.value,
                "c_mode": self.mode,
                "c_reason": self.reason,
                "c_agent": self.call.agent,
                "c_create": found.now,
            },
            expected=1,
            events=[event],
            anchors=[scope.value] if scope.entity is EntityType.SPRINT else (),
            stamps=stamps,
        )


@dataclass(kw_only=True)
class _Resume(_PauseWrite):
    def decide(self, conn: Connection, found: Prepared[PauseState | None]) -> Change:
        scope, pause = self.scope, found.extra
        if pause is None:
            raise NotFound("pause", f"{_SCOPE_FIELDS[scope.kind]} {scope.value}".strip())
        event, stamps = self.event("resumed", pause.mode, found)
        return Change(
            b"",
            sql=pause_store.RESUME,
            params={"c_kind": scope.kind, "c_value": scope.value, "c_create": pause.create_time},
            expected=1,
            events=[event],
            stamps=stamps,
        )


@dataclass(kw_only=True)
class _SetLimit(Write[int | None]):
    """The write of one limit; ``most`` is None to remove it."""

    kind: int
    value: str
    most: int | None

    @property
    def locks(self) -> Sequence[Lock]:
        return [("limit", f"{self.kind}\0{self.value}")]

    @property
    def lock_first(self) -> bool:
        # The event names the limit before, which the statement does not check.
        return True

    def prepare(self, conn: Connection) -> Prepared[int | None]:
        return pause_store.prepare_limit(
            conn, project=self.call.project, request=self.request, kind=self.kind, value=self.value
        )

    def decide(self, conn: Connection, found: Prepared[int | None]) -> Change:
        before, most = found.extra, self.most
        if most is None and before is None:
            raise NotFound("limit", f"{_KEY_FIELDS[self.kind]} {self.value}")
        response = b""
        if most is not None:
            leases = pause_store.leases_of(conn, project=self.call.project, kind=self.kind, value=self.value)
            limit = _limit(ListedLimit(self.kind, self.value, most, leases))
            response = embed(RESULT_FIELD, limit.SerializeToString())
        if most == before:
            return Change(response)
        payload = {
            "key": {_KEY_FIELDS[self.kind]: self.value},
            "max_leases": {"from": before, "to": most},
            "agent": self.call.agent,
        }
        event = change_event(
            self.call, "work.limit_changed", found.now, entity=EntityType.NONE, code="", uid="", revision=0,
            payload=payload,
        )  # fmt: skip
        return Change(
            response,
            sql=pause_store.REMOVE_LIMIT if most is None else pause_store.SET_LIMIT,
            params={"c_kind": self.kind, "c_value": self.value, "c_most": most},
            expected=1,
            events=[event],
        )


def _pause(row: ListedPause) -> coordination_pb2.Pause:
    return coordination_pb2.Pause(
        scope=_PauseScope(row.kind, row.value).message,
        mode=row.mode,  # type: ignore[arg-type]  # the numbers are the same
        reason=row.reason,
        agent=row.agent,
        create_time=to_timestamp(row.create_time),
    )


def _limit(row: ListedLimit) -> coordination_pb2.WorkLimit:
    limit = coordination_pb2.WorkLimit(max_leases=row.most, leases=row.leases)
    setattr(limit, _KEY_FIELDS[row.kind], row.value)
    return limit
