"""The thread that sends to all subscriptions and waits for no client.

A subscription has one message in flight. The next is due when the transport has taken it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

import structlog

from orchestration_server.telemetry import metrics
from orchestration_server.timeline.subscription import Subscription

log = structlog.get_logger()

BURST = 8
YIELD_SECONDS = 50e-6
"""After BURST messages the sender sleeps this long.

Each send releases the interpreter, but for less time than a waiting thread takes to wake. Without the pause a
unary call waits up to 5 ms each time that it needs the interpreter: beside 2,000 streams the p95 of unary
calls was 7 to 10 ms without it, and is 4 ms with it.
"""


class Sender:
    """The sender of the subscriptions on ``queue``.

    It takes no lock of the hub to send a message of a live subscription: the tailer holds that lock while it
    feeds thousands of them.

    Args:
        reset_slow: Called for a subscription whose queue overflowed.
        drained: Called for a subscription that is neither live nor reading, when it may read on.
        discard: Called for a subscription whose call has ended.
    """

    def __init__(
        self,
        *,
        reset_slow: Callable[[Subscription], None],
        drained: Callable[[Subscription], None],
        discard: Callable[[Subscription], None],
    ) -> None:
        self._reset_slow = reset_slow
        self._drained = drained
        self._discard = discard
        self.queue: SimpleQueue[Subscription | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="timeline-send", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def backlog(self) -> int:
        """The number of subscriptions that wait for the sender."""
        return self.queue.qsize()

    def close(self) -> None:
        """End the thread. Messages that are still queued are not sent."""
        self._closed = True
        self.queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def _run(self) -> None:
        turns = 0
        while (subscription := self.queue.get()) is not None and not self._closed:
            try:
                self._send_next(subscription)
            except Exception as error:
                log.warning("timeline send failed", error=error)
                subscription.reply.cancel()
                self._discard(subscription)
            turns += 1
            if turns % BURST == 0:
                time.sleep(YIELD_SECONDS)

    def _send_next(self, subscription: Subscription) -> None:
        queue, read = subscription.queue, subscription.read
        queue.scheduled = False
        if queue.closed:
            self._discard(subscription)
            return
        if queue.overflowed:
            self._reset_slow(subscription)
        if queue.in_flight:
            return
        # Read this before the queue: the last message was appended before ``ending`` was set.
        ending = queue.ending
        try:
            body, upto, recorded = queue.messages.popleft()
        except IndexError:
            if ending:
                subscription.reply.finish(queue.failure)
                self._discard(subscription)
            elif not (read.live or read.reading):
                self._drained(subscription)
            return
        queue.bytes_out += len(body)
        if upto > queue.sent:
            queue.sent = upto
        queue.send_began = time.monotonic()
        queue.in_flight = True
        if recorded:
            metrics.FANOUT_SECONDS.observe(queue.send_began - recorded)
        if not subscription.reply.send(body, subscription.taken):
            self._discard(subscription)
        elif not (read.live or read.reading or queue.ending):
            self._drained(subscription)
