"""Budgets of tasks: what heartbeats answer, who may claim what is used up, and what attempts keep."""

from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import coordination_pb2, event_pb2, lease_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.db.connection import Connection
from orchestration_server.store import claims as claim_store
from orchestration_server.store import leases, write_parts
from orchestration_server.store.leases import Beat
from orchestration_server.work.claims import ClaimTasks
from orchestration_server.work.releases import ReleaseTask
from tests.conftest import Server
from tests.support import factories
from tests.support.rpc_errors import refused, violations

CONTINUE, CANCEL = coordination_pb2.DIRECTIVE_CONTINUE, coordination_pb2.DIRECTIVE_CANCEL
BUDGET = coordination_pb2.READINESS_REASON_KIND_BUDGET
FAILED, RETURNED = lease_pb2.ATTEMPT_OUTCOME_FAILED, lease_pb2.ATTEMPT_OUTCOME_RETURNED


def create(tasks: TaskServiceStub, code: str = "t", **budget: Any) -> None:
    policy = task_pb2.RetryPolicy(backoff=Duration(), budget=task_pb2.Budget(**budget))
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code, retry_policy=policy)))


def set_budget(tasks: TaskServiceStub, **budget: Any) -> None:
    policy = task_pb2.RetryPolicy(budget=task_pb2.Budget(**budget))
    mask = FieldMask(paths=["retry_policy"])
    tasks.UpdateTask(
        task_pb2.UpdateTaskRequest(task=factories.task("t", retry_policy=policy), update_mask=mask)
    )


def claim(coordination: CoordinationServiceStub, code: str = "t") -> lease_pb2.Lease:
    request = coordination_pb2.ClaimTaskRequest(task_code=code, agent="a1")
    return coordination.ClaimTask(request).claims[0].lease


def usage(tokens: int = 0, cost: int = 0, calls: int = 0, seconds: float = 0) -> lease_pb2.Usage:
    used = lease_pb2.ModelUsage(model="m", input_tokens=tokens - tokens // 3, output_tokens=tokens // 3)
    used.cost_micros = cost
    made = lease_pb2.Usage(models=[used], tool_calls=calls)
    if seconds:
        made.wall_time.FromMicroseconds(round(seconds * 1e6))
    return made


def beat(
    coordination: CoordinationServiceStub, lease: lease_pb2.Lease, used: lease_pb2.Usage | None = None
) -> coordination_pb2.LeaseState:
    ref = coordination_pb2.LeaseRef(task_code=lease.task_code, fence=lease.fence, usage=used)
    return coordination.Heartbeat(coordination_pb2.HeartbeatRequest(leases=[ref])).leases[0]


def release(
    coordination: CoordinationServiceStub,
    lease: lease_pb2.Lease,
    used: lease_pb2.Usage | None = None,
    outcome: lease_pb2.AttemptOutcome.ValueType = RETURNED,
) -> lease_pb2.Attempt:
    request = coordination_pb2.ReleaseTaskRequest(
        task_code=lease.task_code, fence=lease.fence, outcome=outcome, usage=used
    )
    return coordination.ReleaseTask(request).attempt


def attempts(coordination: CoordinationServiceStub) -> list[lease_pb2.Attempt]:
    return list(coordination.ListAttempts(coordination_pb2.ListAttemptsRequest(task_code="t")).attempts)


def explain(
    coordination: CoordinationServiceStub, code: str = "t"
) -> coordination_pb2.ExplainReadinessResponse:
    return coordination.ExplainReadiness(coordination_pb2.ExplainReadinessRequest(task_code=code, agent="a1"))


@pytest.mark.shared_server
def test_a_heartbeat_answers_what_is_left_and_cancels_when_it_is_used_up(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, tokens=1_000, cost_micros=5_000_000, tool_calls=20, wall_time=Duration(seconds=60))
    lease = claim(coordination)
    state = beat(coordination, lease)
    assert state.budget_left == task_pb2.Budget(
        tokens=1_000, cost_micros=5_000_000, tool_calls=20, wall_time=Duration(seconds=60)
    )
    state = beat(coordination, lease, usage(400, 2_000_000, 5, 12.5))
    assert state.directive == CONTINUE
    assert state.budget_left == task_pb2.Budget(
        tokens=600, cost_micros=3_000_000, tool_calls=15, wall_time=Duration(seconds=47, nanos=500_000_000)
    )
    # A heartbeat without a report leaves the last one.
    assert beat(coordination, lease).budget_left == state.budget_left
    state = beat(coordination, lease, usage(1_000, 2_000_000, 5, 12.5))
    assert (state.directive, state.status) == (CANCEL, coordination_pb2.LEASE_STATUS_HELD)
    assert "1000 of 1000 tokens" in state.reason
    assert (state.budget_left.HasField("tokens"), state.budget_left.tokens) == (True, 0)


@pytest.mark.shared_server
def test_a_task_without_a_budget_has_none_left_and_is_not_limited(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks)
    lease = claim(coordination)
    state = beat(coordination, lease, usage(2**52, 2**53, 2**53, 86_400))
    assert (state.directive, state.HasField("budget_left")) == (CONTINUE, False)
    release(coordination, lease)
    assert explain(coordination).ready


@pytest.mark.shared_server
@pytest.mark.parametrize(
    ("limit", "used"),
    [
        ({"tokens": 9}, usage(tokens=9)),
        ({"cost_micros": 9}, usage(cost=9)),
        ({"tool_calls": 9}, usage(calls=9)),
        ({"wall_time": Duration(nanos=9_000)}, usage(seconds=9e-6)),
    ],
)
def test_each_limit_keeps_a_task_from_claims_until_it_is_raised(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub, limit: dict[str, Any],
    used: lease_pb2.Usage,
) -> None:  # fmt: skip
    create(tasks, **limit)
    lease = claim(coordination)
    assert beat(coordination, lease, used).directive == CANCEL
    release(coordination, lease)
    (reason,) = explain(coordination).reasons
    assert reason.kind == BUDGET
    assert "9" in reason.message
    assert "raised" in reason.message
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "TASK_NOT_READY", message="BUDGET"):
        claim(coordination)
    any_ = coordination_pb2.ClaimTaskRequest(agent="a1")
    assert list(coordination.ClaimTask(any_).claims) == []
    assert list(coordination.ListReadyTasks(coordination_pb2.ListReadyTasksRequest()).tasks) == []
    (counted,) = explain(coordination, "").reasons
    assert (counted.kind, counted.tasks) == (BUDGET, 1)
    set_budget(tasks, tokens=100, cost_micros=100, tool_calls=100, wall_time=Duration(seconds=100))
    assert explain(coordination).ready
    assert len(coordination.ClaimTask(any_).claims) == 1


def test_a_task_without_budget_leaves_the_queue_until_it_is_raised(
    server: Server, coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, tokens=0)
    any_ = coordination_pb2.ClaimTaskRequest(agent="a1")
    with psycopg.connect(server.database_url, autocommit=True) as conn:
        queued = "select count(*) from ready_queue"
        assert conn.execute(queued).fetchone() == (1,)
        # The second look finds it not ready again, after all transactions of the first have ended.
        for _ in range(2):
            assert list(coordination.ClaimTask(any_).claims) == []
        assert conn.execute(queued).fetchone() == (0,)
        set_budget(tasks, tokens=1)
        assert conn.execute(queued).fetchone() == (1,)
    assert len(coordination.ClaimTask(any_).claims) == 1


@pytest.mark.shared_server
def test_the_budget_is_that_of_all_attempts(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, tokens=1_000)
    release(coordination, claim(coordination), usage(600), FAILED)
    lease = claim(coordination)
    assert beat(coordination, lease).budget_left.tokens == 400
    assert beat(coordination, lease, usage(399)).directive == CONTINUE
    assert beat(coordination, lease, usage(400)).directive == CANCEL
    release(coordination, lease)
    assert [reason.kind for reason in explain(coordination).reasons] == [BUDGET]


@pytest.mark.shared_server
def test_usage_only_grows_and_a_late_report_is_named(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, tokens=1_000)
    lease = claim(coordination)
    assert not beat(coordination, lease, usage(500, calls=2)).usage_ignored
    # Sent again, as a client does that got no answer.
    assert not beat(coordination, lease, usage(500, calls=2)).usage_ignored
    late = beat(coordination, lease, usage(600, calls=1))
    assert (late.usage_ignored, late.budget_left.tokens) == (True, 500)
    # A release with less keeps what was reported, and shows it.
    assert release(coordination, lease, usage(1)).usage == usage(500, calls=2)
    lease = claim(coordination)
    assert beat(coordination, lease).budget_left.tokens == 500, "each attempt starts at 0"
    assert release(coordination, lease, usage(7)).usage == usage(7)
    assert [attempt.usage for attempt in attempts(coordination)] == [usage(7), usage(500, calls=2)]


def test_a_lost_attempt_keeps_what_its_holder_reported(
    server: Server, coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, tokens=1_000)
    lease = claim(coordination)
    beat(coordination, lease, usage(300))
    with psycopg.connect(server.database_url) as conn:
        conn.execute("update leases set expire_time = now() - interval '1 s', seconds = 0")
    # The claim ends the attempt before, and counts its usage.
    assert beat(coordination, claim(coordination)).budget_left.tokens == 700
    assert attempts(coordination)[1].usage == usage(300)


@pytest.mark.shared_server
def test_a_budget_that_changes_meanwhile_reaches_the_holder(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks)
    release(coordination, claim(coordination), usage(100))
    lease = claim(coordination)
    beat(coordination, lease, usage(200))
    set_budget(tasks, tokens=300)
    assert beat(coordination, lease).directive == CANCEL
    set_budget(tasks, tokens=301)
    state = beat(coordination, lease)
    assert (state.directive, state.budget_left.tokens) == (CONTINUE, 1)
    set_budget(tasks)
    assert not beat(coordination, lease).HasField("budget_left")


def _release_beside_a_heartbeat(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub, monkeypatch: pytest.MonkeyPatch
) -> tuple[coordination_pb2.LeaseState, lease_pb2.Attempt]:
    """Release a task while a heartbeat commits between the read and the write of the release."""
    create(tasks, tokens=1_000)
    lease = claim(coordination)
    beat(coordination, lease, usage(100))
    beaten: list[coordination_pb2.LeaseState] = []
    report = ReleaseTask.report

    def beat_once(write: ReleaseTask) -> lease_pb2.Attempt:
        if not beaten:
            beaten.append(beat(coordination, lease, usage(200)))
        return report(write)

    monkeypatch.setattr(ReleaseTask, "report", beat_once)
    return beaten[0] if beaten else beat(coordination, lease), release(coordination, lease)


def test_usage_that_a_heartbeat_reported_beside_the_release_is_kept(
    server: Server, coordination: CoordinationServiceStub, tasks: TaskServiceStub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    _, attempt = _release_beside_a_heartbeat(coordination, tasks, monkeypatch)
    assert attempt.usage == usage(200)
    assert beat(coordination, claim(coordination)).budget_left.tokens == 800


def test_control_without_a_second_look_it_is_lost(
    server: Server, coordination: CoordinationServiceStub, tasks: TaskServiceStub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    guard = "and l.used is not distinct from nullif(a.seen, '')::bigint[]"
    assert guard in write_parts.ENDED
    monkeypatch.setattr(write_parts, "ENDED", write_parts.ENDED.replace(guard, ""))
    _, attempt = _release_beside_a_heartbeat(coordination, tasks, monkeypatch)
    assert attempt.usage == usage(100)


@pytest.mark.parametrize("guarded", [True, False])
def test_usage_that_becomes_visible_beside_the_next_claim_is_kept(
    server: Server, coordination: CoordinationServiceStub, tasks: TaskServiceStub,
    monkeypatch: pytest.MonkeyPatch, guarded: bool,
) -> None:  # fmt: skip
    """A heartbeat that was in time commits after the claim has read the lease. Without guard, it is lost."""
    if not guarded:
        guard = "and leases.used is not distinct from excluded.used"
        assert guard in claim_store.CLAIM
        monkeypatch.setattr(claim_store, "CLAIM", claim_store.CLAIM.replace(guard, ""))
    create(tasks, tokens=1_000)
    beat(coordination, claim(coordination), usage(100))
    late = "update leases set used = '{200,0,0,0}', usage = %s"
    decide = ClaimTasks.decide
    decided: list[ClaimTasks] = []
    with psycopg.connect(server.database_url, autocommit=True) as conn:
        conn.execute("update leases set expire_time = now() - interval '1 s', seconds = 0")

        def commit_before(write: ClaimTasks, *found: Any) -> Any:
            if not decided:
                conn.execute(late, (usage(200).SerializeToString(),))
            decided.append(write)
            return decide(write, *found)

        monkeypatch.setattr(ClaimTasks, "decide", commit_before)
        claim(coordination)
    assert attempts(coordination)[1].usage == usage(200 if guarded else 100)


@pytest.mark.shared_server
def test_a_heartbeat_with_usage_changes_no_revision_and_logs_nothing(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    create(tasks, tokens=10)
    lease = claim(coordination)
    get = task_pb2.GetTaskRequest(task_code="t")
    listed = event_pb2.ListEventsRequest(filter=event_pb2.EventFilter(task_code="t"))
    before = tasks.GetTask(get), events.ListEvents(listed)
    beat(coordination, lease, usage(5))
    beat(coordination, lease, usage(10))
    assert (tasks.GetTask(get), events.ListEvents(listed)) == before


HOT = "select n_tup_upd, n_tup_hot_upd from pg_stat_xact_user_tables where relname = 'leases'"
LEASES = """
insert into leases (project, task_code, fence, agent, session_key, provider, labels, seconds, expire_time,
    budget)
select 'default', 't' || n, n, 'a', 's', 'p', '{db}', 90, now() + interval '1 min', '{1000,null,null,null}'
from generate_series(1, 50) n
"""


@pytest.mark.parametrize("index", ["", "create index on leases (used)"])
def test_a_heartbeat_with_usage_is_a_hot_update(database_url: str, index: str) -> None:
    """With an index on what it changes, as the control, it is none."""
    with Connection.connect(database_url, autocommit=True) as conn:
        conn.execute(LEASES)
        if index:
            conn.execute(index)
        beats = [Beat(f"t{n}", n, f"{{{n},0,0,0}}", usage(n).SerializeToString()) for n in range(1, 51)]
        with conn.transaction():
            held = leases.beat(conn, project="default", leases=beats)
            row = conn.execute(HOT).fetchone()
        assert len(held) == 50
        assert row is not None
        assert row[0] == 50
        assert (row[1] == 50) is not bool(index)


@pytest.mark.shared_server
@pytest.mark.parametrize(
    ("budget", "field"),
    [
        ({"tokens": -1}, "tokens"), ({"cost_micros": 2**53 + 1}, "cost_micros"),
        ({"tool_calls": -1}, "tool_calls"), ({"wall_time": Duration(seconds=-1)}, "wall_time"),
    ],
)  # fmt: skip
def test_a_budget_has_bounds(tasks: TaskServiceStub, budget: dict[str, Any], field: str) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT) as error:
        create(tasks, **budget)
    assert list(violations(error.value)) == [f"task.retry_policy.budget.{field}"]


@pytest.mark.shared_server
def test_a_budget_of_nothing_allows_no_claim(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, tokens=0)
    assert [reason.kind for reason in explain(coordination).reasons] == [BUDGET]
