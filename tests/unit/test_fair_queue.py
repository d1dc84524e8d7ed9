"""The queue of calls is fair: checked against a model that knows only who waits and who is at work."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration_server.model import Share
from orchestration_server.rpc.fair_queue import ABOUT_SECONDS, LONG_SECONDS, Turns

THREADS = 8
PART = 4
MOST = 7


@dataclass(eq=False)
class Item:
    share: Share
    since: float = 0.0
    began: float = 0.0


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


class Fifo:
    """What the queue would be if it were not fair: the control."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def push(self, item: Item) -> None:
        self._items.append(item)

    def pop(self) -> Item | None:
        return self._items.popleft() if self._items else None

    def over(self, item: Item) -> None:
        pass


@dataclass
class Run:
    """Threads that take from a queue, one step at a time. Time passes only where a test says so."""

    queue: Any
    clock: Clock = field(default_factory=Clock)
    at_work: list[Item] = field(default_factory=list)

    def push(self, project: str, caller: str = "") -> Item:
        item = Item((project, caller), self.clock.now)
        self.queue.push(item)
        self.take()
        return item

    def take(self) -> None:
        while len(self.at_work) < THREADS and (item := self.queue.pop()) is not None:
            self.at_work.append(item)

    def finish(self, index: int = 0) -> Item:
        item = self.at_work.pop(index)
        self.queue.over(item)
        self.take()
        return item

    def counts(self) -> Counter[str]:
        return Counter(item.share[0] for item in self.at_work)


def fair() -> Run:
    clock = Clock()
    return Run(Turns(PART, MOST, clock=clock), clock)


def fifo() -> Run:
    return Run(Fifo())


def overtaken(run: Run) -> int:
    """Calls of a greedy project that end before another project's one call is taken up."""
    for _ in range(100):
        run.push("greedy")
    mine = run.push("modest")
    ended = 0
    while mine not in run.at_work:
        run.finish()
        ended += 1
    return ended


def test_a_call_of_another_project_is_next_however_many_wait() -> None:
    assert overtaken(fair()) <= 1


def test_the_control_without_turns_has_it_wait_for_all() -> None:
    assert overtaken(fifo()) > 90


def test_who_is_alone_leaves_one_thread_for_a_newcomer() -> None:
    run = fair()
    for _ in range(20):
        run.push("greedy")
    assert run.counts() == {"greedy": MOST}
    newcomer = run.push("modest")
    assert newcomer in run.at_work, "before any other call has ended"


def test_while_another_is_about_one_has_its_part_alone() -> None:
    run = fair()
    run.push("modest")
    for _ in range(20):
        run.push("greedy")
    assert run.counts()["greedy"] == PART
    run.finish()
    # It is about still: its next call finds a thread.
    assert run.counts() == {"greedy": PART}
    run.push("modest")
    assert run.counts() == {"greedy": PART, "modest": 1}
    run.finish(run.at_work.index(next(one for one in run.at_work if one.share[0] == "modest")))
    run.clock.now += ABOUT_SECONDS + 0.01
    run.take()
    assert run.counts() == {"greedy": MOST}


def test_who_takes_long_has_a_quarter_of_its_part_while_another_is_about() -> None:
    run = fair()
    for _ in range(20):
        run.push("long")
        run.clock.now += 2 * LONG_SECONDS
        run.finish()
    run.push("short")
    run.finish()
    for _ in range(100):
        run.push("long")
    assert run.counts() == {"long": PART // 4}
    for _ in range(40):
        run.finish()
    assert run.counts() == {"long": PART}, "they took no time any more"


def test_callers_of_one_project_have_turns_too() -> None:
    run = fair()
    for _ in range(100):
        run.push("one", "greedy")
    mine = run.push("one", "modest")
    run.finish()
    assert mine in run.at_work


@pytest.mark.parametrize("others", [1, 3])
def test_the_newest_of_the_greediest_gives_way(others: int) -> None:
    queue: Turns[Item] = Turns(PART, MOST, clock=Clock())
    greedy = [Item(("greedy", ""), 0.0) for _ in range(10)]
    for item in greedy:
        queue.push(item)
    for number in range(others):
        assert queue.drop((f"p{number}", "")) is greedy.pop()
        queue.push(Item((f"p{number}", ""), 0.0))
    assert queue.drop(("greedy", "")) is None, "it may not take from the others"


def test_what_waited_too_long_is_taken_out() -> None:
    queue: Turns[Item] = Turns(PART, MOST, clock=Clock())
    items = [Item((f"p{number % 3}", f"c{number % 2}"), float(number)) for number in range(12)]
    for item in items:
        queue.push(item)
    assert set(queue.late(7.0)) == set(items[:7])
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
    """Nothing is lost or answered twice; a caller's own calls keep their order; no thread idles while one
    waits who may have it; a project whose call was passed over had at least its part."""
    run = fair()
    pushed: list[Item] = []
    taken: list[Item] = []
    last: dict[str, float] = {}
    slow: set[str] = set()
    """Projects of which a call took some time: they may have a quarter of a part."""

    def settle(before: list[Item]) -> None:
        new = [item for item in run.at_work if item not in before]
        taken.extend(new)
        counts = run.counts()
        about = {name for name, at in last.items() if run.clock.now - at <= ABOUT_SECONDS}
        for project in {item.share[0] for item in new}:
            if about - {project}:
                old = sum(item.share[0] == project for item in before)
                assert counts[project] <= max(PART, old)
        waiting = [item for item in pushed if item not in taken]
        assert len(waiting) == len(run.queue)
        if len(run.at_work) < THREADS:
            for item in waiting:
                mine = sum(one.share == item.share for one in run.at_work)
                part = PART // 4 if item.share[0] in slow else PART
                assert max(counts[item.share[0]], mine) >= part, "a thread idles"

    for kind, number, other in steps:
        before = list(run.at_work)
        if kind == "push":
            name = f"p{number}"
            last[name] = run.clock.now
            pushed.append(run.push(name, f"c{other}"))
        elif kind == "finish" and number < len(run.at_work):
            gone = run.at_work[number]
            if gone.began < run.clock.now:
                slow.add(gone.share[0])
            run.finish(number)
            before.remove(gone)
        else:
            run.clock.now += number
            run.take()
        settle(before)
    while run.at_work:
        before = list(run.at_work)
        slow.add(before[0].share[0])
        before.remove(run.finish())
        run.clock.now += ABOUT_SECONDS + 1
        run.take()
        settle(before)
    assert Counter(taken) == Counter(pushed)
    for share in {item.share for item in pushed}:
        assert [i for i in taken if i.share == share] == [i for i in pushed if i.share == share]
