"""Limits of work in progress, and what a claim reads of the queue if its agent may take nothing."""

from typing import Any, cast

import grpc
import pytest

from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, lease_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.db.connection import Connection
from orchestration_server.store import ready_queue
from orchestration_server.store.aging import DEFAULT
from orchestration_server.store.claims import Claimer, TaskFilter
from tests.rpc.test_claims import claim, create
from tests.support.query_plans import Explaining
from tests.support.rpc_errors import details, refused


def limit(
    coordination: CoordinationServiceStub, most: int = 0, *, remove: bool = False, **key: Any
) -> coordination_pb2.WorkLimit:
    wanted = coordination_pb2.WorkLimit(max_leases=most, **key)
    return coordination.SetWorkLimit(coordination_pb2.SetWorkLimitRequest(limit=wanted, remove=remove)).limit


def limits(coordination: CoordinationServiceStub) -> list[coordination_pb2.WorkLimit]:
    return list(coordination.ListWorkLimits(coordination_pb2.ListWorkLimitsRequest()).limits)


def codes(claimed: list[coordination_pb2.ClaimedTask]) -> list[str]:
    return [one.task.code for one in claimed]


def release(
    coordination: CoordinationServiceStub,
    one: coordination_pb2.ClaimedTask,
    outcome: lease_pb2.AttemptOutcome.ValueType = lease_pb2.ATTEMPT_OUTCOME_COMPLETED,
) -> None:
    coordination.ReleaseTask(
        coordination_pb2.ReleaseTaskRequest(task_code=one.task.code, fence=one.lease.fence, outcome=outcome)
    )


@pytest.mark.shared_server
def test_an_agent_gets_no_more_than_its_limit(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "a", "b", "c", "d")
    assert limit(coordination, 2, agent="a1") == coordination_pb2.WorkLimit(agent="a1", max_leases=2)
    held = claim(coordination, "a1", count=3)
    assert codes(held) == ["a", "b"]
    assert claim(coordination, "a1") == []
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "TASK_NOT_READY") as error:
        claim(coordination, "a1", task_code="c")
    assert details(error.value)["ErrorInfo"].metadata["reasons"] == "LIMIT"
    assert limits(coordination) == [coordination_pb2.WorkLimit(agent="a1", max_leases=2, leases=2)]
    assert codes(claim(coordination, "a2")) == ["c"]
    release(coordination, held[0])
    assert codes(claim(coordination, "a1")) == ["d"]


@pytest.mark.shared_server
def test_the_limit_of_every_agent_yields_to_that_of_one(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "a", "b", "c", "d")
    limit(coordination, 1, agent="*")
    limit(coordination, 2, agent="a2")
    assert codes(claim(coordination, "a1", count=2)) == ["a"]
    assert codes(claim(coordination, "a2", count=3)) == ["b", "c"]
    assert codes(claim(coordination, "a3", count=2)) == ["d"]
    assert [one.leases for one in limits(coordination)] == [0, 2]


@pytest.mark.shared_server
def test_a_label_at_its_limit_is_passed_over(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "db1", "db2", labels=["db", "x"])
    create(tasks, "ui", labels=["ui"])
    limit(coordination, 1, label="db")
    (first,) = claim(coordination, "a1")
    assert first.task.code == "db1"
    assert codes(claim(coordination, "a2")) == ["ui"]
    assert claim(coordination, "a3") == []
    (one,) = limits(coordination)
    assert (one.label, one.leases) == ("db", 1)
    release(coordination, first)
    assert codes(claim(coordination, "a3")) == ["db2"]


@pytest.mark.shared_server
def test_the_limit_of_a_provider_counts_claims_that_name_it(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "a", "b", "c")
    limit(coordination, 1, provider="p")
    assert codes(claim(coordination, "a1", provider="p", count=2)) == ["a"]
    assert claim(coordination, "a2", provider="p") == []
    assert codes(claim(coordination, "a2")) == ["b"]
    assert limit(coordination, 0, provider="p").leases == 1
    limit(coordination, remove=True, provider="p")
    assert codes(claim(coordination, "a2", provider="p")) == ["c"]
    assert limits(coordination) == []
    with refused(grpc.StatusCode.NOT_FOUND):
        limit(coordination, remove=True, provider="p")


@pytest.mark.shared_server
def test_a_waiting_claim_gets_a_task_once_the_limit_is_raised(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "a")
    limit(coordination, 0, agent="a1")
    request = coordination_pb2.ClaimTaskRequest(agent="a1")
    request.wait.seconds = 30
    waiting = coordination.ClaimTask.future(request)
    # Its first attempt finds nothing, whether it comes before or after this.
    limit(coordination, 1, agent="a1")
    assert codes(list(waiting.result(timeout=20).claims)) == ["a"]


@pytest.mark.shared_server
def test_a_changed_limit_is_in_the_timeline(
    coordination: CoordinationServiceStub, events: EventServiceStub
) -> None:
    limit(coordination, 2, label="db")
    limit(coordination, 2, label="db")
    limit(coordination, remove=True, label="db")
    listed = events.ListEvents(event_pb2.ListEventsRequest()).events
    removed, first = [event.payload for event in listed if event.type == "orchestration.work.limit_changed"]
    assert first["key"] == {"label": "db"}
    assert first["max_leases"] == {"from": None, "to": 2}
    assert removed["max_leases"] == {"from": 2, "to": None}


@pytest.mark.shared_server
def test_a_limit_needs_a_key(coordination: CoordinationServiceStub) -> None:
    keys: list[dict[str, Any]] = [{}, {"agent": ""}]
    for key in keys:
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            limit(coordination, 1, **key)
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        limit(coordination, -1, agent="a")


QUEUED = 20_000
FILL = """
insert into tasks (project, code, sprint_code, status, priority, assignee, labels, revision,
    create_time, update_time, uid, body)
select 'default', 't' || n, '', 1, 1 + mod(n, 5), '',
    case when n <= %(labelled)s then '{db}'::text[] else '{}' end, 1,
    timestamptz '2024-01-01' + n * interval '1 second', now(), gen_random_uuid(), ''
from generate_series(1, %(tasks)s) n
"""


@pytest.fixture
def queue(database_url: str) -> Any:
    """Return a connection to a ledger with a long queue, whose first tasks have the label ``db``."""
    with Connection.connect(database_url, autocommit=True) as conn:
        conn.execute(FILL, {"tasks": QUEUED, "labelled": QUEUED // 2})
        conn.execute("vacuum analyze tasks")
        conn.execute("vacuum analyze ready_queue")
        yield conn


def read(conn: Connection, agent: str = "a1", **fields: Any) -> tuple[ready_queue.CandidatePage, Explaining]:
    explaining = Explaining(conn)
    page = ready_queue.candidates(
        cast(Connection, explaining), project="default", claimer=Claimer(agent),
        tasks=TaskFilter(**fields), order=DEFAULT, after=None, limit=64,
    )  # fmt: skip
    return page, explaining


@pytest.mark.parametrize(
    "stop",
    [
        "insert into work_limits values ('default', 1, 'a1', 0)",
        "insert into work_limits values ('default', 1, '*', 0)",
        "insert into pauses values ('default', 3, 'a1', 1, '', '', now())",
        "insert into pauses values ('default', 1, '', 1, '', '', now())",
    ],
)
def test_an_agent_that_may_take_nothing_reads_no_queue(queue: Connection, stop: str) -> None:
    page, explaining = read(queue)
    assert len(page.rows) == 64
    assert explaining.blocks() < 3_000
    queue.execute(stop)
    page, explaining = read(queue)
    assert (page.rows, page.room) == ([], 0)
    queued = [node for node in explaining.nodes() if node.get("Relation Name") == "ready_queue"]
    assert queued
    assert not any(node["Actual Loops"] for node in queued), explaining.plan


def test_a_closed_label_costs_no_check_of_its_tasks(queue: Connection) -> None:
    queue.execute("insert into work_limits values ('default', 2, 'db', 0)")
    page, explaining = read(queue)
    assert len(page.rows) == 64
    # Each of the 10,000 tasks before is read, and none is checked, which would take 10 blocks each.
    assert explaining.blocks() < 3_000 + QUEUED
    assert not any(row.unready for row in page.rows)


def test_the_queue_is_read_by_its_index(queue: Connection) -> None:
    first, explaining = read(queue)
    nodes = [node for node in explaining.nodes() if node.get("Relation Name") == "ready_queue"]
    assert {node["Index Name"] for node in nodes} <= {"ready_queue_order", "ready_queue_waiting"}
    urgent, _ = read(queue, priorities=(common_pb2.PRIORITY_P0,))
    assert {row.priority for row in urgent.rows} == {1}
    assert [row.task_code for row in urgent.rows] == [row.task_code for row in first.rows]
