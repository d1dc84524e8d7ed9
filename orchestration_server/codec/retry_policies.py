"""Retry policies as plain values: ``max_attempts``, and the pauses in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration

from orchestration.v1 import task_pb2

MAX_ATTEMPTS = "max_attempts"
PAUSES = {"backoff_seconds": "backoff", "max_backoff_seconds": "max_backoff"}
"""The fields of the message by their names in plain values."""
_MICROSECONDS = 1_000_000
_LARGEST = 10**9


def retry_policy_content(policy: task_pb2.RetryPolicy) -> dict[str, Any]:
    """Return the fields of a policy that are set as plain values; empty if none is set."""
    content: dict[str, Any] = {}
    if policy.max_attempts:
        content[MAX_ATTEMPTS] = policy.max_attempts
    for name, of in PAUSES.items():
        if policy.HasField(of):  # type: ignore[arg-type]  # one of two names
            content[name] = _seconds(getattr(policy, of))
    return content


def to_retry_policy(values: Mapping[str, Any]) -> task_pb2.RetryPolicy:
    """Return plain values as a policy, without those that are None.

    Raises ValueError if a key is unknown, or a value is no number or too large for its field.
    """
    policy = task_pb2.RetryPolicy()
    for name, value in values.items():
        if name != MAX_ATTEMPTS and name not in PAUSES:
            raise ValueError(f"{name[:100]!r} is not known; known are {', '.join((MAX_ATTEMPTS, *PAUSES))}")
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LARGEST
        if not number or (name == MAX_ATTEMPTS and value != int(value)):
            kind = "whole number" if name == MAX_ATTEMPTS else "number of seconds"
            raise ValueError(f"{name} must be a {kind}")
        if name == MAX_ATTEMPTS:
            policy.max_attempts = int(value)
        else:
            seconds, micros = divmod(round(value * _MICROSECONDS), _MICROSECONDS)
            getattr(policy, PAUSES[name]).CopyFrom(Duration(seconds=seconds, nanos=micros * 1_000))
    return policy


def _seconds(duration: Duration) -> int | float:
    micros = duration.nanos // 1_000
    return (duration.seconds * _MICROSECONDS + micros) / _MICROSECONDS if micros else duration.seconds
