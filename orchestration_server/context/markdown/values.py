"""Values of messages in a Markdown context: times, amounts, settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import lease_pb2, task_pb2
from orchestration_server.codec.content import plain
from orchestration_server.context.markdown.escaping import has_lines, quoted, scalar, word
from orchestration_server.context.markdown.items import Form, Item, Part

_SIMPLE = (str, int, float, bool, type(None))


def minute(time: Timestamp) -> str:
    """Return a time in UTC to the minute."""
    return time.ToJsonString()[:16].replace("T", " ")


def words(values: Iterable[str]) -> str:
    """Return names as a list for the middle of a line."""
    return ", ".join(map(word, values))


def plural(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def duration(value: Duration) -> str:
    """Return a duration in seconds."""
    return f"{value.seconds}" + (f".{value.nanos:09}".rstrip("0") if value.nanos else "") + "s"


def settings(values: Any, *, group: str = "", rank: int = 0) -> list[Item]:
    """Return a Struct as one item for each setting, in the order of the names."""
    return [Item(f"\n- {name}:", [part], group=group, rank=rank) for name, part in _flat(plain(values), "")]


def _flat(values: Mapping[str, Any], path: str) -> Iterator[tuple[str, Part]]:
    for name in sorted(values):
        value = values[name]
        where = path + word(name).replace(".", "\\.")
        if isinstance(value, dict) and value:
            yield from _flat(value, where + ".")
        elif isinstance(value, list) and len(value) > 1 and all(isinstance(each, _SIMPLE) for each in value):
            yield where, Part(", ".join(map(scalar, value)))
        elif isinstance(value, str) and (has_lines(value) or (" " in value and value == value.strip())):
            # A text of several words needs no quotation marks at the end of a line.
            yield where, Part(value, Form.TEXT)
        else:
            yield where, Part(quoted(value) if isinstance(value, dict | list) else scalar(value))


def retries(policy: task_pb2.RetryPolicy) -> str:
    """Return what a retry policy sets; empty if it sets nothing."""
    found = []
    if policy.max_attempts:
        found.append(f"at most {plural(policy.max_attempts, 'attempt')}")
    if policy.HasField("backoff"):
        found.append(f"pause {duration(policy.backoff)}")
    if policy.HasField("max_backoff"):
        found.append(f"longest pause {duration(policy.max_backoff)}")
    budget = policy.budget
    if budget.HasField("tokens"):
        found.append(f"budget {budget.tokens} tokens")
    if budget.HasField("cost_micros"):
        found.append(f"budget {dollars(budget.cost_micros)}")
    if budget.HasField("tool_calls"):
        found.append(f"budget {plural(budget.tool_calls, 'tool call')}")
    if budget.HasField("wall_time"):
        found.append(f"budget {duration(budget.wall_time)} of work")
    return ", ".join(found)


def dollars(micros: int) -> str:
    """Return a cost in dollars, without trailing zeros."""
    whole, rest = divmod(micros, 10**6)
    return f"${whole}" + (f".{rest:06}".rstrip("0") if rest else "")


def used(usage: lease_pb2.Usage) -> str:
    """Return what an attempt used; empty if it reported nothing."""
    found = []
    for each in usage.models:
        amounts = [
            f"{number} {what}"
            for number, what in (
                (each.input_tokens, "input"), (each.output_tokens, "output"), (each.cached_tokens, "cached"),
            )
            if number
        ]  # fmt: skip
        amounts = [", ".join(amounts) + " tokens"] if amounts else []
        if each.cost_micros:
            amounts.append(dollars(each.cost_micros))
        name = "/".join(word(each_name) for each_name in (each.provider, each.model) if each_name)
        found.append(" ".join(filter(None, (name, ", ".join(amounts)))))
    if usage.tool_calls:
        found.append(plural(usage.tool_calls, "tool call"))
    if usage.HasField("wall_time"):
        found.append(duration(usage.wall_time))
    return "; ".join(filter(None, found))
