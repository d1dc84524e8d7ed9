"""SprintService: sprints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from orchestration.v1 import sprint_pb2
from orchestration_server.cache.read_through import Cache, Loaded
from orchestration_server.codec.content import snapshot, task_counts
from orchestration_server.codec.cursors import CursorSigner, page_size
from orchestration_server.codec.entities import SPRINT
from orchestration_server.codec.events import change_event
from orchestration_server.codec.requests import request_key
from orchestration_server.codec.timestamps import to_datetime
from orchestration_server.codec.wire import PAGE_TOKEN_FIELD, RESULT_FIELD, embed, embed_all
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from orchestration_server.model import (
    Call,
    EntityType,
    EventRow,
    OutboxRow,
)
from orchestration_server.services.paging import task_list_scope, task_page
from orchestration_server.store import outbox
from orchestration_server.store import sprints as sprint_store
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.writes import Change
from orchestration_server.validation.occur_time import check_occur_times
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.preconditions import check_revision, present
from orchestration_server.writes.write import Lock, Write

_FULL = sprint_pb2.GetSprintResponse


class SprintService:
    """The rpcs of SprintService."""

    def __init__(
        self,
        db: Database,
        gate: Gate,
        cursors: CursorSigner,
        cache: Cache,
        from_template: Callable[[sprint_pb2.CreateSprintFromTemplateRequest, Call], bytes],
    ) -> None:
        self._cache = cache
        self._db = db
        self._from_template = from_template
        self._gate = gate
        self._cursors = cursors

    def CreateSprint(self, request: sprint_pb2.CreateSprintRequest, call: Call) -> bytes:
        return self._gate.write(_CreateSprint(call, request_key(call, request), request.sprint.code, request))

    def GetSprint(self, request: sprint_pb2.GetSprintRequest, call: Call) -> bytes:
        code = request.sprint_code
        if request.view == sprint_pb2.SPRINT_VIEW_FULL:
            return self._full(code, page_size(request.task_page_size), call)
        with self._db.connection(call) as conn:
            body = sprint_store.get(conn, project=call.project, code=code)
        if body is None:
            raise NotFound("sprint", code)
        return embed(RESULT_FIELD, body)

    def _full(self, code: str, size: int, call: Call) -> bytes:
        """Return the sprint with its tasks, from the cache if it has the current version."""
        scope = task_list_scope(call.project, {"sprint_code": code}, by_priority=True)

        def key(version: sprint_store.SprintVersion) -> list[Any]:
            return [call.project, code, version.revision, version.tasks, size]

        def load() -> Loaded:
            with self._db.connection(call) as conn:
                full = sprint_store.get_with_tasks(conn, project=call.project, code=code, limit=size)
            if full is None:
                raise NotFound("sprint", code)
            answer = embed(RESULT_FIELD, full.body) + embed(
                _FULL.TASK_COUNTS_FIELD_NUMBER, task_counts(full.counts).SerializeToString()
            )
            answer += task_page(
                self._cursors,
                full.tasks,
                scope,
                tasks=_FULL.TASKS_FIELD_NUMBER,
                token=_FULL.NEXT_TASK_PAGE_TOKEN_FIELD_NUMBER,
            )
            return Loaded(answer, key(full.version))

        with self._db.connection(call) as conn:
            found = sprint_store.version(conn, project=call.project, code=code)
        if found is None:
            raise NotFound("sprint", code)
        answer, _ = self._cache.get_or_load("sprint", key(found), load, timeout=call.seconds_left())
        return answer

    def ListSprints(self, request: sprint_pb2.ListSprintsRequest, call: Call) -> bytes:
        statuses = list(request.statuses)
        scope = ["sprints", call.project, sorted(statuses), request.owner]
        position = self._cursors.page_position(request.page_token, scope)
        after = None if position is None else (datetime.fromisoformat(position[0]), position[1])
        with self._db.connection(call) as conn:
            page = sprint_store.list_page(
                conn, project=call.project, statuses=statuses, owner=request.owner, after=after,
                limit=page_size(request.page_size),
            )  # fmt: skip
        body = embed_all(RESULT_FIELD, [row.body for row in page.rows])
        if page.more:
            last = page.rows[-1]
            token = self._cursors.page_token(scope, [last.create_time.isoformat(), last.code])
            body += embed(PAGE_TOKEN_FIELD, token.encode())
        return body

    def UpdateSprint(self, request: sprint_pb2.UpdateSprintRequest, call: Call) -> bytes:
        return self._gate.write(update(request, call))

    def DeleteSprint(self, request: sprint_pb2.DeleteSprintRequest, call: Call) -> bytes:
        return self._gate.write(_DeleteSprint(call, request_key(call, request), request.sprint_code, request))

    def CreateSprintFromTemplate(
        self, request: sprint_pb2.CreateSprintFromTemplateRequest, call: Call
    ) -> bytes:
        return self._from_template(request, call)

    def SyncSprint(self, request: sprint_pb2.SyncSprintRequest, call: Call) -> bytes:
        return self._gate.write(_SyncSprint(call, request_key(call, request), request.sprint_code))


@dataclass
class _SprintWrite(Write[None]):
    """A write of one sprint."""

    code: str

    @property
    def locks(self) -> Sequence[Lock]:
        return [("sprint", self.code)]

    def prepare(self, conn: Connection) -> Prepared[None]:
        return sprint_store.prepare(conn, project=self.call.project, request=self.request, code=self.code)


@dataclass
class _CreateSprint(_SprintWrite):
    message: sprint_pb2.CreateSprintRequest

    def decide(self, conn: Connection, found: Prepared[None]) -> Change:
        message = self.message
        if self.code in found.rows:
            raise AlreadyExists("sprint", self.code, deleted=found.rows[self.code].deleted)
        check_occur_times(message, found.now)
        occur = to_datetime(message.occur_time) if message.HasField("occur_time") else None
        sprint, event = created(self.call, message.sprint, found.now, occur)
        return _change(sprint_store.INSERT, sprint, 0, found.now, [event], sync=message.sync_to_file)


@dataclass
class _DeleteSprint(_SprintWrite):
    message: sprint_pb2.DeleteSprintRequest

    @property
    def lock_first(self) -> bool:
        # No task may join the sprint while the write decides that it has none.
        return True

    def decide(self, conn: Connection, found: Prepared[None]) -> Change:
        row = present(found, "sprint", self.code)
        check_revision(f"sprint {self.code}", self.message.expected_revision, row.revision)
        if not sprint_store.hold_empty(conn, project=self.call.project, code=self.code):
            raise FailedPrecondition(
                f"sprint {self.code} still has tasks: move or delete them first",
                reason="SPRINT_NOT_EMPTY",
                subject=f"sprint {self.code}",
            )
        sprint = sprint_pb2.Sprint.FromString(row.body)
        sprint.revision = row.revision + 1
        return Change(
            b"",
            sql=sprint_store.DELETE,
            params={"c_code": self.code, "c_revision": row.revision, "c_update": found.now},
            expected=1,
            events=[sprint_event(self.call, "sprint.deleted", sprint, found.now, {})],
        )


@dataclass
class _SyncSprint(Write[int]):
    code: str

    @property
    def locks(self) -> Sequence[Lock]:
        return [("sprint", self.code)]

    def prepare(self, conn: Connection) -> Prepared[int]:
        return outbox.prepare_sprint(conn, project=self.call.project, request=self.request, code=self.code)

    def decide(self, conn: Connection, found: Prepared[int]) -> Change:
        present(found, "sprint", self.code)
        queued = 1 + found.extra
        return Change(
            sprint_pb2.SyncSprintResponse(queued=queued).SerializeToString(),
            sql=outbox.QUEUE_SPRINT,
            params={"c_code": self.code, "c_correlation": self.call.correlation_id},
            expected=queued,
            anchors=[self.code],
        )


@dataclass
class _UpdateSprint(_SprintWrite):
    message: sprint_pb2.UpdateSprintRequest

    def decide(self, conn: Connection, found: Prepared[None]) -> Change:
        message = self.message
        row = present(found, "sprint", self.code)
        check_revision(f"sprint {self.code}", message.expected_revision, row.revision)
        revised = SPRINT.revise(row.body, row.revision, self._edit, now=found.now)
        if revised is None:
            return Change(embed(RESULT_FIELD, row.body), outbox=_files(self.code, sync=message.sync_to_file))
        sprint, changes = revised
        if sprint.start_date and sprint.end_date and sprint.end_date < sprint.start_date:
            raise InvalidArgument({"sprint.end_date": "is before start_date"})
        events = [sprint_event(self.call, type_, sprint, found.now, payload) for type_, payload in changes]
        change = _change(
            sprint_store.UPDATE, sprint, row.revision, found.now, events, sync=message.sync_to_file
        )
        return replace(change, policy=message.emission_policy)

    def _edit(self, sprint: sprint_pb2.Sprint) -> None:
        for path in self.message.update_mask.paths:
            SPRINT.set_field(sprint, self.message.sprint, path)


def update(request: sprint_pb2.UpdateSprintRequest, call: Call) -> Write[None]:
    """Return the write that changes the fields of a sprint that the mask names."""
    return _UpdateSprint(call, request_key(call, request), request.sprint.code, request)


def created(
    call: Call, given: sprint_pb2.Sprint, now: datetime, occur_time: datetime | None = None
) -> tuple[sprint_pb2.Sprint, EventRow]:
    """Return a new sprint, and the event of its creation."""
    sprint, content = SPRINT.create(given, create_time=occur_time or now, now=now)
    payload = snapshot(content, revision=sprint.revision, create_time=sprint.create_time)
    return sprint, sprint_event(call, "sprint.created", sprint, now, payload, occur_time)


def _change(
    sql: Any,
    sprint: sprint_pb2.Sprint,
    revision: int,
    now: datetime,
    events: list[EventRow],
    *,
    sync: bool,
) -> Change:
    body = sprint.SerializeToString()
    return Change(
        embed(RESULT_FIELD, body),
        sql=sql,
        params={
            "c_code": sprint.code,
            "c_status": sprint.status,
            "c_owner": sprint.owner,
            "c_revision": revision,
            "c_create": to_datetime(sprint.create_time),
            "c_update": now,
            "c_body": body,
        },
        expected=1,
        events=events,
        outbox=_files(sprint.code, sync=sync),
    )


def _files(code: str, *, sync: bool) -> list[OutboxRow]:
    return [OutboxRow("sprint", code)] if sync else []


def sprint_event(
    call: Call,
    type_: str,
    sprint: sprint_pb2.Sprint,
    now: datetime,
    payload: dict[str, Any],
    occur: datetime | None = None,
) -> EventRow:
    """Return an event of a sprint. ``type_`` has no ``orchestration.`` prefix."""
    return change_event(
        call, type_, now, entity=EntityType.SPRINT, code=sprint.code, uid=sprint.uid,
        revision=sprint.revision, payload=payload, sprint_code=sprint.code, occur_time=occur,
    )  # fmt: skip
