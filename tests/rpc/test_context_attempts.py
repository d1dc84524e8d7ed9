"""Earlier attempts in contexts: an agent that starts another one sees why those before it failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration

from orchestration.v1 import (
    common_pb2,
    context_pb2,
    coordination_pb2,
    lease_pb2,
    session_pb2,
    task_pb2,
)
from tests.conftest import Server
from tests.support.ledger import Ledger, S

FAILED, RETURNED = lease_pb2.ATTEMPT_OUTCOME_FAILED, lease_pb2.ATTEMPT_OUTCOME_RETURNED
WHY = "the linker has not enough memory: build with -j1, see the log of the attempt"
USAGE = lease_pb2.Usage(models=[lease_pb2.ModelUsage(model="m", input_tokens=900)], tool_calls=4)
LOG = lease_pb2.Artifact(name="log", uri="s3://logs/1")


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    found = Ledger(channel)
    found.task("t", retry_policy=task_pb2.RetryPolicy(max_attempts=9, backoff=Duration()))
    return found


def claim(ledger: Ledger, agent: str, session: str = "", **fields: Any) -> coordination_pb2.ClaimedTask:
    request = coordination_pb2.ClaimTaskRequest(task_code="t", agent=agent, **fields)
    metadata = (("orchestration-session", session),) if session else ()
    return ledger.coordination.ClaimTask(request, metadata=metadata).claims[0]


def release(ledger: Ledger, claimed: coordination_pb2.ClaimedTask, reason: str = "", **fields: Any) -> None:
    ledger.coordination.ReleaseTask(
        coordination_pb2.ReleaseTaskRequest(
            task_code="t", fence=claimed.lease.fence, reason=reason, **({"outcome": FAILED} | fields)
        )
    )


def fail(ledger: Ledger, agent: str, reason: str, **fields: Any) -> None:
    release(ledger, claim(ledger, agent), reason, **fields)


@pytest.mark.shared_server
def test_the_third_attempt_sees_why_the_first_two_failed(ledger: Ledger) -> None:
    fail(ledger, "a1", WHY, usage=USAGE, artifacts=[LOG])
    fail(ledger, "a2", "not mine", outcome=RETURNED)
    claimed = claim(ledger, "a3", context=context_pb2.ContextOptions())
    assert claimed.lease.attempt == 3
    second, first = claimed.context.attempts
    assert (second.number, second.agent, second.outcome, second.reason) == (2, "a2", RETURNED, "not mine")
    assert (first.number, first.agent, first.outcome, first.reason) == (1, "a1", FAILED, WHY)
    assert (first.usage, list(first.artifacts)) == (USAGE, [LOG])
    assert (first.end_time.seconds > 0, first.end_time.nanos, first.fence) == (True, 0, 0)
    assert ledger.context({"task_code": "t"}).attempts == claimed.context.attempts
    ledger.session("k", task_code="t")
    assert ledger.context({"session_key": "k"}).attempts == claimed.context.attempts
    with_ids = ledger.context({"task_code": "t"}, include_ids=True)
    assert [attempt.fence for attempt in with_ids.attempts] == sorted(
        (a.fence for a in listed(ledger)[1:]), reverse=True
    )
    none = ledger.context({"task_code": "t"}, omit_sections=[S.CONTEXT_SECTION_ATTEMPTS])
    assert not none.attempts


def listed(ledger: Ledger) -> list[lease_pb2.Attempt]:
    request = coordination_pb2.ListAttemptsRequest(task_code="t")
    return list(ledger.coordination.ListAttempts(request).attempts)


@pytest.mark.shared_server
def test_the_newest_ten_are_shown_and_those_of_other_tasks_are_not(ledger: Ledger) -> None:
    ledger.task("u", sprint_code=ledger.sprint("s", status=2).code)
    for number in range(1, 13):
        fail(ledger, "a", f"reason {number}", outcome=RETURNED)
    context = ledger.context({"task_code": "t"})
    assert [attempt.number for attempt in context.attempts] == list(range(12, 2, -1))
    assert not ledger.context({"task_code": "u"}).attempts
    assert not ledger.context({"sprint_code": "s"}).attempts


def _by_release(ledger: Ledger, server: Server, claimed: coordination_pb2.ClaimedTask) -> None:
    release(ledger, claimed, WHY)


def _by_status(ledger: Ledger, server: Server, claimed: coordination_pb2.ClaimedTask) -> None:
    pending = common_pb2.TASK_STATUS_PENDING
    ledger.tasks.UpdateTaskStatus(
        task_pb2.UpdateTaskStatusRequest(task_code="t", status=pending, fence=claimed.lease.fence)
    )


def _by_preemption(ledger: Ledger, server: Server, claimed: coordination_pb2.ClaimedTask) -> None:
    ledger.coordination.PreemptTask(coordination_pb2.PreemptTaskRequest(task_code="t", reason=WHY))


def _expire(server: Server) -> None:
    with psycopg.connect(server.database_url) as conn:
        conn.execute("update leases set expire_time = now() - interval '1 s', seconds = 0")


def _by_the_next_claim(ledger: Ledger, server: Server, claimed: coordination_pb2.ClaimedTask) -> None:
    _expire(server)
    claim(ledger, "other")


def _by_a_change_after_expiry(ledger: Ledger, server: Server, claimed: coordination_pb2.ClaimedTask) -> None:
    _expire(server)
    ledger.set_status("t", common_pb2.TASK_STATUS_BLOCKED)


def _by_the_close_of_its_session(
    ledger: Ledger, server: Server, claimed: coordination_pb2.ClaimedTask
) -> None:
    ledger.sessions.CloseSession(session_pb2.CloseSessionRequest(session_key="k"))
    claim(ledger, "other")


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (_by_release, FAILED),
        (_by_status, RETURNED),
        (_by_preemption, lease_pb2.ATTEMPT_OUTCOME_PREEMPTED),
        (_by_the_next_claim, lease_pb2.ATTEMPT_OUTCOME_EXPIRED),
        (_by_a_change_after_expiry, lease_pb2.ATTEMPT_OUTCOME_EXPIRED),
        (_by_the_close_of_its_session, lease_pb2.ATTEMPT_OUTCOME_SESSION_CLOSED),
    ],
)
def test_each_end_of_an_attempt_is_in_the_next_context(
    server: Server, ledger: Ledger, end: Callable[..., None], outcome: int
) -> None:
    ledger.session("k", task_code="t")
    claimed = claim(ledger, "a1", "k")
    before = ledger.ask(task_code="t")
    assert not before.context.attempts
    assert ledger.ask(task_code="t").from_cache
    end(ledger, server, claimed)
    after = ledger.ask(task_code="t")
    assert not after.from_cache
    assert after.context.version != before.context.version
    assert [attempt.outcome for attempt in after.context.attempts] == [outcome]
    assert ledger.ask(task_code="t").context == after.context


@pytest.mark.shared_server
def test_a_heartbeat_changes_no_context(ledger: Ledger) -> None:
    fail(ledger, "a1", WHY)
    claimed = claim(ledger, "a2")
    before = ledger.ask(task_code="t").context
    ref = coordination_pb2.LeaseRef(task_code="t", fence=claimed.lease.fence, usage=USAGE)
    ledger.coordination.Heartbeat(coordination_pb2.HeartbeatRequest(leases=[ref]))
    after = ledger.ask(task_code="t")
    assert after.from_cache
    assert after.context == before


@pytest.mark.shared_server
def test_a_reason_is_shown_once(ledger: Ledger) -> None:
    fail(ledger, "a1", WHY)
    context = ledger.context({"task_code": "t"})
    assert str(context).count(WHY) == 1
    released = [event for event in context.events if event.type.endswith("released")]
    assert released[0].payload["outcome"] == "failed"
    # Without the section, the event says it.
    other = ledger.context({"task_code": "t"}, omit_sections=[S.CONTEXT_SECTION_ATTEMPTS])
    assert WHY in str(other.events)


@pytest.mark.shared_server
def test_a_context_since_another_has_the_attempts_only_if_one_ended(ledger: Ledger) -> None:
    fail(ledger, "a1", WHY)
    first = ledger.context({"task_code": "t"})
    claimed = claim(ledger, "a2")
    second = ledger.context({"task_code": "t"}, since_cursor=first.as_of_cursor)
    assert not second.attempts
    assert S.CONTEXT_SECTION_ATTEMPTS in second.unchanged
    release(ledger, claimed, "again")
    third = ledger.context({"task_code": "t"}, since_cursor=second.as_of_cursor)
    assert [attempt.reason for attempt in third.attempts] == ["again", WHY]


@pytest.mark.shared_server
def test_a_budget_keeps_the_newest_reasons_and_names_the_rest(ledger: Ledger) -> None:
    uris = [lease_pb2.Artifact(name=f"f{n}", uri="s3://bucket/" + "x" * 900) for n in range(20)]
    for number in range(1, 6):
        fail(ledger, "a1", f"reason {number} " + "words of it " * 150, artifacts=uris, usage=USAGE)
    whole = ledger.context({"task_code": "t"})
    assert [len(attempt.artifacts) for attempt in whole.attempts] == [10] * 5
    for budget in (600, 1_000, 3_000):
        context = ledger.context({"task_code": "t"}, token_budget=budget)
        assert context.token_estimate <= budget
        assert context.attempts[0].number == 5
        assert context.attempts[0].outcome == FAILED
        assert context.attempts[0].reason.startswith("reason 5")
        # What is shown of artifacts and usage is as reported.
        assert all(attempt.usage in (USAGE, lease_pb2.Usage()) for attempt in context.attempts)
        assert all(list(attempt.artifacts) in ([], uris[:10]) for attempt in context.attempts)
        trims = {trim.section: trim for trim in context.trimmed}
        trim = trims[S.CONTEXT_SECTION_ATTEMPTS]
        assert len(context.attempts) + trim.left_out == 5
