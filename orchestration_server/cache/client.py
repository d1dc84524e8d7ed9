"""The client of Redis. Only the modules of this room use it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestration_server.telemetry import metrics

log = structlog.get_logger()

TIMEOUT_SECONDS = 0.05
OPEN_SECONDS = 1.0
"""The time for which the client sends Redis nothing after a failure."""
WRONG_KIND = "WRONGTYPE"
_CODES = frozenset(("MISCONF", "NOREPLICAS", "UNKILLABLE", "BUSY", "TRYAGAIN", "CROSSSLOT", "DENIED"))
"""The first words of errors for which the driver has no class."""


class RedisClient:
    """A client of Redis for which nothing waits longer than 50 ms.

    After a failure it sends nothing for a second. Without a URL, Redis counts as away at all times.
    """

    def __init__(
        self, url: str, *, connections: int, on_command: Callable[[str, float, bool], None] | None = None
    ) -> None:
        """``on_command`` gets the name of each command, its seconds, and whether it failed."""
        self._on_command = on_command
        self._retry_at = 0.0
        self._failed: set[str] = set()
        """The commands whose failure is logged. An empty name stands for all: Redis is away."""
        self.client: redis.Redis | None = None
        if url:
            pool = redis.ConnectionPool.from_url(
                url,
                max_connections=connections,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
            self.client = redis.Redis(connection_pool=pool)

    @property
    def away(self) -> bool:
        """Return whether no Redis is configured, or it failed a moment ago."""
        return self.client is None or time.monotonic() < self._retry_at

    @property
    def failing(self) -> bool:
        """Return whether a Redis is configured and failed a moment ago."""
        return self.client is not None and self.away

    def execute(self, command: Callable[[redis.Redis], Any], name: str = "") -> Any:
        """Return the answer of Redis to a command, or None while Redis is away."""
        if self.client is None or self.away:
            return None
        if self._on_command is None:
            return self._execute(self.client, command, name)
        began = time.monotonic()
        answer = self._execute(self.client, command, name)
        self._on_command(name, time.monotonic() - began, self.failing)
        return answer

    def _execute(self, client: redis.Redis, command: Callable[[redis.Redis], Any], name: str) -> Any:
        try:
            answer = command(client)
        except redis.ResponseError as error:
            # A value of another type under the key counts as absent. Any other refusal means that this Redis
            # cannot serve: it is a replica, a node of a cluster, or full.
            if not str(error).startswith(WRONG_KIND):
                self._fail(name or "other", error, "redis refuses", command=name)
            return None
        except Exception as error:
            if not isinstance(error, redis.RedisError | OSError):
                # The bytes received are no answer. Read further, the rest would be taken for the next one.
                client.connection_pool.disconnect()
            self._fail("", error, "redis away")
            return None
        if self._failed:
            self._recover(name or "other")
        return answer

    def _fail(self, failed: str, error: Exception, text: str, **about: str) -> None:
        """Send nothing for a while. A failure is logged once, until the same command works again."""
        self._retry_at = time.monotonic() + OPEN_SECONDS
        metrics.REDIS_ERRORS.labels(failed or "connection", fault(error)).inc()
        if failed not in self._failed:
            log.warning(text, error=fault(error), **about)
        self._failed.add(failed)

    def _recover(self, name: str) -> None:
        if not self._failed.isdisjoint(("", name)):
            log.info("redis back")
        self._failed -= {"", name}

    def close(self) -> None:
        """Close all connections."""
        if self.client is not None:
            self.client.close()
            self.client.connection_pool.disconnect()


def fault(error: BaseException) -> str:
    """Return the name of an error, one of few, such as ReadOnlyError or MISCONF."""
    code = str(error).partition(" ")[0]
    if type(error) is redis.ResponseError and code in _CODES:
        return code
    return type(error).__name__


def is_url(text: str) -> bool:
    """Return whether a text is the URL of a Redis.

    The parser's own error message may contain a part of the password, so it is not shown.
    """
    try:
        redis.connection.parse_url(text)  # type: ignore[no-untyped-call]  # redis has no types for it
    except ValueError:
        return False
    return True
