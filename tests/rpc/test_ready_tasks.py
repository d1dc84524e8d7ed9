"""The tasks that may start."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.v1 import common_pb2, context_pb2, coordination_pb2, task_pb2
from orchestration.v1.common_pb2 import TaskStatus
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.sprint_pb2 import CreateSprintRequest
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.model import TASK_TRANSITIONS, is_due
from orchestration_server.model import SprintStatus as Sprint
from orchestration_server.model import TaskStatus as Status
from tests.support import factories
from tests.support.dependencies import BLOCKS, add, create, link, remove
from tests.support.rpc_errors import Metadata, refused

pytestmark = pytest.mark.shared_server

_projects = count(1)


def ready(
    coordination: CoordinationServiceStub,
    size: int = 0,
    sprint: str = "",
    metadata: Metadata | None = None,
) -> list[str]:
    """Return the codes on all pages."""
    codes: list[str] = []
    token = ""
    while True:
        page = coordination.ListReadyTasks(
            coordination_pb2.ListReadyTasksRequest(page_size=size, page_token=token, sprint_code=sprint),
            metadata=metadata,
        )
        codes += [task.code for task in page.tasks]
        token = page.next_page_token
        if not token:
            return codes


def set_status(tasks: TaskServiceStub, code: str, status: int, metadata: Metadata | None = None) -> None:
    request = task_pb2.UpdateTaskStatusRequest(task_code=code, status=TaskStatus.ValueType(status))
    tasks.UpdateTaskStatus(request, metadata=metadata)


def test_a_task_is_ready_when_its_blockers_end(
    tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    create(tasks, "a", "b", "c", "d")
    for blocker in ("a", "b", "c"):
        add(coordination, link("d", blocker))
    assert ready(coordination) == ["a", "b", "c"]

    set_status(tasks, "a", TaskStatus.TASK_STATUS_COMPLETED)
    set_status(tasks, "b", TaskStatus.TASK_STATUS_CANCELLED)
    assert ready(coordination) == ["c"]
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="c"))
    assert ready(coordination) == ["d"]
    set_status(tasks, "a", TaskStatus.TASK_STATUS_IN_PROGRESS)
    assert ready(coordination) == []
    remove(coordination, link("d", "a"))
    assert ready(coordination) == ["d"]


def test_only_a_blocking_link_delays_a_task(
    tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    create(tasks, "a", "b")
    kinds = common_pb2.DependencyKind.values()
    for kind in kinds:
        if kind not in (common_pb2.DEPENDENCY_KIND_UNSPECIFIED, BLOCKS):
            add(coordination, link("b", "a", kind))
    assert ready(coordination) == ["a", "b"]

    unnamed = coordination_pb2.Dependency(task_code="b", depends_on_code="a")
    assert add(coordination, unnamed).kind == BLOCKS
    assert ready(coordination) == ["a"]


def test_ready_tasks_come_by_priority_then_age(
    tasks: TaskServiceStub, coordination: CoordinationServiceStub, sprints: SprintServiceStub
) -> None:
    sprints.CreateSprint(CreateSprintRequest(sprint=factories.sprint("s", status=Sprint.ACTIVE)))
    for number, priority in enumerate([3, 1, 5, 1, 3]):
        task = factories.task(f"t{number}", priority=priority, sprint_code="s" * (number % 2))
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=task))

    assert ready(coordination, size=2) == ["t1", "t3", "t0", "t4", "t2"]
    assert ready(coordination, size=1, sprint="s") == ["t1", "t3"]


@dataclass
class Model:
    """A model of the same rules in plain Python."""

    statuses: dict[str, Status] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    links: set[tuple[str, str]] = field(default_factory=set)

    def reaches(self, start: str, end: str) -> bool:
        seen, left = set(), [start]
        while left:
            code = left.pop()
            if code == end:
                return True
            if code not in seen:
                seen.add(code)
                left += [on for task, on in self.links if task == code]
        return False

    def ready(self) -> list[str]:
        open_ = {Status.PENDING, Status.IN_PROGRESS, Status.BLOCKED}
        held = {task for task, on in self.links if on not in self.deleted and self.statuses[on] in open_}
        return [
            code
            for code, status in self.statuses.items()
            if status is Status.PENDING and code not in self.deleted and code not in held
        ]


CODES = [f"t{number}" for number in range(7)]
STEPS = st.one_of(
    st.tuples(st.just("link"), st.sampled_from(CODES), st.sampled_from(CODES)),
    st.tuples(st.just("unlink"), st.sampled_from(CODES), st.sampled_from(CODES)),
    st.tuples(st.just("status"), st.sampled_from(CODES), st.sampled_from(list(Status))),
    st.tuples(st.just("delete"), st.sampled_from(CODES), st.none()),
)


@settings(max_examples=15)
@given(steps=st.lists(STEPS, min_size=10, max_size=40))
def test_the_ready_tasks_equal_those_of_a_plain_model(
    tasks: TaskServiceStub,
    coordination: CoordinationServiceStub,
    steps: list[tuple[str, str, str | Status | None]],
) -> None:
    project = (("orchestration-project", f"model-{next(_projects)}"),)
    create(tasks, *CODES, metadata=project)
    model = Model(dict.fromkeys(CODES, Status.PENDING))
    for step in steps:
        _play(step, model, tasks, coordination, project)
        assert ready(coordination, metadata=project) == model.ready()


def _play(
    step: tuple[str, str, str | Status | None],
    model: Model,
    tasks: TaskServiceStub,
    coordination: CoordinationServiceStub,
    project: Metadata,
) -> None:
    """Play a step on both sides, and check that they agree on whether it is allowed."""
    kind, code, other = step
    there = code not in model.deleted
    call: Callable[[], object]
    if kind == "delete":
        allowed = there
        call = lambda: tasks.DeleteTask(  # noqa: E731  # one of four calls
            task_pb2.DeleteTaskRequest(task_code=code), metadata=project
        )
    elif isinstance(other, Status):
        before = model.statuses[code]
        allowed = there and (other is before or other in TASK_TRANSITIONS[before])
        status = other
        call = lambda: set_status(tasks, code, status, project)  # noqa: E731
    else:
        assert other is not None
        on = other
        if kind == "link":
            allowed = there and on not in model.deleted and not model.reaches(on, code)
            call = lambda: add(coordination, link(code, on), project)  # noqa: E731
        else:
            allowed = (code, on) in model.links
            call = lambda: remove(coordination, link(code, on), project)  # noqa: E731
    try:
        call()
    except grpc.RpcError:
        if allowed:
            raise
        return
    assert allowed, step
    if kind == "delete":
        model.deleted.add(code)
    elif isinstance(other, Status):
        model.statuses[code] = other
    elif other is not None:
        (model.links.add if kind == "link" else model.links.discard)((code, other))


@pytest.mark.parametrize("status", Sprint)
def test_ready_tasks_and_next_steps_agree_on_what_is_due(
    tasks: TaskServiceStub,
    coordination: CoordinationServiceStub,
    sprints: SprintServiceStub,
    contexts: ContextServiceStub,
    status: Sprint,
) -> None:
    """A task is due if it has no sprint, or an active one."""
    sprints.CreateSprint(CreateSprintRequest(sprint=factories.sprint("s", status=status)))
    create(tasks, "free")
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("planned", sprint_code="s")))

    due = ["free", "planned"] if is_due(status) else ["free"]
    assert ready(coordination) == due
    assert ready(coordination, sprint="s") == due[1:]
    request = coordination_pb2.ListReadyTasksRequest(include_not_due=True)
    assert [task.code for task in coordination.ListReadyTasks(request).tasks] == ["free", "planned"]
    for code, target in (("free", "free"), ("planned", "planned")):
        context = contexts.AssembleContext(context_pb2.AssembleContextRequest(task_code=target)).context
        says_start = f"Start task {code}: set it in progress." in context.next_steps
        asks = any("ask whether this work is due" in step for step in context.next_steps)
        assert (says_start, asks) == (code in due, code not in due)
    context = contexts.AssembleContext(context_pb2.AssembleContextRequest(sprint_code="s")).context
    assert any(step.startswith("Start what is ready") for step in context.next_steps) is is_due(status)


def test_a_page_token_is_bound_to_include_not_due(
    tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    create(tasks, "a", "b")
    token = coordination.ListReadyTasks(coordination_pb2.ListReadyTasksRequest(page_size=1)).next_page_token
    other = coordination_pb2.ListReadyTasksRequest(page_size=1, page_token=token, include_not_due=True)
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        coordination.ListReadyTasks(other)


def test_a_task_whose_blocker_is_open_can_be_started_and_completed(
    tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    """Links decide which tasks are ready. They restrict no status."""
    create(tasks, "a", "b")
    add(coordination, link("b", "a"))
    set_status(tasks, "b", TaskStatus.TASK_STATUS_COMPLETED)
    assert ready(coordination) == ["a"]
