"""Comparison of the recorded calls with those that a case expects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from clients.conformance.matching import MISSING, at_path, mismatch
from clients.conformance.recording import RecordedCall, Recorder


def unmet(expected: Sequence[Mapping[str, Any]], recorder: Recorder) -> str | None:
    """Return which expectation of calls is not met, or None."""
    for one in expected:
        if wrong := _unmet(one, recorder.calls(one["method"])):
            return f"{one['method']}: {wrong}"
    return None


def _unmet(expected: Mapping[str, Any], calls: Sequence[RecordedCall]) -> str | None:
    if wrong := mismatch(expected.get("count", {"$at_least": 1}), len(calls), "the number of calls"):
        return wrong
    messages = [message for call in calls for message in call.messages]
    firsts = [call.messages[0] if call.sent else {} for call in calls]
    for paths, distinct in ((expected.get("same", ()), False), (expected.get("distinct", ()), True)):
        for path in paths:
            if wrong := _repeated([at_path(first, path) for first in firsts], path, distinct=distinct):
                return wrong
    for path, count in expected.get("unique", {}).items():
        found = {json.dumps(at_path(message, path), default=str) for message in messages}
        if wrong := mismatch(count, len(found), f"the number of values of {path}"):
            return wrong
    if "requests" in expected and (wrong := mismatch(expected["requests"], firsts, "requests")):
        return wrong
    if "messages" in expected and (wrong := mismatch(expected["messages"], messages, "messages")):
        return wrong
    if "each" in expected:
        for number, message in enumerate(messages):
            if wrong := mismatch(expected["each"], message, f"message {number}"):
                return wrong
    return _unmet_of_calls(expected, calls)


def _unmet_of_calls(expected: Mapping[str, Any], calls: Sequence[RecordedCall]) -> str | None:
    for number, call in enumerate(calls):
        metadata = {key: values[0] if len(values) == 1 else values for key, values in call.metadata.items()}
        if wrong := mismatch(expected.get("metadata", {}), metadata, f"metadata of call {number}"):
            return wrong
        for key in expected.get("no_metadata", ()):
            if key in metadata:
                return f"call {number} has {key}: {metadata[key]!r}"
        wrong = mismatch(expected.get("deadline", call.deadline), call.deadline, f"deadline of call {number}")
        if wrong:
            return wrong
    if "gaps" in expected:
        gaps = [later.began - earlier.began for earlier, later in pairwise(calls)]
        wanted = expected["gaps"]
        wanted = wanted if isinstance(wanted, list) else [wanted] * len(gaps)
        if wrong := mismatch(wanted, gaps, "the pauses between calls"):
            return wrong
    if "waiting" in expected:
        most = max((call.most_waiting for call in calls), default=0)
        if wrong := mismatch(expected["waiting"], most, "the messages without an answer"):
            return wrong
    for name in ("code", "left"):
        last = getattr(calls[-1], name) if calls else None
        if name in expected and (wrong := mismatch(expected[name], last, f"{name} of the last call")):
            return wrong
    return None


def _repeated(values: Sequence[Any], path: str, *, distinct: bool) -> str | None:
    texts = [json.dumps(value, default=str) for value in values]
    if any(value is MISSING or not value for value in values):
        return f"{path} is empty in one of {texts}"
    if distinct and len(set(texts)) < len(texts):
        return f"{path} is not different in each call: {texts}"
    if not distinct and len(set(texts)) > 1:
        return f"{path} is not the same in each call: {texts}"
    return None
