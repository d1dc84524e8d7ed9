"""A reader of contexts as Markdown that knows nothing of the code that writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.structs import plain
from orchestration.v1 import common_pb2, context_pb2, event_pb2

_USELESS = {"as_of_cursor", "token_estimate", "version", "target_type", "nanos", "task_code"}
"""Fields that no text needs: cursors, and what the place of an item says."""
_OPEN = (1, 2, 3)
"""Statuses of tasks that block: the heading of the section says so."""
_SENTENCES = {
    "dependency_added",
    "logged",
    "status_updated",
    "updated",
    "changes",
    "from",
    "to",
    "kind",
    "message",
    "payload",
    "depends_on",
}
"""Names that a sentence says in other words."""
_HEADING = re.compile(r"[\s>*\-\u200b-\u200f\u2060\ufeff\u3164\ufe0f]*#")
"""A heading, also one in a quote, in an item or after invisible characters."""
_PREFIX = re.compile(r"^[A-Z_]*?(STATUS|OUTCOME|PRIORITY|KIND|TYPE)_")


def missing(context: context_pb2.Context, logged: list[event_pb2.Event], text: str) -> list[str]:
    """Return the values of a context and its events that its text does not have."""
    known = _bare(text)
    whole = context_pb2.Context()
    whole.CopyFrom(context)
    whole.events.extend(logged)
    return [value for value in _values(whole) if not any(_bare(form) in known for form in _forms(value))]


def _forms(value: str) -> Iterator[str]:
    """Yield a value as it may be written: as it is, or as JSON."""
    yield value
    yield json.dumps(value, ensure_ascii=False)[1:-1]


def _bare(text: str) -> str:
    """Return a text without what is only its layout: spaces, control characters and backslashes."""
    text = re.sub(r"\\u[0-9a-f]{4}|\\[nrtbf]", "", text)
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\\]", "", text)


def _values(message: Any) -> Iterator[str]:
    if isinstance(message, Struct):
        yield from _leaves(plain(message))
    elif isinstance(message, Timestamp):
        at = message.ToJsonString()
        yield from (at[:4], at[5:10], at[11:16])
    elif isinstance(message, Duration):
        yield f"{message.seconds}"
    else:
        for field, value in message.ListFields():
            # The first revision is the creation: its time of change says nothing of the work.
            if field.name == "update_time" and getattr(message, "revision", 0) == 1:
                continue
            # Of a session that ended, the outcome says more than the status.
            ended = isinstance(message, context_pb2.ContextSession) and message.outcome
            if field.name in _USELESS or (field.name == "status" and ended):
                continue
            blocks = field.name == "kind" and value == common_pb2.DEPENDENCY_KIND_BLOCKS
            if blocks and message.status in _OPEN:
                continue
            for each in value if isinstance(value, list) or hasattr(value, "append") else [value]:
                yield from _field(field, each)


def _field(field: Any, value: Any) -> Iterator[str]:
    if field.message_type is not None:
        yield from _values(value)
    elif field.enum_type is not None:
        name = _PREFIX.sub("", field.enum_type.values_by_number[value].name)
        yield name if re.fullmatch(r"P\d", name) else name.lower()
    elif field.name == "type":
        kind = value.removeprefix("orchestration.").removesuffix("_changed").rpartition(".")[2]
        yield "" if value.startswith("orchestration.") and kind in _SENTENCES else kind
    elif field.name == "cost_micros":
        yield f"{value / 10**6:.6f}".rstrip("0").rstrip(".")
    else:
        yield f"{value:g}" if isinstance(value, float) else str(value)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield "" if name in _SENTENCES else name.replace(".", "\\.")
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, str):
        yield value
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def headings(text: str) -> list[str]:
    """Return the headings of a text outside fences, as any reader of Markdown finds them."""
    return [line.strip() for line, fenced in _lines(text) if not fenced and _HEADING.match(line)]


def items(text: str, heading: str) -> int:
    """Return the number of items below a heading."""
    below, found = False, 0
    for line, fenced in _lines(text):
        if not fenced and line.startswith("#"):
            below = line == heading
        found += below and not fenced and line.startswith("-")
    return found


def unclosed(text: str) -> bool:
    """Return whether a fence is open at the end of a text."""
    return [fenced for _, fenced in _lines(text + "\nend")][-1]


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a text, each with whether it is in a fence or opens or closes one."""
    fence = ""
    for line in re.split(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]", text):
        mark = re.match(r"\s*(`{3,}|~{3,})", line)
        if fence:
            yield line, True
            if mark and line.strip() == mark[1] and mark[1].startswith(fence):
                fence = ""
        elif mark:
            fence = mark[1]
            yield line, True
        else:
            yield line, False
