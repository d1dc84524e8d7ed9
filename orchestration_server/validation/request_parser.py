"""A parser of requests that decompresses, scans and parses the bytes within bounds.

grpc leaves compressed messages as they are, so that no request is decompressed before its caller is known.
"""

from __future__ import annotations

import zlib

from google.protobuf.message import DecodeError, Message

from orchestration_server.errors import InvalidArgument
from orchestration_server.validation.constraints import Rules
from orchestration_server.validation.wire_bounds import SCAN_BYTES, TooMany, TooManyItems, bounds_of

GZIP = b"\x1f\x8b"
"""The first bytes of a gzip stream. No message begins with them: the first would be a tag without a type."""
MAX_RATIO = 100
"""The most that decompression may multiply the length of a request longer than FREE_BYTES."""
FREE_BYTES = 64 * 1024
"""The decompressed length up to which any ratio is allowed."""
SMALL_BYTES = 1024
"""Compressed requests up to this size are decompressed whatever size they declare. It takes no time, and the
error can then say what is wrong."""
_WINDOW = 31
"""The zlib window that accepts gzip only."""


class Parser:
    """A parser of one type of request."""

    def __init__(self, message: type[Message], rules: Rules, *, most_bytes: int) -> None:
        """``most_bytes`` is the limit for every type of request. The rules of this type may allow less."""
        bounds = bounds_of(message, rules)
        self.most_bytes = min(bounds.most_bytes, most_bytes)
        """The limit for a request as it is sent, and for the decompressed one."""
        self._scan = bounds.scan
        self._parse = message.FromString

    def refusal(self, body: bytes) -> InvalidArgument | None:
        """Return an error if a body is too long as sent, or by the size that its gzip stream declares."""
        if len(body) > self.most_bytes:
            return too_large(self.most_bytes)
        if body[:2] == GZIP and len(body) > SMALL_BYTES:
            most = self._most_decompressed(body)
            # A gzip stream ends with its decompressed size, so a bomb that declares it costs nothing.
            if int.from_bytes(body[-4:], "little") > most:
                return self._ratio_error(most)
        return None

    def __call__(self, body: bytes) -> Message:
        """Return the message. Raises InvalidArgument if it does not parse or exceeds its bounds."""
        refusal = self.refusal(body)
        if refusal is not None:
            raise refusal
        if body[:2] == GZIP:
            body = self._decompressed(body)
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

    def _decompressed(self, body: bytes) -> bytes:
        most = self._most_decompressed(body)
        decompressor = zlib.decompressobj(_WINDOW)
        try:
            found = decompressor.decompress(body, most + 1)
        except zlib.error:
            raise InvalidArgument({"": "is not compressed as gzip says"}, reason="UNPARSABLE") from None
        if len(found) > most:
            raise self._ratio_error(most)
        if not decompressor.eof or decompressor.unused_data:
            raise InvalidArgument({"": "is not one whole gzip stream"}, reason="UNPARSABLE")
        return found

    def _most_decompressed(self, body: bytes) -> int:
        return min(self.most_bytes, max(FREE_BYTES, MAX_RATIO * len(body)))

    def _ratio_error(self, most: int) -> InvalidArgument:
        if most == self.most_bytes:
            return too_large(most)
        return InvalidArgument(
            {"": f"is more than {MAX_RATIO} times as long as it was sent: send it uncompressed"},
            reason="REQUEST_TOO_LARGE",
        )


def too_large(most: int) -> InvalidArgument:
    """Return the error of a request that is larger than its rpc allows."""
    return InvalidArgument(
        {"": f"must have at most {most:,} bytes, more than its fields may have together"},
        reason="REQUEST_TOO_LARGE",
    )


class Unreadable:
    """A message of a stream that did not parse.

    It stands in the stream so that the server refuses it alone.
    """

    __slots__ = ("error",)

    def __init__(self, error: InvalidArgument) -> None:
        self.error = error
