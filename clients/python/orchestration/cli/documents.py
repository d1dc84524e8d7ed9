"""Messages as documents of plain values, and back.

The fields have the names of the protos, in their order, and are all there: a field that is not set is empty,
0 or null. Enum values are short words, 64-bit integers are whole numbers, times are RFC 3339, durations are
seconds with an "s", bytes are base64.
"""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from orchestration.cli import words
from orchestration.cli.exit_codes import USAGE
from orchestration.cli.refusal import Refusal
from orchestration.structs import plain, plain_value

_PLAIN = {"google.protobuf.Struct": plain, "google.protobuf.Value": plain_value}
_TEXT = frozenset(("google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"))


def to_document(message: Message) -> Any:
    """Return a message as a document."""
    name = message.DESCRIPTOR.full_name
    if name in _PLAIN:
        return _PLAIN[name](message)  # type: ignore[operator]  # each takes messages of its name
    if name in _TEXT:
        return message.ToJsonString()  # type: ignore[attr-defined]  # these have it
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def _field(message: Message, field: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(getattr(message, field.name))
    if field.is_repeated:
        return [_value(item, field) for item in getattr(message, field.name)]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(getattr(message, field.name), field)


def _value(value: Any, field: Any) -> Any:
    if field.message_type is not None:
        return to_document(value)
    if field.enum_type is not None:
        return words.word_of(field.enum_type, value)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def from_document(document: Any, message: Message) -> Message:
    """Fill a message from a document: one of ``to_document``, or JSON as protobuf writes it.

    Raises Refusal.
    """
    try:
        json_format.ParseDict(_long_words(document, message.DESCRIPTOR), message)
    except json_format.ParseError as error:
        name = message.DESCRIPTOR.name
        raise Refusal(
            f"this is no {name}: {error}", fix=f"the fields are {', '.join(fields_of(message))}", code=USAGE
        ) from None
    return message


def fields_of(message: Message) -> list[str]:
    """Return the names of a message's fields."""
    return [field.name for field in message.DESCRIPTOR.fields]


def _long_words(document: Any, descriptor: Any) -> Any:
    """Return a document with the enum values that protobuf reads."""
    if not isinstance(document, dict) or descriptor.full_name in _PLAIN:
        return document
    found = {}
    for key, value in document.items():
        field = descriptor.fields_by_name.get(key) or descriptor.fields_by_camelcase_name.get(key)
        found[key] = value if field is None else _long_value(value, field)
    return found


def _long_value(value: Any, field: Any) -> Any:
    if isinstance(value, list):
        return [_long_value(item, field) for item in value]
    if field.enum_type is not None and isinstance(value, str):
        return 0 if value.lower() == "unspecified" else words.number_of(field.enum_type, value)
    if field.message_type is not None and not field.message_type.GetOptions().map_entry:
        return _long_words(value, field.message_type)
    return value
