"""Claims, heartbeats and the ends of attempts, through the stubs."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from orchestration.v1 import common_pb2, context_pb2, coordination_pb2, lease_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support.histories import OLDEST, history
from tests.support.rpc_errors import details, refused

pytestmark = pytest.mark.shared_server


def create(tasks: TaskServiceStub, *codes: str, **fields: object) -> None:
    for code in codes:
        task = task_pb2.Task(code=code, title=f"Task {code}", **fields)  # type: ignore[arg-type]
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=task))


IMMEDIATE = common_pb2.EMISSION_POLICY_IMMEDIATE
DEBOUNCE = common_pb2.EMISSION_POLICY_DEBOUNCE


def claim(
    coordination: CoordinationServiceStub, agent: str = "a1", **fields: object
) -> list[coordination_pb2.ClaimedTask]:
    request = coordination_pb2.ClaimTaskRequest(agent=agent, **fields)  # type: ignore[arg-type]
    return list(coordination.ClaimTask(request).claims)


def test_a_named_claim_gives_lease_and_task(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "T-1")
    (one,) = claim(coordination, task_code="T-1", context=context_pb2.ContextOptions())
    assert one.task.status == common_pb2.TASK_STATUS_IN_PROGRESS
    assert one.task.assignee == "a1"
    assert one.lease.attempt == 1
    assert one.lease.duration.seconds == 90
    assert one.context.task.code == "T-1"
    stored = tasks.GetTask(task_pb2.GetTaskRequest(task_code="T-1")).task
    assert stored == one.task


def test_the_loser_learns_who_holds_the_task(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "T-1")
    claim(coordination, task_code="T-1")
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "TASK_HELD") as error:
        claim(coordination, "a2", task_code="T-1")
    assert details(error.value)["ErrorInfo"].metadata["holder"] == "a1"


def test_the_next_task_is_the_most_urgent(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "low", priority=common_pb2.PRIORITY_P3)
    create(tasks, "high", priority=common_pb2.PRIORITY_P0)
    assert [one.task.code for one in claim(coordination)] == ["high"]
    assert [one.task.code for one in claim(coordination)] == ["low"]
    assert claim(coordination) == []


def test_only_the_holder_writes_what_it_owns(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    create(tasks, "T-1")
    (one,) = claim(coordination, task_code="T-1")
    done = task_pb2.UpdateTaskStatusRequest(task_code="T-1", status=common_pb2.TASK_STATUS_COMPLETED)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "TASK_HELD"):
        tasks.UpdateTaskStatus(done)
    done.fence = one.lease.fence
    assert tasks.UpdateTaskStatus(done).task.status == common_pb2.TASK_STATUS_COMPLETED
    (attempt,) = coordination.ListAttempts(coordination_pb2.ListAttemptsRequest(task_code="T-1")).attempts
    assert attempt.outcome == lease_pb2.ATTEMPT_OUTCOME_COMPLETED
    done.status = common_pb2.TASK_STATUS_PENDING
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "STALE_FENCE"):
        tasks.UpdateTaskStatus(done)


def test_heartbeat_and_release(coordination: CoordinationServiceStub, tasks: TaskServiceStub) -> None:
    create(tasks, "T-1")
    (one,) = claim(coordination, task_code="T-1", lease=Duration(seconds=20))
    ref = coordination_pb2.LeaseRef(task_code="T-1", fence=one.lease.fence)
    lost = coordination_pb2.LeaseRef(task_code="T-1", fence=one.lease.fence + 1)
    held, gone = coordination.Heartbeat(coordination_pb2.HeartbeatRequest(leases=[ref, lost])).leases
    assert held.status == coordination_pb2.LEASE_STATUS_HELD
    assert held.directive == coordination_pb2.DIRECTIVE_CONTINUE
    assert gone.status == coordination_pb2.LEASE_STATUS_LOST
    released = coordination.ReleaseTask(
        coordination_pb2.ReleaseTaskRequest(
            task_code="T-1", fence=one.lease.fence, outcome=lease_pb2.ATTEMPT_OUTCOME_RETURNED
        )
    )
    assert released.task.status == common_pb2.TASK_STATUS_PENDING
    assert released.task.assignee == ""
    (again,) = claim(coordination, "a2")
    assert again.lease.fence > one.lease.fence
    assert again.lease.attempt == 2


def test_contexts_that_do_not_fit_are_left_out(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub
) -> None:
    text = "x" * 100_000
    create(tasks, *(f"T-{number}" for number in range(30)), description=text)
    found = claim(coordination, count=30, context=context_pb2.ContextOptions())
    assert len(found) == 30
    with_context = [one.HasField("context") for one in found]
    assert with_context[0]
    assert not all(with_context)


def test_the_history_names_the_attempts_that_begin_and_end(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    create(tasks, "t")
    (one,) = claim(coordination, task_code="t")
    coordination.PreemptTask(coordination_pb2.PreemptTaskRequest(task_code="t", reason="urgent"))
    (again,) = claim(coordination, "a2", task_code="t")
    found = [change.attempt for change in history(events, "t", order=OLDEST) if change.HasField("attempt")]
    first = {"task_code": "t", "number": 1, "fence": one.lease.fence, "agent": "a1"}
    preempted = lease_pb2.ATTEMPT_OUTCOME_PREEMPTED
    assert found == [
        lease_pb2.Attempt(**first),  # type: ignore[arg-type]
        lease_pb2.Attempt(**first, outcome=preempted, reason="urgent"),  # type: ignore[arg-type]
        lease_pb2.Attempt(task_code="t", number=2, fence=again.lease.fence, agent="a2"),
    ]


@pytest.mark.parametrize("policy", [IMMEDIATE, DEBOUNCE])
def test_the_history_names_an_attempt_that_a_new_status_ends(
    coordination: CoordinationServiceStub,
    tasks: TaskServiceStub,
    events: EventServiceStub,
    policy: common_pb2.EmissionPolicy.ValueType,
) -> None:
    create(tasks, "t")
    (one,) = claim(coordination, task_code="t")
    tasks.UpdateTaskStatus(task_pb2.UpdateTaskStatusRequest(
        task_code="t", status=common_pb2.TASK_STATUS_COMPLETED, fence=one.lease.fence, emission_policy=policy
    ))  # fmt: skip
    first, ended = [c.attempt for c in history(events, "t", order=OLDEST) if c.HasField("attempt")]
    assert first.outcome == lease_pb2.ATTEMPT_OUTCOME_UNSPECIFIED
    assert (ended.number, ended.fence, ended.agent, ended.outcome) == (
        1, one.lease.fence, "a1", lease_pb2.ATTEMPT_OUTCOME_COMPLETED
    )  # fmt: skip


def test_the_history_names_an_attempt_that_ends_with_its_task(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    create(tasks, "t", "u")
    (one,) = claim(coordination, task_code="t")
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="t", fence=one.lease.fence))
    *_, ended = [c.attempt for c in history(events, "t", order=OLDEST) if c.HasField("attempt")]
    assert (ended.number, ended.outcome) == (1, lease_pb2.ATTEMPT_OUTCOME_CANCELLED)
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="u"))
    assert not any(change.HasField("attempt") for change in history(events, "u", order=OLDEST))
