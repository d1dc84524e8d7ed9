"""Early answers to messages that ask for DURABILITY_ACCEPTED.

A crash loses events that were answered and not stored yet. So the server answers a message early only if the
database can store all events before it within ACCEPTED_SECONDS, by its recent rate, and if no answered
message has waited for that long. Other messages are deferred: they are answered once there is room, or once
they are stored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from orchestration_server.writes.drafts import EmitRequest, EmitResult

ACCEPTED_SECONDS = 0.1
"""The longest that answered events may wait in memory before the server stops answering early."""
FIRST_RATE = 10_000.0
"""The assumed rate, in events a second, until the first group is stored."""
SHARE = 0.3
"""The weight of the newest group in the rate."""


class AcceptedMessages:
    """The accepted messages that are not stored yet. GroupCommit's lock guards all of it except the futures.

    A message that waits for a batch is answered at once and not counted, since its policy bounds its wait.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._answered: dict[int, tuple[EmitRequest, float]] = {}
        """The answered messages with the times of their answers, the oldest first."""
        self._events = 0
        """The number of events of the answered messages."""
        self._stored = 0
        """The number of events of all messages that were stored or failed."""
        self._deferred: deque[tuple[EmitRequest, Future[EmitResult], int]] = deque()
        """The deferred messages, their answers, and the value of ``_stored`` at their turn."""
        self._rate = FIRST_RATE

    def add(self, message: EmitRequest, *, ahead: int = 0) -> Future[EmitResult]:
        """Add a message, and return its answer, which is done already if the server answers early.

        ``ahead`` is the number of events before it that are not stored.
        """
        answer: Future[EmitResult] = Future()
        if message.batch is not None:
            answer.set_result(message.accept())
        elif not self._deferred and self._has_room(message, ahead):
            self._count(message)
            answer.set_result(message.accept())
        else:
            self._deferred.append((message, answer, self._stored + ahead))
        return answer

    def remove(self, message: EmitRequest) -> tuple[bool, list[Callable[[], None]]]:
        """Remove a message that is stored or failed.

        Return whether it was answered early, and functions that give the answers which are due now. Call them
        without the lock.
        """
        answered = message.batch is not None
        if self._answered.pop(id(message), None) is not None:
            self._events -= len(message.drafts)
            answered = True
        answers = list(self._pop_own(message))
        while self._deferred:
            one, answer, turn = self._deferred[0]
            if not self._has_room(one, turn - self._stored):
                break
            self._deferred.popleft()
            self._count(one)
            answers.append(_answer_later(answer, one))
        return answered, answers

    def add_stored(self, events: int) -> None:
        """Add to the number of events that were stored or failed. Call it before ``remove``."""
        self._stored += events

    def add_rate(self, events: int, seconds: float) -> None:
        """Add the rate at which a group was stored to the average."""
        if events and seconds > 0:
            self._rate += SHARE * (events / seconds - self._rate)

    def _pop_own(self, message: EmitRequest) -> Iterator[Callable[[], None]]:
        """Yield the answer of a message that was deferred until it was stored."""
        for index, (one, answer, _) in enumerate(self._deferred):
            if one is message:
                del self._deferred[index]
                yield _answer_later(answer, one)
                return

    def _has_room(self, message: EmitRequest, ahead: int) -> bool:
        most = self._rate * ACCEPTED_SECONDS
        if ahead > most or not self._answered:
            return ahead <= most
        _, since = next(iter(self._answered.values()))
        return self._events + len(message.drafts) <= most and self._now() - since < ACCEPTED_SECONDS

    def _count(self, message: EmitRequest) -> None:
        self._answered[id(message)] = message, self._now()
        self._events += len(message.drafts)


def _answer_later(answer: Future[EmitResult], message: EmitRequest) -> Callable[[], None]:
    def give() -> None:
        error = message.done.exception() if message.done.done() else None
        if error is None:
            answer.set_result(message.accept())
        else:
            answer.set_exception(error)

    return give
