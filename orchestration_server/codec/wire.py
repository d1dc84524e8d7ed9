"""The protobuf wire format: responses that are put together from messages serialized earlier."""

from __future__ import annotations

from collections.abc import Iterable

_LENGTH_DELIMITED = 2
_ONE_BYTE = [bytes((number,)) for number in range(0x80)]


def varint(number: int) -> bytes:
    """Return a number as a protobuf varint."""
    if number < 0x4000:
        return _ONE_BYTE[number] if number < 0x80 else bytes((number & 0x7F | 0x80, number >> 7))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def embed(field: int, body: bytes) -> bytes:
    """Return a serialized message as a field of another message."""
    return varint(field << 3 | _LENGTH_DELIMITED) + varint(len(body)) + body


def embed_all(field: int, bodies: Iterable[bytes]) -> bytes:
    """Return serialized messages as a repeated field of another message."""
    tag = varint(field << 3 | _LENGTH_DELIMITED)
    return b"".join([tag + varint(len(body)) + body for body in bodies])
