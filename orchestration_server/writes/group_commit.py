"""The group commit of callers' events: many messages, one insert, one commit, each answered after it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from time import monotonic

import structlog

from orchestration_server.db.database import Database
from orchestration_server.errors import (
    Aborted,
    Conflict,
    DeadlineExceeded,
    LedgerError,
    PendingChanges,
    ResourceExhausted,
    ServerStopping,
    Unavailable,
)
from orchestration_server.model import Call
from orchestration_server.telemetry import metrics
from orchestration_server.writes.acceptance import AcceptedMessages
from orchestration_server.writes.batch import EmitBatch, flush_and_commit
from orchestration_server.writes.drafts import EmitRequest, EmitResult
from orchestration_server.writes.gate import ATTEMPTS
from orchestration_server.writes.project_queues import ProjectQueues, QueueLimit

log = structlog.get_logger()

GROUP_EVENTS = 2_000
GROUP_BYTES = 16 * 1024 * 1024
QUEUE_EVENTS = 20_000
QUEUE_BYTES = 64 * 1024 * 1024
AHEAD_EVENTS = 1_000
"""From so many events on, what waits is made ready while the group before is being stored."""
STORED_AT_ONCE = 2
THREADS = STORED_AT_ONCE + 1
"""One more group is made ready."""
ACCEPTED_EVENTS = 20_000
ACCEPTED_BYTES = 64 * 1024 * 1024
"""Of events that were answered before they are stored."""


class Clock:
    """The time by which batches wait."""

    def now(self) -> float:
        """Seconds, from some moment on."""
        return monotonic()

    def wait(self, changed: threading.Condition, end: float) -> None:
        """Waits for a change, or until then."""
        changed.wait(None if end == inf else max(0.0, end - self.now()))


@dataclass(slots=True)
class _BatchTimer:
    """What may wait does so until a message comes that may not, so many events wait, or the time is up."""

    over: bool = False
    events: float = inf
    end: float = inf

    def add(self, emission: EmitRequest, clock: Clock) -> None:
        """Takes a message that waits now into account."""
        if emission.batch is None:
            self.over = True
        else:
            self.events = min(self.events, emission.batch.events)
            self.end = min(self.end, clock.now() + emission.batch.seconds)

    def is_over(self, waiting: int, clock: Clock) -> bool:
        """Whether what waits, so many events, is to be stored."""
        return self.over or waiting >= self.events or (self.end < inf and clock.now() >= self.end)


def _queue_full(*, accepted: bool) -> ResourceExhausted:
    if accepted:
        return ResourceExhausted(
            "too many events are accepted and not stored yet; try again shortly", reason="ACCEPTED_QUEUE_FULL"
        )
    return ResourceExhausted("too many events wait to be stored; try again shortly", reason="EMIT_QUEUE_FULL")


class GroupCommit:
    """Concurrent emits share one insert and one commit; each is answered after it.

    While a group is being stored, what comes becomes the next one. Where enough for a group waits already, it
    is taken at once, made into rows, and begun as soon as the one before has its transaction id: two are then
    stored side by side, in the order in which they were taken. Each project has its part of a group, if more
    than one has messages waiting (writes/project_queues.py). Messages of one stream stand in their order, but
    where the earlier one's group has to be written again, as when someone else was first with a key of it.

    A message that is to be batched waits for others, but no longer than its policy says, and goes along with
    the first that does not wait. What was accepted, and answered so, has room of its own.
    """

    def __init__(self, db: Database, wake: Callable[[], None], clock: Clock | None = None) -> None:
        self._db = db
        self._wake = wake
        self._clock = clock or Clock()
        self._waiting = ProjectQueues()
        self._events = self._storing = 0
        """Those that wait, and those that were taken and are not stored."""
        self._queue = QueueLimit(QUEUE_EVENTS, QUEUE_BYTES)
        self._accepted = QueueLimit(ACCEPTED_EVENTS, ACCEPTED_BYTES)
        self._acceptance = AcceptedMessages(self._clock.now)
        self._last_stored = 0.0
        """When the last group was, by the clock."""
        self._timer = _BatchTimer()
        self._changed = threading.Condition()
        self._taken = self._begun = self._stored = 0
        """Groups, counted. A group has begun when those after it can only come after it in the log."""
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"group-commit-{n}", daemon=True) for n in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()
        for gauge, read in self._gauges:
            gauge.watch(self, read)

    @property
    def _gauges(self) -> tuple[tuple[metrics.Sampled, Callable[[], metrics.Readings]], ...]:
        return (
            (metrics.EMIT_QUEUE_EVENTS, lambda: {"": self._queue.events}),
            (metrics.EMIT_QUEUE_BYTES, lambda: {"": self._queue.bytes}),
            (metrics.EVENTS_ACCEPTED_QUEUE, lambda: {"": self._accepted.events}),
        )

    def submit(self, emission: EmitRequest) -> Future[EmitResult]:
        """Queues a message, which is answered once it is stored, or accepted if its caller wants that.

        RESOURCE_EXHAUSTED where too much waits already.
        """
        with self._changed:
            if self._closed:
                raise ServerStopping("the server is stopping")
            limit = self._accepted if emission.accepted else self._queue
            if not limit.has_room(emission):
                raise _queue_full(accepted=emission.accepted)
            limit.add(emission)
            answer = emission.done
            if emission.accepted:
                answer = self._acceptance.add(emission, ahead=self._events + self._storing)
            self._waiting.add(emission)
            self._events += len(emission.drafts)
            self._timer.add(emission, self._clock)
            if emission.batch is not None or self._due():
                self._changed.notify_all()
        if emission.accepted:
            emission.done.add_done_callback(lambda done: self._settled(emission, done))
        return answer

    def emit(self, emission: EmitRequest, call: Call) -> EmitResult:
        """Queues a message and waits for its answer, no longer than its caller does."""
        try:
            return self.submit(emission).result(timeout=call.seconds_left())
        except TimeoutError as error:
            raise DeadlineExceeded("the events were not stored in time; they may be yet") from error

    def _settled(self, emission: EmitRequest, done: Future[EmitResult]) -> None:
        """After what was accepted is stored, or lost."""
        with self._changed:
            self._accepted.remove(emission)
            answered, answers = self._acceptance.remove(emission)
        for give in answers:
            give()
        if answered and (error := done.exception()) is not None:
            metrics.EVENTS_ACCEPTED_LOST.inc(len(emission.drafts))
            log.warning(
                "accepted events lost", project=emission.call.project, events=len(emission.drafts),
                correlation_id=emission.call.correlation_id, error=error,
            )  # fmt: skip

    def close(self) -> None:
        """Stores what waits, then ends."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=10)
        for gauge, _ in self._gauges:
            gauge.forget(self)

    def _due(self) -> bool:
        """Whether a group is to be taken now."""
        if not self._waiting or not (self._closed or self._timer.is_over(self._events, self._clock)):
            return False
        return self._taken == self._stored or (self._events >= AHEAD_EVENTS and self._taken == self._begun)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due() and not (self._closed and not self._waiting):
                    self._clock.wait(self._changed, self._timer.end if self._waiting else inf)
                if not self._waiting:
                    return
                turn = self._taken
                self._taken += 1
                group = self._take()
                began = self._clock.now()
            made = self._prepare(group)
            with self._changed:
                while self._begun != turn or turn - self._stored >= STORED_AT_ONCE:
                    self._changed.wait()
            try:
                self._store(group, made, partial(self._begin, turn))
            finally:
                self._begin(turn)
                with self._changed:
                    now = self._clock.now()
                    events = sum(len(one.drafts) for one in group)
                    self._acceptance.add_rate(events, now - max(began, self._last_stored))
                    self._last_stored = now
                    self._stored += 1
                    self._changed.notify_all()
                # Or an idle thread would keep them.
                del group, made

    def _begin(self, turn: int) -> None:
        """Lets the next group begin; the first time that it is called for a group."""
        with self._changed:
            if self._begun == turn:
                self._begun += 1
                self._changed.notify_all()

    def _take(self) -> list[EmitRequest]:
        group = self._waiting.take(GROUP_EVENTS, GROUP_BYTES)
        events = sum(len(one.drafts) for one in group)
        self._events -= events
        self._storing += events
        for one in group:
            if not one.accepted:
                self._queue.remove(one)
        # What is left has waited for this group already.
        self._timer = _BatchTimer(over=bool(self._waiting))
        return group

    def _prepare(self, group: list[EmitRequest]) -> EmitBatch | None:
        """The group's rows; None where the database did not answer, which storing it will meet again."""
        with suppress(Exception), self._db.connection() as conn:
            return EmitBatch(conn, group)
        return None

    def _store(self, group: list[EmitRequest], made: EmitBatch | None, begun: Callable[[], None]) -> None:
        try:
            results = self._commit(group, made, begun)
        except Exception as error:
            # What was held may have been told of before it failed.
            self._wake()
            if len(group) > 1 and not isinstance(error, Unavailable):
                for one in group:
                    self._store([one], None, begun)
                return
            self._passed(group)
            failure = error if isinstance(error, LedgerError) else Unavailable("the write failed")
            for one in group:
                one.done.set_exception(failure)
            # Its traceback holds this frame, and with it the group.
            del failure
            return
        self._wake()
        self._passed(group)
        for one, result in zip(group, results, strict=True):
            if isinstance(result, EmitResult):
                one.done.set_result(result)
            else:
                one.done.set_exception(result)

    def _passed(self, group: list[EmitRequest]) -> None:
        """Note that a group waits no more, before its callers are answered and send the next messages."""
        events = sum(len(one.drafts) for one in group)
        with self._changed:
            self._storing -= events
            self._acceptance.add_stored(events)

    def _commit(
        self, group: list[EmitRequest], made: EmitBatch | None, begun: Callable[[], None]
    ) -> list[EmitResult | LedgerError]:
        held = False
        for attempt in range(ATTEMPTS):
            try:
                with self._db.connection() as conn:
                    if held:
                        made = flush_and_commit(conn, group, begun)
                    else:
                        made = made or EmitBatch(conn, group)
                        made.commit(conn, begun)
                metrics.EVENTS_SAMPLED_OUT.inc(made.sampled_out)
                return made.results
            except PendingChanges:
                held = True
            except Conflict:
                # Another writer, or the group before, was first with a key, a request_id or a task. The
                # locks of the entities keep writers of tasks away.
                made, held = None, held or attempt > 0
        raise Aborted("other writers were first again and again: try again")
