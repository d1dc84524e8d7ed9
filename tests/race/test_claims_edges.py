"""Claims at the edges: retries, waiting callers, sessions, pending changes and wrong clocks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, task_pb2
from orchestration_server.app import App
from tests.conftest import open_channel
from tests.support import short_leases
from tests.support.histories import plain
from tests.support.ledger import Ledger
from tests.support.rpc_errors import details, refused
from tests.support.waits import turns

PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
DAYS = 3
METADATA = "orchestration-session"


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


def claim(
    ledger: Ledger, agent: str, metadata: Any = (), **fields: Any
) -> list[coordination_pb2.ClaimedTask]:
    request = coordination_pb2.ClaimTaskRequest(agent=agent, **fields)
    return list(ledger.coordination.ClaimTask(request, metadata=metadata, timeout=30).claims)


@pytest.mark.shared_server
def test_a_retried_claim_of_several_gets_the_same_leases(ledger: Ledger) -> None:
    for code in "abcd":
        ledger.task(code)
    first = claim(ledger, "x", count=3, request_id="r")
    assert [one.task.code for one in first] == ["a", "b", "c"]
    assert claim(ledger, "x", count=3, request_id="r") == first
    with refused(PRECONDITION, "REQUEST_ID_REUSED"):
        claim(ledger, "x", count=2, request_id="r")
    assert [one.task.code for one in claim(ledger, "y", count=3)] == ["d"]


@pytest.mark.shared_server
def test_two_sessions_of_one_agent_are_two_holders(ledger: Ledger) -> None:
    ledger.task("t")
    for key in ("k1", "k2"):
        ledger.session(key, task_code="t")
    (one,) = claim(ledger, "a", ((METADATA, "k1"),), task_code="t")
    assert one.lease.session_key == "k1"
    with refused(PRECONDITION, "TASK_HELD") as error:
        claim(ledger, "a", ((METADATA, "k2"),), task_code="t")
    assert details(error.value)["ErrorInfo"].metadata["session_key"] == "k1"


@pytest.mark.shared_server
def test_pending_changes_of_a_task_are_logged_before_its_claim(ledger: Ledger) -> None:
    ledger.task("t", status=common_pb2.TASK_STATUS_BLOCKED)
    ledger.tasks.UpdateTaskStatus(
        task_pb2.UpdateTaskStatusRequest(
            task_code="t",
            status=common_pb2.TASK_STATUS_PENDING,
            emission_policy=common_pb2.EMISSION_POLICY_DEBOUNCE,
        )
    )
    (one,) = claim(ledger, "a")
    history = ledger.events.GetEntityHistory(
        event_pb2.GetEntityHistoryRequest(entity_type=common_pb2.ENTITY_TYPE_TASK, entity_code="t")
    )
    assert not any(change.pending for change in history.changes)
    moves = [plain(c.changes)["status"]["to"] for c in history.changes if "status" in c.changes.fields]
    assert moves[:2] == ["in_progress", "pending"] or moves[-2:] == ["pending", "in_progress"], moves
    assert one.task.status == common_pb2.TASK_STATUS_IN_PROGRESS


def test_waiting_claims_are_served_in_the_order_of_their_arrival(start_app: Callable[..., App]) -> None:
    app = start_app()
    with open_channel(app.address) as channel:
        ledger = Ledger(channel)
        waiting = []
        for number in range(5):
            request = coordination_pb2.ClaimTaskRequest(agent=f"a{number}", wait=Duration(seconds=20))
            waiting.append(ledger.coordination.ClaimTask.future(request))
            for _ in turns(10):
                if len(app.waiting_claims._waiting) == number + 1:
                    break
        for number in range(5):
            ledger.task(f"t{number}")
            (one,) = waiting[number].result(20).claims
            assert one.task.code == f"t{number}"


@pytest.mark.parametrize("days", [DAYS, -DAYS])
def test_a_server_whose_clock_is_days_off_judges_leases_by_the_database(
    start_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    right = time.time

    def wrong() -> float:
        module = str(sys._getframe(1).f_globals["__name__"])
        return right() + (days * 86_400 if module.startswith("orchestration_server") else 0)

    monkeypatch.setattr(time, "time", wrong)
    with short_leases.allowed(), open_channel(start_app().address) as channel:
        ledger = Ledger(channel)
        ledger.task("t")
        (one,) = claim(ledger, "a", lease=Duration(seconds=1))
        assert abs(one.lease.start_time.ToSeconds() - right()) < 5
        with refused(PRECONDITION, "TASK_HELD"):
            claim(ledger, "b", task_code="t")
        (other,) = claim(ledger, "b", wait=Duration(seconds=20))
        assert other.lease.start_time.ToMicroseconds() >= one.lease.expire_time.ToMicroseconds()
