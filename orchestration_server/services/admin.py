"""AdminService: server information, archive, storage and alerts."""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestration.v1 import admin_pb2
from orchestration_server import __version__
from orchestration_server.codec.cursors import CursorSigner
from orchestration_server.codec.timestamps import to_datetime, to_timestamp
from orchestration_server.config.settings import Settings
from orchestration_server.db.database import Database
from orchestration_server.errors import InvalidArgument
from orchestration_server.maintenance import storage_stats
from orchestration_server.maintenance.archiver import Archiver, day_of
from orchestration_server.model import Call
from orchestration_server.services.alerts import alerts_page
from orchestration_server.store import events as event_store
from orchestration_server.store import migrations
from orchestration_server.validation.events import EVENTS_IN_MESSAGE

ARCHIVING_SECONDS = 600.0
ANSWER_SECONDS = 1.0
"""Seconds before its deadline at which ArchiveEvents responds, so that its caller learns what moved."""


class AdminService:
    """The rpcs of AdminService."""

    def __init__(
        self, db: Database, settings: Settings, cursors: CursorSigner, *, start_time: datetime
    ) -> None:
        self._db = db
        self._settings = settings
        self._cursors = cursors
        self._start_time = start_time
        self._archiver = Archiver(db)

    def GetServerInfo(
        self, request: admin_pb2.GetServerInfoRequest, call: Call
    ) -> admin_pb2.GetServerInfoResponse:
        with self._db.connection(call) as conn:
            schema, now = migrations.state(conn)
        return admin_pb2.GetServerInfoResponse(
            version=__version__,
            schema=schema.removesuffix(".sql"),
            start_time=to_timestamp(self._start_time),
            server_time=to_timestamp(now),
            max_batch_events=EVENTS_IN_MESSAGE,
            max_message_bytes=self._settings.max_message_bytes,
        )

    def ArchiveEvents(
        self, request: admin_pb2.ArchiveEventsRequest, call: Call
    ) -> admin_pb2.ArchiveEventsResponse:
        if request.HasField("older_than"):
            cutoff = self._archiver.cutoff(request.older_than.ToTimedelta())
        else:
            requested = to_datetime(request.cutoff)
            with self._db.connection(call) as conn:
                if requested > event_store.now(conn) - timedelta(days=1):
                    raise InvalidArgument({"cutoff": "must be at least 86400 seconds ago"})
            cutoff = day_of(requested)
        if request.dry_run:
            outcome = self._archiver.plan(cutoff, exact=request.exact, call=call)
        else:
            left = call.seconds_left()
            seconds = ARCHIVING_SECONDS if left is None else left - ANSWER_SECONDS
            outcome = self._archiver.run(cutoff, exact=request.exact, seconds=seconds, call=call)
        return admin_pb2.ArchiveEventsResponse(
            cutoff_time=to_timestamp(outcome.cutoff),
            parts=[
                admin_pb2.ArchivedPart(
                    start_time=to_timestamp(moved.start),
                    end_time=to_timestamp(moved.end),
                    events=moved.events,
                    bytes=moved.bytes,
                    whole=moved.whole,
                )
                for moved in outcome.moved
            ],
            more=outcome.more,
            held=outcome.blocked,
        )

    def GetStorageStats(
        self, request: admin_pb2.GetStorageStatsRequest, call: Call
    ) -> admin_pb2.GetStorageStatsResponse:
        return admin_pb2.GetStorageStatsResponse(stats=storage_stats.storage(self._db, call))

    def ListAlerts(self, request: admin_pb2.ListAlertsRequest, call: Call) -> admin_pb2.ListAlertsResponse:
        return alerts_page(self._db, self._cursors, request, call)
