"""Who gives way where too many calls have not sent their request."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from orchestration_server.rpc.incoming_calls import GRACE_SECONDS, SLOW_SECONDS, OnTheWay


@dataclass(eq=False)
class Call:
    peer: str


MOST, SLOW = 10, 3


def calls() -> OnTheWay[Call]:
    return OnTheWay(most=MOST, most_slow=SLOW)


def test_the_oldest_of_the_connection_with_the_most_gives_way_to_another_connection() -> None:
    coming = calls()
    patient = Call("patient")
    assert coming.add(patient, 0.0) is None
    silent = [Call("silent") for _ in range(MOST - 1)]
    for call in silent:
        assert coming.add(call, 1.0) is None
    # At once, however young it is: they crowd the others out.
    assert coming.add(Call("good"), 1.0) is silent[0]
    assert coming.remove(patient)
    assert not coming.remove(silent[0])


def test_of_one_connection_a_burst_is_refused_and_the_silent_give_way() -> None:
    coming = calls()
    first = [Call("one") for _ in range(MOST)]
    for call in first:
        assert coming.add(call, 0.0) is None
    late = Call("one")
    assert coming.add(late, GRACE_SECONDS / 2) is late
    assert coming.add(late, GRACE_SECONDS) is first[0]
    assert len(coming) == MOST


def test_few_may_be_slow() -> None:
    coming = calls()
    old = [Call("many") for _ in range(SLOW + 2)]
    for call in old:
        coming.add(call, 0.0)
    coming.add(Call("new"), SLOW_SECONDS)
    assert coming.slow(SLOW_SECONDS / 2) == []
    assert coming.slow(SLOW_SECONDS) == old[:2]
    assert coming.slow(SLOW_SECONDS) == []


def test_none_stays_for_ever() -> None:
    coming = calls()
    old, new = Call("a"), Call("b")
    coming.add(old, 0.0)
    coming.add(new, 5.0)
    assert coming.late(5.0) == [old]
    assert len(coming) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 0.5), st.booleans()), max_size=80))
def test_they_are_bounded_whatever_comes(steps: list[tuple[int, float, bool]]) -> None:
    coming, now, known = calls(), 0.0, dict[Call, float]()
    for peer, pause, ends in steps:
        now += pause
        for call in coming.slow(now):
            assert now - known.pop(call) >= SLOW_SECONDS
        slow = [call for call, began in known.items() if now - began >= SLOW_SECONDS]
        assert len(slow) <= SLOW
        call = Call(f"p{peer}")
        refused = coming.add(call, now)
        if refused is not call:
            known[call] = now
        if refused is not None and refused is not call:
            del known[refused]
        if ends and known:
            ended = next(iter(known))
            del known[ended]
            assert coming.remove(ended)
        assert len(coming) == len(known) <= MOST
