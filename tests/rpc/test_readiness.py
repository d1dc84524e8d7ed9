"""ExplainReadiness, ListReadyTasks and ClaimTask agree, and explanations name what would change them."""

import random
from typing import Any

import grpc
import psycopg
import pytest

from orchestration.v1 import common_pb2, coordination_pb2, sprint_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.model import Unready
from orchestration_server.store import readiness as readiness_store
from orchestration_server.work.readiness import KINDS
from tests.conftest import Server
from tests.support import factories
from tests.support.rpc_errors import refused

BLOCKS, PARENT = common_pb2.DEPENDENCY_KIND_BLOCKS, common_pb2.DEPENDENCY_KIND_PARENT_CHILD
STATUSES = common_pb2.TaskStatus.values()[1:]


def create(tasks: TaskServiceStub, code: str, **fields: Any) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code, **fields)))


def link(coordination: CoordinationServiceStub, task: str, on: str, kind: int = BLOCKS) -> None:
    made = coordination_pb2.Dependency(task_code=task, depends_on_code=on, kind=kind)  # type: ignore[arg-type]
    coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=made))


def explain(
    coordination: CoordinationServiceStub, code: str = "", **fields: Any
) -> coordination_pb2.ExplainReadinessResponse:
    return coordination.ExplainReadiness(
        coordination_pb2.ExplainReadinessRequest(task_code=code, **({"agent": "a1"} | fields))
    )


def kinds(answer: coordination_pb2.ExplainReadinessResponse) -> list[str]:
    name = coordination_pb2.ReadinessReasonKind.Name
    return [name(reason.kind).removeprefix("READINESS_REASON_KIND_") for reason in answer.reasons]


def claim(coordination: CoordinationServiceStub, code: str, agent: str = "a1") -> bool:
    """Return whether a claim of a task succeeds."""
    try:
        coordination.ClaimTask(coordination_pb2.ClaimTaskRequest(task_code=code, agent=agent))
    except grpc.RpcError:
        return False
    return True


def test_each_bit_has_a_kind_and_each_kind_a_bit() -> None:
    assert set(KINDS) == set(Unready) - {Unready.MISSING}
    assert set(KINDS.values()) == set(coordination_pb2.ReadinessReasonKind.values()) - {0}


@pytest.mark.shared_server
def test_each_reason_says_what_would_change_it(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub, sprints: SprintServiceStub
) -> None:
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("s")))
    create(tasks, "b", status=common_pb2.TASK_STATUS_IN_PROGRESS)
    create(tasks, "t", sprint_code="s", capabilities=["gpu"], labels=["db"])
    link(coordination, "t", "b")
    scope = coordination_pb2.WorkScope(label="db")
    coordination.PauseWork(coordination_pb2.PauseWorkRequest(scope=scope, reason="migration"))
    limit = coordination_pb2.WorkLimit(agent="a1", max_leases=0)
    coordination.SetWorkLimit(coordination_pb2.SetWorkLimitRequest(limit=limit))
    answer = explain(coordination, "t")
    assert not answer.ready
    assert kinds(answer) == ["BLOCKER", "CAPABILITY", "SPRINT", "PAUSED", "LIMIT"]
    blocker, capability, sprint, paused, limited = answer.reasons
    assert (blocker.subject, blocker.status) == ("b", common_pb2.TASK_STATUS_IN_PROGRESS)
    assert capability.subject == "gpu"
    assert "s is planning" in sprint.message
    assert "migration" in paused.message
    assert "limit of 0" in limited.message
    assert kinds(explain(coordination, "b")) == ["STATUS", "LIMIT"]
    assert kinds(explain(coordination)) == ["BLOCKER", "CAPABILITY", "SPRINT", "PAUSED", "LIMIT"]


@pytest.mark.shared_server
def test_a_holder_is_named_with_its_expiry(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "t")
    create(tasks, "waits")
    link(coordination, "waits", "t")
    assert claim(coordination, "t")
    (held,) = explain(coordination, "t", agent="a2").reasons
    assert (held.holder, held.HasField("until")) == ("a1", True)
    (blocked,) = explain(coordination, "waits", agent="a2").reasons
    assert (blocked.subject, blocked.holder) == ("t", "a1")


def test_a_holder_that_has_lost_its_lease_is_not_named(
    server: Server, coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "t")
    create(tasks, "waits")
    link(coordination, "waits", "t")
    assert claim(coordination, "t")
    with psycopg.connect(server.database_url) as conn:
        conn.execute("update leases set expire_time = '-infinity'")
    (blocked,) = explain(coordination, "waits", agent="a2").reasons
    assert (blocked.holder, blocked.HasField("until")) == ("", False)
    assert "held" not in blocked.message


def test_the_limit_that_a_holder_itself_reaches_is_not_named(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "t", labels=["db"])
    assert claim(coordination, "t")
    for limit in (
        coordination_pb2.WorkLimit(agent="a1", max_leases=1),
        coordination_pb2.WorkLimit(label="db", max_leases=0),
    ):
        coordination.SetWorkLimit(coordination_pb2.SetWorkLimitRequest(limit=limit))
    answer = explain(coordination, "t")
    assert kinds(answer) == ["HELD", "LIMIT"]
    assert answer.reasons[1].subject == "db"


def test_times_and_children_are_told(
    server: Server, coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "t", completed_by_children=True)
    create(tasks, "child")
    link(coordination, "child", "t", PARENT)
    with psycopg.connect(server.database_url) as conn:
        conn.execute(
            "update tasks set not_before = now() + interval '1 h', retry_time = now() + interval '2 h'"
            " where code = 't'"
        )
    answer = explain(coordination, "t")
    assert kinds(answer) == ["NOT_BEFORE", "BACKOFF", "CHILDREN"]
    assert [reason.HasField("until") for reason in answer.reasons] == [True, True, False]
    assert answer.reasons[2].subject == "child"


@pytest.mark.shared_server
def test_tasks_before_are_counted(coordination: CoordinationServiceStub, tasks: TaskServiceStub) -> None:
    for number in range(3):
        create(tasks, f"t{number}")
    assert [explain(coordination, f"t{number}").tasks_before for number in range(3)] == [0, 1, 2]
    answer = explain(coordination)
    assert (answer.ready, answer.ready_tasks) == (True, 3)


@pytest.mark.shared_server
def test_a_ready_task_behind_those_that_are_looked_at_is_found(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness_store, "MAX_TASKS", 2)
    for code in ("a", "b", "c"):
        create(tasks, code, capabilities=["gpu"] if code != "c" else [])
    answer = explain(coordination)
    assert (answer.ready, answer.ready_tasks, answer.tasks_seen, answer.partial) == (True, 0, 2, True)
    monkeypatch.setattr(readiness_store, "MAX_TASKS", 3)
    answer = explain(coordination)
    assert (answer.ready, answer.ready_tasks, answer.tasks_seen, answer.partial) == (True, 1, 3, False)


@pytest.mark.shared_server
def test_a_task_that_does_not_exist_is_not_found(coordination: CoordinationServiceStub) -> None:
    with refused(grpc.StatusCode.NOT_FOUND):
        explain(coordination, "none")


class Model:
    """A model of readiness from the promise in the protos, without regard to how the server decides."""

    def __init__(self) -> None:
        self.status: dict[str, int] = {}
        self.sprint: dict[str, str] = {}
        self.active: set[str] = set()
        self.blockers: dict[str, set[str]] = {}
        self.needs: dict[str, set[str]] = {}
        self.held: set[str] = set()
        self.lapsed: set[str] = set()
        self.later: set[str] = set()
        self.paused: set[str] = set()

    def ready(self, code: str, able: set[str] | None) -> bool:
        open_ = {1, 2, 3}
        return (
            (self.status[code] == 1 or code in self.lapsed)
            and code not in self.held
            and not any(self.status[blocker] in open_ for blocker in self.blockers[code])
            and (not self.sprint[code] or self.sprint[code] in self.active)
            and code not in self.later
            and code not in self.paused
            and (able is None or self.needs[code] <= able)
        )


@pytest.mark.parametrize("seed", range(6))
def test_explanations_lists_and_claims_agree_with_the_promise(
    server: Server, coordination: CoordinationServiceStub, tasks: TaskServiceStub, sprints: SprintServiceStub,
    seed: int,
) -> None:  # fmt: skip
    chance, model = random.Random(seed), Model()
    for sprint, status in (("on", 2), ("off", 1)):
        sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint(sprint, status=status)))
    model.active = {"on"}
    codes = [f"t{number:02}" for number in range(24)]
    for code in codes:
        model.sprint[code] = chance.choice(["", "", "on", "off"])
        model.needs[code] = {"gpu"} if chance.random() < 0.2 else set()
        model.status[code] = 1
        model.blockers[code] = set()
        create(tasks, code, sprint_code=model.sprint[code], capabilities=sorted(model.needs[code]))
    for number, code in enumerate(codes[1:], 1):
        if chance.random() < 0.4:
            on = chance.choice(codes[:number])
            link(coordination, code, on)
            model.blockers[code].add(on)
    _hold_some(server, coordination, chance, model, codes)
    for code in codes:
        if code not in model.held | model.lapsed and chance.random() < 0.3:
            model.status[code] = chance.choice(STATUSES)
            request = task_pb2.UpdateTaskStatusRequest(task_code=code, status=model.status[code])  # type: ignore[arg-type]
            tasks.UpdateTaskStatus(request)
    _set_apart(server, coordination, chance, model, codes)

    listed = coordination.ListReadyTasks(coordination_pb2.ListReadyTasksRequest(page_size=500)).tasks
    assert {task.code for task in listed} == {code for code in codes if model.ready(code, None)}
    for code in codes:
        for able in (set[str](), {"gpu"}):
            answer = explain(coordination, code, agent="new", capabilities=sorted(able))
            assert answer.ready == model.ready(code, able), (code, answer)
            assert bool(answer.reasons) != answer.ready
    taken = []
    while claims := coordination.ClaimTask(coordination_pb2.ClaimTaskRequest(agent="new")).claims:
        taken.append(claims[0].task.code)
    assert sorted(taken) == sorted(code for code in codes if model.ready(code, set()))


def _hold_some(
    server: Server, coordination: CoordinationServiceStub, chance: random.Random, model: Model,
    codes: list[str],
) -> None:  # fmt: skip
    for code in codes:
        if model.ready(code, set()) and chance.random() < 0.3:
            assert claim(coordination, code)
            model.held.add(code)
            model.status[code] = 2
    with psycopg.connect(server.database_url) as conn:
        for code in sorted(model.held):
            if chance.random() < 0.5:
                conn.execute("update leases set expire_time = '-infinity' where task_code = %s", (code,))
                model.held.remove(code)
                model.lapsed.add(code)


def _set_apart(
    server: Server, coordination: CoordinationServiceStub, chance: random.Random, model: Model,
    codes: list[str],
) -> None:  # fmt: skip
    with psycopg.connect(server.database_url) as conn:
        for code in codes:
            if chance.random() < 0.15:
                conn.execute("update tasks set not_before = now() + interval '1 h' where code = %s", (code,))
                model.later.add(code)
    for code in chance.sample(codes, 2):
        scope = coordination_pb2.WorkScope(task_code=code)
        coordination.PauseWork(coordination_pb2.PauseWorkRequest(scope=scope, reason="r"))
        model.paused.add(code)
