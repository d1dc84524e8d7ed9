"""The group commit of callers' events: many messages share one insert and one commit."""

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
"""The number of waiting events from which the next group is prepared while one is being stored."""
STORED_AT_ONCE = 2
THREADS = STORED_AT_ONCE + 1
"""One thread more than groups are stored at once prepares the next group."""
ACCEPTED_EVENTS = 20_000
ACCEPTED_BYTES = 64 * 1024 * 1024
"""The limits of accepted events, which are answered before they are stored."""


class Clock:
    """The clock of batches. Tests replace it."""

    def now(self) -> float:
        """Return monotonic seconds."""
        return monotonic()

    def wait(self, changed: threading.Condition, end: float) -> None:
        """Wait until the condition is notified or the time ``end`` has come."""
        changed.wait(None if end == inf else max(0.0, end - self.now()))


@dataclass(slots=True)
class _BatchTimer:
    """The wait of batched messages. It ends with a message that does not wait, by number, or by time."""

    over: bool = False
    events: float = inf
    end: float = inf

    def add(self, message: EmitRequest, clock: Clock) -> None:
        """Add a waiting message."""
        if message.batch is None:
            self.over = True
        else:
            self.events = min(self.events, message.batch.events)
            self.end = min(self.end, clock.now() + message.batch.seconds)

    def is_over(self, waiting: int, clock: Clock) -> bool:
        """Return whether the wait is over, given the number of waiting events."""
        return self.over or waiting >= self.events or (self.end < inf and clock.now() >= self.end)


def _queue_full(*, accepted: bool) -> ResourceExhausted:
    if accepted:
        return ResourceExhausted(
            "too many events are accepted and not stored yet; try again shortly", reason="ACCEPTED_QUEUE_FULL"
        )
    return ResourceExhausted("too many events wait to be stored; try again shortly", reason="EMIT_QUEUE_FULL")


class GroupCommit:
    """The queue of callers' events, and the threads that store them in groups.

    Messages that arrive while a group is being stored become the next group. If enough events wait, the next
    group is prepared at once, and begins as soon as the one before has its transaction id. So two groups are
    stored at a time, in the order in which they were taken. Projects take turns in a group
    (writes/project_queues.py). Messages of one stream keep their order, unless a group has to be written
    again because another writer was first with one of its keys.

    A message that its policy batches waits for others, at most as long as the policy says, and joins the
    first message that does not wait. Accepted messages have a limit of their own.
    """

    def __init__(self, db: Database, wake: Callable[[], None], clock: Clock | None = None) -> None:
        self._db = db
        self._wake = wake
        self._clock = clock or Clock()
        self._waiting = ProjectQueues()
        self._events = self._storing = 0
        """The number of waiting events, and of events that were taken and are not stored yet."""
        self._queue = QueueLimit(QUEUE_EVENTS, QUEUE_BYTES)
        self._accepted = QueueLimit(ACCEPTED_EVENTS, ACCEPTED_BYTES)
        self._acceptance = AcceptedMessages(self._clock.now)
        self._last_stored = 0.0
        """When the last group was stored, by the clock."""
        self._timer = _BatchTimer()
        self._changed = threading.Condition()
        self._taken = self._begun = self._stored = 0
        """The numbers of groups. A group has begun once all later groups must follow it in the log."""
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"group-commit-{n}", daemon=True) for n in range(THREADS)
        ]

    def start(self) -> None:
        """Start the threads, and report the sizes of the queues as metrics."""
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

    def submit(self, message: EmitRequest) -> Future[EmitResult]:
        """Queue a message, and return its answer: once stored, or once accepted if its caller asks for that.

        Raises ResourceExhausted if too many events wait, and ServerStopping after ``close``.
        """
        with self._changed:
            if self._closed:
                raise ServerStopping("the server is stopping")
            limit = self._accepted if message.accepted else self._queue
            if not limit.has_room(message):
                raise _queue_full(accepted=message.accepted)
            limit.add(message)
            answer = message.done
            if message.accepted:
                answer = self._acceptance.add(message, ahead=self._events + self._storing)
            self._waiting.add(message)
            self._events += len(message.drafts)
            self._timer.add(message, self._clock)
            if message.batch is not None or self._due():
                self._changed.notify_all()
        if message.accepted:
            message.done.add_done_callback(lambda done: self._settled(message, done))
        return answer

    def emit(self, message: EmitRequest, call: Call) -> EmitResult:
        """Queue a message and wait for its answer. Raises DeadlineExceeded after the caller's deadline."""
        try:
            return self.submit(message).result(timeout=call.seconds_left())
        except TimeoutError as error:
            raise DeadlineExceeded("the events were not stored in time; they may be yet") from error

    def _settled(self, message: EmitRequest, done: Future[EmitResult]) -> None:
        """Handle the end of an accepted message, which was stored or lost."""
        with self._changed:
            self._accepted.remove(message)
            answered, answers = self._acceptance.remove(message)
        for give in answers:
            give()
        if answered and (error := done.exception()) is not None:
            metrics.EVENTS_ACCEPTED_LOST.inc(len(message.drafts))
            log.warning(
                "accepted events lost", project=message.call.project, events=len(message.drafts),
                correlation_id=message.call.correlation_id, error=error,
            )  # fmt: skip

    def close(self) -> None:
        """Store the waiting messages, then stop the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=10)
        for gauge, _ in self._gauges:
            gauge.forget(self)

    def _due(self) -> bool:
        """Return whether a group is to be taken now."""
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
                # An idle thread would keep them in memory.
                del group, made

    def _begin(self, turn: int) -> None:
        """Let the next group begin. Only the first call for a group has an effect."""
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
        # The messages that are left have waited for this group already.
        self._timer = _BatchTimer(over=bool(self._waiting))
        return group

    def _prepare(self, group: list[EmitRequest]) -> EmitBatch | None:
        """Return the group's rows, or None if the database failed, which storing it will find again."""
        with suppress(Exception), self._db.connection() as conn:
            return EmitBatch(conn, group)
        return None

    def _store(self, group: list[EmitRequest], made: EmitBatch | None, begun: Callable[[], None]) -> None:
        try:
            results = self._commit(group, made, begun)
        except Exception as error:
            # Pending changes may have been logged before the failure.
            self._wake()
            if len(group) > 1 and not isinstance(error, Unavailable):
                for one in group:
                    self._store([one], None, begun)
                return
            self._passed(group)
            failure = error if isinstance(error, LedgerError) else Unavailable("the write failed")
            for one in group:
                one.done.set_exception(failure)
            # The traceback refers to this frame, which keeps the group in memory.
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
        """Stop counting a group, before its callers are answered and send more."""
        events = sum(len(one.drafts) for one in group)
        with self._changed:
            self._storing -= events
            self._acceptance.add_stored(events)

    def _commit(
        self, group: list[EmitRequest], made: EmitBatch | None, begun: Callable[[], None]
    ) -> list[EmitResult | LedgerError]:
        flush = False
        for attempt in range(ATTEMPTS):
            try:
                with self._db.connection() as conn:
                    if flush:
                        made = flush_and_commit(conn, group, begun)
                    else:
                        made = made or EmitBatch(conn, group)
                        made.commit(conn, begun)
                metrics.EVENTS_SAMPLED_OUT.inc(made.sampled_out)
                return made.results
            except PendingChanges:
                flush = True
            except Conflict:
                # Another writer, or the group before, was first with a key, a request_id or a task. From the
                # second time on, the locks of the entities exclude writers of tasks.
                made, flush = None, flush or attempt > 0
        raise Aborted("other writers were first again and again: try again")
