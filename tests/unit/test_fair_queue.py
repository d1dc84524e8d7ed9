"""The queue of calls is fair: checked against a model that knows only which calls wait and which run."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration_server.model import Share
from orchestration_server.rpc.fair_queue import ACTIVE_SECONDS, LONG_SECONDS, FairQueue

THREADS = 8
CONTENDED = 4
ALONE = 7


@dataclass(eq=False)
class Queued:
    share: Share
    queued_at: float = 0.0
    started_at: float = 0.0


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


class Fifo:
    """The control: a queue that is not fair."""

    def __init__(self) -> None:
        self._items: deque[Queued] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def push(self, item: Queued) -> None:
        self._items.append(item)

    def pop(self) -> Queued | None:
        return self._items.popleft() if self._items else None

    def finish(self, item: Queued) -> None:
        pass


@dataclass
class Run:
    """Threads that take calls from a queue, one step at a time. Only the test moves the clock."""

    queue: Any
    clock: Clock = field(default_factory=Clock)
    running: list[Queued] = field(default_factory=list)

    def push(self, project: str, caller: str = "") -> Queued:
        item = Queued((project, caller), self.clock.now)
        self.queue.push(item)
        self.take()
        return item

    def take(self) -> None:
        while len(self.running) < THREADS and (item := self.queue.pop()) is not None:
            self.running.append(item)

    def finish(self, index: int = 0) -> Queued:
        item = self.running.pop(index)
        self.queue.finish(item)
        self.take()
        return item

    def counts(self) -> Counter[str]:
        return Counter(item.share[0] for item in self.running)


def fair() -> Run:
    clock = Clock()
    return Run(FairQueue(CONTENDED, ALONE, clock=clock), clock)


def fifo() -> Run:
    return Run(Fifo())


def overtaken(run: Run) -> int:
    """Return how many calls of a greedy project end before another project's one call starts."""
    for _ in range(100):
        run.push("greedy")
    mine = run.push("modest")
    ended = 0
    while mine not in run.running:
        run.finish()
        ended += 1
    return ended


def test_a_call_of_another_project_is_next_however_many_wait() -> None:
    assert overtaken(fair()) <= 1


def test_the_control_makes_that_call_wait_for_all_others() -> None:
    assert overtaken(fifo()) > 90


def test_a_project_that_is_alone_leaves_one_thread_for_a_newcomer() -> None:
    run = fair()
    for _ in range(20):
        run.push("greedy")
    assert run.counts() == {"greedy": ALONE}
    newcomer = run.push("modest")
    assert newcomer in run.running, "it starts before any other call has ended"


def test_a_project_is_held_to_its_share_while_another_is_active() -> None:
    run = fair()
    run.push("modest")
    for _ in range(20):
        run.push("greedy")
    assert run.counts()["greedy"] == CONTENDED
    run.finish()
    # The other project still counts as active: its next call finds a thread.
    assert run.counts() == {"greedy": CONTENDED}
    run.push("modest")
    assert run.counts() == {"greedy": CONTENDED, "modest": 1}
    run.finish(run.running.index(next(one for one in run.running if one.share[0] == "modest")))
    run.clock.now += ACTIVE_SECONDS + 0.01
    run.take()
    assert run.counts() == {"greedy": ALONE}


def test_a_project_with_long_calls_has_a_quarter_of_its_share_while_another_is_active() -> None:
    run = fair()
    for _ in range(20):
        run.push("long")
        run.clock.now += 2 * LONG_SECONDS
        run.finish()
    run.push("short")
    run.finish()
    for _ in range(100):
        run.push("long")
    assert run.counts() == {"long": CONTENDED // 4}
    for _ in range(40):
        run.finish()
    assert run.counts() == {"long": CONTENDED}, "its calls became short"


def test_the_callers_of_one_project_take_turns() -> None:
    run = fair()
    for _ in range(100):
        run.push("one", "greedy")
    mine = run.push("one", "modest")
    run.finish()
    assert mine in run.running


@pytest.mark.parametrize("others", [1, 3])
def test_the_newest_call_of_the_project_with_the_most_is_dropped(others: int) -> None:
    queue: FairQueue[Queued] = FairQueue(CONTENDED, ALONE, clock=Clock())
    greedy = [Queued(("greedy", ""), 0.0) for _ in range(10)]
    for item in greedy:
        queue.push(item)
    for number in range(others):
        assert queue.drop_newest((f"p{number}", "")) is greedy.pop()
        queue.push(Queued((f"p{number}", ""), 0.0))
    assert queue.drop_newest(("greedy", "")) is None, "it may not displace others' calls"


def test_calls_that_waited_too_long_are_removed() -> None:
    queue: FairQueue[Queued] = FairQueue(CONTENDED, ALONE, clock=Clock())
    items = [Queued((f"p{number % 3}", f"c{number % 2}"), float(number)) for number in range(12)]
    for item in items:
        queue.push(item)
    assert set(queue.pop_older(7.0)) == set(items[:7])
    assert {queue.pop() for _ in range(5)} == set(items[7:])
    assert queue.pop() is None
    assert len(queue) == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(0, 3), st.integers(0, 2)),
        st.tuples(st.just("finish"), st.integers(0, THREADS), st.just(0)),
        st.tuples(st.just("wait"), st.integers(0, 3), st.just(0)),
    ),
    max_size=120,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_any_order_of_events_is_fair(steps: list[tuple[str, int, int]]) -> None:
    """No call is lost or runs twice, and the calls of one caller keep their order.

    No thread is idle while a call waits that may run. A project whose call was passed over had its share.
    """
    run = fair()
    pushed: list[Queued] = []
    taken: list[Queued] = []
    last: dict[str, float] = {}
    slow: set[str] = set()
    """Projects with a call that took time: they may be held to a quarter of the share."""

    def settle(before: list[Queued]) -> None:
        new = [item for item in run.running if item not in before]
        taken.extend(new)
        counts = run.counts()
        active = {name for name, at in last.items() if run.clock.now - at <= ACTIVE_SECONDS}
        for project in {item.share[0] for item in new}:
            if active - {project}:
                old = sum(item.share[0] == project for item in before)
                assert counts[project] <= max(CONTENDED, old)
        waiting = [item for item in pushed if item not in taken]
        assert len(waiting) == len(run.queue)
        if len(run.running) < THREADS:
            for item in waiting:
                mine = sum(one.share == item.share for one in run.running)
                share = CONTENDED // 4 if item.share[0] in slow else CONTENDED
                assert max(counts[item.share[0]], mine) >= share, "a thread is idle"

    for kind, number, other in steps:
        before = list(run.running)
        if kind == "push":
            name = f"p{number}"
            last[name] = run.clock.now
            pushed.append(run.push(name, f"c{other}"))
        elif kind == "finish" and number < len(run.running):
            ended = run.running[number]
            if ended.started_at < run.clock.now:
                slow.add(ended.share[0])
            run.finish(number)
            before.remove(ended)
        else:
            run.clock.now += number
            run.take()
        settle(before)
    while run.running:
        before = list(run.running)
        slow.add(before[0].share[0])
        before.remove(run.finish())
        run.clock.now += ACTIVE_SECONDS + 1
        run.take()
        settle(before)
    assert Counter(taken) == Counter(pushed)
    for share in {item.share for item in pushed}:
        assert [i for i in taken if i.share == share] == [i for i in pushed if i.share == share]
