"""The runner of the conformance suite finds what differs: each of its checks can fail."""

from __future__ import annotations

from typing import Any

import pytest

from clients.conformance import case_files
from clients.conformance.expectations import unmet
from clients.conformance.faults import Fault, Faults
from clients.conformance.front import patched
from clients.conformance.matching import MISSING, at_path, mismatch, substitute
from clients.conformance.protos import RPCS
from clients.conformance.recording import RecordedCall, Recorder
from clients.conformance.rolling import doubly_held
from clients.conformance.wire import PREFACE, FrameCounter
from orchestration.v1 import coordination_pb2, task_pb2

GET = RPCS["TaskService/GetTask"]
CREATE = RPCS["TaskService/CreateTask"]


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": {"b": "x"}}, {"a": {"b": "x", "c": []}}),
        ([1, {"a": 2}], [1.0, {"a": 2}]),
        ({"a": {"$absent": True}}, {}),
        ({"$at_least": 2}, "3"),
        ({"$between": [1, 2]}, 1.5),
        ({"$values": ["n.m", [1, 2]]}, [{"n": {"m": 1}}, {"n": {"m": 2}}]),
        ({"$values": ["n", {"$counts_up": [4, 6]}]}, [{"n": 4.0}, {"n": 5.0}]),
        ({"$has": [{"a": 1}]}, [{"a": 2}, {"a": 1, "b": 1}]),
        ({"$not": "x"}, "y"),
        ({"$length": {"$at_least": 2}}, [1, 2]),
        ({"$any_of": ["a", "b"]}, "b"),
        ({"$matches": "^ab"}, "abc"),
        ({"$close": 1.5}, 1.501),
    ],
)
def test_a_value_that_is_as_expected(expected: Any, seen: Any) -> None:
    assert mismatch(expected, seen) is None


@pytest.mark.parametrize(
    ("expected", "seen", "told"),
    [
        ({"a": 1}, {"a": 2}, "a is 2, not 1"),
        ({"a": 1}, {}, "a is missing"),
        ({"a": {"b": 1}}, {"a": 3}, "not an object"),
        ([1], [1, 2], "has 2 items, not 1"),
        (True, 1, "not True"),
        ("1", 1, "not '1'"),
        ({"a": {"$absent": True}}, {"a": ""}, "expected \\$absent"),
        ({"$at_least": 2}, 1, "expected \\$at_least 2"),
        ({"$at_least": 2}, "x", "expected"),
        ({"$at_most": 2}, MISSING, "is missing"),
        ({"$counts_up": [0, 2]}, [0, 1, 1], "expected"),
        ({"$has": [3]}, [1, 2], "expected"),
        ({"$length": 1}, [], "expected"),
    ],
)
def test_a_value_that_is_not(expected: Any, seen: Any, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(mismatch(expected, seen))


def test_a_condition_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\$atleast"):
        mismatch({"$atleast": 1}, 1)


def test_variables_and_repeats() -> None:
    made = substitute(
        {"a": "${n}", "b": "x-${n}", "c": {"$repeat": ["ab", 2]}, "d": {"$copies": [1, 2]}}, {"n": 7}
    )
    assert made == {"a": 7, "b": "x-7", "c": "abab", "d": [1, 1]}
    with pytest.raises(ValueError, match="no variable m"):
        substitute("${m}", {})
    assert at_path({"a": [{"b": 1}]}, "a.0.b") == 1
    assert at_path({"a": []}, "a.0") is MISSING


def _recorder(*ids: str, metadata: Any = (), deadline: float | None = None) -> Recorder:
    recorder = Recorder()
    for request_id in ids:
        call = RecordedCall(CREATE, metadata, deadline)
        call.sent.append(task_pb2.CreateTaskRequest(request_id=request_id).SerializeToString())
        recorder.add(call)
    return recorder


@pytest.mark.parametrize(
    ("expected", "met"),
    [
        ({"count": 2}, True),
        ({"count": 3}, False),
        ({"distinct": ["requestId"]}, True),
        ({"same": ["requestId"]}, False),
        ({"same": ["task"]}, False),
        ({"unique": {"requestId": 2}}, True),
        ({"unique": {"requestId": 1}}, False),
        ({"each": {"requestId": {"$matches": "."}}}, True),
        ({"requests": [{"requestId": "a"}, {"requestId": "b"}]}, True),
        ({"requests": [{"requestId": "a"}, {"requestId": "a"}]}, False),
        ({"metadata": {"k": "v"}}, True),
        ({"metadata": {"k": "w"}}, False),
        ({"no_metadata": ["k"]}, False),
        ({"deadline": {"$at_most": 9}}, True),
        ({"deadline": None}, False),
        ({"gaps": {"$at_least": 5}}, False),
        ({"code": "OK"}, False),
    ],
)
def test_recorded_calls(expected: dict[str, Any], met: bool) -> None:
    recorder = _recorder("a", "b", metadata=(("k", "v"),), deadline=8.0)
    assert (unmet([{"method": CREATE.name, **expected}], recorder) is None) is met


def test_no_call_is_not_what_was_expected() -> None:
    assert unmet([{"method": GET.name}], Recorder()) is not None
    assert unmet([{"method": GET.name, "count": 0}], Recorder()) is None


def test_faults_are_taken_in_order() -> None:
    faults = Faults()
    first, second = Fault(GET.name, skip=1, times=2), Fault(GET.name, code="INTERNAL")
    faults.add(first)
    faults.add(second)
    assert faults.take(CREATE.name) is None
    assert [faults.take(GET.name) for _ in range(5)] == [None, first, first, second, None]


def test_a_patch_changes_all_items_of_a_list() -> None:
    answer = coordination_pb2.ClaimTaskResponse()
    for code in ("a", "b"):
        answer.claims.add().lease.task_code = code
    made = coordination_pb2.ClaimTaskResponse.FromString(
        patched(type(answer), answer.SerializeToString(), {"claims": {"lease": {"fence": str(2**53 + 1)}}})
    )
    assert [(each.lease.task_code, each.lease.fence) for each in made.claims] == [
        ("a", 2**53 + 1),
        ("b", 2**53 + 1),
    ]


def test_pings_are_counted_across_reads() -> None:
    seen: list[int] = []
    counter = FrameCounter(lambda: seen.append(1))
    settings = b"\0\0\6\4\0\0\0\0\0" + bytes(6)
    ping, answer = b"\0\0\x08\6\0\0\0\0\0" + bytes(8), b"\0\0\x08\6\1\0\0\0\0" + bytes(8)
    for byte in PREFACE + settings + ping + answer + ping:
        counter.feed(bytes([byte]))
    assert len(seen) == 2


def test_two_holds_at_once_are_found() -> None:
    apart = {
        "a": {"held": [["t", "1", 0.0, 1.0]]},
        "b": {"held": [["t", "2", 1.0, 2.0], ["u", "1", 0.0, 5.0]]},
    }
    assert doubly_held(apart) == []
    apart["b"]["held"].append(["t", "3", 1.5, 3.0])
    assert len(doubly_held(apart)) == 1


def test_all_cases_are_valid_and_each_family_has_a_control() -> None:
    found = case_files.load()
    without = {case.family for case in found} - {case.family for case in found if case.control}
    assert len(found) >= 60
    assert not without
