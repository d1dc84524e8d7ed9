"""The rate limits of callers.

All servers share one count in Redis. A process takes calls from it in leases of a twentieth of a minute's
limit, so that few calls wait for Redis, and none longer than 50 ms. While Redis is away each process counts
alone. A lease stays until it is used: in a minute a caller may exceed its limit by one lease a process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from orchestration_server.cache.client import RedisClient
from orchestration_server.cache.lru import LruDict
from orchestration_server.errors import ResourceExhausted

MAX_CALLERS = 20_000
"""Callers whose leases are kept in memory."""
LEASES = 20
"""The leases that a minute's limit is divided into."""
MAX_WAIT_SECONDS = 60.0
MIN_WAIT_SECONDS = 0.05
_PREFIX = "orchestration:rate"


class _Lease:
    """The calls taken from the shared count for one caller, and not used yet."""

    __slots__ = ("left", "lock", "refused", "retry_at")

    def __init__(self) -> None:
        self.left = 0
        """Below 0 is the caller's debt."""
        self.retry_at = 0.0
        """Until then a request for ``refused`` calls or more is refused again."""
        self.refused = 0
        self.lock = threading.Lock()


class RateLimiter:
    """A counter of the calls of each caller of one ledger."""

    def __init__(
        self, redis: RedisClient, *, identity: bytes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``identity`` distinguishes this ledger from others that use the same Redis."""
        self._redis = redis
        self._clock = clock
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared: SlidingWindowCounterRateLimiter | None = None
        if redis.client is not None:
            # The client's own pool has the client's timeouts.
            pool = redis.client.connection_pool
            prefix = f"{_PREFIX}:{identity.hex()[:16]}"
            storage = RedisStorage("redis://", connection_pool=pool, key_prefix=prefix)
            self._shared = SlidingWindowCounterRateLimiter(storage)
        self._leases: LruDict[tuple[str, str], _Lease] = LruDict(MAX_CALLERS)
        self._lock = threading.Lock()

    def take(self, kind: str, caller: str, per_minute: int, count: int = 1) -> float:
        """Take ``count`` calls from the caller's limit for this minute.

        Return 0 if granted, else the seconds until it can be. A count above the whole limit is granted if the
        limit is unused, and the caller gets nothing until the excess has been made up for.
        """
        lease = self._lease(kind, caller)
        with lease.lock:
            if lease.left < 0:
                return self._take_in_debt(lease, kind, caller, per_minute, count)
            excess, count = max(0, count - per_minute), min(count, per_minute)
            if lease.left >= count and not excess:
                lease.left -= count
                return 0.0
            now = self._clock()
            if now < lease.retry_at and count >= lease.refused:
                return lease.retry_at - now
            item = RateLimitItemPerMinute(per_minute)
            size = max(count, per_minute // LEASES)
            for wanted in (size, count) if size > count else (count,):
                if self._hit(item, kind, caller, wanted):
                    lease.left += wanted - count
                    if excess:
                        lease.left, lease.refused = 0, 0
                        lease.retry_at = now + excess * 60.0 / per_minute
                    return 0.0
            wait = self._wait(item, kind, caller, count)
            lease.retry_at, lease.refused = now + wait, count
            return wait

    def _take_in_debt(self, lease: _Lease, kind: str, caller: str, per_minute: int, count: int) -> float:
        """Take calls for a caller in debt, with the lease's lock held.

        The caller pays the debt in parts of a lease's size, and gets nothing before it is paid.
        """
        now = self._clock()
        if now < lease.retry_at:
            return lease.retry_at - now
        item = RateLimitItemPerMinute(per_minute)
        while lease.left < 0:
            part = min(-lease.left, max(1, per_minute // LEASES))
            if not self._hit(item, kind, caller, part):
                wait = self._wait(item, kind, caller, part)
                lease.retry_at, lease.refused = now + wait, 0
                return wait
            lease.left += part
        if self._hit(item, kind, caller, min(count, per_minute)):
            return 0.0
        wait = self._wait(item, kind, caller, count)
        lease.retry_at, lease.refused = now + wait, count
        return wait

    def charge(self, kind: str, caller: str, count: int) -> None:
        """Take ``count`` calls without waiting. Calls above the caller's limit become its debt."""
        lease = self._lease(kind, caller)
        with lease.lock:
            lease.left -= count

    def wait(self, kind: str, caller: str) -> float:
        """Return the seconds until the caller may take a call, as far as this process knows.

        Takes nothing.
        """
        lease = self._lease(kind, caller)
        with lease.lock:
            return 0.0 if lease.left > 0 else max(0.0, lease.retry_at - self._clock())

    def _lease(self, kind: str, caller: str) -> _Lease:
        key = (kind, caller)
        with self._lock:
            lease = self._leases.touch(key)
            if lease is None:
                lease = self._leases[key] = _Lease()
        return lease

    def _hit(self, item: RateLimitItemPerMinute, kind: str, caller: str, count: int) -> bool:
        shared = self._shared
        if shared is not None:
            answer = self._redis.execute(lambda _: shared.hit(item, kind, caller, cost=count), "rates")
            if answer is not None:
                return bool(answer)
        return self._alone.hit(item, kind, caller, cost=count)

    def _wait(self, item: RateLimitItemPerMinute, kind: str, caller: str, count: int) -> float:
        """Estimate the seconds until the caller may take ``count`` calls."""
        shared, stats = self._shared, None
        if shared is not None:
            stats = self._redis.execute(lambda _: shared.get_window_stats(item, kind, caller), "rates")
        if stats is None:
            stats = self._alone.get_window_stats(item, kind, caller)
        # The window's reset is the time when it admits one more call; ``refill`` is that of ``count`` calls.
        refill = count * 60.0 / item.amount
        return min(MAX_WAIT_SECONDS, max(MIN_WAIT_SECONDS, refill, stats.reset_time - time.time()))


def rate_limited(what: str, per_minute: int, wait: float, reason: str) -> ResourceExhausted:
    """Return the error of an exceeded rate, with the seconds after which to retry."""
    return ResourceExhausted(
        f"more than {per_minute:,} {what} in a minute: try again in {wait:.1f} s",
        reason=reason,
        retry_after=wait,
    )
