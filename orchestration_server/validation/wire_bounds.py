"""The bounds of a request in bytes, computed from the rules of its fields, and a scan before parsing.

A parsed message takes up to 70 times its bytes in memory: four bytes encode an item of a list with an empty
message in it. A small request is parsed without a scan, since its cost is bounded. For a larger one, the scan
counts fields and messages without making any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from orchestration_server.codec.wire import (
    FIXED32,
    FIXED64,
    LENGTH_DELIMITED,
    LOW_BITS,
    MAX_VARINT_BYTES,
    MORE,
    START_GROUP,
    VARINT,
    WIRE_TYPE_MASK,
    tag,
)
from orchestration_server.validation import constraints as kinds
from orchestration_server.validation.constraints import Rule, Rules

SCAN_BYTES = 16 * 1024
"""Up to this size a request is parsed without a scan. It takes at most about 1 MiB."""
QUICK_BYTES = 8 * 1024 * 1024
"""The estimated memory below which the scan does not count single fields."""
PARSED_BYTES = 32 * 1024 * 1024
"""The most memory that a parsed request may take, estimated from its fields."""
UNKNOWN_FIELDS = 20_000
"""The most fields of newer clients in one request: 20 for each of 1,000 items."""
LEVELS = 64
"""The most levels of messages. A Struct of 16 levels takes about 50."""

_REPEATS = 8
"""The most occurrences of a singular field. Encoders write one, concatenated messages have more."""
_ROOM = 512
"""Bytes that a request may have beside those of its fields, for fields of newer clients."""
_ROUND = 1024
_TAG_AND_LENGTH = 8
_TIME_BYTES = 32
_IGNORED_TEXT = 1024
_NO_RULE_BYTES = 1024 * 1024
_CHARACTER = 4
_SLOT = 16
"""The memory of one list item that is no message."""
_SCALAR_SHARE = 8
"""The memory of one byte of scalars in the worst case, two bytes for each slot."""


class TooMany(Exception):
    """An error of a request with more fields, items or levels than its rules allow."""


class TooManyItems(TooMany):
    """An error of a list in the request itself that is too long."""

    def __init__(self, field: str, most: int) -> None:
        super().__init__(f"more than {most:,} of {field}")
        self.field = field
        self.most = most


class Part(NamedTuple):
    """The bounds of a field."""

    name: str
    most: int
    """The most occurrences in one message."""
    shape: Shape | None
    """The shape of its message; None for a scalar."""
    packed: int
    """The most bytes of a packed list; 0 if the field is no packed list."""
    cost: int
    """The memory of one occurrence."""


class Shape:
    """The fields of a message by their tags in the wire format."""

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: dict[int, Part] = {}


class Bounds(NamedTuple):
    """The bounds of the requests of one type."""

    most_bytes: int
    scan: Callable[[bytes], None]
    """Raises TooMany if a request exceeds its bounds."""


def bounds_of(message: type[Message], rules: Rules) -> Bounds:
    """Return the bounds of a type of request, computed from its rules."""
    descriptor: Any = message.DESCRIPTOR
    size = _message_bytes(descriptor, rules) + _ROOM
    shape = _shape(descriptor, rules, {})
    submessages, most_memory = _message_tags(shape)
    others = bytes(set(range(256)) - submessages)

    def scan(body: bytes) -> None:
        _count_top(body, shape.parts)
        # Each message has a tag, so there are at most as many messages as bytes that could begin one.
        most = len(body.translate(None, others))
        if most * most_memory + len(body) * _SCALAR_SHARE > QUICK_BYTES:
            _Walk(body).walk(0, len(body), shape, 0)

    return Bounds(-(-size // _ROUND) * _ROUND, scan)


# Sizes


def _message_bytes(descriptor: Descriptor, rules: Rules) -> int:
    found = rules[GetMessageClass(descriptor)]
    return sum(_field_bytes(field, found[field.name], rules) for field in descriptor.fields)


def _field_bytes(field: FieldDescriptor, rule: Rule, rules: Rules) -> int:
    if isinstance(rule, kinds.Items):
        return rule.high * (_TAG_AND_LENGTH + _value_bytes(field, rule.rule, rules))
    return _TAG_AND_LENGTH + _value_bytes(field, rule, rules)


def _value_bytes(field: FieldDescriptor, rule: Rule, rules: Rules) -> int:
    match rule:
        case kinds.Unreserved():
            return _value_bytes(field, rule.rule, rules)
        case kinds.Text():
            return _CHARACTER * rule.high
        case kinds.Form():
            return _CHARACTER * rule.high
        case kinds.Pattern():
            ascii_alone = rule.pattern.fullmatch("é") is None
            return rule.high if ascii_alone else _CHARACTER * rule.high
        case kinds.Printable():
            return rule.high
        case kinds.Json():
            return kinds.STRUCT_WIRE_BYTES
        case kinds.Mask():
            return kinds.MASK_NAMES * (_TAG_AND_LENGTH + max(map(len, rule.allowed)))
        case kinds.Sub() | kinds.Masked():
            inner: Any = rule.message.DESCRIPTOR
            return _message_bytes(inner, rules)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _TIME_BYTES
    if field.type == FieldDescriptor.TYPE_STRING and isinstance(rule, kinds.Ignored | kinds.Date):
        return _IGNORED_TEXT
    if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
        return _NO_RULE_BYTES
    return MAX_VARINT_BYTES


# Shapes

_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: FIXED64,
    FieldDescriptor.TYPE_FIXED64: FIXED64,
    FieldDescriptor.TYPE_SFIXED64: FIXED64,
    FieldDescriptor.TYPE_FLOAT: FIXED32,
    FieldDescriptor.TYPE_FIXED32: FIXED32,
    FieldDescriptor.TYPE_SFIXED32: FIXED32,
    FieldDescriptor.TYPE_STRING: LENGTH_DELIMITED,
    FieldDescriptor.TYPE_BYTES: LENGTH_DELIMITED,
    FieldDescriptor.TYPE_MESSAGE: LENGTH_DELIMITED,
}


def _shape(descriptor: Descriptor, rules: Rules, known: dict[str, Shape]) -> Shape:
    """Return the shape of a message. A recursive message, such as a JSON value, has one shape."""
    if descriptor.full_name in known:
        return known[descriptor.full_name]
    shape = known[descriptor.full_name] = Shape()
    own: Mapping[str, Rule] = {}
    if descriptor.full_name.startswith("orchestration."):
        own = rules.get(GetMessageClass(descriptor), {})
    for field in descriptor.fields:
        wire_type = _WIRE_TYPES.get(field.type, VARINT)
        rule = own.get(field.name)
        inner = field.message_type
        below = None if inner is None else _shape(inner, rules, known)
        cost = _SLOT if inner is None else _memory(inner)
        most = _REPEATS
        if field.is_repeated:
            most = rule.high if isinstance(rule, kinds.Items) else PARSED_BYTES
            if field.full_name == "google.protobuf.FieldMask.paths":
                most = kinds.MASK_NAMES
        shape.parts[tag(field.number, wire_type)] = Part(field.name, most, below, 0, cost)
        if field.is_repeated and wire_type != LENGTH_DELIMITED:
            packed = most * MAX_VARINT_BYTES
            shape.parts[tag(field.number)] = Part(field.name, _REPEATS, None, packed, cost)
    return shape


def _memory(descriptor: Descriptor) -> int:
    """Estimate the memory of an empty message.

    Measured: 258 bytes for a task of 20 fields in an item of 2.
    """
    if descriptor.GetOptions().map_entry:
        return 96
    return 40 + 8 * len(descriptor.fields)


def _message_tags(shape: Shape) -> tuple[set[int], int]:
    """Return the first bytes of all tags of messages in a shape, and the most memory of one message."""
    seen: set[int] = set()
    tags, most_memory = set(), 0
    left = [shape]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        for number, part in one.parts.items():
            if part.shape is not None:
                # An encoder may write a tag with more bytes than it needs.
                tags |= {number & LOW_BITS | MORE} if number >= MORE else {number, number | MORE}
                most_memory = max(most_memory, part.cost)
                left.append(part.shape)
    return tags, most_memory


# The scan


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """Return the number at a position and the position behind it. Raises IndexError if it has no end."""
    number = shift = 0
    while True:
        byte = body[at]
        at += 1
        number |= (byte & LOW_BITS) << shift
        if byte < MORE:
            return number, at
        shift += 7
        if shift > 63:
            raise IndexError


def _count_top(body: bytes, parts: Mapping[int, Part]) -> None:
    """Count the fields of the request itself.

    Most requests that are refused are refused here, after a few steps.
    """
    seen: dict[int, int] = {}
    at, end, unknown = 0, len(body), 0
    try:
        while at < end:
            found = body[at]
            at += 1
            if found > LOW_BITS:
                found, at = _varint(body, at - 1)
            count = seen[found] = seen.get(found, 0) + 1
            part = parts.get(found)
            if part is not None:
                if count > part.most:
                    raise TooManyItems(part.name, part.most)
            else:
                unknown += 1
                if unknown > UNKNOWN_FIELDS:
                    raise TooMany(f"more than {UNKNOWN_FIELDS:,} fields that this release does not know")
            at = _end_of_value(body, at, found)
    except (IndexError, _NoField):
        # The bytes are no message. The parser stops at the same place and reports it.
        return


class _NoField(Exception):
    """An error of bytes that are no field."""


def _end_of_value(body: bytes, at: int, found: int) -> int:
    """Return the position behind the value of the tag ``found``."""
    wire_type = found & WIRE_TYPE_MASK
    if wire_type == LENGTH_DELIMITED:
        size = body[at]
        at += 1
        if size > LOW_BITS:
            size, at = _varint(body, at - 1)
        return at + size
    if wire_type == VARINT:
        while body[at] > LOW_BITS:
            at += 1
        return at + 1
    if wire_type == FIXED64:
        return at + 8
    if wire_type == FIXED32:
        return at + 4
    if wire_type == START_GROUP:
        raise TooMany("a group, which no message here has")
    raise _NoField


class _Walk:
    """A pass over all fields of a request."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._left = PARSED_BYTES
        self._unknown = UNKNOWN_FIELDS

    def walk(self, at: int, end: int, shape: Shape, level: int) -> None:
        """Count the fields of a message and of the messages in it. Raises TooMany."""
        if level > LEVELS:
            raise TooMany(f"messages nested more than {LEVELS} deep")
        body, parts = self._body, shape.parts
        seen: dict[int, int] = {}
        try:
            while at < end:
                found = body[at]
                at += 1
                if found > LOW_BITS:
                    found, at = _varint(body, at - 1)
                part = parts.get(found)
                behind = _end_of_value(body, at, found)
                if part is None:
                    self._unknown -= 1
                    if self._unknown < 0:
                        raise TooMany(f"more than {UNKNOWN_FIELDS:,} fields that this release does not know")
                else:
                    self._take(part, found, seen)
                    if part.shape is not None:
                        _, start = _varint(body, at)
                        self.walk(start, min(behind, end), part.shape, level + 1)
                    elif part.packed and behind - at > part.packed + _TAG_AND_LENGTH:
                        raise TooMany(f"too many items of {part.name}")
                at = behind
        except (IndexError, _NoField):
            return

    def _take(self, part: Part, found: int, seen: dict[int, int]) -> None:
        count = seen[found] = seen.get(found, 0) + 1
        if count > part.most:
            raise TooMany(f"more than {part.most:,} of {part.name}")
        self._left -= part.cost
        if self._left < 0:
            raise TooMany(f"fields and JSON values that take more than {PARSED_BYTES >> 20} MiB")
