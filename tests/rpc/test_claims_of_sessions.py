"""Leases of a session that closes."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from orchestration.v1 import common_pb2, coordination_pb2, lease_pb2, session_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support import factories
from tests.support.rpc_errors import must_be, refused

pytestmark = pytest.mark.shared_server


def begin(sessions: SessionServiceStub, code: str) -> tuple[tuple[str, str], ...]:
    """Start a session on a task, and return the metadata of its calls."""
    request = session_pb2.InitAgentRequest(task_code=code, agent="a1")
    key = sessions.InitAgent(request).session.key
    return (("orchestration-session", key), ("orchestration-agent", "a1"))


def claim(
    coordination: CoordinationServiceStub, code: str, metadata: tuple[tuple[str, str], ...]
) -> coordination_pb2.ClaimedTask:
    request = coordination_pb2.ClaimTaskRequest(task_code=code)
    return coordination.ClaimTask(request, metadata=metadata).claims[0]


def close(sessions: SessionServiceStub, metadata: tuple[tuple[str, str], ...]) -> None:
    sessions.CloseSession(session_pb2.CloseSessionRequest(session_key=metadata[0][1]))


def test_closing_a_session_ends_its_leases(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub, sessions: SessionServiceStub
) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t")))
    own = begin(sessions, "t")
    lease = claim(coordination, "t", own).lease
    close(sessions, own)
    ref = coordination_pb2.LeaseRef(task_code="t", fence=lease.fence)
    (state,) = coordination.Heartbeat(coordination_pb2.HeartbeatRequest(leases=[ref])).leases
    assert state.status == coordination_pb2.LEASE_STATUS_LOST
    other = claim(coordination, "t", (("orchestration-agent", "a2"),))
    assert other.lease.attempt == 2
    attempts = coordination.ListAttempts(coordination_pb2.ListAttemptsRequest(task_code="t")).attempts
    assert [attempt.outcome for attempt in attempts] == [0, lease_pb2.ATTEMPT_OUTCOME_SESSION_CLOSED]


def test_a_closed_session_claims_nothing(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub, sessions: SessionServiceStub
) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t")))
    own = begin(sessions, "t")
    close(sessions, own)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "SESSION_CLOSED"):
        claim(coordination, "t", own)


def test_a_claim_beside_the_close_leaves_no_lease(
    coordination: CoordinationServiceStub, tasks: TaskServiceStub, sessions: SessionServiceStub
) -> None:
    with ThreadPoolExecutor(2) as pool:
        for number in range(30):
            code = f"t{number}"
            tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code)))
            own = begin(sessions, code)
            claimed = pool.submit(claim, coordination, code, own)
            pool.submit(close, sessions, own).result()
            try:
                claimed.result()
            except grpc.RpcError as error:
                must_be(error, grpc.StatusCode.FAILED_PRECONDITION)
    assert list(coordination.ListLeases(coordination_pb2.ListLeasesRequest()).leases) == []
    statuses = {task.status for task in tasks.ListTasks(task_pb2.ListTasksRequest()).tasks}
    assert statuses <= {common_pb2.TASK_STATUS_PENDING, common_pb2.TASK_STATUS_IN_PROGRESS}
