"""Calls whose request is on its way: their number, and who gives way to others.

grpc tells of a request once all of it is there, so a call that was opened and sends nothing looks like one
that sends slowly. Both are bounded in number. When there are too many, it is the oldest of the connection
with the most that gives way, not the call that comes.
"""

from __future__ import annotations

from itertools import islice
from typing import Generic, Protocol, TypeVar

GRACE_SECONDS = 0.1
"""What is younger than that may have sent its request, which grpc's one thread has not come to yet."""
FEW = 64
"""Up to so many nobody asks which connection they are of: grpc lets go of the interpreter to say so."""
SLOW_SECONDS = 1.0
"""After that a request that is on its way counts as slow."""


class Coming(Protocol):
    """A call whose request is on its way."""

    @property
    def peer(self) -> str:
        """The connection."""


Call = TypeVar("Call", bound=Coming)


class OnTheWay(Generic[Call]):
    """The calls whose request is on its way. It is not safe for threads: its owner holds a lock."""

    def __init__(self, *, most: int, most_slow: int, grace_seconds: float = GRACE_SECONDS) -> None:
        self._most = most
        self._most_slow = most_slow
        self._grace = grace_seconds
        self._calls: dict[Call, float] = {}
        """Since when, the first that came first."""
        self._by_peer: dict[str, dict[Call, float]] | None = None
        """The same by connection, while they are more than few."""

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call, now: float) -> Call | None:
        """Take in a call. Return the one that has to be refused for it: another, or itself; None if none."""
        refused: Call | None = None
        if len(self._calls) >= self._most:
            refused = self._gives_way(call, now)
            if refused is call:
                return call
            self.remove(refused)
        self._calls[call] = now
        if self._by_peer is not None:
            self._by_peer.setdefault(call.peer, {})[call] = now
        elif len(self._calls) > FEW:
            self._peers()
        return refused

    def remove(self, call: Call) -> bool:
        """Forget a call: its request is there, or never will be. Return whether it was here."""
        if self._calls.pop(call, None) is None:
            return False
        if self._by_peer is not None:
            own = self._by_peer[call.peer]
            del own[call]
            if not own:
                del self._by_peer[call.peer]
            if len(self._calls) <= FEW // 2:
                self._by_peer = None
        return True

    def _peers(self) -> dict[str, dict[Call, float]]:
        if self._by_peer is None:
            self._by_peer = {}
            for call, since in self._calls.items():
                self._by_peer.setdefault(call.peer, {})[call] = since
        return self._by_peer

    def _gives_way(self, call: Call, now: float) -> Call:
        peers = self._peers()
        most, oldest = self._heaviest(now)
        since = self._calls[oldest]
        crowding = len(peers[most]) > 2 * (len(peers.get(call.peer, ())) + 1)
        return oldest if crowding or now - since >= self._grace else call

    def _heaviest(self, until: float) -> tuple[str, Call]:
        """Return the connection with the most calls and its oldest. Of equals it is the one that waits
        longest. Only connections count whose oldest call began until then; there is one."""
        found: tuple[int, float] | None = None
        heaviest = ""
        peers = self._peers()
        for peer, own in peers.items():
            since = next(iter(own.values()))
            if since <= until and (found is None or (len(own), -since) > found):
                found, heaviest = (len(own), -since), peer
        return heaviest, next(iter(peers[heaviest]))

    def slow(self, now: float) -> list[Call]:
        """Take out those above the number of slow ones that may be here."""
        found: list[Call] = []
        while len(self._calls) > self._most_slow:
            since = next(islice(self._calls.values(), self._most_slow, None))
            if now - since < SLOW_SECONDS:
                break
            _, oldest = self._heaviest(now - SLOW_SECONDS)
            found.append(oldest)
            self.remove(oldest)
        return found

    def late(self, since: float) -> list[Call]:
        """Take out those that have been on their way since before then."""
        found: list[Call] = []
        for call, began in self._calls.items():
            if began >= since:
                break
            found.append(call)
        for call in found:
            self.remove(call)
        return found
