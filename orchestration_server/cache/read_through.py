"""The way to Redis, which only this module and cache/wakes.py use, and the read-through cache behind it.

A key carries the version of what it holds, read from Postgres by the call that asks: there is nothing
to invalidate and nothing stale to serve. A value is stored under the version of its content, which is read
in the same snapshot or once more after it; equal versions have equal contents.

A value carries a keyed checksum, so what another program, or another log, left under the key counts as
absent. Whatever Redis does, it changes speed only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestration_server.telemetry import metrics

log = structlog.get_logger()

TTL_SECONDS = 300
TIMEOUT_SECONDS = 0.05
OPEN_SECONDS = 1.0
"""How long Redis is left alone after it failed."""
LOAD_SECONDS = 5.0
"""How long a call waits for another one's load before it loads for itself."""
_CHECKSUM = 16
WRONG_KIND = "WRONGTYPE"
_CODES = frozenset(("MISCONF", "NOREPLICAS", "UNKILLABLE", "BUSY", "TRYAGAIN", "CROSSSLOT", "DENIED"))
"""How errors begin for which the driver has no class."""


class Link:
    """The way to Redis: nothing waits longer than 50 ms for it, and after a failure it is left alone.

    Without a URL it is away for ever. ``told`` is told of each question: its name, how many seconds it took,
    and whether it failed.
    """

    def __init__(
        self, url: str, *, connections: int, told: Callable[[str, float, bool], None] | None = None
    ) -> None:
        self._told = told
        self._retry_at = 0.0
        self._failed: set[str] = set()
        """The commands that fail, which was logged; an empty name stands for all, as Redis is away."""
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
        """Whether there is no Redis, or it failed a moment ago."""
        return self.client is None or time.monotonic() < self._retry_at

    @property
    def failing(self) -> bool:
        """Whether there is a Redis, and it failed a moment ago."""
        return self.client is not None and self.away

    def ask(self, use: Callable[[redis.Redis], Any], name: str = "") -> Any:
        """What Redis answers; None where it is away."""
        if self.client is None or self.away:
            return None
        if self._told is None:
            return self._ask(self.client, use, name)
        began = time.monotonic()
        answer = self._ask(self.client, use, name)
        self._told(name, time.monotonic() - began, self.failing)
        return answer

    def _ask(self, client: redis.Redis, use: Callable[[redis.Redis], Any], name: str) -> Any:
        try:
            answer = use(client)
        except redis.ResponseError as error:
            # A value of another kind under the key is as good as none. Anything else is a Redis that does not
            # do what it is for: a replica, a node of a cluster, one that is full.
            if not str(error).startswith(WRONG_KIND):
                self._fail(name or "other", error, "redis refuses", command=name)
            return None
        except Exception as error:
            if not isinstance(error, redis.RedisError | OSError):
                # What came is no answer at all. What is left of it would be taken for the next one's.
                client.connection_pool.disconnect()
            self._fail("", error, "redis away")
            return None
        if self._failed:
            self._works(name or "other")
        return answer

    def _fail(self, failed: str, error: Exception, text: str, **about: str) -> None:
        """Leave Redis alone for a while; log a failure once, until the same works again."""
        self._retry_at = time.monotonic() + OPEN_SECONDS
        metrics.REDIS_ERRORS.labels(failed or "connection", fault(error)).inc()
        if failed not in self._failed:
            log.warning(text, error=fault(error), **about)
        self._failed.add(failed)

    def _works(self, name: str) -> None:
        if not self._failed.isdisjoint(("", name)):
            log.info("redis back")
        self._failed -= {"", name}

    def close(self) -> None:
        """Closes every connection."""
        if self.client is not None:
            self.client.close()
            self.client.connection_pool.disconnect()


def fault(error: BaseException) -> str:
    """Return the name of what went wrong, one of few, such as ReadOnlyError or MISCONF."""
    code = str(error).partition(" ")[0]
    if type(error) is redis.ResponseError and code in _CODES:
        return code
    return type(error).__name__


def is_url(text: str) -> bool:
    """Whether it names a Redis. What the parser says of others may hold a part of the password."""
    try:
        redis.connection.parse_url(text)  # type: ignore[no-untyped-call]  # redis has no types for it
    except ValueError:
        return False
    return True


class Loaded(NamedTuple):
    """A value with the version of its content, read in the same snapshot or once more after it."""

    value: bytes
    version: Sequence[Any] | None
    """None if no version is known to name this content: it is answered once and kept nowhere."""


class Cache:
    """Answers under versioned keys; while Redis is away it only ever loads.

    ``identity`` is the log's own: another log, a copy of this one too, has keys and checksums of its own.
    """

    def __init__(self, link: Link, *, identity: bytes) -> None:
        self._link = link
        self._identity = identity
        self._loading: dict[bytes, Future[bytes | None]] = {}
        self._lock = threading.Lock()

    def get_or_load(
        self, kind: str, version: Sequence[Any], load: Callable[[], Loaded], *, patience: float | None = None
    ) -> tuple[bytes, bool]:
        """Return the value of this version, and whether another call loaded it: before, or at the same time.

        What many calls ask for at once is loaded once in each process, also without Redis. ``patience`` is
        how many seconds the caller has. A value that turns out to be of another version is stored under that
        one, and given to nobody else: the state may have come back to what another call asks for.
        """
        key = self._key(kind, version)
        found = self._link.ask(lambda client: client.get(key), "get")
        if isinstance(found, bytes) and len(found) >= _CHECKSUM:
            value = found[_CHECKSUM:]
            if found[:_CHECKSUM] == self._checksum(key, value):
                metrics.CACHE_REQUESTS.labels(kind, "hit").inc()
                return value, True
        metrics.CACHE_REQUESTS.labels(kind, "error" if self._link.failing else "miss").inc()
        own: Future[bytes | None] = Future()
        with self._lock:
            loading = self._loading.setdefault(key, own)
        if loading is not own:
            wait = LOAD_SECONDS if patience is None else min(LOAD_SECONDS, patience)
            with suppress(TimeoutError):
                shared = loading.result(timeout=wait)
                if shared is not None:
                    return shared, True
            # That one failed or was of another version, its caller may have left, or it takes longer than
            # this one has.
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
            self._link.ask(lambda client: client.set(of, stored, ex=TTL_SECONDS), "set")
        return value, False

    def _key(self, kind: str, version: Sequence[Any]) -> bytes:
        body = orjson.dumps(list(version), default=str)
        return f"orchestration:{kind}:".encode() + blake2b(body, digest_size=20, key=self._identity).digest()

    def _checksum(self, key: bytes, value: bytes) -> bytes:
        return blake2b(key + value, digest_size=_CHECKSUM, key=self._identity).digest()
