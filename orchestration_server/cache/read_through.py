"""A read-through cache of answers.

A key contains the version of its content, which the call reads from Postgres. So nothing has to be
invalidated and nothing stale can be served. A value is stored under the version of its content, which is read
in the same snapshot or once more after it. Equal versions mean equal contents.

A value carries a keyed checksum. A value that another program or another log stored under the key fails it
and counts as absent. Redis can change the speed of an answer, never its content.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from orchestration_server.cache.client import RedisClient
from orchestration_server.telemetry import metrics

TTL_SECONDS = 300
LOAD_SECONDS = 5.0
"""The time for which a call waits for the load of another call before it loads by itself."""
_CHECKSUM_BYTES = 16


class Loaded(NamedTuple):
    """A value with the version of its content, read in the same snapshot or once more after it."""

    value: bytes
    version: Sequence[Any] | None
    """None if no version is known for this content. The value is returned to one call and not stored."""


class Cache:
    """A cache of values under versioned keys. While Redis is away it loads every value."""

    def __init__(self, redis: RedisClient, *, identity: bytes) -> None:
        """``identity`` names the log.

        Any other log, even a copy of this one, has other keys and checksums.
        """
        self._redis = redis
        self._identity = identity
        self._loading: dict[bytes, Future[bytes | None]] = {}
        self._lock = threading.Lock()

    def get_or_load(
        self, kind: str, version: Sequence[Any], load: Callable[[], Loaded], *, timeout: float | None = None
    ) -> tuple[bytes, bool]:
        """Return the value of a version, and whether another call loaded it, earlier or at the same time.

        Each process loads a value once for all calls that ask for it at the same time, even without Redis. A
        value that turns out to be of another version is stored under that version and shared with no call:
        the state may have come back to what the others ask for.

        Args:
            kind: The kind of value, which is a label of the metrics.
            version: The version to return.
            load: Loads the value.
            timeout: The seconds that the caller can wait for another call's load.
        """
        key = self._key(kind, version)
        found = self._redis.execute(lambda client: client.get(key), "get")
        if isinstance(found, bytes) and len(found) >= _CHECKSUM_BYTES:
            value = found[_CHECKSUM_BYTES:]
            if found[:_CHECKSUM_BYTES] == self._checksum(key, value):
                metrics.CACHE_REQUESTS.labels(kind, "hit").inc()
                return value, True
        metrics.CACHE_REQUESTS.labels(kind, "error" if self._redis.failing else "miss").inc()
        own: Future[bytes | None] = Future()
        with self._lock:
            loading = self._loading.setdefault(key, own)
        if loading is not own:
            wait = LOAD_SECONDS if timeout is None else min(LOAD_SECONDS, timeout)
            with suppress(TimeoutError):
                shared = loading.result(timeout=wait)
                if shared is not None:
                    return shared, True
            # The other load failed, had another version, lost its caller, or takes longer than this call has.
            return load().value, False
        shared = None
        try:
            value, loaded = load()
            of = None if loaded is None else self._key(kind, loaded)
            shared = value if of == key else None
        finally:
            with self._lock:
                del self._loading[key]
            own.set_result(shared)
        if of is not None:
            stored = self._checksum(of, value) + value
            self._redis.execute(lambda client: client.set(of, stored, ex=TTL_SECONDS), "set")
        return value, False

    def _key(self, kind: str, version: Sequence[Any]) -> bytes:
        body = orjson.dumps(list(version), default=str)
        return f"orchestration:{kind}:".encode() + blake2b(body, digest_size=20, key=self._identity).digest()

    def _checksum(self, key: bytes, value: bytes) -> bytes:
        return blake2b(key + value, digest_size=_CHECKSUM_BYTES, key=self._identity).digest()
