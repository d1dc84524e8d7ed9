"""Cursors and page tokens: what clients hold between two calls."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from hmac import compare_digest
from typing import Any

import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1.event_pb2 import Event
from orchestration_server.errors import InvalidArgument
from orchestration_server.model import BEGINNING, Position, StoredEvent

_PLACE = struct.Struct(">4sQQ")
"""The head of the epoch's nonce, the transaction id, the sequence."""
_NO_NONCE = bytes(4)
_SIGNATURES = {b"cursor": 4, b"context": 6, b"page": 6}
NO_EPOCH = -1
"""No event stands in it."""


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

    def cursor(self, place: Position) -> str:
        """A place in the log as a cursor."""
        body = self._packed(place)
        return urlsafe_b64encode(body + self._sign(body, b"cursor")).decode()

    def context_cursor(self, place: Position, marks: bytes) -> str:
        """A cursor that also says what the state of a context was there."""
        body = self._packed(place) + marks
        return urlsafe_b64encode(body + self._sign(body, b"context")).decode()

    def context_marks(self, cursor: str) -> bytes:
        """What a context's cursor says of its state; nothing where it is another cursor."""
        return (self._verified(cursor, b"context") or b"")[_PLACE.size :]

    def _packed(self, place: Position) -> bytes:
        epoch, xid, seq = place
        if epoch not in self._nonces:
            self._learn()
        return _PLACE.pack(self._nonces.get(epoch, _NO_NONCE), xid, seq)

    def event_bytes(self, stored: StoredEvent) -> bytes:
        """A stored event with its cursor: fields of a message may follow each other in any order."""
        assert stored.body is not None
        body = stored.body + b"\x12\x20" + self.cursor(stored.position).encode()
        return body if stored.archive_time is None else body + archived_bytes(stored.archive_time)

    def place(self, cursor: str, field: str) -> Position:
        """A cursor's place in the log, in NO_EPOCH where it is of an epoch of another copy of the log."""
        raw = self._verified(cursor, b"cursor") or self._verified(cursor, b"context")
        if raw is None or len(raw) < _PLACE.size:
            raise InvalidArgument(
                {field: "is not a cursor of this log; start from the beginning or from_time"},
                reason="CURSOR_INVALID",
            )
        nonce, xid, seq = _PLACE.unpack_from(raw)
        if nonce not in self._epochs:
            self._learn()
        return Position(self._epochs.get(nonce, NO_EPOCH), xid, seq)

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


@lru_cache(64)
def archived_bytes(time: datetime) -> bytes:
    """The field of an Event that says when it was archived; a part of the archive has one time."""
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return Event(archive_time=stamp).SerializeToString()


def _scope(scope: Sequence[Any]) -> str:
    return blake2b(orjson.dumps(list(scope)), digest_size=8).hexdigest()
