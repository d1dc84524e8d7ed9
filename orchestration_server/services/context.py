"""ContextService."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.v1 import context_pb2
from orchestration_server.cache import Cache
from orchestration_server.convert import Tokens
from orchestration_server.db import Database
from orchestration_server.errors import Unimplemented
from orchestration_server.model import Call


class ContextService:
    """Assembles contexts."""

    def __init__(self, db: Database, tokens: Tokens, cache: Cache) -> None:
        self._cache = cache
        self._db = db
        self._tokens = tokens

    def AssembleContext(self, request: context_pb2.AssembleContextRequest, call: Call) -> bytes:
        raise Unimplemented("AssembleContext is not built yet")

    def ReadContextFile(
        self, request: context_pb2.ReadContextFileRequest, call: Call
    ) -> Iterator[context_pb2.ReadContextFileResponse]:
        raise Unimplemented("ReadContextFile is not built yet")
