"""Accepted messages that are not stored yet are bounded in time. The tests move the clock."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.v1 import event_pb2
from orchestration_server.errors import Unavailable
from orchestration_server.model import Call
from orchestration_server.rules.emission import AT_ONCE
from orchestration_server.writes import acceptance
from orchestration_server.writes.acceptance import ACCEPTED_SECONDS, AcceptedMessages
from orchestration_server.writes.drafts import EmitRequest, EmitResult
from tests.support import factories
from tests.support.clock import FakeClock

RATE = 1_000.0


class Queue:
    """Messages in the order in which they are stored, with the answers of their callers."""

    def __init__(self, seconds: FakeClock) -> None:
        self.seconds = seconds
        self.acceptance = AcceptedMessages(seconds)
        self.waiting: list[tuple[EmitRequest, Future[EmitResult]]] = []
        self.answered_at: dict[int, float] = {}
        self.lost_after: list[float] = []

    def submit(self, events: int) -> Future[EmitResult]:
        request = event_pb2.EmitEventsRequest(
            request_id="r", events=[factories.event()] * events, durability=event_pb2.DURABILITY_ACCEPTED
        )
        emission = EmitRequest.from_message(Call(""), request, request.events, AT_ONCE)
        answer = self.acceptance.add(emission)
        self.waiting.append((emission, answer))
        self._look()
        return answer

    def store(self, count: int = 1, error: Exception | None = None) -> None:
        for emission, _ in self.waiting[:count]:
            if error is None:
                emission.done.set_result(emission.accept())
            else:
                emission.done.set_exception(error)
            _, answers = self.acceptance.remove(emission)
            for give in answers:
                give()
        stored, self.waiting = self.waiting[:count], self.waiting[count:]
        self._look()
        assert all(answer.done() for _, answer in stored)

    def _look(self) -> None:
        for emission, answer in self.waiting:
            if answer.done():
                self.answered_at.setdefault(id(emission), self.seconds.now)

    def unstored(self) -> list[tuple[int, float]]:
        """Return the events of each message that is answered and not stored, and when it was answered."""
        return [
            (len(emission.drafts), self.answered_at[id(emission)])
            for emission, answer in self.waiting
            if answer.done()
        ]


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setattr(acceptance, "FIRST_RATE", RATE)
    return Queue(FakeClock())


def test_answered_events_can_be_stored_in_time(queue: Queue) -> None:
    answers = [queue.submit(10) for _ in range(12)]
    assert [answer.done() for answer in answers] == [True] * 10 + [False] * 2
    queue.store()
    assert [answer.done() for answer in answers] == [True] * 11 + [False]
    assert answers[0].result().accepted == 10


def test_no_message_is_answered_while_the_oldest_is_late(queue: Queue) -> None:
    first = queue.submit(1)
    queue.seconds.now += ACCEPTED_SECONDS
    second, third = queue.submit(1), queue.submit(1)
    assert (first.done(), second.done(), third.done()) == (True, False, False)
    queue.store()
    assert (second.done(), third.done()) == (True, True)


def test_a_deferred_message_is_answered_when_it_is_stored_or_failed(queue: Queue) -> None:
    answers = [queue.submit(80) for _ in range(3)]
    queue.store(2)
    assert answers[1].result(0).accepted == 80
    assert answers[2].done()
    late = queue.submit(80)
    queue.store(1)
    queue.submit(80)
    queue.store(1, Unavailable())
    assert late.result(0).accepted == 80


def test_a_message_that_fails_before_it_was_answered_fails_its_caller(queue: Queue) -> None:
    queue.submit(80)
    held_back = queue.submit(80)
    emission, _ = queue.waiting.pop()
    emission.done.set_exception(Unavailable())
    answered, answers = queue.acceptance.remove(emission)
    for give in answers:
        give()
    assert not answered
    with pytest.raises(Unavailable):
        held_back.result(0)


def test_no_message_is_answered_behind_too_many_events(queue: Queue) -> None:
    most = int(RATE * ACCEPTED_SECONDS)
    request = event_pb2.EmitEventsRequest(
        events=[factories.event()], durability=event_pb2.DURABILITY_ACCEPTED
    )
    one, other = (EmitRequest.from_message(Call(""), request, request.events, AT_ONCE) for _ in range(2))
    assert queue.acceptance.add(one, ahead=most).done()
    held_back = queue.acceptance.add(other, ahead=most + 2)
    assert not held_back.done()
    queue.acceptance.add_stored(2)
    _, answers = queue.acceptance.remove(one)
    assert len(answers) == 1
    answers[0]()
    assert held_back.result(0).accepted == 1


def test_the_bound_follows_the_rate_of_the_database(queue: Queue) -> None:
    for _ in range(100):
        queue.acceptance.add_rate(100, 1.0)
    assert [queue.submit(5).done() for _ in range(3)] == [True, True, False]
    queue.acceptance.add_rate(100, 0.0)
    assert [queue.submit(5).done() for _ in range(1)] == [False]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(1, 60)),
        st.tuples(st.just("store"), st.integers(1, 5)),
        st.tuples(st.just("wait"), st.sampled_from([0.01, 0.05, 0.2])),
    ),
    max_size=60,
)


@given(STEPS)
def test_a_crash_at_any_moment_loses_little(steps: list[tuple[str, Any]]) -> None:
    """The promise: a message is answered alone, or beside few others, all of which are recent."""
    queue = Queue(FakeClock())
    queue.acceptance._rate = RATE
    for step, value in steps:
        known = len(queue.answered_at)
        if step == "wait":
            queue.seconds.now += value
        elif step == "store":
            queue.store(value)
        else:
            queue.submit(value)
        unstored = queue.unstored()
        if len(queue.answered_at) > known and len(unstored) > 1:
            assert sum(events for events, _ in unstored) <= RATE * ACCEPTED_SECONDS
            assert queue.seconds.now - min(at for _, at in unstored) < ACCEPTED_SECONDS
    queue.store(len(queue.waiting))
    assert not queue.unstored()
