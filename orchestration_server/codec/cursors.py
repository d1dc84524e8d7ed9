"""Cursors and page tokens: signed texts that clients keep between two calls."""

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

from orchestration.v1.event_pb2 import Event
from orchestration_server.codec.timestamps import EPOCH_START, to_timestamp
from orchestration_server.codec.wire import embed, varint
from orchestration_server.errors import InvalidArgument
from orchestration_server.model import BEGINNING, Cursor, Position, StoredEvent

_POSITION = struct.Struct(">4sQQ")
"""The first bytes of the epoch's nonce, the transaction id, the sequence."""
_NO_NONCE = bytes(4)
_SIGNATURES = {b"cursor": 4, b"context": 6, b"context-open": 6, b"page": 6}
"""The uses of a signature, and how many bytes each has."""
_FROM_TIME = struct.Struct(">q")
"""Microseconds since the start of 1970."""
_CURSOR_FIELD = Event.CURSOR_FIELD_NUMBER
_MICROSECOND = timedelta(microseconds=1)
PAGE_DEFAULT = 50
"""Items of a page if the caller sets no size."""
NO_EPOCH = -1
"""The epoch of a cursor that another copy of the log gave out. No event is in it."""


def page_size(requested: int) -> int:
    """Return how many items a page may have: what the caller requests, or else the default."""
    return requested or PAGE_DEFAULT


class CursorSigner:
    """The signer of a log's cursors and page tokens. It rejects what was changed or belongs to another log.

    Copies of a log share its secret and number their next epochs alike, so a cursor names its epoch by the
    epoch's nonce. ``nonces`` reads the nonces of all epochs. It is called again for an epoch or a nonce that
    is not known yet.
    """

    def __init__(self, secret: bytes, nonces: Callable[[], Mapping[int, bytes]] = dict) -> None:
        self._secret = secret
        self._read_nonces = nonces
        self._nonces = {BEGINNING.epoch: _NO_NONCE}
        self._epochs = {_NO_NONCE: BEGINNING.epoch}

    def _load_nonces(self) -> None:
        heads = {epoch: nonce[: len(_NO_NONCE)] for epoch, nonce in self._read_nonces().items()}
        self._nonces = {BEGINNING.epoch: _NO_NONCE, **heads}
        self._epochs = {head: epoch for epoch, head in self._nonces.items()}

    def _sign(self, body: bytes, use: bytes) -> bytes:
        return blake2b(body, digest_size=_SIGNATURES[use], key=self._secret, person=use).digest()

    def cursor(self, cursor: Cursor | Position) -> str:
        """Return a cursor as text: 32 characters unless it has open ids or a time."""
        body = self._packed(cursor) if isinstance(cursor, Position) else self._whole(cursor)
        return urlsafe_b64encode(body + self._sign(body, b"cursor")).decode()

    def context_cursor(self, cursor: Cursor, digests: bytes) -> str:
        """Return a cursor that also carries the digests of a context's sections."""
        body, use = self._packed(cursor.position) + digests, b"context"
        if rest := _rest(cursor):
            body = self._packed(cursor.position) + bytes((len(digests),)) + digests + rest
            use = b"context-open"
        return urlsafe_b64encode(body + self._sign(body, use)).decode()

    def context_digests(self, cursor: str) -> bytes:
        """Return the digests that a context's cursor carries; empty for any other cursor."""
        if body := self._verified(cursor, b"context"):
            return body[_POSITION.size :]
        body = (self._verified(cursor, b"context-open") or b"")[_POSITION.size :]
        return body[1 : 1 + body[0]] if body else b""

    def _packed(self, position: Position) -> bytes:
        epoch, xid, seq = position
        if epoch not in self._nonces:
            self._load_nonces()
        return _POSITION.pack(self._nonces.get(epoch, _NO_NONCE), xid, seq)

    def _whole(self, cursor: Cursor) -> bytes:
        return self._packed(cursor.position) + _rest(cursor)

    def event_bytes(self, stored: StoredEvent, cursor: Cursor | None = None) -> bytes:
        """Return a serialized event with its cursor, or with ``cursor`` in its place."""
        assert stored.body is not None
        text = self.cursor(cursor or (stored.cursor if stored.open else stored.position))
        # Fields of a message may follow each other in any order.
        body = stored.body + embed(_CURSOR_FIELD, text.encode())
        return body if stored.archive_time is None else body + archived_bytes(stored.archive_time)

    def read_cursor(self, text: str, field: str) -> Cursor:
        """Return the cursor of a text; it is in NO_EPOCH if another copy of the log gave it out.

        Raises InvalidArgument for ``field`` if neither this log nor a copy of it made the text.
        """
        raw = self._verified(text, b"cursor")
        rest = b"" if raw is None else raw[_POSITION.size :]
        if raw is None:
            raw = self._verified(text, b"context")
        if raw is None and (raw := self._verified(text, b"context-open")):
            rest = raw[_POSITION.size + 1 + raw[_POSITION.size] :]
        if raw is None or len(raw) < _POSITION.size:
            raise InvalidArgument(
                {field: "is not a cursor of this log; start from the beginning or from_time"},
                reason="CURSOR_INVALID",
            )
        nonce, xid, seq = _POSITION.unpack_from(raw)
        if nonce not in self._epochs:
            self._load_nonces()
        position = Position(self._epochs.get(nonce, NO_EPOCH), xid, seq)
        return _with_rest(position, rest) if rest else Cursor(position)

    def page_token(self, scope: Sequence[Any], position: Sequence[Any]) -> str:
        """Return the token of the page that starts after a position, valid for one scope alone.

        The scope is the method, the project and the filters of the request.
        """
        body = orjson.dumps([_scope_digest(scope), list(position)])
        return urlsafe_b64encode(body + self._sign(body, b"page")).decode()

    def page_position(self, token: str, scope: Sequence[Any]) -> list[Any] | None:
        """Return the position that a page starts after; None for the first page.

        Raises InvalidArgument if the server did not give out the token, or gave it out for another scope.
        """
        if not token:
            return None
        raw = self._verified(token, b"page")
        if raw is None:
            raise InvalidArgument(
                {"page_token": "is not a page token of this server"}, reason="PAGE_TOKEN_INVALID"
            )
        found, position = orjson.loads(raw)
        if found != _scope_digest(scope):
            raise InvalidArgument(
                {"page_token": "belongs to another request: send the filters of the first page again"},
                reason="PAGE_TOKEN_FOREIGN",
            )
        return list(position)

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
    """Return what follows the position in a cursor; empty for most cursors.

    The first byte says if a time follows. Then come, as varints, the sequence of ``read`` and the open ids,
    highest first, each as its distance below the one before.
    """
    _, open_ids, read, from_time = cursor
    if not open_ids and from_time is None:
        return b""
    head = b"\x00"
    if from_time is not None:
        head = b"\x01" + _FROM_TIME.pack((from_time - EPOCH_START) // _MICROSECOND)
    above = [cursor.position.xid, *reversed(open_ids)]
    distances = [varint(one - below) for one, below in pairwise(above)]
    return head + varint(read) + b"".join(distances)


def _with_rest(position: Position, rest: bytes) -> Cursor:
    from_time = None
    offset = 1
    if rest[0]:
        from_time = EPOCH_START + _FROM_TIME.unpack_from(rest, 1)[0] * _MICROSECOND
        offset += _FROM_TIME.size
    numbers: list[int] = []
    number = shift = 0
    for byte in rest[offset:]:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number = shift = 0
    read, *distances = numbers
    ids = list(accumulate(distances, sub, initial=position.xid))[1:]
    return Cursor(position, tuple(reversed(ids)), read, from_time)


@lru_cache(64)
def archived_bytes(time: datetime) -> bytes:
    """Return the serialized ``archive_time`` of an event. All events of a part of the archive share one."""
    return Event(archive_time=to_timestamp(time)).SerializeToString()


def _scope_digest(scope: Sequence[Any]) -> str:
    return blake2b(orjson.dumps(list(scope)), digest_size=8).hexdigest()
