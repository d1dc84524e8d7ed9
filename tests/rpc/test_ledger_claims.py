"""Claims of the Python client that takes plain values: leases, loops, hand-overs, lost leases."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from orchestration import (
    Artifact,
    Budget,
    ClaimedWork,
    LeaseLost,
    Ledger,
    ModelUsage,
    NewTask,
    RetryPolicy,
    StaleFence,
    TaskHeld,
    TaskNotReady,
    Usage,
)
from orchestration._sync import work as claims
from orchestration.v1.coordination_pb2 import PreemptTaskRequest
from tests.conftest import Server

pytestmark = pytest.mark.shared_server(by_address=True)


@pytest.fixture
def open_ledger(server: Server) -> Iterator[Callable[..., Ledger]]:
    opened: list[Ledger] = []

    def open_one(agent: str, session: str = "") -> Ledger:
        opened.append(Ledger(server.address, project=server.project, agent=agent, session=session))
        return opened[-1]

    yield open_one
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: Callable[..., Ledger]) -> Ledger:
    return open_ledger("a1")


def plan(ledger: Ledger, *codes: str) -> None:
    ledger.create_tasks(NewTask(code, f"Task {code}") for code in codes)


def test_work_knows_its_task_and_ends_with_an_attempt(ledger: Ledger) -> None:
    ledger.create_task("T1", "One", retry=RetryPolicy(budget=Budget(tokens=100)))
    with ledger.claim("T1", lease=timedelta(seconds=30), deadline=600) as work:
        assert (work.code, work.task.status, work.task.assignee) == ("T1", "in_progress", "a1")
        assert (work.lease.duration, work.lease.attempt, work.fence) == (
            timedelta(seconds=30),
            1,
            work.lease.fence,
        )
        assert (work.directive, work.directive_reason, work.lost, work.ended) == (
            "continue",
            "",
            False,
            False,
        )
        assert work.update(title="Uno", config={"n": 1}).title == "Uno"
        assert work.context().target == "T1"
        usage = Usage((ModelUsage("m", "p", 3, 4, 1, 5),), tool_calls=2, wall_time=timedelta(seconds=9))
        work.report(usage)
        attempt = work.done("merged", usage=usage, artifacts=[Artifact("pr", "https://x/1", "h")])
        assert work.ended
    assert (attempt.outcome, attempt.reason, attempt.usage) == ("completed", "merged", usage)
    assert attempt.artifacts == (Artifact("pr", "https://x/1", "h"),)
    assert work.task.status == "completed"
    assert list(ledger.attempts("T1")) == [attempt]


def test_a_held_task_is_refused_with_its_holder(ledger: Ledger, open_ledger: Callable[..., Ledger]) -> None:
    plan(ledger, "T1")
    other = open_ledger("a2")
    with ledger.claim("T1") as work:
        with pytest.raises(TaskHeld) as raised:
            other.claim("T1")
        assert raised.value.metadata["holder"] == "a1"
        assert "lease of a1" in str(raised.value)
        with pytest.raises(TaskHeld):
            other.done("T1")
        assert [(lease.task, lease.fence) for lease in ledger.leases(agent="a1")] == [("T1", work.fence)]
        work.block("no key")
    with pytest.raises(TaskNotReady):
        other.claim("T1")


def test_a_loop_takes_ready_work_until_there_is_none(ledger: Ledger) -> None:
    ledger.create_tasks([NewTask("A", "A"), NewTask("B", "B", after="A"), NewTask("C", "C", priority="P0")])
    taken = []
    for work in ledger.claims():
        with work:
            taken.append(work.code)
            work.done()
    assert taken == ["C", "A", "B"]


def test_loops_of_several_agents_share_the_tasks(ledger: Ledger, open_ledger: Callable[..., Ledger]) -> None:
    codes = [f"T{number}" for number in range(24)]
    plan(ledger, *codes)
    agents = [open_ledger(f"a{number}") for number in range(4)]
    begin = threading.Barrier(len(agents))

    def run(agent: Ledger) -> list[str]:
        begin.wait()
        taken = []
        for work in agent.claims():
            with work:
                taken.append(work.code)
                if work.code in codes[::6] and work.lease.attempt == 1:
                    work.hand_over("another agent goes on")
                else:
                    work.done()
        return taken

    with ThreadPoolExecutor(len(agents)) as pool:
        taken = list(pool.map(run, agents))
    # A task that was handed over late finds the other loops at their end; it is not lost.
    left = [task.code for task in ledger.ready()]
    assert set(left) <= set(codes[::6])
    done = {task.code for task in ledger.tasks(status="completed")}
    assert done == set(codes) - set(left)
    for code in codes:
        attempts = list(ledger.attempts(code))
        assert [each.outcome for each in attempts if each.outcome == "completed"] == ["completed"] * (
            code in done
        )
        assert sum(each.count(code) for each in taken) == len(attempts)
    assert all(len(each) == len(set(each)) for each in taken)


@pytest.mark.parametrize("leave", ["hand_over", "block_end", "no_block"])
def test_a_loop_ends_although_it_gives_tasks_back(
    ledger: Ledger, open_ledger: Callable[..., Ledger], leave: str
) -> None:
    plan(ledger, "A", "B", "C")
    taken = []
    for work in ledger.claims(labels=[]):
        taken.append(work.code)
        if leave == "no_block":
            continue
        with work:
            if leave == "hand_over":
                work.hand_over("half of it is done")
    assert taken == ["A", "B", "C"]
    assert [attempt.outcome for code in "ABC" for attempt in ledger.attempts(code)] == ["returned"] * 3
    assert not list(ledger.leases())
    # Control: a new loop, such as that of another agent, gets them.
    assert next(open_ledger("a2").claims()).code == "A"


def test_a_loop_that_gave_a_task_back_keeps_its_filters(ledger: Ledger) -> None:
    for number, fields in enumerate(
        [{"labels": "x"}, {"labels": "y"}, {"labels": "x", "capabilities": "gpu"}, {"labels": "x"}]
    ):
        ledger.create_task(f"T{number}", "Task", **fields)  # type: ignore[arg-type]  # all are texts
    ledger.create_task("T4", "Task", labels="x", priority="P4")
    taken = []
    for work in ledger.claims(labels="x", priority=["P2", "P3"]):
        with work:
            taken.append(work.code)
    assert taken == ["T0", "T3"]


def test_a_loop_that_gave_a_task_back_waits_for_another(
    ledger: Ledger, open_ledger: Callable[..., Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "LOOK_AGAIN", 0.01)
    plan(ledger, "A")
    loop = ledger.claims(wait=60)
    with next(loop) as work:
        work.hand_over("not now")
    looked = threading.Event()
    ready = ledger.ready

    def look(**given: object) -> object:
        looked.set()
        return ready(**given)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(ledger, "ready", look)

    def add() -> None:
        looked.wait(30)
        plan(open_ledger("p"), "B")

    planner = threading.Thread(target=add)
    planner.start()
    assert next(loop).code == "B"
    planner.join()


def test_a_loop_waits_for_work_as_long_as_it_may(
    ledger: Ledger, open_ledger: Callable[..., Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "LONGEST_WAIT", 0.05)
    assert list(ledger.claims(wait=0.2)) == []
    calls = threading.Semaphore(0)
    take = ledger.take

    def counted(request: object) -> list[ClaimedWork]:
        calls.release()
        return take(request)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(ledger, "take", counted)

    def add() -> None:
        for _ in range(3):
            calls.acquire()
        plan(open_ledger("p"), "A")

    planner = threading.Thread(target=add)
    planner.start()
    assert next(ledger.claims(wait=None)).code == "A"
    planner.join()


def test_an_exception_fails_the_attempt_and_ends_the_loop(ledger: Ledger) -> None:
    plan(ledger, "A")

    def loop() -> None:
        for work in ledger.claims():
            with work:
                raise KeyError("lost")

    with pytest.raises(KeyError):
        loop()
    (attempt,) = ledger.attempts("A")
    assert (attempt.outcome, attempt.reason) == ("failed", "KeyError: 'lost'")
    assert [reason.kind for reason in ledger.why("A").reasons] == ["backoff"]


def test_several_tasks_are_claimed_in_one_call(ledger: Ledger) -> None:
    plan(ledger, "A", "B", "C")
    first, second = ledger.claim_many(2)
    assert {first.code, second.code} == {"A", "B"}
    (third,) = ledger.claim_many(5)
    for work in (first, second, third):
        with work:
            work.done()
    assert ledger.claim_many(1) == []
    with pytest.raises(ValueError, match="at least 1"):
        ledger.claim_many(0)


def test_a_repeated_claim_gets_the_same_lease(ledger: Ledger) -> None:
    plan(ledger, "A")
    first = ledger.claim_next(request_id="c1")
    second = ledger.claim_next(request_id="c1")
    assert first is not None
    assert second is not None
    assert second.lease == first.lease


def test_failures_say_whether_to_try_again(ledger: Ledger) -> None:
    plan(ledger, "A", "B")
    with ledger.claim("A") as work:
        work.fail("the disk is full")
    with ledger.claim("B") as work:
        work.fail("the design is wrong", retryable=False)
    assert [ledger.get_task(code).status for code in "AB"] == ["pending", "blocked"]
    assert [next(iter(ledger.attempts(code))).retryable for code in "AB"] == [True, False]


def test_the_next_agent_sees_a_short_note(ledger: Ledger, open_ledger: Callable[..., Ledger]) -> None:
    plan(ledger, "A")
    with ledger.claim("A") as work:
        work.hand_over("lexer is done, docs are not")
    with open_ledger("a2").claim("A") as work:
        assert re.search("Attempt 1 by a1, returned .*: lexer is done, docs are not\n", work.prompt())


@pytest.mark.parametrize("own_session", [True, False])
def test_the_next_agent_sees_a_long_note_whole(
    ledger: Ledger, open_ledger: Callable[..., Ledger], own_session: bool
) -> None:
    plan(ledger, "A")
    key = ledger.session(task="A").key if own_session else ""
    holder = open_ledger("a1", key)
    note = "".join(f"Line {number} of the note.\n" for number in range(200)) + "The end."
    with holder.claim("A") as work:
        work.hand_over(note)
    with open_ledger("a2").claim("A") as work:
        prompt = work.prompt()
    assert "## Notes for you" in prompt
    assert "Line 199 of the note." in prompt
    assert "The end." in prompt


def test_a_reason_that_is_too_long_is_refused_and_not_cut(ledger: Ledger) -> None:
    plan(ledger, "A")
    with ledger.claim("A") as work:
        with pytest.raises(ValueError, match="2001 characters"):
            work.done("x" * 2_001)
        with pytest.raises(ValueError, match="at least one"):
            work.hand_over("")
        assert work.done("x" * 2_000).reason == "x" * 2_000


def test_a_lost_lease_stops_every_write(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.leases.BEATS_PER_LEASE", 100.0)
    plan(ledger, "A")
    with ledger.claim("A", lease=10) as work:
        ledger.raw.coordination.PreemptTask(PreemptTaskRequest(task_code="A", reason="urgent"))
        assert work.raw.lost.wait(30)
        assert work.lost
        assert work.ended
        for write in (work.check, work.done, lambda: work.update(title="x"), lambda: work.hand_over("x")):
            with pytest.raises(LeaseLost) as raised:
                write()
            assert isinstance(raised.value, StaleFence)
            assert "What to do: stop the work" in str(raised.value)
    assert ledger.get_task("A").title == "Task A"


def test_a_holder_that_does_not_know_yet_is_refused(ledger: Ledger) -> None:
    plan(ledger, "A")
    work = ledger.claim("A")
    ledger.raw.coordination.PreemptTask(PreemptTaskRequest(task_code="A", reason="urgent"))
    with pytest.raises(StaleFence), work:
        work.done()
    assert ledger.get_task("A").status == "pending"


def test_a_loop_goes_on_after_a_lost_lease(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.leases.BEATS_PER_LEASE", 100.0)
    plan(ledger, "A", "B")
    loop = ledger.claims(lease=10)
    with next(loop) as work:
        ledger.raw.coordination.PreemptTask(PreemptTaskRequest(task_code=work.code, reason="urgent"))
        assert work.raw.lost.wait(30)
    assert next(loop).code in {"A", "B"}
