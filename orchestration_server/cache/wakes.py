"""Wakes between servers: a server that commits events publishes a wake, and the others read the log at once.

A wake carries no data. A lost wake costs time only, since every timeline also polls, and a needless one costs
a read of the log. So no event is missed and no call waits, whatever Redis does.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import redis
import structlog

from orchestration_server.cache.client import RedisClient, fault
from orchestration_server.telemetry import metrics

log = structlog.get_logger()

CONNECTIONS = 2
"""One to publish, one to listen."""
COALESCE_SECONDS = 0.01
"""The shortest time between two messages of one process, however many commits it has."""
ALONE_SECONDS = 5.0
"""The time for which a server that found no listener publishes nothing. A new listener announces itself."""
LISTEN_SECONDS = 0.25
"""The longest that the listener takes to notice a stop."""
STOP_SECONDS = 0.4
"""The longest that ``close`` waits for each of the two threads."""
SILENCE_SECONDS = 5.0
"""Silence after which the listener pings Redis; after twice as long it closes the connection."""
BACKOFF_FIRST_SECONDS = 0.1
BACKOFF_MOST_SECONDS = 3.0


class WakeBus:
    """A bus of wakes between the servers of one log. It calls ``wake`` when another server publishes."""

    def __init__(
        self,
        redis_client: RedisClient,
        *,
        identity: bytes,
        wake: Callable[[], None],
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        """``identity`` names the log; each log on the same Redis has its channel."""
        self._silence_seconds = silence_seconds
        self._redis = redis_client
        self._wake = wake
        name = blake2b(b"wakes", key=identity, digest_size=16).hexdigest()
        self.channel = f"orchestration:wakes:{name}"
        self._own = secrets.token_bytes(8)
        self._due = threading.Event()
        self._closed = threading.Event()
        self._lost = False
        self._listening = False
        self._alone_until = 0.0
        self._heard = 0
        """Counts the wakes of other servers and the beginnings of listening. Each ends the time alone."""
        self._threads: list[threading.Thread] = []
        if redis_client.client is not None:
            self._threads = [
                threading.Thread(target=self._run_publisher, name="wakes-publish", daemon=True),
                threading.Thread(target=self._run_listener, args=(redis_client.client,),
                                 name="wakes-listen", daemon=True),
            ]  # fmt: skip

    def start(self) -> None:
        """Start the two threads. Without Redis there are none."""
        for thread in self._threads:
            thread.start()

    def publish(self) -> None:
        """Publish a wake soon. It does not wait."""
        if not self._due.is_set() and time.monotonic() >= self._alone_until:
            self._due.set()

    def close(self) -> None:
        """Publish the wake that is due and stop both threads."""
        self._closed.set()
        self._due.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=STOP_SECONDS)

    def _run_publisher(self) -> None:
        while True:
            self._due.wait()
            # Cleared before the message goes out, so that a commit from here on asks for another wake.
            self._due.clear()
            closing = self._closed.is_set()
            # The last wake also ends this process's own listening at once.
            heard = self._heard
            listeners = self._redis.execute(lambda client: client.publish(self.channel, self._own), "publish")
            if listeners == 1 and self._listening:
                self._alone_until = time.monotonic() + ALONE_SECONDS
            if heard != self._heard:
                self._alone_until = 0.0
            if closing:
                return
            self._closed.wait(COALESCE_SECONDS)

    def _run_listener(self, client: redis.Redis) -> None:
        delay = BACKOFF_FIRST_SECONDS
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                self._listen(client)
            except Exception as error:
                metrics.REDIS_ERRORS.labels("subscribe", fault(error)).inc()
                if not self._lost:
                    ours = not isinstance(error, redis.RedisError | OSError)
                    log.warning("wakes of other servers away", error=fault(error), exc_info=ours)
                self._lost = True
            finally:
                self._listening = False
            # The delay grows only while subscriptions fail soon after they begin.
            lasted = time.monotonic() - began > BACKOFF_MOST_SECONDS
            delay = BACKOFF_FIRST_SECONDS if lasted else min(2 * delay, BACKOFF_MOST_SECONDS)
            self._closed.wait(delay * random.uniform(0.5, 1.0))

    def _listen(self, client: redis.Redis) -> None:
        """Listen on one subscription until ``close`` or an error."""
        with client.pubsub() as subscription:  # type: ignore[no-untyped-call]  # redis gives it no types
            subscription.subscribe(self.channel)
            heard, asked = time.monotonic(), False
            while not self._closed.is_set():
                message = subscription.get_message(timeout=LISTEN_SECONDS)
                if message is not None:
                    heard, asked = time.monotonic(), False
                    self._take(message)
                    continue
                silent = time.monotonic() - heard
                if silent > 2 * self._silence_seconds:
                    raise redis.TimeoutError
                if silent > self._silence_seconds and not asked:
                    asked = True
                    subscription.ping()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            if self._lost:
                self._lost = False
                log.info("wakes of other servers back")
            # Wakes published before this moment are lost, and from now on the other servers have a listener.
            self._listening = True
            self._no_longer_alone()
            self._wake()
            self.publish()
        elif message["type"] == "message" and message["data"] != self._own:
            self._no_longer_alone()
            self._wake()

    def _no_longer_alone(self) -> None:
        self._heard += 1
        self._alone_until = 0.0
