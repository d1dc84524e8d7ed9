"""Answers to messages that ask for DURABILITY_ACCEPTED: at once, unless too much was answered already.

A crash loses what was answered and is not stored yet. So the server answers nothing that has more before it
than the database stores in ACCEPTED_SECONDS, by what it stored lately, and nothing while the oldest that was
answered has waited for that long. A message that is held back is stored with the others, and answered once
there is room or it is stored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from orchestration_server.writes.drafts import EmitRequest, EmitResult

ACCEPTED_SECONDS = 0.1
"""For how long answered events may wait in memory before no others are answered."""
FIRST_RATE = 10_000.0
"""Events a second, until the first group was stored."""
SHARE = 0.3
"""The weight of the last group in the rate."""


class AcceptedMessages:
    """The accepted messages that are not stored yet. GroupCommit's lock guards it, but for futures.

    A message that waits for a batch is answered at once and not counted: its policy says how long it waits.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._answered: dict[int, tuple[EmitRequest, float]] = {}
        """The messages answered, the first one first, and when."""
        self._events = 0
        """Of those."""
        self._stored = 0
        """Events, of all messages, those that failed too."""
        self._deferred: deque[tuple[EmitRequest, Future[EmitResult], int]] = deque()
        """The messages, their answers, and what ``_stored`` is when it is their turn."""
        self._rate = FIRST_RATE

    def add(self, emission: EmitRequest, *, ahead: int = 0) -> Future[EmitResult]:
        """Take a message in. Its answer is ready at once if it may be given now.

        ``ahead`` is how many events before it are not stored.
        """
        answer: Future[EmitResult] = Future()
        if emission.batch is not None:
            answer.set_result(emission.accept())
        elif not self._deferred and self._has_room(emission, ahead):
            self._count(emission)
            answer.set_result(emission.accept())
        else:
            self._deferred.append((emission, answer, self._stored + ahead))
        return answer

    def remove(self, emission: EmitRequest) -> tuple[bool, list[Callable[[], None]]]:
        """Take a message out that is stored, or failed.

        Return whether it was answered, and what gives the answers that are due now, without the lock.
        """
        answered = emission.batch is not None
        if self._answered.pop(id(emission), None) is not None:
            self._events -= len(emission.drafts)
            answered = True
        answers = list(self._pop_own(emission))
        while self._deferred:
            one, answer, turn = self._deferred[0]
            if not self._has_room(one, turn - self._stored):
                break
            self._deferred.popleft()
            self._count(one)
            answers.append(_answer_later(answer, one))
        return answered, answers

    def add_stored(self, events: int) -> None:
        """Say that so many events were stored, or failed: before those that were accepted are taken out."""
        self._stored += events

    def add_rate(self, events: int, seconds: float) -> None:
        """Take into account how fast a group was stored."""
        if events and seconds > 0:
            self._rate += SHARE * (events / seconds - self._rate)

    def _pop_own(self, emission: EmitRequest) -> Iterator[Callable[[], None]]:
        """What answers a message that was held back until it was stored: one of the first, as a rule."""
        for place, (one, answer, _) in enumerate(self._deferred):
            if one is emission:
                del self._deferred[place]
                yield _answer_later(answer, one)
                return

    def _has_room(self, emission: EmitRequest, ahead: int) -> bool:
        most = self._rate * ACCEPTED_SECONDS
        if ahead > most or not self._answered:
            return ahead <= most
        _, since = next(iter(self._answered.values()))
        return self._events + len(emission.drafts) <= most and self._now() - since < ACCEPTED_SECONDS

    def _count(self, emission: EmitRequest) -> None:
        self._answered[id(emission)] = emission, self._now()
        self._events += len(emission.drafts)


def _answer_later(answer: Future[EmitResult], emission: EmitRequest) -> Callable[[], None]:
    def give() -> None:
        error = emission.done.exception() if emission.done.done() else None
        if error is None:
            answer.set_result(emission.accept())
        else:
            answer.set_exception(error)

    return give
