"""How much a caller may ask for in a minute.

The count is shared by all servers through Redis, and taken from there in leases of a twentieth of a
minute's worth, so that one call in so many waits for Redis, 50 ms at the most. While Redis is away each
process counts for itself. A lease is kept until it is spent: over a minute a caller may get one lease a
process more than its rate.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from orchestration_server.cache.read_through import Link
from orchestration_server.errors import ResourceExhausted

CALLERS = 20_000
"""Callers whose leases are kept; of more, those that called last."""
LEASES = 20
"""Leases that a minute's worth is taken in."""
LONGEST_WAIT = 60.0
SHORTEST_WAIT = 0.05
_PREFIX = "orchestration:rate"


class _Lease:
    """What a caller has left of what was taken for it."""

    __slots__ = ("left", "lock", "refused", "retry_at")

    def __init__(self) -> None:
        self.left = 0
        """Below 0 is what it owes."""
        self.retry_at = 0.0
        """Until then so many as were refused, or more, are not to be had."""
        self.refused = 0
        self.lock = threading.Lock()


class Rates:
    """Counts what callers of one ledger, which ``identity`` tells from others, ask for."""

    def __init__(self, link: Link, *, identity: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared: SlidingWindowCounterRateLimiter | None = None
        if link.client is not None:
            # The link's own pool, and with it the link's time limits.
            pool = link.client.connection_pool
            prefix = f"{_PREFIX}:{identity.hex()[:16]}"
            storage = RedisStorage("redis://", connection_pool=pool, key_prefix=prefix)
            self._shared = SlidingWindowCounterRateLimiter(storage)
        self._leases: OrderedDict[tuple[str, str], _Lease] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, kind: str, caller: str, per_minute: int, count: int = 1) -> float:
        """Takes so many of a minute's worth: 0, or where there are not so many the seconds until some are.

        What is more than a minute's worth is had for that, and then nothing until the rest is made up for.
        """
        lease = self._lease(kind, caller)
        with lease.lock:
            if lease.left < 0:
                return self._paid(lease, kind, caller, per_minute, count)
            more, count = max(0, count - per_minute), min(count, per_minute)
            if lease.left >= count and not more:
                lease.left -= count
                return 0.0
            now = self._clock()
            if now < lease.retry_at and count >= lease.refused:
                return lease.retry_at - now
            item = RateLimitItemPerMinute(per_minute)
            worth = max(count, per_minute // LEASES)
            for asked in (worth, count) if worth > count else (count,):
                if self._hit(item, kind, caller, asked):
                    lease.left += asked - count
                    if more:
                        lease.left, lease.refused = 0, 0
                        lease.retry_at = now + more * 60.0 / per_minute
                    return 0.0
            wait = self._wait(item, kind, caller, count)
            lease.retry_at, lease.refused = now + wait, count
            return wait

    def _paid(self, lease: _Lease, kind: str, caller: str, per_minute: int, count: int) -> float:
        """As ``take``, of a caller who owes some; the lease's lock is held. A debt is paid in parts of what a
        minute has, and nothing else is to be had until then."""
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
        wait = (
            0.0
            if self._hit(item, kind, caller, min(count, per_minute))
            else self._wait(item, kind, caller, count)
        )
        if wait:
            lease.retry_at, lease.refused = now + wait, count
        return wait

    def charge(self, kind: str, caller: str, count: int) -> None:
        """Count so many more of what a caller has had, whether its minute has them or not: what is above that
        it owes. Waits for nobody."""
        lease = self._lease(kind, caller)
        with lease.lock:
            lease.left -= count

    def wait(self, kind: str, caller: str) -> float:
        """The seconds until one is to be had, as far as this process knows. Takes nothing."""
        lease = self._lease(kind, caller)
        with lease.lock:
            return 0.0 if lease.left > 0 else max(0.0, lease.retry_at - self._clock())

    def _lease(self, kind: str, caller: str) -> _Lease:
        key = (kind, caller)
        with self._lock:
            lease = self._leases.get(key)
            if lease is None:
                lease = self._leases[key] = _Lease()
                if len(self._leases) > CALLERS:
                    self._leases.popitem(last=False)
            else:
                self._leases.move_to_end(key)
        return lease

    def _hit(self, item: RateLimitItemPerMinute, kind: str, caller: str, count: int) -> bool:
        shared = self._shared
        if shared is not None:
            answer = self._link.ask(lambda _: shared.hit(item, kind, caller, cost=count), "rates")
            if answer is not None:
                return bool(answer)
        return self._alone.hit(item, kind, caller, cost=count)

    def _wait(self, item: RateLimitItemPerMinute, kind: str, caller: str, count: int) -> float:
        """About how long until so many are to be had."""
        shared, stats = self._shared, None
        if shared is not None:
            stats = self._link.ask(lambda _: shared.get_window_stats(item, kind, caller), "rates")
        if stats is None:
            stats = self._alone.get_window_stats(item, kind, caller)
        # The window says when it lets one more in.
        refill = count * 60.0 / item.amount
        return min(LONGEST_WAIT, max(SHORTEST_WAIT, refill, stats.reset_time - time.time()))


def exhausted(what: str, per_minute: int, wait: float, reason: str) -> ResourceExhausted:
    """The refusal that says when to come again."""
    return ResourceExhausted(
        f"more than {per_minute:,} {what} in a minute: try again in {wait:.1f} s",
        reason=reason,
        retry_after=wait,
    )
