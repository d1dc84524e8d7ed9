"""The group commit of callers' events: many messages, one insert, one commit, each answered after it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from orchestration_server.db import Database
from orchestration_server.emission import Emission, Emitted
from orchestration_server.emission_group import Group
from orchestration_server.errors import (
    Aborted,
    Conflict,
    LedgerError,
    ResourceExhausted,
    Unavailable,
)
from orchestration_server.gate import ATTEMPTS

GROUP_EVENTS = 2_000
GROUP_BYTES = 16 * 1024 * 1024
QUEUE_EVENTS = 20_000
QUEUE_BYTES = 64 * 1024 * 1024
AHEAD_EVENTS = 1_000
"""From so many events on, what waits is made ready while the group before is being stored."""
STORED_AT_ONCE = 2
THREADS = STORED_AT_ONCE + 1
"""One more group is made ready."""


class GroupCommit:
    """Concurrent emits share one insert and one commit; each is answered after it.

    While a group is being stored, what comes becomes the next one. Where enough for a group waits already, it
    is taken at once, made into rows, and begun as soon as the one before has its transaction id: two are then
    stored side by side, in the order in which they were taken. Messages of one stream stand in theirs, but
    where the earlier one's group has to be written again, as when someone else was first with a key of it.
    """

    def __init__(self, db: Database, wake: Callable[[], None]) -> None:
        self._db = db
        self._wake = wake
        self._waiting: deque[Emission] = deque()
        self._events = self._bytes = 0
        self._changed = threading.Condition()
        self._taken = self._begun = self._stored = 0
        """Groups, counted. A group has begun when those after it can only come after it in the log."""
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"group-commit-{n}", daemon=True) for n in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, emission: Emission) -> Future[Emitted]:
        """Queues a message. RESOURCE_EXHAUSTED where too much waits already."""
        with self._changed:
            if self._closed:
                raise Unavailable("the server is stopping")
            full = self._events + len(emission.drafts) > QUEUE_EVENTS
            if full or (self._bytes and self._bytes + emission.size > QUEUE_BYTES):
                raise ResourceExhausted(
                    "too many events wait to be stored; try again shortly", reason="EMIT_QUEUE_FULL"
                )
            self._waiting.append(emission)
            self._events += len(emission.drafts)
            self._bytes += emission.size
            if self._due():
                self._changed.notify_all()
        return emission.done

    def close(self) -> None:
        """Stores what waits, then ends."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=10)

    def _due(self) -> bool:
        """Whether a group is to be taken now."""
        alone = self._taken == self._stored
        return bool(self._waiting) and (
            alone or (self._events >= AHEAD_EVENTS and self._taken == self._begun)
        )

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due() and not (self._closed and not self._waiting):
                    self._changed.wait()
                if not self._waiting:
                    return
                turn = self._taken
                self._taken += 1
                group = self._take()
            made = self._made(group)
            with self._changed:
                while self._begun != turn or turn - self._stored >= STORED_AT_ONCE:
                    self._changed.wait()
            try:
                self._store(group, made, lambda turn=turn: self._begin(turn))  # type: ignore[misc]  # bound now
            finally:
                self._begin(turn)
                with self._changed:
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

    def _take(self) -> list[Emission]:
        group: list[Emission] = []
        events = size = 0
        seen: set[tuple[str, str]] = set()
        while self._waiting and events < GROUP_EVENTS and size < GROUP_BYTES:
            head = self._waiting[0]
            key = (head.call.project, head.request.request_id)
            if head.request.request_id and key in seen:
                break
            seen.add(key)
            group.append(self._waiting.popleft())
            events += len(head.drafts)
            size += head.size
        self._events -= events
        self._bytes -= size
        return group

    def _made(self, group: list[Emission]) -> Group | None:
        """The group's rows; None where the database did not answer, which storing it will meet again."""
        with suppress(Exception), self._db.connection() as conn:
            return Group(conn, group)
        return None

    def _store(self, group: list[Emission], made: Group | None, begun: Callable[[], None]) -> None:
        try:
            results = self._commit(group, made, begun)
        except Exception as error:
            if len(group) > 1 and not isinstance(error, Unavailable):
                for one in group:
                    self._store([one], None, begun)
                return
            failure = error if isinstance(error, LedgerError) else Unavailable("the write failed")
            for one in group:
                one.done.set_exception(failure)
            # Its traceback holds this frame, and with it the group.
            del failure
            return
        self._wake()
        for one, result in zip(group, results, strict=True):
            if isinstance(result, Emitted):
                one.done.set_result(result)
            else:
                one.done.set_exception(result)

    def _commit(
        self, group: list[Emission], made: Group | None, begun: Callable[[], None]
    ) -> list[Emitted | LedgerError]:
        for _ in range(ATTEMPTS):
            try:
                with self._db.connection() as conn:
                    made = made or Group(conn, group)
                    made.commit(conn, begun)
                    return made.results
            except Conflict:
                # Someone else, or the group before, was first with a key or a request_id.
                made = None
        raise Aborted("other writers were first again and again: try again")
