"""Work on a claimed task through the client, sync and async."""

import asyncio
import time
from collections.abc import Iterator

import grpc
import pytest

from orchestration import AsyncClient, Client, LeaseLost
from orchestration.v1.common_pb2 import (
    TASK_STATUS_BLOCKED,
    TASK_STATUS_COMPLETED,
    TASK_STATUS_IN_PROGRESS,
    TASK_STATUS_PENDING,
)
from orchestration.v1.context_pb2 import ContextOptions
from orchestration.v1.coordination_pb2 import (
    DIRECTIVE_CANCEL,
    DIRECTIVE_CONTINUE,
    ListAttemptsRequest,
    PreemptTaskRequest,
)
from orchestration.v1.event_pb2 import EventFilter, ListEventsRequest
from orchestration.v1.lease_pb2 import (
    ATTEMPT_OUTCOME_COMPLETED,
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_RETURNED,
    Attempt,
    Usage,
)
from orchestration.v1.session_pb2 import InitAgentRequest
from orchestration.v1.task_pb2 import Budget, CreateTaskRequest, GetTaskRequest, RetryPolicy, Task
from tests.conftest import Server
from tests.support import factories


@pytest.fixture
def ledger(server: Server) -> Iterator[Client]:
    with Client(server.address, agent="a1") as client:
        yield client


def create(ledger: Client, code: str = "T-1") -> None:
    ledger.tasks.CreateTask(CreateTaskRequest(task=factories.task(code)))


def task(ledger: Client, code: str = "T-1") -> Task:
    return ledger.tasks.GetTask(GetTaskRequest(task_code=code)).task


def last_attempt(ledger: Client, code: str = "T-1") -> Attempt:
    return ledger.coordination.ListAttempts(ListAttemptsRequest(task_code=code)).attempts[0]


def test_work_is_claimed_updated_and_finished(ledger: Client) -> None:
    create(ledger)
    with ledger.claim(context=ContextOptions()) as work:
        assert work is not None
        assert work.context.task.code == "T-1"
        assert work.task.status == TASK_STATUS_IN_PROGRESS
        assert work.update(title="Another").title == "Another"
        work.log("half way")
        attempt = work.finish("done", usage=Usage(tool_calls=3))
    assert attempt.outcome == ATTEMPT_OUTCOME_COMPLETED
    assert attempt.usage.tool_calls == 3
    assert task(ledger).status == TASK_STATUS_COMPLETED
    events = ledger.events.ListEvents(
        ListEventsRequest(filter=EventFilter(types=["agent.work.logged"]))
    ).events
    assert [event.payload["message"] for event in events] == ["half way"]


def test_nothing_ready_gives_no_work(ledger: Client) -> None:
    with ledger.claim() as work:
        assert work is None


def test_a_crash_of_the_block_releases_as_failed(ledger: Client) -> None:
    create(ledger)
    with pytest.raises(KeyError), ledger.claim("T-1"):
        raise KeyError("lost")
    attempt = last_attempt(ledger)
    assert attempt.outcome == ATTEMPT_OUTCOME_FAILED
    assert "KeyError" in attempt.reason
    assert task(ledger).status == TASK_STATUS_PENDING


def test_a_block_that_ends_without_finish_gives_the_task_back(ledger: Client) -> None:
    create(ledger)
    with ledger.claim("T-1"):
        pass
    assert last_attempt(ledger).outcome == ATTEMPT_OUTCOME_RETURNED


def test_a_failure_that_cannot_be_retried_blocks_the_task(ledger: Client) -> None:
    create(ledger)
    with ledger.claim("T-1") as work:
        assert work is not None
        work.fail("the design is wrong", retryable=False)
    assert task(ledger).status == TASK_STATUS_BLOCKED


def test_activities_of_a_session_are_logged_in_it(server: Server, ledger: Client) -> None:
    create(ledger)
    session = ledger.sessions.InitAgent(InitAgentRequest(task_code="T-1", agent="a1")).session.key
    with Client(server.address, agent="a1", session=session) as own, own.claim("T-1") as work:
        assert work is not None
        assert work.lease.session_key == session
        work.log("half way")
        work.finish()
    found = ListEventsRequest(filter=EventFilter(types=["orchestration.activity.logged"]))
    assert len(ledger.events.ListEvents(found).events) == 1


def test_the_loss_of_the_lease_is_seen_and_makes_writes_fail(
    ledger: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.leases.BEATS_PER_LEASE", 100.0)
    create(ledger)
    with ledger.claim("T-1", lease=10) as work:
        assert work is not None
        ledger.coordination.PreemptTask(PreemptTaskRequest(task_code="T-1", reason="urgent"))
        assert work.lost.wait(5)
        with pytest.raises(LeaseLost):
            work.update(title="Another")
        with pytest.raises(LeaseLost):
            work.finish()
    assert task(ledger).status == TASK_STATUS_PENDING


def test_a_stale_holder_that_does_not_know_yet_is_refused(ledger: Client) -> None:
    create(ledger)
    with ledger.claim("T-1") as work:
        assert work is not None
        ledger.coordination.PreemptTask(PreemptTaskRequest(task_code="T-1", reason="urgent"))
        with pytest.raises(grpc.RpcError) as caught:
            work.finish()
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        work.lost.set()
        work._lose("told")


def test_a_waiting_claim_gets_the_task_that_becomes_ready(ledger: Client) -> None:
    import threading

    got = threading.Event()

    def wait() -> None:
        with ledger.claim(wait=30) as work:
            assert work is not None
            got.set()
            work.finish()

    thread = threading.Thread(target=wait)
    thread.start()
    began = time.monotonic()
    create(ledger)
    thread.join(10)
    assert got.is_set()
    assert time.monotonic() - began < 10
    assert task(ledger).status == TASK_STATUS_COMPLETED


def test_heartbeats_keep_the_lease(ledger: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.leases.BEATS_PER_LEASE", 100.0)
    create(ledger)
    with ledger.claim("T-1", lease=10) as work:
        assert work is not None
        before, deadline = work._kept.valid_until, time.monotonic() + 10
        while work._kept.valid_until == before and time.monotonic() < deadline:
            work.lost.wait(0.05)
        assert work._kept.valid_until > before
        work.finish()


def test_heartbeats_report_usage_and_tell_that_the_budget_is_used_up(
    ledger: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.leases.BEATS_PER_LEASE", 100.0)
    policy = RetryPolicy(budget=Budget(tool_calls=3))
    ledger.tasks.CreateTask(CreateTaskRequest(task=factories.task("T-1", retry_policy=policy)))
    with ledger.claim("T-1", lease=10) as work:
        assert work is not None
        usage = Usage(tool_calls=2)
        work.report(usage)
        usage.tool_calls = 99
        deadline = time.monotonic() + 10
        while work.budget_left.tool_calls != 1 and time.monotonic() < deadline:
            work.lost.wait(0.05)
        assert (work.budget_left, work.directive) == (Budget(tool_calls=1), DIRECTIVE_CONTINUE)
        work.report(Usage(tool_calls=4))
        while work.directive != DIRECTIVE_CANCEL and time.monotonic() < deadline:
            work.lost.wait(0.05)
        assert "4 of 3 calls of tools" in work.directive_reason
    assert last_attempt(ledger).usage == Usage(tool_calls=4), "the release has no report of its own"


def test_async_work(server: Server) -> None:
    async def run() -> None:
        async with AsyncClient(server.address, agent="a1") as ledger:
            await ledger.tasks.CreateTask(CreateTaskRequest(task=factories.task("T-1")))
            async with ledger.claim("T-1", context=ContextOptions()) as work:
                assert work is not None
                assert (await work.update(title="Another")).title == "Another"
                await work.log("half way")
                attempt = await work.finish("done")
            assert attempt.outcome == ATTEMPT_OUTCOME_COMPLETED
            with pytest.raises(grpc.RpcError):
                async with ledger.claim("T-1"):
                    raise AssertionError("the task is completed")

    asyncio.run(run())
