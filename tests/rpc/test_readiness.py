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
        self.children: dict[str, set[str]] = {}
        self.by_children: set[str] = set()
        self.needs: dict[str, set[str]] = {}
        self.label: dict[str, str] = {}
        self.held: dict[str, str] = {}
        """The holders of valid leases."""
        self.lapsed: set[str] = set()
        self.later: set[str] = set()
        self.paused: set[str] = set()
        self.spent: set[str] = set()
        self.agent_limits: dict[str, int] = {}
        self.label_limits: dict[str, int] = {}

    def ready(self, code: str, able: set[str] | None, agent: str = "") -> bool:
        """Return whether an agent could claim a task; without a name, limits of agents do not count."""
        open_ = {1, 2, 3}
        children = [self.status[child] for child in self.children[code]]
        return (
            (self.status[code] == 1 or code in self.lapsed)
            and code not in self.held
            and not any(self.status[blocker] in open_ for blocker in self.blockers[code])
            and (not self.sprint[code] or self.sprint[code] in self.active)
            and code not in self.later | self.paused | self.spent
            and not (code in self.by_children and any(status != 5 for status in children))
            and (able is None or self.needs[code] <= able)
            and self._room(self.label_limits, self.label[code], self._labels())
            and (not agent or self._room(self.agent_limits, agent, list(self.held.values())))
        )

    def _labels(self) -> list[str]:
        return [self.label[code] for code in self.held]

    @staticmethod
    def _room(limits: dict[str, int], key: str, held: list[str]) -> bool:
        return key not in limits or held.count(key) < limits[key]


@pytest.mark.parametrize("seed", range(8))
def test_explanations_lists_and_claims_agree_with_the_promise(
    server: Server, coordination: CoordinationServiceStub, tasks: TaskServiceStub, sprints: SprintServiceStub,
    seed: int,
) -> None:  # fmt: skip
    chance, model = random.Random(seed), Model()
    for sprint, status in (("on", 2), ("off", 1)):
        sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint(sprint, status=status)))
    model.active = {"on"}
    codes = [f"t{number:02}" for number in range(32)]
    for code in codes:
        _create_some(tasks, chance, model, code)
    for number, code in enumerate(codes[1:], 1):
        other = chance.choice(codes[:number])
        if chance.random() < 0.4:
            link(coordination, code, other)
            model.blockers[code].add(other)
        elif chance.random() < 0.4:
            link(coordination, code, other, PARENT)
            model.children[other].add(code)
    _hold_some(server, coordination, chance, model, codes)
    for code in codes:
        if code not in model.lapsed.union(model.held) and chance.random() < 0.3:
            model.status[code] = chance.choice(STATUSES)
            request = task_pb2.UpdateTaskStatusRequest(task_code=code, status=model.status[code])  # type: ignore[arg-type]
            tasks.UpdateTaskStatus(request)
    _set_apart(server, coordination, chance, model, codes)
    _limit_some(coordination, chance, model)

    for size in (500, chance.randint(1, 4)):
        listed = _list_ready(coordination, size)
        assert sorted(listed) == [code for code in codes if model.ready(code, None)]
    for code in codes:
        for agent, able in (("new", set[str]()), ("new", {"gpu"}), ("a1", {"gpu"}), ("a2", {"gpu"})):
            answer = explain(coordination, code, agent=agent, capabilities=sorted(able))
            assert answer.ready == model.ready(code, able, agent), (code, agent, answer)
            assert bool(answer.reasons) != answer.ready
    for agent in ("new", "a1", "a2"):
        answer = explain(coordination, agent=agent, capabilities=["gpu"])
        free = [code for code in codes if model.ready(code, {"gpu"}, agent)]
        assert (answer.ready_tasks, answer.ready, answer.partial) == (len(free), bool(free), False)
    while claims := coordination.ClaimTask(coordination_pb2.ClaimTaskRequest(agent="new")).claims:
        code = claims[0].task.code
        assert model.ready(code, set(), "new"), code
        model.held[code], model.status[code] = "new", 2
        model.lapsed.discard(code)
    assert not any(model.ready(code, set(), "new") for code in codes)


def _create_some(tasks: TaskServiceStub, chance: random.Random, model: Model, code: str) -> None:
    model.sprint[code] = chance.choice(["", "", "on", "off"])
    model.needs[code] = {"gpu"} if chance.random() < 0.2 else set()
    model.label[code] = chance.choice(["", "db", "ui"])
    model.status[code] = 1
    model.blockers[code], model.children[code] = set(), set()
    fields: dict[str, Any] = {}
    if chance.random() < 0.15:
        model.spent.add(code)
        fields["retry_policy"] = task_pb2.RetryPolicy(budget=task_pb2.Budget(tokens=0))
    if chance.random() < 0.4:
        model.by_children.add(code)
        fields["completed_by_children"] = True
    create(
        tasks, code, sprint_code=model.sprint[code], capabilities=sorted(model.needs[code]),
        labels=list(filter(None, [model.label[code]])), **fields,
    )  # fmt: skip


def _list_ready(coordination: CoordinationServiceStub, size: int) -> list[str]:
    """Return the ready tasks page by page."""
    codes, request = [], coordination_pb2.ListReadyTasksRequest(page_size=size)
    while True:
        page = coordination.ListReadyTasks(request)
        codes += [task.code for task in page.tasks]
        if not page.next_page_token:
            return codes
        request.page_token = page.next_page_token


def _hold_some(
    server: Server, coordination: CoordinationServiceStub, chance: random.Random, model: Model,
    codes: list[str],
) -> None:  # fmt: skip
    for code in codes:
        if model.ready(code, set()) and chance.random() < 0.4:
            agent = chance.choice(["a1", "a2"])
            assert claim(coordination, code, agent)
            model.held[code] = agent
            model.status[code] = 2
    with psycopg.connect(server.database_url) as conn:
        for code in sorted(model.held):
            if chance.random() < 0.5:
                conn.execute("update leases set expire_time = '-infinity' where task_code = %s", (code,))
                del model.held[code]
                model.lapsed.add(code)


def _set_apart(
    server: Server, coordination: CoordinationServiceStub, chance: random.Random, model: Model,
    codes: list[str],
) -> None:  # fmt: skip
    with psycopg.connect(server.database_url) as conn:
        for code in codes:
            column = chance.choice([*["not_before", "retry_time"], *[""] * 10])
            if column:
                query = f"update tasks set {column} = now() + interval '1 h' where code = %s"
                conn.execute(query, (code,))
                model.later.add(code)
    for code in chance.sample(codes, 2):
        scope = coordination_pb2.WorkScope(task_code=code)
        coordination.PauseWork(coordination_pb2.PauseWorkRequest(scope=scope, reason="r"))
        model.paused.add(code)


def _limit_some(coordination: CoordinationServiceStub, chance: random.Random, model: Model) -> None:
    for agent in ("new", "a1"):
        model.agent_limits[agent] = chance.randint(0, 3) if agent == "a1" else chance.randint(1, 9)
        limit = coordination_pb2.WorkLimit(agent=agent, max_leases=model.agent_limits[agent])
        coordination.SetWorkLimit(coordination_pb2.SetWorkLimitRequest(limit=limit))
    label = chance.choice(["db", "ui"])
    model.label_limits[label] = chance.randint(0, 3)
    limit = coordination_pb2.WorkLimit(label=label, max_leases=model.label_limits[label])
    coordination.SetWorkLimit(coordination_pb2.SetWorkLimitRequest(limit=limit))
