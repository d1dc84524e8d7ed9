"""TaskService: tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf.message import Message

from orchestration.v1 import task_pb2
from orchestration_server.codec.content import progress_percent, task_counts
from orchestration_server.codec.cursors import CursorSigner, page_size
from orchestration_server.codec.entities import TASK
from orchestration_server.codec.requests import request_key
from orchestration_server.codec.wire import PAGE_TOKEN_FIELD, RESULT_FIELD, embed, embed_all
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import (
    AlreadyExists,
    NotFound,
)
from orchestration_server.model import (
    Call,
    EventRow,
    OutboxRow,
    TaskStatus,
)
from orchestration_server.services.paging import listed_after, task_list_scope, task_page
from orchestration_server.store import progress as progress_store
from orchestration_server.store import tasks as task_store
from orchestration_server.store.prepared import EntityRow, LeaseRow, Prepared
from orchestration_server.store.tasks import TaskColumns
from orchestration_server.store.writes import AttemptEnd, Change, Fence
from orchestration_server.validation.occur_time import check_occur_times
from orchestration_server.work import fences
from orchestration_server.work.attempts import ended_by_status
from orchestration_server.work.events import end_facts
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.preconditions import check_revision, need_sprints, present
from orchestration_server.writes.task_rows import created, task_columns, task_event
from orchestration_server.writes.write import Lock, Write

_PROGRESS_FIELD = task_pb2.GetTaskResponse.PROGRESS_FIELD_NUMBER
Answer = Callable[[list[bytes]], bytes]
"""Makes the response from the serialized tasks."""
Edit = Callable[[task_pb2.Task, str], None]
"""Changes fields of a task, which has the given code."""
Update = task_pb2.UpdateTaskRequest | task_pb2.UpdateTaskStatusRequest | task_pb2.BatchUpdateTaskStatusRequest


class TaskService:
    """The rpcs of TaskService."""

    def __init__(
        self,
        db: Database,
        gate: Gate,
        cursors: CursorSigner,
        from_template: Callable[[task_pb2.CreateTasksFromTemplateRequest, Call], bytes],
    ) -> None:
        self._db = db
        self._from_template = from_template
        self._gate = gate
        self._cursors = cursors

    def CreateTask(self, request: task_pb2.CreateTaskRequest, call: Call) -> bytes:
        new = [task_pb2.NewTask(task=request.task)]
        if request.HasField("occur_time"):
            new[0].occur_time.CopyFrom(request.occur_time)
        return self._gate.write(_create(call, request, new, lambda bodies: embed(RESULT_FIELD, bodies[0])))

    def BatchCreateTasks(self, request: task_pb2.BatchCreateTasksRequest, call: Call) -> bytes:
        return self._gate.write(
            _create(call, request, request.tasks, lambda bodies: embed_all(RESULT_FIELD, bodies))
        )

    def GetTask(self, request: task_pb2.GetTaskRequest, call: Call) -> bytes:
        if request.view == task_pb2.TASK_VIEW_FULL:
            return self._with_progress(request.task_code, call)
        with self._db.connection(call) as conn:
            body = task_store.get(conn, project=call.project, code=request.task_code)
        if body is None:
            raise NotFound("task", request.task_code)
        return embed(RESULT_FIELD, body)

    def _with_progress(self, code: str, call: Call) -> bytes:
        inside = call.scope.sprint_code if call.scope is not None else None
        with self._db.connection(call) as conn:
            found = progress_store.get(conn, project=call.project, code=code, inside=inside)
        if found is None:
            raise NotFound("task", code)
        counts = task_counts(found.counts)
        progress = task_pb2.TaskProgress(
            counts=counts, percent=progress_percent(counts), partial=found.partial
        )
        return embed(RESULT_FIELD, found.body) + embed(_PROGRESS_FIELD, progress.SerializeToString())

    def ListTasks(self, request: task_pb2.ListTasksRequest, call: Call) -> bytes:
        filters: dict[str, Any] = {
            name: value
            for name, value in (
                ("sprint_code", request.sprint_code),
                ("statuses", list(request.statuses)),
                ("priorities", list(request.priorities)),
                ("assignee", request.assignee),
                ("labels", list(request.labels)),
            )
            if value
        }
        urgent = request.order == task_pb2.TASK_ORDER_PRIORITY
        scope = task_list_scope(call.project, filters, by_priority=urgent)
        size = page_size(request.page_size)
        after = listed_after(self._cursors.page_position(request.page_token, scope))
        with self._db.connection(call) as conn:
            page = task_store.list_page(
                conn, project=call.project, filters=filters, by_priority=urgent, after=after, limit=size
            )
        return task_page(self._cursors, page, scope, tasks=RESULT_FIELD, token=PAGE_TOKEN_FIELD)

    def UpdateTask(self, request: task_pb2.UpdateTaskRequest, call: Call) -> bytes:
        paths = list(request.update_mask.paths)

        def edit(task: task_pb2.Task, _: str) -> None:
            for path in paths:
                TASK.set_field(task, request.task, path)

        sprint = request.task.sprint_code if "sprint_code" in paths else ""
        return self._gate.write(_update(
            call, request, {request.task.code: request.expected_revision},
            {request.task.code: request.fence}, edit,
            lambda bodies: embed(RESULT_FIELD, bodies[0]), sprints=[sprint] if sprint else [],
        ))  # fmt: skip

    def UpdateTaskStatus(self, request: task_pb2.UpdateTaskStatusRequest, call: Call) -> bytes:
        return self._gate.write(update_status(request, call))

    def BatchUpdateTaskStatus(self, request: task_pb2.BatchUpdateTaskStatusRequest, call: Call) -> bytes:
        statuses = {c.task_code: c.status for c in request.changes}

        def edit(task: task_pb2.Task, code: str) -> None:
            task.status = statuses[code]

        return self._gate.write(_update(
            call, request, {c.task_code: c.expected_revision for c in request.changes},
            {c.task_code: c.fence for c in request.changes}, edit,
            lambda bodies: embed_all(RESULT_FIELD, bodies),
            reasons={c.task_code: c.reason for c in request.changes},
        ))  # fmt: skip

    def DeleteTask(self, request: task_pb2.DeleteTaskRequest, call: Call) -> bytes:
        return self._gate.write(
            _DeleteTask(
                call,
                request_key(call, request),
                [request.task_code],
                expected=request.expected_revision,
                fence=request.fence,
            )
        )

    def CreateTasksFromTemplate(self, request: task_pb2.CreateTasksFromTemplateRequest, call: Call) -> bytes:
        return self._from_template(request, call)


@dataclass
class _TaskWrite(Write[None]):
    """A write of tasks."""

    codes: Sequence[str]
    sprints: Sequence[str] = ()

    @property
    def locks(self) -> Sequence[Lock]:
        return [("task", code) for code in self.codes]

    def prepare(self, conn: Connection) -> Prepared[None]:
        return task_store.prepare(
            conn, project=self.call.project, request=self.request, codes=self.codes, sprints=self.sprints
        )


@dataclass(kw_only=True)
class _CreateTasks(_TaskWrite):
    message: Message
    new: Sequence[task_pb2.NewTask]
    answer: Answer

    def decide(self, conn: Connection, found: Prepared[None]) -> Change:
        for code in self.codes:
            if code in found.rows:
                raise AlreadyExists("task", code, deleted=found.rows[code].deleted)
        need_sprints(found, self.sprints)
        check_occur_times(self.message, found.now)
        made = [created(self.call, new, found.now) for new in self.new]
        rows = [row for _, row, _ in made]
        return Change(
            self.answer([row.body for row in rows]),
            sql=task_store.INSERT,
            params=task_store.columns(rows),
            expected=len(rows),
            events=[event for _, _, event in made],
            anchors=self.sprints,
            outbox=_files(self.codes, self.message),
        )


def _create(call: Call, message: Message, new: Sequence[task_pb2.NewTask], answer: Answer) -> Write[None]:
    return _CreateTasks(
        call,
        request_key(call, message),
        codes=[one.task.code for one in new],
        sprints=sorted({one.task.sprint_code for one in new if one.task.sprint_code}),
        message=message,
        new=new,
        answer=answer,
    )


@dataclass(kw_only=True)
class _DeleteTask(_TaskWrite):
    expected: int
    fence: int

    def decide(self, conn: Connection, found: Prepared[None]) -> Change:
        (code,) = self.codes
        row = present(found, "task", code)
        check_revision(f"task {code}", self.expected, row.revision)
        fences.check_fence(conn, self.call, code, row.lease, self.fence)
        task = task_pb2.Task.FromString(row.body)
        task.revision = row.revision + 1
        ends = ended_by_status(code, row.lease, TaskStatus.CANCELLED, found.now)
        return Change(
            b"",
            sql=task_store.DELETE,
            params={"c_code": code, "c_revision": row.revision, "c_update": found.now},
            expected=1,
            fences=[Fence(code, self.fence)] if self.fence else (),
            ends=ends,
            events=[task_event(self.call, "task.deleted", task, found.now, _end_facts(row.lease, ends))],
        )


@dataclass(kw_only=True)
class _UpdateTasks(_TaskWrite):
    message: Update
    expected: Mapping[str, int]
    """The expected revision of each task, 0 for any."""
    fences: Mapping[str, int]
    """The fence that the caller gives for each task, 0 for none."""
    edit: Edit
    answer: Answer
    reasons: Mapping[str, str]

    def decide(self, conn: Connection, found: Prepared[None]) -> Change:
        need_sprints(found, self.sprints)
        rows: list[TaskColumns] = []
        events: list[EventRow] = []
        ends: list[AttemptEnd] = []
        bodies = []
        for code in self.codes:
            row = present(found, "task", code)
            check_revision(f"task {code}", self.expected[code], row.revision)
            if self.fences[code]:
                fences.check_fence(conn, self.call, code, row.lease, self.fences[code])
            revised = self._revise(code, row, found.now)
            if revised is None:
                bodies.append(row.body)
                continue
            task, changes = revised
            if row.lease is not None:
                ended = self._end_lease(code, row, row.lease, task, found.now)
                *others, (type_, payload) = changes
                changes = [*others, (type_, payload | _end_facts(row.lease, ended))]
                ends += ended
            columns = task_columns(task, revision=row.revision, update_time=found.now)
            rows.append(columns)
            bodies.append(columns.body)
            events += [task_event(self.call, type_, task, found.now, payload) for type_, payload in changes]
        return Change(
            self.answer(bodies),
            sql=task_store.UPDATE,
            params=task_store.columns(rows),
            expected=len(rows),
            fences=[Fence(code, fence) for code, fence in self.fences.items() if fence],
            ends=ends,
            events=events,
            anchors=self.sprints if rows else (),
            outbox=_files(self.codes, self.message),
            policy=self.message.emission_policy,
        )

    def _end_lease(
        self, code: str, row: EntityRow, lease: LeaseRow, task: task_pb2.Task, now: datetime
    ) -> list[AttemptEnd]:
        """Return the end of a task's attempt, if the update changes what a holder owns and so ends it.

        Raises TaskHeld if somebody else holds the task.
        """
        before = task_pb2.Task.FromString(row.body)
        if (task.status, task.assignee) == (before.status, before.assignee):
            return []
        if lease.valid and not self.fences[code]:
            raise fences.held(code, lease)
        return ended_by_status(code, lease, TaskStatus(task.status), now)

    def _revise(
        self, code: str, row: EntityRow, now: datetime
    ) -> tuple[task_pb2.Task, list[tuple[str, dict[str, Any]]]] | None:
        return TASK.revise(
            row.body,
            row.revision,
            lambda task: self.edit(task, code),
            now=now,
            reason=self.reasons.get(code, ""),
        )


def update_status(request: task_pb2.UpdateTaskStatusRequest, call: Call) -> Write[None]:
    """Return the write that changes the status of a task."""

    def edit(task: task_pb2.Task, _: str) -> None:
        task.status = request.status

    return _update(
        call, request, {request.task_code: request.expected_revision},
        {request.task_code: request.fence}, edit,
        lambda bodies: embed(RESULT_FIELD, bodies[0]), reasons={request.task_code: request.reason},
    )  # fmt: skip


def _update(
    call: Call,
    message: Update,
    expected: Mapping[str, int],
    given_fences: Mapping[str, int],
    edit: Edit,
    answer: Answer,
    *,
    reasons: Mapping[str, str] | None = None,
    sprints: Sequence[str] = (),
) -> Write[None]:
    return _UpdateTasks(
        call, request_key(call, message), codes=list(expected), sprints=sprints, message=message,
        expected=expected, fences=given_fences, edit=edit, answer=answer, reasons=reasons or {},
    )  # fmt: skip


def _end_facts(lease: LeaseRow | None, ends: Sequence[AttemptEnd]) -> dict[str, Any]:
    """Return what the events of a change say of the attempt that it ends; nothing if it ends none."""
    return end_facts(lease, ends[0]) if lease is not None and ends else {}


def _files(codes: Sequence[str], request: Message) -> list[OutboxRow]:
    """Return the outbox rows of a request: one for each task, or none if it asks for no files."""
    return [OutboxRow("task", code) for code in codes] if getattr(request, "sync_to_file", False) else []
