"""Threads for calls with one request, each taken when the request is there.

grpcio takes a thread when a call arrives; the thread asks for the message and waits for it. That costs two
switches of threads a call, and a client that opens calls and sends nothing holds a thread for each. Here
grpc's serving thread asks for the message, and a thread is taken once it came (docs/decisions/0008).

rpc/pending_call.py is one call, rpc/incoming_calls.py who sends, and rpc/fair_queue.py who waits for a
thread. Other insides of grpcio than those of the pinned release show in tests/rpc/test_executor.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import structlog

from orchestration_server.rpc.fair_queue import Turns
from orchestration_server.rpc.incoming_calls import GRACE_SECONDS, SLOW_SECONDS, OnTheWay
from orchestration_server.rpc.pending_call import Arrival, Refusal

log = structlog.get_logger()

WAITING_CALLS = 1_000
WAITING_SECONDS = 5.0
WAITING_BYTES = 64 * 1024 * 1024
"""Requests that wait for a thread, in bytes, above which the next one is refused."""
LEAST_ALONE = 2
"""Threads that one project may have while it is alone, however few there are."""
JOIN_SECONDS = 5.0
"""How long a stop waits for the calls that are still at work when grpc has given them up."""
RECEIVE_SECONDS = 20.0
"""How long a call may take to send its request."""
SLOW_REQUESTS = 16
"""Requests that may take longer than SLOW_SECONDS to come, at once."""

TOO_MANY = Refusal.of("too many calls wait for a thread; try again shortly", "TOO_MANY_CALLS")
TOO_MUCH = Refusal.of(
    "the requests that wait for a thread are too large; try again shortly", "TOO_MANY_CALLS"
)
GAVE_WAY = Refusal.of(
    "too many calls have not sent their request, and this is the oldest; try again shortly", "TOO_MANY_CALLS"
)
TOO_LONG = Refusal.of("no thread came free in time; try again shortly", "WAITED_TOO_LONG")
TOO_SLOW = Refusal.of("the request did not come in time", "SENT_TOO_SLOWLY")


class RequestThreads(ThreadPoolExecutor):
    """The pool of a grpc.server; only for handlers that take one request, not a stream of them.

    Calls whose requests are there wait for a thread, each project and caller in turn; their number, their
    bytes together and their time are bounded. What is above that is refused by grpc's serving thread, or by
    the one that looks after those who wait; no refusal needs a thread of the pool, all of which may be held.

    ``part`` is how many threads one project, or one caller in it, may have while others are about; while none
    are, it may have all but one, which is for the first call of another.
    """

    def __init__(
        self,
        threads: int,
        *,
        name: str,
        part: int | None = None,
        waiting_calls: int = WAITING_CALLS,
        waiting_bytes: int = WAITING_BYTES,
        waiting_seconds: float = WAITING_SECONDS,
        receive_seconds: float = RECEIVE_SECONDS,
        slow_requests: int = SLOW_REQUESTS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        super().__init__(1)  # what grpc expects to be given; that one thread is never started
        self._due: SimpleQueue[bool] = SimpleQueue()
        """True for each call that waits, or did; False for each thread that is to end."""
        self._parked = 0
        """Calls that wait though a thread took note of them: their project has its part."""
        self._turns: Turns[Arrival] = (
            Turns(threads, threads) if part is None else Turns(part, max(LEAST_ALONE, threads - 1))
        )
        self._coming: OnTheWay[Arrival] = OnTheWay(
            most=waiting_calls + threads, most_slow=slow_requests, grace_seconds=grace_seconds
        )
        self._most = waiting_calls
        self._idle = threads
        """Threads that are at no call. A call that finds one does not wait."""
        self._free = waiting_bytes
        self._seconds = waiting_seconds
        self._receive_seconds = receive_seconds
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._workers = [
            threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True) for n in range(threads)
        ]
        self._looker = threading.Thread(target=self._look_after, name=f"{name}-waiting", daemon=True)
        for worker in (*self._workers, self._looker):
            worker.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """What grpc's serving thread calls when a call arrives, with the call's lock held."""
        arrival: Any = Arrival(self, fn, *args)
        look, refusal = arrival.judge()
        other: Arrival | None = None
        if refusal is None and look:
            refusal = self.let_in(arrival)
        elif refusal is None:
            refusal, other = self.expect(arrival)
        if refusal is not None:
            arrival.refuse(refusal)
        if other is not None:
            self.give_way(other)
        # Of the future grpc asks one thing: to be told of its end.
        return arrival  # type: ignore[no-any-return]

    def expect(self, arrival: Arrival) -> tuple[Refusal | None, Arrival | None]:
        """Have a call send its message, with its lock held, or return why not; and who gives way to it."""
        with self._lock:
            # Before its message is taken in; if more are on their way, let_in looks again.
            if self._full() and not self._turns.greedier(arrival.share):
                return TOO_MANY, None
            other = self._coming.add(arrival, time.monotonic())
        if other is arrival:
            return TOO_MANY, None
        arrival.ask()
        return None, other

    def give_way(self, arrival: Arrival) -> None:
        """Refuse a call that gives way to another."""
        arrival.refuse(GAVE_WAY)

    def _full(self) -> bool:
        return len(self._turns) >= self._most + self._idle

    def came(self, arrival: Arrival) -> bool:
        """Take note that a request is there, or never will be. Return False if the call was refused."""
        with self._lock:
            return self._coming.remove(arrival)

    def let_in(self, arrival: Arrival) -> Refusal | None:
        """Have a call answered, or looked up, or return why not."""
        arrival.since = time.monotonic()
        dropped: list[Arrival] = []
        refusal: Refusal | None = None
        with self._lock:
            while refusal is None and (self._full() or arrival.size > self._free):
                # Whoever has the most waiting gives way to others.
                one = self._turns.drop(arrival.share)
                if one is None:
                    refusal = TOO_MANY if self._full() else TOO_MUCH
                else:
                    dropped.append(one)
                    self._left(one)
            if refusal is None:
                self._free -= arrival.size
                self._turns.push(arrival)
        if refusal is None:
            self._due.put(True)
        for one in dropped:
            one.refuse(TOO_MANY)
        return refusal

    def _left(self, arrival: Arrival) -> None:
        """Note that a call waits no more and was not answered; the lock is held."""
        self._free += arrival.size
        if self._parked:
            self._parked -= 1
        else:
            with suppress(Empty):
                self._due.get_nowait()

    def _run(self) -> None:
        while self._due.get():
            with self._lock:
                arrival = self._turns.pop()
                if arrival is None:
                    # It was refused meanwhile, or its project has its part of the threads.
                    self._parked = min(self._parked + 1, len(self._turns))
                    continue
                self._free += arrival.size
                self._idle -= 1
            try:
                arrival.answer()
            except Exception as error:
                log.exception("call failed", exc_info=error)
            with self._lock:
                self._idle += 1
                self._turns.over(arrival)
                self._unpark(1)
            # Or what the call holds would stay until the next one.
            del arrival

    def _unpark(self, most: int) -> None:
        """Have threads look again whether one of the calls that wait may be answered; the lock is held."""
        for _ in range(min(most, self._parked)):
            self._parked -= 1
            self._due.put(True)

    def _look_after(self) -> None:
        """Refuse those who have waited too long, which nothing else would do while all threads are held, and
        those whose request does not come."""
        pause = min(self._seconds / 10, self._receive_seconds / 10, SLOW_SECONDS / 4)
        while not self._ending.wait(pause):
            now = time.monotonic()
            with self._lock:
                slow = self._coming.slow(now) + self._coming.late(now - self._receive_seconds)
                late = self._turns.late(now - self._seconds)
                for arrival in late:
                    self._left(arrival)
                # Others may be about no more.
                self._unpark(self._idle)
            for arrival in late:
                arrival.refuse(TOO_LONG)
            for arrival in slow:
                arrival.refuse(TOO_SLOW)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads after the calls that they are at; the server has stopped before."""
        self._ending.set()
        # It might take what the others are to end by.
        self._looker.join()
        for _ in self._workers:
            self._due.put(False)
        if wait:
            # A call that still waits for something is not waited for: its thread ends with the process.
            end = time.monotonic() + JOIN_SECONDS
            for worker in self._workers:
                worker.join(max(0.0, end - time.monotonic()))
