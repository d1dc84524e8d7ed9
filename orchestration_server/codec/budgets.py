"""Budgets and usage as amounts: tokens, millionths of a dollar, calls of tools, microseconds of work."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.duration_pb2 import Duration

from orchestration.v1 import lease_pb2, task_pb2

COUNTS = ("tokens", "cost_micros", "tool_calls")
"""The fields of a budget in the order of the amounts. The last amount is ``wall_time``."""
_LARGEST = 2**60
"""The largest amount of one attempt, so that sums stay within 64 bits."""


def amounts(usage: lease_pb2.Usage) -> list[int]:
    """Return the amounts of a usage."""
    found = (
        sum(model.input_tokens + model.output_tokens for model in usage.models),
        sum(model.cost_micros for model in usage.models),
        usage.tool_calls,
        _microseconds(usage.wall_time),
    )
    return [min(amount, _LARGEST) for amount in found]


def grows(before: Sequence[int], after: Sequence[int]) -> bool:
    """Return whether no amount is lower than before. ``ledger_usage_grows`` is the same (migration 0025)."""
    return all(old <= new for old, new in zip(before, after, strict=True))


def limits(budget: task_pb2.Budget) -> str:
    """Return the limits of a budget as an array of SQL; empty if it limits nothing."""
    found: list[int | None] = [
        getattr(budget, name) if budget.HasField(name) else None  # type: ignore[arg-type]  # a name of COUNTS
        for name in COUNTS
    ]
    found.append(_microseconds(budget.wall_time) if budget.HasField("wall_time") else None)
    return "" if found == [None] * len(found) else to_array(found)


def to_array(values: Sequence[int | None] | None) -> str:
    """Return amounts or limits as an array of SQL; empty for None."""
    if values is None:
        return ""
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


def left(budget: Sequence[int | None], *used: Sequence[int] | None) -> list[int | None]:
    """Return what is left of each limit after several usages: 0 or less if it is used up."""
    known = [each for each in used if each is not None]
    return [
        None if limit is None else limit - sum(each[at] for each in known) for at, limit in enumerate(budget)
    ]


def to_budget(values: Sequence[int | None]) -> task_pb2.Budget:
    """Return what is left of a budget as a message, without negative amounts."""
    made = task_pb2.Budget()
    for name, value in zip(COUNTS, values[:-1], strict=True):
        if value is not None:
            setattr(made, name, max(0, value))
    time = values[-1]
    if time is not None:
        made.wall_time.FromMicroseconds(max(0, time))
    return made


def spent(budget: Sequence[int | None], *used: Sequence[int] | None) -> list[str]:
    """Return each limit that is used up as a text, such as "1200 of 1000 tokens"."""
    found = []
    remaining = left(budget, *used)
    for at, (limit, rest) in enumerate(zip(budget, remaining, strict=True)):
        if limit is not None and rest is not None and rest <= 0:
            found.append(_TEXTS[at](limit - rest, limit))
    return found


def _count(name: str, used: int, limit: int) -> str:
    return f"{used} of {limit} {name}"


_TEXTS = (
    lambda used, limit: _count("tokens", used, limit),
    lambda used, limit: f"{used / 1e6:.6g} of {limit / 1e6:.6g} US dollars",
    lambda used, limit: _count("calls of tools", used, limit),
    lambda used, limit: f"{used / 1e6:.6g} of {limit / 1e6:.6g} seconds of working time",
)


def _microseconds(duration: Duration) -> int:
    return duration.seconds * 1_000_000 + duration.nanos // 1_000
