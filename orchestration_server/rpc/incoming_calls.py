"""The calls whose request has not arrived yet: a bounded set, and the choice of the call to displace.

grpc reports a request once all of it has arrived, so a call that sends nothing looks like one that sends
slowly. Both are bounded in number. When there are too many, the oldest call of the connection with the most
is displaced, not the call that arrives.
"""

from __future__ import annotations

from itertools import islice
from typing import Generic, Protocol, TypeVar

GRACE_SECONDS = 0.1
"""A call younger than this may have sent a request that grpc's one thread has not handled yet."""
FEW_CALLS = 64
"""Up to this number calls are not grouped by connection: grpc releases the interpreter to read the peer."""
SLOW_SECONDS = 1.0
"""The age from which a call without its request counts as slow."""


class IncomingCall(Protocol):
    """A call whose request has not arrived yet."""

    @property
    def peer(self) -> str:
        """The connection."""


CallT = TypeVar("CallT", bound=IncomingCall)


class IncomingCalls(Generic[CallT]):
    """The calls whose request has not arrived yet. It is not thread-safe: its owner holds a lock."""

    def __init__(self, *, max_calls: int, max_slow: int, grace_seconds: float = GRACE_SECONDS) -> None:
        self._max_calls = max_calls
        self._max_slow = max_slow
        self._grace = grace_seconds
        self._calls: dict[CallT, float] = {}
        """The moment at which each call was added, the oldest first."""
        self._by_peer: dict[str, dict[CallT, float]] | None = None
        """The same by connection, while there are more than a few."""

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: CallT, now: float) -> CallT | None:
        """Add a call. Return the call that has to be refused for it, which may be this one; else None."""
        displaced: CallT | None = None
        if len(self._calls) >= self._max_calls:
            displaced = self._to_displace(call, now)
            if displaced is call:
                return call
            self.remove(displaced)
        self._calls[call] = now
        if self._by_peer is not None:
            self._by_peer.setdefault(call.peer, {})[call] = now
        elif len(self._calls) > FEW_CALLS:
            self._peers()
        return displaced

    def remove(self, call: CallT) -> bool:
        """Remove a call whose request has arrived or never will. Return whether it was in the set."""
        if self._calls.pop(call, None) is None:
            return False
        if self._by_peer is not None:
            own = self._by_peer[call.peer]
            del own[call]
            if not own:
                del self._by_peer[call.peer]
            if len(self._calls) <= FEW_CALLS // 2:
                self._by_peer = None
        return True

    def _peers(self) -> dict[str, dict[CallT, float]]:
        if self._by_peer is None:
            self._by_peer = {}
            for call, since in self._calls.items():
                self._by_peer.setdefault(call.peer, {})[call] = since
        return self._by_peer

    def _to_displace(self, call: CallT, now: float) -> CallT:
        peers = self._peers()
        largest, oldest = self._largest_peer(now)
        since = self._calls[oldest]
        crowding = len(peers[largest]) > 2 * (len(peers.get(call.peer, ())) + 1)
        return oldest if crowding or now - since >= self._grace else call

    def _largest_peer(self, until: float) -> tuple[str, CallT]:
        """Return the connection with the most calls, and its oldest call.

        Of equals it is the connection that has waited longest. Only a connection whose oldest call began by
        ``until`` counts; the caller knows that one exists.
        """
        found: tuple[int, float] | None = None
        largest = ""
        peers = self._peers()
        for peer, own in peers.items():
            since = next(iter(own.values()))
            if since <= until and (found is None or (len(own), -since) > found):
                found, largest = (len(own), -since), peer
        return largest, next(iter(peers[largest]))

    def pop_slow(self, now: float) -> list[CallT]:
        """Remove slow calls until no more than ``max_slow`` are left."""
        found: list[CallT] = []
        while len(self._calls) > self._max_slow:
            since = next(islice(self._calls.values(), self._max_slow, None))
            if now - since < SLOW_SECONDS:
                break
            _, oldest = self._largest_peer(now - SLOW_SECONDS)
            found.append(oldest)
            self.remove(oldest)
        return found

    def pop_older(self, moment: float) -> list[CallT]:
        """Remove the calls that were added before a moment."""
        found: list[CallT] = []
        for call, since in self._calls.items():
            if since >= moment:
                break
            found.append(call)
        for call in found:
            self.remove(call)
        return found
