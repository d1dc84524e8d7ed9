"""The composition root: builds, starts and stops everything of one server process."""

from __future__ import annotations

import psycopg

from orchestration_server import jobs
from orchestration_server.cache import Cache, Link
from orchestration_server.config import Settings
from orchestration_server.convert import Tokens
from orchestration_server.db import Database
from orchestration_server.emission import Gate, GroupCommit
from orchestration_server.server import Server
from orchestration_server.services.context import ContextService
from orchestration_server.services.coordination import CoordinationService
from orchestration_server.services.events import EventService
from orchestration_server.services.reports import ReportService
from orchestration_server.services.sessions import SessionService
from orchestration_server.services.sprints import SprintService
from orchestration_server.services.tasks import TaskService
from orchestration_server.services.templates import TemplateService
from orchestration_server.store import events as event_store
from orchestration_server.store import migrations
from orchestration_server.timeline import Hub
from orchestration_server.wakes import CONNECTIONS, Wakes

BACKGROUND_CONNECTIONS = 4
"""Beside one for each unary call: the tailer, the readers of history, the group commit."""


class App:
    """One server process. The settings name a database that is there."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.address = ""

    def start(self) -> str:
        """Migrates, serves, and returns the address that answers."""
        settings = self.settings
        migrate(settings.database_url)
        self.db = Database(
            settings.database_url,
            size=settings.threads + BACKGROUND_CONNECTIONS,
            statement_seconds=settings.statement_seconds,
        )
        with self.db.connection() as conn:
            secret = event_store.secret(conn)
            identity = event_store.identity(conn)
        tokens = Tokens(secret, self._nonces)
        self.link = Link(settings.redis_url, connections=settings.threads + CONNECTIONS)
        self.cache = Cache(self.link, identity=identity)
        self.hub = Hub(self.db, tokens, most_streams=settings.timeline_streams)
        self.wakes = Wakes(self.link, identity=identity, wake=self.hub.wake)
        self.commits = GroupCommit(self.db, self._wake)
        self.jobs = jobs.Runner(self.db)
        gate = Gate(self.db, self._wake)
        self.server = Server(
            settings,
            {
                "SprintService": SprintService(self.db, gate, tokens, self.cache),
                "TaskService": TaskService(self.db, gate, tokens),
                "EventService": EventService(self.db, self.commits, self.hub, tokens, self.cache),
                "SessionService": SessionService(self.db, gate, tokens, self.cache),
                "ContextService": ContextService(self.db, tokens, self.cache),
                "CoordinationService": CoordinationService(self.db, gate, tokens),
                "TemplateService": TemplateService(tokens),
                "ReportService": ReportService(self.db, gate, tokens, self.cache),
            },
        )
        port = self.server.start()
        host = settings.address.rpartition(":")[0]
        self.address = f"{host}:{port}"
        return self.address

    def stop(self) -> None:
        """Ends streams and calls in flight, then everything else."""
        self.server.stop(self.hub.close)
        self.jobs.close()
        self.commits.close()
        self.wakes.close()
        self.link.close()
        self.db.close()

    def _wake(self) -> None:
        """After each commit that holds events."""
        self.hub.wake()
        self.wakes.publish()

    def _nonces(self) -> dict[int, bytes]:
        with self.db.connection() as conn:
            return event_store.nonces(conn)


def migrate(database_url: str) -> list[str]:
    """Brings the database to this release's schema; the names of what was applied."""
    with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as conn:
        return migrations.migrate(conn)
