"""The protobuf wire format: responses that are put together from messages serialized earlier."""

from __future__ import annotations

from collections.abc import Iterable

RESULT_FIELD = 1
"""The number of the field with the entity, or the entities, in the responses of the services."""
PAGE_TOKEN_FIELD = 2
"""The number of ``next_page_token`` in the responses of lists."""
VARINT, FIXED64, LENGTH_DELIMITED, START_GROUP, FIXED32 = 0, 1, 2, 3, 5
"""Wire types: the lowest three bits of a tag."""
WIRE_TYPE_BITS = 3
WIRE_TYPE_MASK = (1 << WIRE_TYPE_BITS) - 1
MORE = 0x80
"""The bit of a varint's byte that says that another byte follows."""
LOW_BITS = MORE - 1
"""The bits of a varint's byte that belong to its number."""
MAX_VARINT_BYTES = 10
_ONE_BYTE = [bytes((number,)) for number in range(MORE)]


def tag(field: int, wire_type: int = LENGTH_DELIMITED) -> int:
    """Return the tag of a field as a number."""
    return field << WIRE_TYPE_BITS | wire_type


def varint(number: int) -> bytes:
    """Return a number as a protobuf varint."""
    if number < 0x4000:
        return _ONE_BYTE[number] if number < MORE else bytes((number & LOW_BITS | MORE, number >> 7))
    out = bytearray()
    while number > LOW_BITS:
        out.append(number & LOW_BITS | MORE)
        number >>= 7
    out.append(number)
    return bytes(out)


def embed(field: int, body: bytes) -> bytes:
    """Return a serialized message as a field of another message."""
    return varint(tag(field)) + varint(len(body)) + body


def embed_all(field: int, bodies: Iterable[bytes]) -> bytes:
    """Return serialized messages as a repeated field of another message."""
    head = varint(tag(field))
    return b"".join([head + varint(len(body)) + body for body in bodies])
