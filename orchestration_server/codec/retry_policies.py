"""Retry policies as plain values: ``max_attempts``, the pauses in seconds, and the limits of the budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration

from orchestration.v1 import task_pb2

MAX_ATTEMPTS = "max_attempts"
PAUSES = {"backoff_seconds": "backoff", "max_backoff_seconds": "max_backoff"}
"""The fields of the message by their names in plain values."""
COUNTS = {"max_tokens": "tokens", "max_cost_micros": "cost_micros", "max_tool_calls": "tool_calls"}
MAX_WALL_TIME = "max_wall_time_seconds"
"""The limits of the budget by their names in plain values."""
_NAMES = (MAX_ATTEMPTS, *PAUSES, *COUNTS, MAX_WALL_TIME)
_MICROSECONDS = 1_000_000
_LARGEST = 10**9
_LARGEST_COUNT = 2**53


def retry_policy_content(policy: task_pb2.RetryPolicy) -> dict[str, Any]:
    """Return the fields of a policy that are set as plain values; empty if none is set."""
    content: dict[str, Any] = {}
    if policy.max_attempts:
        content[MAX_ATTEMPTS] = policy.max_attempts
    for name, of in PAUSES.items():
        if policy.HasField(of):  # type: ignore[arg-type]  # one of two names
            content[name] = _seconds(getattr(policy, of))
    for name, of in COUNTS.items():
        if policy.budget.HasField(of):  # type: ignore[arg-type]  # one of three names
            content[name] = getattr(policy.budget, of)
    if policy.budget.HasField("wall_time"):
        content[MAX_WALL_TIME] = _seconds(policy.budget.wall_time)
    return content


def to_retry_policy(values: Mapping[str, Any]) -> task_pb2.RetryPolicy:
    """Return plain values as a policy, without those that are None.

    Raises ValueError if a key is unknown, or a value is no number or too large for its field.
    """
    policy = task_pb2.RetryPolicy()
    for name, value in values.items():
        if name not in _NAMES:
            raise ValueError(f"{name[:100]!r} is not known; known are {', '.join(_NAMES)}")
        if value is None:
            continue
        whole = name == MAX_ATTEMPTS or name in COUNTS
        most = _LARGEST_COUNT if name in COUNTS else _LARGEST
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
        if not number or (whole and value != int(value)):
            raise ValueError(f"{name} must be a {'whole number' if whole else 'number of seconds'}")
        if name == MAX_ATTEMPTS:
            policy.max_attempts = int(value)
        elif name in COUNTS:
            setattr(policy.budget, COUNTS[name], int(value))
        elif name == MAX_WALL_TIME:
            policy.budget.wall_time.CopyFrom(_duration(value))
        else:
            getattr(policy, PAUSES[name]).CopyFrom(_duration(value))
    return policy


def _duration(seconds: float) -> Duration:
    whole, micros = divmod(round(seconds * _MICROSECONDS), _MICROSECONDS)
    return Duration(seconds=whole, nanos=micros * 1_000)


def _seconds(duration: Duration) -> int | float:
    micros = duration.nanos // 1_000
    return (duration.seconds * _MICROSECONDS + micros) / _MICROSECONDS if micros else duration.seconds
