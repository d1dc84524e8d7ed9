"""Arrays as parameters, written as Postgres reads them: about 1 µs an array, and 0.3 an item."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from struct import Struct
from typing import Any, ClassVar

_HEAD = Struct("!iiIii")
_ONE = Struct("!iiIiii")
_EMPTY = Struct("!iiI")
_LENGTH = Struct("!i")
_INT8 = Struct("!q")
_FLOAT8 = Struct("!d")
_FLAGS = (b"\x00", b"\x01")
_POSTGRES_START = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(time: datetime) -> int:
    """A moment as Postgres counts it."""
    return (time - _POSTGRES_START) // _MICROSECOND


def encode_time(time: datetime) -> bytes:
    """A timestamptz in binary."""
    return _INT8.pack(microseconds(time))


class Array:
    """Values of one type, bound as one array."""

    __slots__ = ("items",)
    oid: ClassVar[int]
    element_oid: ClassVar[int]
    element: ClassVar[Any]
    """Encodes one value."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = list(items)

    def encoded(self) -> bytes:
        """The array in Postgres's binary format."""
        items = self.items
        if not items:
            return _EMPTY.pack(0, 0, self.element_oid)
        element = type(self).element
        if len(items) == 1:
            body: bytes = element(items[0])
            return _ONE.pack(1, 0, self.element_oid, 1, 1, len(body)) + body
        length = _LENGTH.pack
        parts = [_HEAD.pack(1, 0, self.element_oid, len(items), 1)]
        for item in map(element, items):
            parts.append(length(len(item)))
            parts.append(item)
        return b"".join(parts)


class TextArray(Array):
    """text[]"""

    __slots__ = ()
    oid, element_oid, element = 1009, 25, staticmethod(str.encode)


class ByteaArray(Array):
    """bytea[]"""

    __slots__ = ()
    oid, element_oid, element = 1001, 17, staticmethod(bytes)


class BigintArray(Array):
    """bigint[]"""

    __slots__ = ()
    oid, element_oid, element = 1016, 20, staticmethod(_INT8.pack)


class FloatArray(Array):
    """double precision[]"""

    __slots__ = ()
    oid, element_oid, element = 1022, 701, staticmethod(_FLOAT8.pack)


class TimestampArray(Array):
    """timestamptz[], of aware datetimes"""

    __slots__ = ()
    oid, element_oid, element = 1185, 1184, staticmethod(encode_time)


class BoolArray(Array):
    """boolean[]"""

    __slots__ = ()
    oid, element_oid, element = 1000, 16, staticmethod(_FLAGS.__getitem__)


class UuidArray(Array):
    """uuid[]"""

    __slots__ = ()
    oid, element_oid, element = 2951, 2950, staticmethod(attrgetter("bytes"))
