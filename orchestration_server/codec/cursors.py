"""Cursors and page tokens: what clients hold between two calls."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from hmac import compare_digest
from itertools import accumulate, pairwise
from operator import sub
from typing import Any

import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1.event_pb2 import Event
from orchestration_server.codec.timestamps import EPOCH_START
from orchestration_server.codec.wire import embed, varint
from orchestration_server.errors import InvalidArgument
from orchestration_server.model import BEGINNING, Cursor, Position, StoredEvent

_PLACE = struct.Struct(">4sQQ")
"""The head of the epoch's nonce, the transaction id, the sequence."""
_NO_NONCE = bytes(4)
_SIGNATURES = {b"cursor": 4, b"context": 6, b"context-open": 6, b"page": 6}
_FROM_TIME = struct.Struct(">q")
"""Microseconds since the start of 1970."""
_CURSOR_FIELD = Event.CURSOR_FIELD_NUMBER
_MICROSECOND = timedelta(microseconds=1)
PAGE_DEFAULT = 50
"""Items of a page if the caller sets no size."""
NO_EPOCH = -1
"""No event stands in it."""


def page_size(requested: int) -> int:
    """Return how many items a page may have: what the caller requests, or else the default."""
    return requested or PAGE_DEFAULT


class Tokens:
    """Cursors and page tokens: opaque, and refused where they were changed or belong to another log.

    Copies of a log share its secret and number their next epochs alike, so a cursor names its epoch by
    the nonce: ``nonces`` reads those of all epochs, and is asked again for one that is not known yet.
    """

    def __init__(self, secret: bytes, nonces: Callable[[], Mapping[int, bytes]] = dict) -> None:
        self._secret = secret
        self._read_nonces = nonces
        self._nonces = {BEGINNING.epoch: _NO_NONCE}
        self._epochs = {_NO_NONCE: BEGINNING.epoch}

    def _learn(self) -> None:
        heads = {epoch: nonce[: len(_NO_NONCE)] for epoch, nonce in self._read_nonces().items()}
        self._nonces = {BEGINNING.epoch: _NO_NONCE, **heads}
        self._epochs = {head: epoch for epoch, head in self._nonces.items()}

    def _sign(self, body: bytes, use: bytes) -> bytes:
        return blake2b(body, digest_size=_SIGNATURES[use], key=self._secret, person=use).digest()

    def cursor(self, cursor: Cursor | Position) -> str:
        """Return a cursor as its holder gets it: 32 characters unless it has open ids or a time."""
        body = self._packed(cursor) if isinstance(cursor, Position) else self._whole(cursor)
        return urlsafe_b64encode(body + self._sign(body, b"cursor")).decode()

    def context_cursor(self, cursor: Cursor, marks: bytes) -> str:
        """Return a cursor that also says what the state of a context was there."""
        body, use = self._packed(cursor.position) + marks, b"context"
        if rest := _rest(cursor):
            body, use = self._packed(cursor.position) + bytes((len(marks),)) + marks + rest, b"context-open"
        return urlsafe_b64encode(body + self._sign(body, use)).decode()

    def context_marks(self, cursor: str) -> bytes:
        """Return what a context's cursor says of its state; nothing for any other cursor."""
        if plain := self._verified(cursor, b"context"):
            return plain[_PLACE.size :]
        body = (self._verified(cursor, b"context-open") or b"")[_PLACE.size :]
        return body[1 : 1 + body[0]] if body else b""

    def _packed(self, place: Position) -> bytes:
        epoch, xid, seq = place
        if epoch not in self._nonces:
            self._learn()
        return _PLACE.pack(self._nonces.get(epoch, _NO_NONCE), xid, seq)

    def _whole(self, cursor: Cursor) -> bytes:
        return self._packed(cursor.position) + _rest(cursor)

    def event_bytes(self, stored: StoredEvent, cursor: Cursor | None = None) -> bytes:
        """Return a stored event with its cursor, or with another.

        Fields of a message may follow each other in any order.
        """
        assert stored.body is not None
        text = self.cursor(cursor or (stored.cursor if stored.open else stored.position))
        body = stored.body + embed(_CURSOR_FIELD, text.encode())
        return body if stored.archive_time is None else body + archived_bytes(stored.archive_time)

    def read_cursor(self, text: str, field: str) -> Cursor:
        """Return a cursor, in NO_EPOCH if it is of an epoch of another copy of the log.

        Raises InvalidArgument if this log gave no such cursor.
        """
        raw = self._verified(text, b"cursor")
        rest = b"" if raw is None else raw[_PLACE.size :]
        if raw is None:
            raw = self._verified(text, b"context")
        if raw is None and (raw := self._verified(text, b"context-open")):
            rest = raw[_PLACE.size + 1 + raw[_PLACE.size] :]
        if raw is None or len(raw) < _PLACE.size:
            raise InvalidArgument(
                {field: "is not a cursor of this log; start from the beginning or from_time"},
                reason="CURSOR_INVALID",
            )
        nonce, xid, seq = _PLACE.unpack_from(raw)
        if nonce not in self._epochs:
            self._learn()
        position = Position(self._epochs.get(nonce, NO_EPOCH), xid, seq)
        return _with_rest(position, rest) if rest else Cursor(position)

    def page_token(self, scope: Sequence[Any], place: Sequence[Any]) -> str:
        """Where the next page starts, valid for the same request alone."""
        body = orjson.dumps([_scope(scope), list(place)])
        return urlsafe_b64encode(body + self._sign(body, b"page")).decode()

    def page_place(self, token: str, scope: Sequence[Any]) -> list[Any] | None:
        """Where a page starts; None for the first."""
        if not token:
            return None
        raw = self._verified(token, b"page")
        if raw is None:
            raise InvalidArgument(
                {"page_token": "is not a token that this server gave"}, reason="PAGE_TOKEN_INVALID"
            )
        found, place = orjson.loads(raw)
        if found != _scope(scope):
            raise InvalidArgument(
                {"page_token": "belongs to another request: keep the filters as they were"},
                reason="PAGE_TOKEN_FOREIGN",
            )
        return list(place)

    def _verified(self, token: str, use: bytes) -> bytes | None:
        try:
            raw = urlsafe_b64decode(token.encode("ascii"))
        except ValueError:
            return None
        if urlsafe_b64encode(raw).decode() != token:
            return None
        length = _SIGNATURES[use]
        body, signature = raw[:-length], raw[-length:]
        return body if compare_digest(self._sign(body, use), signature) else None


def _rest(cursor: Cursor) -> bytes:
    """Return what follows the position: nothing as a rule.

    A flag says if a time leads. The ids, each as its distance below the one before, begin with the highest.
    """
    _, open_ids, read, from_time = cursor
    if not open_ids and from_time is None:
        return b""
    head = b"\x00"
    if from_time is not None:
        head = b"\x01" + _FROM_TIME.pack((from_time - EPOCH_START) // _MICROSECOND)
    above = [cursor.position.xid, *reversed(open_ids)]
    steps = [varint(one - below) for one, below in pairwise(above)]
    return head + varint(read) + b"".join(steps)


def _with_rest(position: Position, rest: bytes) -> Cursor:
    from_time = None
    place = 1
    if rest[0]:
        from_time = EPOCH_START + _FROM_TIME.unpack_from(rest, 1)[0] * _MICROSECOND
        place += _FROM_TIME.size
    numbers: list[int] = []
    number = shift = 0
    for byte in rest[place:]:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number = shift = 0
    read, *steps = numbers
    ids = list(accumulate(steps, sub, initial=position.xid))[1:]
    return Cursor(position, tuple(reversed(ids)), read, from_time)


@lru_cache(64)
def archived_bytes(time: datetime) -> bytes:
    """The field of an Event that says when it was archived; a part of the archive has one time."""
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return Event(archive_time=stamp).SerializeToString()


def _scope(scope: Sequence[Any]) -> str:
    return blake2b(orjson.dumps(list(scope)), digest_size=8).hexdigest()
