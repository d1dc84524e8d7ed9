"""CoordinationService: dependencies of tasks, and the tasks that are ready."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.v1 import common_pb2, coordination_pb2, task_pb2
from orchestration_server.codec.cursors import CursorSigner, page_size
from orchestration_server.codec.events import change_event
from orchestration_server.codec.names import DEPENDENCY_KIND_NAMES
from orchestration_server.codec.requests import request_key
from orchestration_server.codec.wire import PAGE_TOKEN_FIELD, RESULT_FIELD, embed
from orchestration_server.context.broker import Broker
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import DependencyCycle, NotFound
from orchestration_server.model import Call, EntityType, EventRow, Unready
from orchestration_server.services.paging import listed_after, task_list_scope, task_page
from orchestration_server.services.pauses import PauseRpcs
from orchestration_server.services.readiness import ReadinessRpcs
from orchestration_server.services.work import WorkRpcs
from orchestration_server.store import dependencies as dependency_store
from orchestration_server.store import ready_tasks as ready_store
from orchestration_server.store.dependencies import Graph
from orchestration_server.store.prepared import EntityRow, Prepared
from orchestration_server.store.writes import Change, Stamp
from orchestration_server.work.claiming import Claiming
from orchestration_server.work.waiting_claims import WaitingClaims
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.preconditions import present
from orchestration_server.writes.write import Lock, Write


class CoordinationService(WorkRpcs, PauseRpcs, ReadinessRpcs):
    """The rpcs of CoordinationService."""

    def __init__(
        self,
        db: Database,
        gate: Gate,
        cursors: CursorSigner,
        claiming: Claiming,
        waiting: WaitingClaims,
        broker: Broker,
    ) -> None:
        super().__init__(claiming, waiting, broker)
        self._db = db
        self._gate = gate
        self._cursors = cursors

    def AddDependency(self, request: coordination_pb2.AddDependencyRequest, call: Call) -> bytes:
        link = _link(request.dependency)
        return self._gate.write(_AddLink(call, request_key(call, request), link))

    def RemoveDependency(self, request: coordination_pb2.RemoveDependencyRequest, call: Call) -> bytes:
        link = _link(request.dependency)
        return self._gate.write(_RemoveLink(call, request_key(call, request), link))

    def ListDependencies(self, request: coordination_pb2.ListDependenciesRequest, call: Call) -> bytes:
        dependents = request.direction == coordination_pb2.DEPENDENCY_DIRECTION_DEPENDENTS
        kinds = sorted(set(request.kinds))
        scope_sprint = call.scope.sprint_code if call.scope is not None else None
        scope = ["dependencies", call.project, request.task_code, dependents, kinds, scope_sprint]
        position = self._cursors.page_position(request.page_token, scope)
        size = page_size(request.page_size)
        with self._db.connection(call) as conn:
            rows = dependency_store.list_page(
                conn, project=call.project, task=request.task_code, dependents=dependents, kinds=kinds,
                inside=scope_sprint, limit=size + 1,
                after=("", 0) if position is None else (position[0], position[1]),
            )  # fmt: skip
        if rows is None:
            raise NotFound("task", request.task_code)
        answer = coordination_pb2.ListDependenciesResponse(
            dependencies=[coordination_pb2.Dependency(**row._asdict()) for row in rows[:size]]
        )
        if len(rows) > size:
            last = rows[size - 1]
            other = last.task_code if dependents else last.depends_on_code
            answer.next_page_token = self._cursors.page_token(scope, [other, last.kind])
        return answer.SerializeToString()

    def ListReadyTasks(self, request: coordination_pb2.ListReadyTasksRequest, call: Call) -> bytes:
        filters = {"sprint_code": request.sprint_code} if request.sprint_code else {}
        due = not request.include_not_due
        scope = ["ready", due, *task_list_scope(call.project, filters, by_priority=True)]
        after = listed_after(self._cursors.page_position(request.page_token, scope))
        apart = 0 if due else Unready.SPRINT
        wanted = ready_store.Wanted(call.project, request.sprint_code, apart, self._claiming.order)
        with self._db.connection(call) as conn:
            page = ready_store.list_page(conn, wanted=wanted, after=after, limit=page_size(request.page_size))
        return task_page(self._cursors, page, scope, tasks=RESULT_FIELD, token=PAGE_TOKEN_FIELD)


@dataclass
class _LinkWrite(Write[Graph]):
    """A write of one link."""

    link: coordination_pb2.Dependency

    @property
    def locks(self) -> Sequence[Lock]:
        return [("task", self.link.task_code), ("task", self.link.depends_on_code)]

    def prepare(self, conn: Connection) -> Prepared[Graph]:
        return dependency_store.prepare(
            conn, project=self.call.project, request=self.request, task=self.link.task_code,
            depends_on=self.link.depends_on_code, kind=self.link.kind,
        )  # fmt: skip


class _AddLink(_LinkWrite):
    @property
    def locks(self) -> Sequence[Lock]:
        # Links that may close a cycle are added one at a time in a project.
        graph = [("graph", "")] if self.link.kind == dependency_store.BLOCKS else []
        return [*super().locks, *graph]

    def decide(self, conn: Connection, found: Prepared[Graph]) -> Change:
        call, link = self.call, self.link
        task = _task(present(found, "task", link.task_code))
        present(found, "task", link.depends_on_code)
        response = embed(RESULT_FIELD, link.SerializeToString())
        if found.extra.linked:
            return Change(response)
        # The statement checks this under the locks. Checking here as well lets the error name the cycle.
        if link.kind == dependency_store.BLOCKS and found.extra.walkable:
            _refuse_cycle(conn, call, link)
        added = {"from": None, "to": link.depends_on_code}
        return Change(
            response,
            sql=dependency_store.INSERT,
            params=_params(link) | {"c_create": found.now},
            expected=1,
            stamps=[_stamp(call, task)],
            events=[link_event(call, "task.dependency_added", task, link, found, added)],
        )


class _RemoveLink(_LinkWrite):
    def decide(self, conn: Connection, found: Prepared[Graph]) -> Change:
        call, link = self.call, self.link
        if not found.extra.linked:
            raise NotFound("dependency", f"{link.task_code}/{link.depends_on_code}")
        task = _task(found.rows[link.task_code])
        removed = {"from": link.depends_on_code, "to": None}
        return Change(
            b"",
            sql=dependency_store.DELETE,
            params=_params(link),
            expected=1,
            stamps=[_stamp(call, task)],
            events=[link_event(call, "task.dependency_removed", task, link, found, removed)],
        )


def _link(given: coordination_pb2.Dependency) -> coordination_pb2.Dependency:
    return coordination_pb2.Dependency(
        task_code=given.task_code,
        depends_on_code=given.depends_on_code,
        kind=given.kind or common_pb2.DEPENDENCY_KIND_BLOCKS,
    )


def _params(link: coordination_pb2.Dependency) -> dict[str, Any]:
    return {"c_task": link.task_code, "c_depends_on": link.depends_on_code, "c_kind": link.kind}


def _task(row: EntityRow) -> task_pb2.Task:
    """Return a task at its row's revision, which is one more than the message's if the task is deleted."""
    task = task_pb2.Task.FromString(row.body)
    task.revision = row.revision
    return task


def _stamp(call: Call, task: task_pb2.Task) -> Stamp:
    """Return the task's fields in the event of a link, which the link's statement must check."""
    return Stamp(call.project, task.code, task.sprint_code, task.priority, task.revision)


def _refuse_cycle(conn: Connection, call: Call, link: coordination_pb2.Dependency) -> None:
    cycle = dependency_store.cycle(
        conn, project=call.project, task=link.task_code, depends_on=link.depends_on_code
    )
    if cycle:
        raise DependencyCycle(cycle)


def link_event(
    call: Call,
    type_: str,
    task: task_pb2.Task,
    link: coordination_pb2.Dependency,
    found: Prepared[object],
    change: dict[str, Any],
) -> EventRow:
    """Return an event about a link, which is an event of its task."""
    payload = {
        "depends_on": link.depends_on_code,
        "kind": DEPENDENCY_KIND_NAMES[link.kind],
        "changes": {"depends_on": change},
    }
    return change_event(
        call, type_, found.now, entity=EntityType.TASK, code=task.code, uid=task.uid,
        revision=task.revision, payload=payload, sprint_code=task.sprint_code,
        priority=task.priority,
    )  # fmt: skip
