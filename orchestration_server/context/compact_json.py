"""Messages as compact JSON: its size, and how it is shortened.

Sizes are in units of context/token_estimate.py and add up: an object or a list takes one STRUCTURE, and for
each member or item its own size and one more STRUCTURE.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from orchestration_server.context.token_estimate import STRUCTURE, estimate


def encoded(value: Any) -> str:
    """Return a value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def size(value: Any) -> int:
    """Return the size of a JSON value in units."""
    return estimate(encoded(value))


@lru_cache(1_024)
def name_size(name: str) -> int:
    """Return the size of a member's name with its colon."""
    return estimate(encoded(name) + ":")


def head(name: str) -> int:
    """Return the size of a member that is an empty list or object."""
    return name_size(name) + 2 * STRUCTURE


def member(name: str, value: Any) -> int:
    """Return the size of a member of an object."""
    return name_size(name) + STRUCTURE + size(value)


def to_json(message: Message) -> dict[str, Any]:
    """Return a message as the JSON whose tokens are counted."""
    return MessageToDict(message, preserving_proto_field_name=True)


def text(message: Message) -> str:
    """Return a message as compact JSON."""
    return encoded(to_json(message))


def cut(text: str, room: int) -> str:
    """Return the longest prefix of a text that takes at most ``room`` units as JSON; it may be empty."""
    fits, fails = 0, len(text) + 1
    while fits + 1 < fails:
        middle = (fits + fails) // 2
        if size(text[:middle]) <= room:
            fits = middle
        else:
            fails = middle
    return text[:fits]


def shorten(value: Any, room: int) -> Any:
    """Return as much of a JSON value as fits into ``room`` units; None if nothing fits.

    Members of objects are tried in the order of their names. If one does not fit, the next ones still may.
    """
    if size(value) <= room:
        return value
    if isinstance(value, str):
        return cut(value, room) or None
    if isinstance(value, dict):
        return members(value, room, sorted(value), frozenset(value))
    if not isinstance(value, list):
        return None
    items: list[Any] = []
    used = STRUCTURE
    for item in value:
        part = shorten(item, room - used - STRUCTURE)
        if part is None:
            break
        items.append(part)
        used += size(part) + STRUCTURE
    return items or None


def members(
    value: dict[str, Any], room: int, order: Sequence[str], cuttable: frozenset[str]
) -> dict[str, Any] | None:
    """Return the members of an object that fit, tried in ``order``. ``cuttable`` names those to shorten."""
    members: dict[str, Any] = {}
    used = STRUCTURE
    for name in order:
        free = room - used - name_size(name) - STRUCTURE
        part = shorten(value[name], free) if name in cuttable else value[name]
        if part is not None and (taken := size(part)) <= free:
            members[name] = part
            used += name_size(name) + STRUCTURE + taken
    return members or None
