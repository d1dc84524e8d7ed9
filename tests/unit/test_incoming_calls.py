"""The choice of the call that is displaced when too many have not sent their request."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from orchestration_server.rpc.incoming_calls import GRACE_SECONDS, SLOW_SECONDS, IncomingCalls


@dataclass(eq=False)
class Call:
    peer: str


MOST, SLOW = 10, 3


def calls() -> IncomingCalls[Call]:
    return IncomingCalls(max_calls=MOST, max_slow=SLOW)


def test_the_oldest_of_the_connection_with_the_most_is_displaced_by_another_connection() -> None:
    incoming = calls()
    quiet = Call("quiet")
    assert incoming.add(quiet, 0.0) is None
    silent = [Call("silent") for _ in range(MOST - 1)]
    for call in silent:
        assert incoming.add(call, 1.0) is None
    # At once, even if the call is young: its connection crowds out the others.
    assert incoming.add(Call("good"), 1.0) is silent[0]
    assert incoming.remove(quiet)
    assert not incoming.remove(silent[0])


def test_a_burst_on_one_connection_is_refused_until_its_calls_are_old_enough_to_displace() -> None:
    incoming = calls()
    first = [Call("one") for _ in range(MOST)]
    for call in first:
        assert incoming.add(call, 0.0) is None
    late = Call("one")
    assert incoming.add(late, GRACE_SECONDS / 2) is late
    assert incoming.add(late, GRACE_SECONDS) is first[0]
    assert len(incoming) == MOST


def test_slow_calls_above_the_limit_are_removed() -> None:
    incoming = calls()
    old = [Call("many") for _ in range(SLOW + 2)]
    for call in old:
        incoming.add(call, 0.0)
    incoming.add(Call("new"), SLOW_SECONDS)
    assert incoming.pop_slow(SLOW_SECONDS / 2) == []
    assert incoming.pop_slow(SLOW_SECONDS) == old[:2]
    assert incoming.pop_slow(SLOW_SECONDS) == []


def test_calls_that_are_too_old_are_removed() -> None:
    incoming = calls()
    old, new = Call("a"), Call("b")
    incoming.add(old, 0.0)
    incoming.add(new, 5.0)
    assert incoming.pop_older(5.0) == [old]
    assert len(incoming) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 0.5), st.booleans()), max_size=80))
def test_any_order_of_calls_stays_within_the_bounds(steps: list[tuple[int, float, bool]]) -> None:
    incoming, now, known = calls(), 0.0, dict[Call, float]()
    for peer, pause, ends in steps:
        now += pause
        for call in incoming.pop_slow(now):
            assert now - known.pop(call) >= SLOW_SECONDS
        slow = [call for call, began in known.items() if now - began >= SLOW_SECONDS]
        assert len(slow) <= SLOW
        call = Call(f"p{peer}")
        refused = incoming.add(call, now)
        if refused is not call:
            known[call] = now
        if refused is not None and refused is not call:
            del known[refused]
        if ends and known:
            ended = next(iter(known))
            del known[ended]
            assert incoming.remove(ended)
        assert len(incoming) == len(known) <= MOST
