"""The leases that a client holds: when to beat, and when a lease is lost. No I/O and no clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestration.v1.coordination_pb2 import (
    DIRECTIVE_CONTINUE,
    LEASE_STATUS_HELD,
    HeartbeatRequest,
    LeaseRef,
    LeaseState,
)
from orchestration.v1.lease_pb2 import Lease, Usage
from orchestration.v1.task_pb2 import Budget

MAX_BEATS = 10_000
"""The most leases of one heartbeat."""
BEATS_PER_LEASE = 3.0
"""Heartbeats in the duration of a lease."""
RETRIES_PER_LEASE = 20.0
"""Attempts in the duration of a lease while heartbeats fail."""
HAS_ENDED = "the server says that the lease has ended"
OUT_OF_TIME = "no heartbeat was accepted in time"
CLOSED = "the client is closed"


@dataclass(eq=False)
class KeptLease:
    """A lease that the client keeps.

    Attributes:
        lease: The lease as ClaimTask returned it.
        valid_until: The moment until which the lease is certainly valid: its duration after the sending of
            the last heartbeat that the server accepted, or of the claim. By the client's monotonic clock.
        lost: Called once if the lease is lost, with the reason.
        directed: Called with each directive and its reason.
        usage: What the attempt has used so far. Each heartbeat reports it, if it is set.
        budget_left: What is left of the budget of the task, by the last heartbeat. Empty if it has none.
        ending: True while the client releases the task. The server may say then that the lease has ended.
    """

    lease: Lease
    valid_until: float
    lost: Callable[[str], None]
    directed: Callable[[int, str], None]
    next_beat: float = 0.0
    sending: bool = False
    usage: Usage | None = None
    budget_left: Budget = field(default_factory=Budget)
    ending: bool = False

    @property
    def seconds(self) -> float:
        """The duration of the lease."""
        return self.lease.duration.seconds + self.lease.duration.nanos / 1e9


class LeaseTable:
    """The leases of one client. Its owner calls it from one thread at a time."""

    def __init__(self) -> None:
        # One lease may be kept twice: a claim that is repeated with its request_id returns the same one.
        self._kept: dict[KeptLease, None] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, kept: KeptLease, now: float) -> None:
        """Keep a lease from now on."""
        kept.next_beat = now + kept.seconds / BEATS_PER_LEASE
        self._kept[kept] = None

    def remove(self, kept: KeptLease) -> bool:
        """Keep a lease no longer. Answers that arrive later are ignored. Return False if it was not kept."""
        present = kept in self._kept
        self._kept.pop(kept, None)
        return present

    def next_wake(self) -> float | None:
        """Return the moment at which the next heartbeat or expiry is due; None if there is no lease."""
        moments = [
            kept.valid_until if kept.sending else min(kept.next_beat, kept.valid_until) for kept in self._kept
        ]
        return min(moments, default=None)

    def first_expiry(self) -> float:
        """Return the moment at which the first lease is lost unless a heartbeat is accepted."""
        return min((kept.valid_until for kept in self._kept), default=float("inf"))

    def expire(self, now: float) -> None:
        """Give up the leases that are no longer certainly valid."""
        for kept in [kept for kept in self._kept if now >= kept.valid_until]:
            self.remove(kept)
            kept.lost(OUT_OF_TIME)

    def lose_all(self, reason: str) -> None:
        """Give up all leases."""
        for kept in list(self._kept):
            self.remove(kept)
            kept.lost(reason)

    def due(self, now: float) -> list[KeptLease]:
        """Return the leases to beat now, and those that are due soon, so that they share a call."""
        if not any(not kept.sending and kept.next_beat <= now for kept in self._kept):
            return []
        found = [
            kept
            for kept in self._kept
            if not kept.sending and kept.next_beat - kept.seconds / (2 * BEATS_PER_LEASE) <= now
        ][:MAX_BEATS]
        for kept in found:
            kept.sending = True
        return found

    def accepted(
        self, beaten: Sequence[KeptLease], states: Sequence[LeaseState], sent_at: float, now: float
    ) -> None:
        """Take the answer to a heartbeat that was sent at a moment."""
        for kept, state in zip(beaten, states, strict=True):
            kept.sending = False
            if kept not in self._kept:
                continue
            if state.status != LEASE_STATUS_HELD:
                if kept.ending:
                    kept.next_beat = now + kept.seconds / RETRIES_PER_LEASE
                    continue
                self.remove(kept)
                kept.lost(HAS_ENDED)
                continue
            # The deadline of an attempt may leave less than the duration. Time passes at the same speed on
            # all clocks, whatever they show.
            left = state.time_left.seconds + state.time_left.nanos / 1e9
            kept.valid_until = sent_at + min(kept.seconds, left)
            kept.next_beat = sent_at + min(kept.seconds, left) / BEATS_PER_LEASE
            kept.budget_left = state.budget_left
            if state.directive != DIRECTIVE_CONTINUE or state.reason:
                kept.directed(state.directive, state.reason)
            else:
                kept.directed(DIRECTIVE_CONTINUE, "")

    def failed(self, beaten: Sequence[KeptLease], now: float) -> None:
        """Take the failure of a heartbeat. The server may have accepted it, so try again soon."""
        for kept in beaten:
            kept.sending = False
            kept.next_beat = now + kept.seconds / RETRIES_PER_LEASE


def heartbeat_request(beaten: Sequence[KeptLease]) -> HeartbeatRequest:
    """Return the heartbeat of leases."""
    return HeartbeatRequest(
        leases=[
            LeaseRef(task_code=kept.lease.task_code, fence=kept.lease.fence, usage=kept.usage)
            for kept in beaten
        ]
    )
