"""Claims that wait for a ready task, without a thread and without a connection each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import structlog

from orchestration_server.errors import LedgerError, ResourceExhausted, ServerStopping, Unavailable
from orchestration_server.telemetry import metrics

log = structlog.get_logger()

MAX_WAITING = 10_000
POLL_SECONDS = 0.25
"""The longest time until a waiting claim sees what no wake told of, such as a time that passed."""
COALESCE_SECONDS = 0.002
"""The shortest time between two rounds, whatever the number of wakes."""


@dataclass(eq=False, slots=True)
class WaitingClaim:
    """A claim that waits. ``attempt`` returns its response, or None if no task is ready for it."""

    kind: Callable[[], Hashable]
    """Returns what claims share that would get the same tasks: if one gets none, the others need not try."""
    until: float
    """The ``time.monotonic()`` moment at which it is answered without a task."""
    attempt: Callable[[], bytes | None]
    answer: Callable[[bytes | None, LedgerError | None], None]
    left: threading.Event = field(default_factory=threading.Event)
    """Set if the caller has left."""


class WaitingClaims:
    """The waiting claims of one process, served in the order of their arrival by one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[WaitingClaim, None] = {}
        self._due = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="waiting-claims", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add(self, claim: WaitingClaim) -> None:
        """Let a claim wait. Raises ResourceExhausted if too many wait, ServerStopping after ``stop``."""
        with self._lock:
            if self._closed:
                raise ServerStopping("the server is stopping; claim again at another one")
            if len(self._waiting) >= MAX_WAITING:
                raise ResourceExhausted(
                    "too many claims wait on this server", reason="TOO_MANY_WAITING_CLAIMS", retry_after=1
                )
            self._waiting[claim] = None
        metrics.CLAIMS_WAITING.set(len(self._waiting))
        # What became ready since its first attempt told no waiting claim.
        self._due.set()

    def wake(self) -> None:
        """Try the waiting claims soon. It does not wait."""
        if self._waiting:
            self._due.set()

    def stop(self) -> None:
        """Answer all waiting claims with ServerStopping, and accept no more."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = list(self._waiting), {}
        self._due.set()
        for claim in waiting:
            claim.answer(None, ServerStopping("the server is stopping; claim again at another one"))

    def close(self) -> None:
        """End the thread."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._closed:
            self._due.wait(POLL_SECONDS if self._waiting else None)
            self._due.clear()
            try:
                self._round()
            except Exception:
                log.exception("waiting claims failed")
            time.sleep(COALESCE_SECONDS)

    def _round(self) -> None:
        """Try each waiting claim once, but no kind again that got no task."""
        fruitless: set[Hashable] = set()
        for claim in list(self._waiting):
            if claim.left.is_set():
                self._remove(claim)
            elif (kind := claim.kind()) not in fruitless:
                if not self._serve(claim):
                    fruitless.add(kind)
            elif self._clock() >= claim.until and self._remove(claim):
                claim.answer(None, None)
        metrics.CLAIMS_WAITING.set(len(self._waiting))

    def _serve(self, claim: WaitingClaim) -> bool:
        """Try a claim and answer it if it got a task or failed. Return False if no task is ready for it."""
        try:
            response = claim.attempt()
        except (Unavailable, ResourceExhausted):
            # It waits on: the database may be back before its time is over.
            response = None
        except LedgerError as error:
            if self._remove(claim):
                claim.answer(None, error)
            return True
        if response is None:
            if self._clock() >= claim.until and self._remove(claim):
                claim.answer(None, None)
            return False
        self._remove(claim)
        claim.answer(response, None)
        return True

    def _remove(self, claim: WaitingClaim) -> bool:
        with self._lock:
            return self._waiting.pop(claim, claim) is None
