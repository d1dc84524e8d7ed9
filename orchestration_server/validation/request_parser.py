"""From the bytes of a request to the message: unpacked, looked at and parsed, each within bounds.

grpc is told to leave compressed messages as they are, so that none is unpacked before it is known who calls.
"""

from __future__ import annotations

import zlib

from google.protobuf.message import DecodeError, Message

from orchestration_server.errors import InvalidArgument
from orchestration_server.validation.constraints import Rules
from orchestration_server.validation.wire_bounds import SCAN_BYTES, TooMany, TooManyItems, bounds_of

GZIP = b"\x1f\x8b"
"""What begins so is no message: the first byte would be a tag of no type."""
RATIO = 100
"""How many times as long a compressed request may become, if it is longer than FREE_BYTES then."""
FREE_BYTES = 64 * 1024
SMALL_BYTES = 1024
"""Up to so many are unpacked whatever size they tell: it is soon done, and shows what is wrong with them."""
_WINDOW = 31
"""zlib's number for gzip alone."""


class Parser:
    """Makes messages of one type."""

    def __init__(self, message: type[Message], rules: Rules, *, most_bytes: int) -> None:
        """``most_bytes`` is the most that any request may have; the rules may allow less."""
        bounds = bounds_of(message, rules)
        self.most_bytes = min(bounds.most_bytes, most_bytes)
        """Of a request, as it is sent and unpacked."""
        self._scan = bounds.scan
        self._parse = message.FromString

    def refusal(self, body: bytes) -> InvalidArgument | None:
        """Return the error of a body that is too long as it was sent, or by the size that gzip tells."""
        if len(body) > self.most_bytes:
            return too_large(self.most_bytes)
        if body[:2] == GZIP and len(body) > SMALL_BYTES:
            most = self._most_unpacked(body)
            # gzip ends with the number of bytes that it unpacks to, so a bomb that tells it costs nothing.
            if int.from_bytes(body[-4:], "little") > most:
                return self._too_much(most)
        return None

    def __call__(self, body: bytes) -> Message:
        """Return the message. Raises InvalidArgument if it is none, or larger than its rules allow."""
        refusal = self.refusal(body)
        if refusal is not None:
            raise refusal
        if body[:2] == GZIP:
            body = self._unpacked(body)
        if len(body) > SCAN_BYTES:
            try:
                self._scan(body)
            except TooManyItems as error:
                raise InvalidArgument({error.field: f"must have at most {error.most:,} items"}) from None
            except TooMany as error:
                raise InvalidArgument({"": f"has {error}"}, reason="REQUEST_TOO_COMPLEX") from None
        try:
            return self._parse(body)
        except DecodeError:
            raise InvalidArgument(
                {"": "the bytes are not a message of this rpc's request type"}, reason="UNPARSABLE"
            ) from None

    def _unpacked(self, body: bytes) -> bytes:
        most = self._most_unpacked(body)
        unpacker = zlib.decompressobj(_WINDOW)
        try:
            found = unpacker.decompress(body, most + 1)
        except zlib.error:
            raise InvalidArgument({"": "is not compressed as gzip says"}, reason="UNPARSABLE") from None
        if len(found) > most:
            raise self._too_much(most)
        if not unpacker.eof or unpacker.unused_data:
            raise InvalidArgument({"": "is not one whole gzip stream"}, reason="UNPARSABLE")
        return found

    def _most_unpacked(self, body: bytes) -> int:
        return min(self.most_bytes, max(FREE_BYTES, RATIO * len(body)))

    def _too_much(self, most: int) -> InvalidArgument:
        if most == self.most_bytes:
            return too_large(most)
        return InvalidArgument(
            {"": f"is more than {RATIO} times as long as it was sent: send it uncompressed"},
            reason="REQUEST_TOO_LARGE",
        )


def too_large(most: int) -> InvalidArgument:
    """Return the error of a request above the bytes of its rpc."""
    return InvalidArgument(
        {"": f"must have at most {most:,} bytes, more than its fields may have together"},
        reason="REQUEST_TOO_LARGE",
    )


class Unreadable:
    """Stands in a stream for a message that could not be made, so that it alone is refused."""

    __slots__ = ("error",)

    def __init__(self, error: InvalidArgument) -> None:
        self.error = error
