"""Messages as compact JSON: how long it is, and how it is made shorter.

Lengths are of UTF-8 with no white space, and add up: an object or a list takes one byte and, for each thing
in it, that thing and one byte more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message


def length(value: Any) -> int:
    """How many bytes a value of JSON takes."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def head(name: str) -> int:
    """How many bytes a member that is a list takes beside its items, each with one byte more."""
    return len(name) + 5


def member(name: str, value: Any) -> int:
    """How many bytes a member of an object takes."""
    return len(name) + 4 + length(value)


def to_json(message: Message) -> dict[str, Any]:
    """A message in the JSON that tokens are counted of."""
    return MessageToDict(message, preserving_proto_field_name=True)


def text(message: Message) -> str:
    """A message as compact JSON."""
    return json.dumps(to_json(message), ensure_ascii=False, separators=(",", ":"))


def cut(text: str, room: int) -> str:
    """The longest beginning of a text that takes no more than so many bytes as JSON; it may be empty."""
    fits, fails = 0, min(len(text), max(room, 0)) + 1
    while fits + 1 < fails:
        middle = (fits + fails) // 2
        if length(text[:middle]) <= room:
            fits = middle
        else:
            fails = middle
    return text[:fits]


def shorten(value: Any, room: int) -> Any:
    """As much of a value of JSON as takes no more than so many bytes; None where that is nothing.

    Members of objects come by name, and what does not fit gives way to what comes after it.
    """
    if length(value) <= room:
        return value
    if isinstance(value, str):
        return cut(value, room) or None
    if isinstance(value, dict):
        return members(value, room, sorted(value), frozenset(value))
    if not isinstance(value, list):
        return None
    items: list[Any] = []
    used = 1
    for item in value:
        part = shorten(item, room - used - 1)
        if part is None:
            break
        items.append(part)
        used += length(part) + 1
    return items or None


def members(
    value: dict[str, Any], room: int, order: Sequence[str], soft: frozenset[str]
) -> dict[str, Any] | None:
    """The members of an object that fit, in an order; those that are ``soft`` may be shortened."""
    members: dict[str, Any] = {}
    used = 1
    for name in order:
        free = room - used - length(name) - 2
        part = shorten(value[name], free) if name in soft else value[name]
        if part is not None and length(part) <= free:
            members[name] = part
            used += length(name) + 2 + length(part)
    return members or None
