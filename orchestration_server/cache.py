"""The read-through cache, and the only user of Redis.

A key carries the version of what it holds, read from Postgres by the call that asks: there is nothing
to invalidate and nothing stale to serve. A value carries a keyed checksum, so what another program, or
another log, left under the key counts as absent. Whatever Redis does, it changes speed only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import orjson
import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger()

TTL_SECONDS = 300
TIMEOUT_SECONDS = 0.05
OPEN_SECONDS = 1.0
"""How long Redis is left alone after it failed."""
_CHECKSUM = 16


class Cache:
    """Answers under versioned keys; without a URL it only ever loads."""

    def __init__(self, url: str, *, secret: bytes, connections: int) -> None:
        self._secret = secret
        self._retry_at = 0.0
        self._redis: redis.Redis | None = None
        if url:
            pool = redis.ConnectionPool.from_url(
                url,
                max_connections=connections,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
            self._redis = redis.Redis(connection_pool=pool)

    def get_or_load(self, kind: str, version: Sequence[Any], load: Callable[[], bytes]) -> tuple[bytes, bool]:
        """The value of this version, and whether it came from the cache."""
        if self._redis is None or time.monotonic() < self._retry_at:
            return load(), False
        key = self._key(kind, version)
        found = self._try(lambda client: client.get(key))
        if isinstance(found, bytes) and len(found) >= _CHECKSUM:
            value = found[_CHECKSUM:]
            if found[:_CHECKSUM] == self._checksum(key, value):
                return value, True
        value = load()
        self._try(lambda client: client.set(key, self._checksum(key, value) + value, ex=TTL_SECONDS))
        return value, False

    def close(self) -> None:
        """Closes every connection."""
        if self._redis is not None:
            self._redis.close()
            self._redis.connection_pool.disconnect()

    def _key(self, kind: str, version: Sequence[Any]) -> bytes:
        body = orjson.dumps(list(version), default=str)
        return f"orchestration:{kind}:".encode() + blake2b(body, digest_size=20, key=self._secret).digest()

    def _checksum(self, key: bytes, value: bytes) -> bytes:
        return blake2b(key + value, digest_size=_CHECKSUM, key=self._secret).digest()

    def _try(self, use: Callable[[redis.Redis], Any]) -> Any:
        if self._redis is None or time.monotonic() < self._retry_at:
            return None
        try:
            return use(self._redis)
        except redis.ResponseError:
            # It answers, so it is not away: a value of another kind is under the key, say.
            return None
        except redis.RedisError as error:
            self._retry_at = time.monotonic() + OPEN_SECONDS
            log.warning("cache away", error=type(error).__name__)
            return None
