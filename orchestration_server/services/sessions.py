"""SessionService."""

from __future__ import annotations

from orchestration.v1 import session_pb2
from orchestration_server.cache import Cache
from orchestration_server.convert import Tokens
from orchestration_server.db import Database
from orchestration_server.emission import Gate
from orchestration_server.errors import Unimplemented
from orchestration_server.model import Call


class SessionService:
    """Keeps sessions."""

    def __init__(self, db: Database, gate: Gate, tokens: Tokens, cache: Cache) -> None:
        self._cache = cache
        self._db = db
        self._gate = gate
        self._tokens = tokens

    def InitAgent(self, request: session_pb2.InitAgentRequest, call: Call) -> bytes:
        raise Unimplemented("InitAgent is not built yet")

    def GetSession(self, request: session_pb2.GetSessionRequest, call: Call) -> bytes:
        raise Unimplemented("GetSession is not built yet")

    def ListSessions(self, request: session_pb2.ListSessionsRequest, call: Call) -> bytes:
        raise Unimplemented("ListSessions is not built yet")

    def GetSessionContext(self, request: session_pb2.GetSessionContextRequest, call: Call) -> bytes:
        raise Unimplemented("GetSessionContext is not built yet")

    def LogActivity(self, request: session_pb2.LogActivityRequest, call: Call) -> bytes:
        raise Unimplemented("LogActivity is not built yet")

    def PauseSession(self, request: session_pb2.PauseSessionRequest, call: Call) -> bytes:
        raise Unimplemented("PauseSession is not built yet")

    def CloseSession(self, request: session_pb2.CloseSessionRequest, call: Call) -> bytes:
        raise Unimplemented("CloseSession is not built yet")
