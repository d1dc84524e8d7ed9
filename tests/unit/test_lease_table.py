"""The leases of a client: when it beats, and when it gives a lease up. Time is a number here."""

import time

import pytest

from orchestration.claims import WorkState
from orchestration.leases import KeptLease, LeaseTable, heartbeat_request
from orchestration.reasons import LeaseLost
from orchestration.v1.coordination_pb2 import (
    DIRECTIVE_CANCEL,
    DIRECTIVE_CONTINUE,
    LEASE_STATUS_HELD,
    LEASE_STATUS_LOST,
    ClaimedTask,
    LeaseState,
    LeaseStatus,
)
from orchestration.v1.lease_pb2 import Lease, Usage


class Holder:
    """A lease of 30 seconds that began at 0, and what its holder was told."""

    def __init__(self, code: str = "T") -> None:
        self.lost: list[str] = []
        self.directives: list[tuple[int, str]] = []
        lease = Lease(task_code=code, fence=7)
        lease.duration.seconds = 30
        self.kept = KeptLease(
            lease, 30.0, self.lost.append, lambda directive, why: self.directives.append((directive, why))
        )


def state(
    status: LeaseStatus.ValueType = LEASE_STATUS_HELD,
    seconds: int = 30,
    directive: int = DIRECTIVE_CONTINUE,
    reason: str = "",
) -> LeaseState:
    made = LeaseState(status=status, directive=directive, reason=reason)  # type: ignore[arg-type]
    made.time_left.seconds = seconds
    return made


def table(*holders: Holder) -> LeaseTable:
    made = LeaseTable()
    for holder in holders:
        made.add(holder.kept, 0.0)
    return made


def test_a_lease_beats_at_a_third_of_its_duration() -> None:
    holder = Holder()
    leases = table(holder)
    assert leases.next_wake() == 10.0
    assert leases.due(9.9) == []
    assert leases.due(10.0) == [holder.kept]
    assert leases.due(10.1) == [], "its heartbeat is on the way"


def test_validity_counts_from_the_sending_of_the_accepted_heartbeat() -> None:
    holder = Holder()
    leases = table(holder)
    beaten = leases.due(10.0)
    leases.accepted(beaten, [state()], sent_at=10.0, now=19.0)
    leases.expire(39.9)
    assert holder.lost == []
    leases.expire(40.0)
    assert len(holder.lost) == 1
    assert len(leases) == 0


def test_a_failed_heartbeat_changes_nothing_and_is_tried_again_soon() -> None:
    holder = Holder()
    leases = table(holder)
    leases.failed(leases.due(10.0), now=12.0)
    assert holder.lost == []
    assert leases.next_wake() == 13.5
    assert leases.due(13.5) == [holder.kept]
    leases.expire(30.0)
    assert len(holder.lost) == 1


def test_a_lease_that_waits_for_an_answer_is_given_up_in_time() -> None:
    holder = Holder()
    leases = table(holder)
    leases.due(10.0)
    assert leases.next_wake() == leases.first_expiry() == 30.0


def test_a_lease_that_the_server_lost_is_lost() -> None:
    holder = Holder()
    leases = table(holder)
    leases.accepted(leases.due(10.0), [state(LEASE_STATUS_LOST)], sent_at=10.0, now=10.1)
    assert len(holder.lost) == 1


def test_an_answer_after_the_end_is_ignored() -> None:
    holder = Holder()
    leases = table(holder)
    beaten = leases.due(10.0)
    leases.remove(holder.kept)
    leases.accepted(beaten, [state(LEASE_STATUS_LOST)], sent_at=10.0, now=10.1)
    assert holder.lost == []


def test_the_end_of_the_attempt_shortens_the_lease() -> None:
    holder = Holder()
    leases = table(holder)
    leases.accepted(leases.due(10.0), [state(seconds=6)], sent_at=10.0, now=10.1)
    assert leases.first_expiry() == 16.0
    assert leases.next_wake() == 12.0


def test_leases_that_are_due_soon_share_a_heartbeat() -> None:
    first, second = Holder("A"), Holder("B")
    leases = table(first)
    leases.add(second.kept, 4.0)
    assert leases.due(10.0) == [first.kept, second.kept]


def test_the_directive_reaches_the_holder() -> None:
    holder = Holder()
    leases = table(holder)
    told = state(directive=DIRECTIVE_CANCEL, reason="runaway (by ops)")
    leases.accepted(leases.due(10.0), [told], sent_at=10.0, now=10.1)
    assert holder.directives == [(DIRECTIVE_CANCEL, "runaway (by ops)")]


def test_a_heartbeat_reports_the_usage_and_the_holder_learns_what_is_left() -> None:
    holder = Holder()
    leases = table(holder)
    (plain,) = heartbeat_request(leases.due(10.0)).leases
    assert not plain.HasField("usage")
    holder.kept.usage = Usage(tool_calls=3)
    (reported,) = heartbeat_request([holder.kept]).leases
    assert reported.usage.tool_calls == 3
    told = state()
    told.budget_left.tool_calls = 7
    leases.accepted([holder.kept], [told], sent_at=10.0, now=10.1)
    assert holder.kept.budget_left.tool_calls == 7


def test_a_lease_that_its_holder_releases_may_end_without_being_lost() -> None:
    holder = Holder()
    leases = table(holder)
    holder.kept.ending = True
    leases.accepted(leases.due(10.0), [state(LEASE_STATUS_LOST)], sent_at=10.0, now=10.0)
    assert holder.lost == []
    holder.kept.ending = False  # The release failed: the next heartbeat tells.
    leases.accepted(leases.due(12.0), [state(LEASE_STATUS_LOST)], sent_at=12.0, now=12.0)
    assert holder.lost == ["the server says that the lease has ended"]


def test_one_lease_that_is_kept_twice_is_lost_twice() -> None:
    first, second = Holder(), Holder()
    leases = table(first, second)
    leases.lose_all("the client is closed")
    assert first.lost == second.lost == ["the client is closed"]
    assert leases.next_wake() is None


def test_a_lease_is_lost_in_time_even_if_nobody_has_told_the_work() -> None:
    claimed = ClaimedTask(lease=Lease(task_code="T", fence=7))
    claimed.lease.duration.seconds = 30
    claimed.lease.start_time.seconds, claimed.lease.expire_time.seconds = 1_000, 1_030
    WorkState(claimed, "", time.monotonic() - 29.0, None).check()
    with pytest.raises(LeaseLost, match="no heartbeat was accepted in time"):
        WorkState(claimed, "", time.monotonic() - 30.0, None).check()
