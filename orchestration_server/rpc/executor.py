"""The thread pool of calls with one request, which takes a thread once the request is there.

grpcio takes a thread when a call arrives, and the thread waits for the request. That costs two thread
switches a call, and a client that opens calls and sends nothing holds a thread for each. Here grpc's serving
thread receives the request, and the call gets a thread afterwards (docs/decisions/0008).

rpc/pending_call.py is one call, rpc/incoming_calls.py holds the calls whose request is still to come, and
rpc/fair_queue.py those that wait for a thread. tests/unit/test_library_internals.py names the private parts
of grpcio that this depends on.
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

from orchestration_server.rpc.fair_queue import FairQueue
from orchestration_server.rpc.incoming_calls import GRACE_SECONDS, SLOW_SECONDS, IncomingCalls
from orchestration_server.rpc.pending_call import PendingCall, StaticStatus

log = structlog.get_logger()

WAITING_CALLS = 1_000
WAITING_SECONDS = 5.0
WAITING_BYTES = 64 * 1024 * 1024
"""Bytes of requests that wait for a thread, above which the next request is refused."""
MIN_THREADS_ALONE = 2
"""Threads that a project may use while it is alone, even in a small pool."""
JOIN_SECONDS = 5.0
"""The longest wait of a shutdown for calls that still run after grpc has given them up."""
RECEIVE_SECONDS = 20.0
"""The longest time that a call may take to send its request."""
SLOW_REQUESTS = 16
"""Requests that may take longer than SLOW_SECONDS to arrive, at once."""

TOO_MANY = StaticStatus.exhausted("too many calls wait for a thread; try again shortly", "TOO_MANY_CALLS")
TOO_MUCH = StaticStatus.exhausted(
    "the requests that wait for a thread are too large; try again shortly", "TOO_MANY_CALLS"
)
DISPLACED = StaticStatus.exhausted(
    "too many calls have not sent their request, and this is the oldest; try again shortly", "TOO_MANY_CALLS"
)
TOO_LONG = StaticStatus.exhausted("no thread came free in time; try again shortly", "WAITED_TOO_LONG")
TOO_SLOW = StaticStatus.exhausted("the request did not come in time", "SENT_TOO_SLOWLY")


class RequestExecutor(ThreadPoolExecutor):
    """The pool of a ``grpc.server`` whose methods take one request, not a stream of requests.

    Calls wait for a thread in a fair queue. Their number, their bytes and their time in the queue are
    bounded. A call above a bound is refused on grpc's serving thread or on the reaper's, never on a thread
    of the pool, since all of those may be in use.

    Args:
        threads: The size of the pool.
        name: The prefix of the names of its threads.
        contended_threads: How many threads a project, or a caller in it, may use while others are active. A
            project that is alone may use all but one, which is for the first call of another. None turns
            this bound off.
        waiting_calls: How many calls may wait for a thread.
        waiting_bytes: How many bytes their requests may have together.
        waiting_seconds: How long a call may wait.
        receive_seconds: How long a call may take to send its request.
        slow_requests: How many requests may take longer than SLOW_SECONDS, at once.
        grace_seconds: The age below which a call that has sent nothing is not displaced by its own peer.
    """

    def __init__(
        self,
        threads: int,
        *,
        name: str,
        contended_threads: int | None = None,
        waiting_calls: int = WAITING_CALLS,
        waiting_bytes: int = WAITING_BYTES,
        waiting_seconds: float = WAITING_SECONDS,
        receive_seconds: float = RECEIVE_SECONDS,
        slow_requests: int = SLOW_REQUESTS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        super().__init__(1)  # grpc expects a ThreadPoolExecutor; its one thread never starts
        self._wakeups: SimpleQueue[bool] = SimpleQueue()
        """True for each call that was queued and not parked; False for each thread that is to end."""
        self._parked = 0
        """Calls in the queue that no wakeup stands for, since their project is at its bound."""
        self._queue: FairQueue[PendingCall] = (
            FairQueue(threads, threads)
            if contended_threads is None
            else FairQueue(contended_threads, max(MIN_THREADS_ALONE, threads - 1))
        )
        self._receiving: IncomingCalls[PendingCall] = IncomingCalls(
            max_calls=waiting_calls + threads, max_slow=slow_requests, grace_seconds=grace_seconds
        )
        self._max_waiting = waiting_calls
        self._idle_count = threads
        """Threads without a call. A call that finds one does not count as waiting."""
        self._free_bytes = waiting_bytes
        self._waiting_seconds = waiting_seconds
        self._receive_seconds = receive_seconds
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._pool_threads = [
            threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True) for n in range(threads)
        ]
        self._reaper = threading.Thread(target=self._reap, name=f"{name}-waiting", daemon=True)
        self._started: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads. Calls that arrive before wait in the queue."""
        for thread in (self._reaper, *self._pool_threads):
            thread.start()
            self._started.append(thread)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Take in a call. grpc's serving thread calls this, with the call's lock held."""
        call: Any = PendingCall(self, fn, *args)
        needs_lookup, status = call.identify()
        displaced: PendingCall | None = None
        if status is None and needs_lookup:
            status = self.enqueue(call)
        elif status is None:
            status, displaced = self.receive(call)
        if status is not None:
            call.refuse(status)
        if displaced is not None:
            self.refuse_displaced(displaced)
        # grpc uses one method of the future: add_done_callback.
        return call  # type: ignore[no-any-return]

    def receive(self, call: PendingCall) -> tuple[StaticStatus | None, PendingCall | None]:
        """Start to receive the request of a call whose lock the caller holds.

        Return the status if the call is refused, and the call that is displaced by this one, if any.
        """
        with self._lock:
            # Refuse before the request is received; enqueue checks the bound again.
            if self._is_full() and not self._queue.other_has_more(call.share):
                return TOO_MANY, None
            displaced = self._receiving.add(call, time.monotonic())
        if displaced is call:
            return TOO_MANY, None
        call.start_receiving()
        return None, displaced

    def refuse_displaced(self, call: PendingCall) -> None:
        """Refuse a call that was displaced by another."""
        call.refuse(DISPLACED)

    def _is_full(self) -> bool:
        return len(self._queue) >= self._max_waiting + self._idle_count

    def received(self, call: PendingCall) -> bool:
        """Note that the receive operation has ended. Return False if the call was refused meanwhile."""
        with self._lock:
            return self._receiving.remove(call)

    def enqueue(self, call: PendingCall) -> StaticStatus | None:
        """Queue a call for a thread. Return the status if it is refused."""
        call.queued_at = time.monotonic()
        dropped: list[PendingCall] = []
        status: StaticStatus | None = None
        with self._lock:
            while status is None and (self._is_full() or call.size > self._free_bytes):
                # The project with the most calls in the queue loses its newest.
                other = self._queue.drop_newest(call.share)
                if other is None:
                    status = TOO_MANY if self._is_full() else TOO_MUCH
                else:
                    dropped.append(other)
                    self._note_removed(other)
            if status is None:
                self._free_bytes -= call.size
                self._queue.push(call)
        if status is None:
            self._wakeups.put(True)
        for other in dropped:
            other.refuse(TOO_MANY)
        return status

    def _note_removed(self, call: PendingCall) -> None:
        """Note that a call left the queue without a thread. The caller holds the lock."""
        self._free_bytes += call.size
        if self._parked:
            self._parked -= 1
        else:
            with suppress(Empty):
                self._wakeups.get_nowait()

    def _run(self) -> None:
        while self._wakeups.get():
            with self._lock:
                call = self._queue.pop()
                if call is None:
                    # The call was refused meanwhile, or its project is at its bound.
                    self._parked = min(self._parked + 1, len(self._queue))
                    continue
                self._free_bytes += call.size
                self._idle_count -= 1
            try:
                call.run()
            except Exception as error:
                log.exception("call failed", exc_info=error)
            with self._lock:
                self._idle_count += 1
                self._queue.finish(call)
                self._wake_parked(1)
            # Without this the call lives until the thread's next one.
            del call

    def _wake_parked(self, limit: int) -> None:
        """Have threads try up to `limit` parked calls again. The caller holds the lock."""
        for _ in range(min(limit, self._parked)):
            self._parked -= 1
            self._wakeups.put(True)

    def _reap(self) -> None:
        """Refuse calls that have waited too long and calls whose request does not arrive.

        This needs its own thread: the threads of the pool may all be in use.
        """
        pause = min(self._waiting_seconds / 10, self._receive_seconds / 10, SLOW_SECONDS / 4)
        while not self._stopping.wait(pause):
            now = time.monotonic()
            with self._lock:
                slow = self._receiving.pop_slow(now) + self._receiving.pop_older(now - self._receive_seconds)
                late = self._queue.pop_older(now - self._waiting_seconds)
                for call in late:
                    self._note_removed(call)
                # A project may have become alone since, and may use more threads.
                self._wake_parked(self._idle_count)
            for call in late:
                call.refuse(TOO_LONG)
            for call in slow:
                call.refuse(TOO_SLOW)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads after their current calls. The server has stopped before."""
        self._stopping.set()
        if self._reaper in self._started:
            # It might take the wakeups that end the other threads.
            self._reaper.join()
        for _ in self._pool_threads:
            self._wakeups.put(False)
        if wait:
            # A call that does not end is not waited for: its daemon thread ends with the process.
            end = time.monotonic() + JOIN_SECONDS
            for thread in self._started:
                thread.join(max(0.0, end - time.monotonic()))
