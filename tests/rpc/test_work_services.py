"""Background services of work: lost leases, overdue tasks, parents that their children complete."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, lease_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.jobs import work
from orchestration_server.writes.gate import Gate
from tests.conftest import Server
from tests.support import factories

COMPLETED = common_pb2.TASK_STATUS_COMPLETED
PENDING = common_pb2.TASK_STATUS_PENDING
Run = Callable[[str], int]


@pytest.fixture
def run(server: Server) -> Run:
    """Return a function that runs one batch of a service, by its name."""
    assert server.app is not None
    db = server.app.db
    services: dict[str, Any] = {
        service.name: service for service in work.services(db, Gate(db, lambda: None), lambda: None)
    }
    return lambda name: int(services[name].run_once())


def create(tasks: TaskServiceStub, code: str, **fields: Any) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code, **fields)))


def set_status(tasks: TaskServiceStub, code: str, status: int) -> None:
    request = task_pb2.UpdateTaskStatusRequest(task_code=code, status=status)  # type: ignore[arg-type]
    tasks.UpdateTaskStatus(request)


def status(tasks: TaskServiceStub, code: str) -> int:
    return tasks.GetTask(task_pb2.GetTaskRequest(task_code=code)).task.status


def types(events: EventServiceStub, code: str) -> list[str]:
    filter_ = event_pb2.EventFilter(task_code=code)
    found = events.ListEvents(event_pb2.ListEventsRequest(filter=filter_)).events
    return [event.type.removeprefix("orchestration.task.") for event in found]


def test_an_expired_lease_is_announced_and_its_task_is_pending(
    server: Server, run: Run, tasks: TaskServiceStub, events: EventServiceStub,
    coordination: CoordinationServiceStub,
) -> None:  # fmt: skip
    create(tasks, "t")
    coordination.ClaimTask(coordination_pb2.ClaimTaskRequest(task_code="t", agent="a"))
    assert run("expire-leases") == 0
    with psycopg.connect(server.database_url) as conn:
        conn.execute("update leases set expire_time = now() - interval '1 s', seconds = 0")
    assert run("expire-leases") == 1
    assert run("expire-leases") == 0
    assert status(tasks, "t") == PENDING
    assert "lease_expired" in types(events, "t")
    (attempt,) = coordination.ListAttempts(coordination_pb2.ListAttemptsRequest(task_code="t")).attempts
    assert attempt.outcome == lease_pb2.ATTEMPT_OUTCOME_EXPIRED


def at(seconds: float) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(datetime.now(UTC) + timedelta(seconds=seconds))
    return made


def test_an_overdue_task_is_told_once(run: Run, tasks: TaskServiceStub, events: EventServiceStub) -> None:
    create(tasks, "late", due_time=at(-60))
    create(tasks, "done", due_time=at(-60), status=COMPLETED)
    create(tasks, "early", due_time=at(3_600))
    assert run("tell-overdue") == 1
    assert run("tell-overdue") == 0
    assert types(events, "late").count("overdue") == 1
    assert "overdue" not in types(events, "done") + types(events, "early")


def child(coordination: CoordinationServiceStub, tasks: TaskServiceStub, code: str, parent: str) -> None:
    create(tasks, code)
    link = coordination_pb2.Dependency(
        task_code=code, depends_on_code=parent, kind=common_pb2.DEPENDENCY_KIND_PARENT_CHILD
    )
    coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=link))


def test_the_last_child_completes_its_parent(
    run: Run, tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    create(tasks, "epic", completed_by_children=True)
    for code in ("a", "b", "c"):
        child(coordination, tasks, code, "epic")
    set_status(tasks, "a", COMPLETED)
    set_status(tasks, "b", common_pb2.TASK_STATUS_CANCELLED)
    assert run("complete-parents") == 0
    assert [task.code for task in _ready(coordination)] == ["c"], "the parent waits"
    set_status(tasks, "c", common_pb2.TASK_STATUS_CANCELLED)
    assert _ready(coordination) == [], "the parent is about to be completed"
    assert run("complete-parents") == 1
    assert status(tasks, "epic") == COMPLETED


def test_a_parent_of_cancelled_children_alone_is_ready(
    run: Run, tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    create(tasks, "epic", completed_by_children=True)
    child(coordination, tasks, "a", "epic")
    assert [t.code for t in _ready(coordination)] == ["a"]
    set_status(tasks, "a", common_pb2.TASK_STATUS_CANCELLED)
    assert run("complete-parents") == 0
    assert [t.code for t in _ready(coordination)] == ["epic"]


def _ready(coordination: CoordinationServiceStub) -> list[task_pb2.Task]:
    request = coordination_pb2.ClaimTaskRequest(agent="x", count=10)
    claims = coordination.ClaimTask(request).claims
    for claim in claims:
        coordination.ReleaseTask(
            coordination_pb2.ReleaseTaskRequest(
                task_code=claim.task.code, fence=claim.lease.fence, outcome=lease_pb2.ATTEMPT_OUTCOME_RETURNED
            )
        )
    return [claim.task for claim in claims]


OPENED = "update tasks set children_seen = null"


@pytest.mark.parametrize("before", [COMPLETED, common_pb2.TASK_STATUS_CANCELLED])
def test_a_parent_that_is_opened_again_stays_open_until_a_child_changes(
    run: Run, tasks: TaskServiceStub, coordination: CoordinationServiceStub, before: int
) -> None:
    create(tasks, "epic", completed_by_children=True)
    for code in ("a", "b"):
        child(coordination, tasks, code, "epic")
        set_status(tasks, code, COMPLETED)
    if before == COMPLETED:
        assert run("complete-parents") == 1
    else:
        set_status(tasks, "epic", before)
    set_status(tasks, "epic", PENDING)
    assert run("complete-parents") == 0
    # It is somebody's to work on, and does not wait for its children.
    answer = coordination.ExplainReadiness(coordination_pb2.ExplainReadinessRequest(task_code="epic"))
    assert (answer.ready, list(answer.reasons)) == (True, [])
    assert [task.code for task in _ready(coordination)] == ["epic"]
    assert run("complete-parents") == 0
    set_status(tasks, "b", PENDING)
    assert [task.code for task in _ready(coordination)] == ["b"], "the parent waits for its child"
    set_status(tasks, "b", COMPLETED)
    assert run("complete-parents") == 1
    assert status(tasks, "epic") == COMPLETED


def test_a_new_child_completes_a_parent_that_was_opened_again(
    run: Run, tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    create(tasks, "epic", completed_by_children=True)
    child(coordination, tasks, "a", "epic")
    set_status(tasks, "a", COMPLETED)
    assert run("complete-parents") == 1
    set_status(tasks, "epic", PENDING)
    child(coordination, tasks, "b", "epic")
    assert run("complete-parents") == 0
    set_status(tasks, "b", COMPLETED)
    assert run("complete-parents") == 1


def test_a_parent_whose_completed_child_is_deleted_is_claimed(
    tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    create(tasks, "epic", completed_by_children=True)
    child(coordination, tasks, "a", "epic")
    set_status(tasks, "a", COMPLETED)
    for _ in range(2):
        assert _ready(coordination) == [], "the parent waits, and leaves the queue"
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="a"))
    assert [task.code for task in _ready(coordination)] == ["epic"]


def test_control_a_parent_that_was_not_marked_is_completed_again(
    server: Server, run: Run, tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    create(tasks, "epic", completed_by_children=True)
    child(coordination, tasks, "a", "epic")
    set_status(tasks, "a", COMPLETED)
    assert run("complete-parents") == 1
    set_status(tasks, "epic", PENDING)
    with psycopg.connect(server.database_url) as conn:
        conn.execute(OPENED)
    assert run("complete-parents") == 1


def test_children_that_end_at_once_complete_their_parent_once(
    run: Run, tasks: TaskServiceStub, coordination: CoordinationServiceStub, events: EventServiceStub
) -> None:
    with ThreadPoolExecutor(4) as pool:
        for number in range(10):
            epic = f"epic{number}"
            create(tasks, epic, completed_by_children=True)
            codes = [f"{epic}-{name}" for name in "ab"]
            for code in codes:
                child(coordination, tasks, code, epic)
            list(pool.map(lambda code: set_status(tasks, code, COMPLETED), codes))
            written = list(pool.map(run, ["complete-parents"] * 2))
            assert sum(written) >= 1
            assert status(tasks, epic) == COMPLETED
            assert types(events, epic).count("status_updated") == 1
