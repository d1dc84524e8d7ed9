"""AdminService."""

from __future__ import annotations

from datetime import datetime

from orchestration.v1 import admin_pb2
from orchestration_server import __version__, convert, measuring
from orchestration_server.config import Settings
from orchestration_server.db import Database
from orchestration_server.model import Call
from orchestration_server.services import alerts
from orchestration_server.store import server as store
from orchestration_server.tokens import Tokens
from orchestration_server.validation.events import EVENTS_IN_MESSAGE


class AdminService:
    """Serves operators."""

    def __init__(self, db: Database, settings: Settings, tokens: Tokens, *, start_time: datetime) -> None:
        self._db = db
        self._settings = settings
        self._tokens = tokens
        self._start_time = start_time

    def GetServerInfo(
        self, request: admin_pb2.GetServerInfoRequest, call: Call
    ) -> admin_pb2.GetServerInfoResponse:
        with self._db.connection(call) as conn:
            schema, now = store.state(conn)
        return admin_pb2.GetServerInfoResponse(
            version=__version__,
            schema=schema.removesuffix(".sql"),
            start_time=convert.stamp(self._start_time),
            server_time=convert.stamp(now),
            max_batch_events=EVENTS_IN_MESSAGE,
            max_message_bytes=self._settings.max_message_bytes,
        )

    def GetStorageStats(
        self, request: admin_pb2.GetStorageStatsRequest, call: Call
    ) -> admin_pb2.GetStorageStatsResponse:
        return admin_pb2.GetStorageStatsResponse(stats=measuring.storage(self._db, call))

    def ListAlerts(self, request: admin_pb2.ListAlertsRequest, call: Call) -> admin_pb2.ListAlertsResponse:
        return alerts.page(self._db, self._tokens, request, call)
