"""Short forms of the calls that many tests make."""

from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import (
    common_pb2,
    context_pb2,
    coordination_pb2,
    event_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
)
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support import factories

Target = dict[str, Any]
"""The target of a context, by the field of the request."""
ASSEMBLED = "orchestration.context.assembled"
S = context_pb2.ContextSection
TARGETS: list[Target] = [{"task_code": "t"}, {"sprint_code": "s"}, {"session_key": "k"}]
"""A task and a sprint of ``Ledger.plan``, and a session."""


class Ledger:
    """A client of every service, with a short form for each common call."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.contexts = ContextServiceStub(channel)
        self.coordination = CoordinationServiceStub(channel)
        self.events = EventServiceStub(channel)
        self.sessions = SessionServiceStub(channel)
        self.sprints = SprintServiceStub(channel)
        self.tasks = TaskServiceStub(channel)

    def task(self, code: str, **fields: Any) -> task_pb2.Task:
        request = task_pb2.CreateTaskRequest(task=factories.task(code, **fields))
        return self.tasks.CreateTask(request).task

    def sprint(self, code: str, **fields: Any) -> sprint_pb2.Sprint:
        request = sprint_pb2.CreateSprintRequest(sprint=factories.sprint(code, **fields))
        return self.sprints.CreateSprint(request).sprint

    def session(self, key: str, **target: Any) -> None:
        request = session_pb2.InitAgentRequest(agent="a", new_session_key=key, **target)
        self.sessions.InitAgent(request)

    def link(self, task: str, depends_on: str, kind: int = 1) -> None:
        link = coordination_pb2.Dependency(task_code=task, depends_on_code=depends_on, kind=kind)  # type: ignore[arg-type]
        self.coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=link))

    def set_status(self, code: str, status: int) -> None:
        request = task_pb2.UpdateTaskStatusRequest(task_code=code, status=status)  # type: ignore[arg-type]
        self.tasks.UpdateTaskStatus(request)

    def retitle(self, code: str, title: str) -> None:
        request = task_pb2.UpdateTaskRequest(
            task=task_pb2.Task(code=code, title=title), update_mask=FieldMask(paths=["title"])
        )
        self.tasks.UpdateTask(request)

    def emit(self, task: str = "", **fields: Any) -> event_pb2.Event:
        about: dict[str, Any] = {}
        if task:
            about = {"entity_type": common_pb2.ENTITY_TYPE_TASK, "entity_code": task}
        request = event_pb2.EmitEventRequest(event=factories.event(**about, **fields))
        return self.events.EmitEvent(request).event

    def log(self, type_: str) -> list[event_pb2.Event]:
        request = event_pb2.ListEventsRequest(filter=event_pb2.EventFilter(types=[type_]), page_size=500)
        return list(self.events.ListEvents(request).events)

    def ask(
        self, options: context_pb2.ContextOptions | None = None, **target: Any
    ) -> context_pb2.AssembleContextResponse:
        return self.contexts.AssembleContext(context_pb2.AssembleContextRequest(options=options, **target))

    def context(self, target: Target, **options: Any) -> context_pb2.Context:
        return self.ask(context_pb2.ContextOptions(**options), **target).context

    def plan(self) -> None:
        """Create a sprint with a task that waits for another."""
        self.sprint("s", status=2, metadata={"agent_config": {"model": "m"}})
        self.task(
            "t", sprint_code="s", priority=1, acceptance_criteria=["it works", "it is fast"],
            agent_config={"model": "big"}, metadata={"m": 1},
        )  # fmt: skip
        self.task("u", sprint_code="s")
        self.task("v")
        self.link("t", "u")
        self.link("t", "v", 4)
