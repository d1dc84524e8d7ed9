"""No project waits for all events of another: each has its part of a group and of the limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.v1 import event_pb2
from orchestration_server.model import Call
from orchestration_server.rules.emission import AT_ONCE
from orchestration_server.writes.drafts import EmitRequest
from orchestration_server.writes.project_queues import SMALL_SHARE, SPARE_SHARE, ProjectQueues, QueueLimit
from tests.support import factories

BYTES = 1_000_000


def message(project: str, events: int, request_id: str = "") -> EmitRequest:
    request = event_pb2.EmitEventsRequest(request_id=request_id, events=[factories.event()] * events)
    return EmitRequest.from_message(Call("", project), request, request.events, AT_ONCE)


def waiting(*messages: EmitRequest) -> ProjectQueues:
    lines = ProjectQueues()
    for one in messages:
        lines.add(one)
    return lines


def test_a_project_that_came_last_is_in_the_next_group() -> None:
    greedy = [message("greedy", 500) for _ in range(40)]
    few = [message("few", 1) for _ in range(3)]
    lines = waiting(*greedy, *few)
    group = lines.take(2_000, BYTES)
    assert few == [one for one in group if one.call.project == "few"]
    assert [one for one in group if one.call.project == "greedy"] == greedy[:4]


def test_two_busy_projects_share_a_group_in_halves() -> None:
    lines = waiting(*[message("large", 500) for _ in range(20)], *[message("small", 1) for _ in range(3_000)])
    for _ in range(2):
        group = lines.take(2_000, BYTES)
        assert sum(len(one.drafts) for one in group if one.call.project == "small") == pytest.approx(
            1_000, abs=500
        )


def test_more_projects_than_fit_into_a_group_take_turns() -> None:
    first = [message(f"p{n}", 1) for n in range(5)]
    lines = waiting(*first, *[message(f"p{n}", 1) for n in range(5)])
    assert [*lines.take(3, BYTES), *lines.take(2, BYTES)] == first


def test_a_repeated_request_id_blocks_only_its_own_queue() -> None:
    one, again, behind = message("a", 1, "r"), message("a", 1, "r"), message("a", 1, "s")
    other = message("b", 1, "r")
    lines = waiting(one, again, behind, other)
    assert lines.take(100, BYTES) == [one, other]
    assert lines.take(100, BYTES) == [again, behind]
    assert not lines


MESSAGES = st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.sampled_from(["", "r", "s"]))


@given(st.lists(MESSAGES, max_size=40), st.integers(1, 30))
def test_each_message_is_taken_once_and_each_queue_keeps_its_order(
    given_: list[tuple[str, int, str]], most: int
) -> None:
    messages = [message(*one) for one in given_]
    lines = waiting(*messages)
    taken: list[EmitRequest] = []
    while lines:
        group = lines.take(most, BYTES)
        ids = [(one.call.project, one.request.request_id) for one in group if one.request.request_id]
        assert group
        assert len(set(ids)) == len(ids)
        taken += group
    for project in "abc":
        own = [one for one in messages if one.call.project == project]
        assert [one for one in taken if one.call.project == project] == own


def test_a_project_that_reaches_the_limit_shuts_no_other_out() -> None:
    room = QueueLimit(100, BYTES)
    while room.has_room(message("greedy", 10)):
        room.add(message("greedy", 10))
    assert room.events == 100
    assert not room.has_room(message("greedy", 1))
    small = message("small", 100 // SMALL_SHARE)
    assert room.has_room(small)
    room.add(small)
    assert not room.has_room(message("small", 1))
    room.remove(small)
    assert room.has_room(small)


def test_the_limit_holds_for_any_number_of_projects() -> None:
    room = QueueLimit(100, BYTES)
    for number in range(1_000):
        if room.has_room(one := message(f"p{number}", 1)):
            room.add(one)
    assert room.events == 100 + 100 // SPARE_SHARE
