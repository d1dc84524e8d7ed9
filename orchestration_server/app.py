"""The composition root: builds, starts and stops everything of one server process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg

from orchestration_server import alert_rules, automation
from orchestration_server.cache import Cache, Link
from orchestration_server.config import Settings
from orchestration_server.context import Broker
from orchestration_server.db import Database
from orchestration_server.emission import GroupCommit
from orchestration_server.gate import Gate
from orchestration_server.jobs import maintenance
from orchestration_server.jobs.alerts import Alerts
from orchestration_server.jobs.automation import Automation
from orchestration_server.jobs.figures import ServerFigures
from orchestration_server.jobs.file_sync import FileSync
from orchestration_server.jobs.monitoring import MeasureStorage, MeasureWorkspace, Observe
from orchestration_server.jobs.rollups import Rollups
from orchestration_server.jobs.runner import Runner, Service
from orchestration_server.presence import Presence
from orchestration_server.server import Server
from orchestration_server.services.admin import AdminService
from orchestration_server.services.context import ContextService
from orchestration_server.services.coordination import CoordinationService
from orchestration_server.services.events import EventService
from orchestration_server.services.generation import Generation
from orchestration_server.services.reports import ReportService
from orchestration_server.services.sessions import SessionService
from orchestration_server.services.sprints import SprintService
from orchestration_server.services.tasks import TaskService
from orchestration_server.services.templates import TemplateService
from orchestration_server.store import events as event_store
from orchestration_server.store import migrations
from orchestration_server.templates import Templates
from orchestration_server.timeline import Hub
from orchestration_server.tokens import Tokens
from orchestration_server.wakes import CONNECTIONS, Wakes
from orchestration_server.workspace_files import WorkspaceFiles

if TYPE_CHECKING:
    from orchestration_server.tracing import Tracing

BACKGROUND_CONNECTIONS = 9
"""Beside one for each unary call: the tailer, the readers of history, the group commit, the services."""
WORKER_CONNECTIONS = 4


class App:
    """One server process. The settings name a database that is there."""

    def __init__(self, settings: Settings, tracing: Tracing | None = None) -> None:
        self.settings = settings
        self.tracing = tracing
        self.address = ""

    def start(self) -> str:
        """Migrates, serves, and returns the address that answers."""
        settings = self.settings
        templates = Templates(settings.templates_dir)
        if settings.traces and self.tracing is None:
            # Their packages may not be there, and are not loaded for nothing.
            from orchestration_server.tracing import to_collector

            self.tracing = to_collector(settings.traces, share=settings.traces_share)
        tracing = self.tracing
        migrate(settings.database_url)
        self.db = Database(
            settings.database_url,
            size=settings.threads + BACKGROUND_CONNECTIONS,
            statement_seconds=settings.statement_seconds,
            slow_seconds=settings.slow_statement_seconds,
            told=tracing.statement if tracing else None,
        )
        with self.db.connection() as conn:
            secret = event_store.secret(conn)
            identity = event_store.identity(conn)
        tokens = Tokens(secret, self._nonces)
        self.link = Link(
            settings.redis_url,
            connections=settings.threads + CONNECTIONS,
            told=tracing.question if tracing else None,
        )
        self.cache = Cache(self.link, identity=identity)
        self.hub = Hub(self.db, tokens, most_streams=settings.timeline_streams)
        self.wakes = Wakes(self.link, identity=identity, wake=self.hub.wake)
        self.commits = GroupCommit(self.db, self._wake)
        self.presence = Presence(self.db)
        working = services(settings, self.db, self._wake) if settings.background else []
        figures = ServerFigures(self.db, alert_rules.load(settings.alerts_file))
        self.jobs = Runner([*working, *observing(settings, self.db), figures])
        gate = Gate(self.db, self._wake)
        generation = Generation(gate, templates)
        files = WorkspaceFiles(settings.workspace)
        broker = Broker(self.db, tokens, self.cache, files, tokenizer=settings.tokenizer)
        self.server = Server(
            settings,
            {
                "SprintService": SprintService(self.db, gate, tokens, self.cache, generation.create_sprint),
                "TaskService": TaskService(self.db, gate, tokens, generation.create_tasks),
                "EventService": EventService(self.db, self.commits, self.hub, tokens, self.cache),
                "SessionService": SessionService(self.db, gate, tokens, broker, self.presence),
                "ContextService": ContextService(gate, broker, files),
                "CoordinationService": CoordinationService(self.db, gate, tokens),
                "TemplateService": TemplateService(tokens, templates),
                "ReportService": ReportService(self.db, gate, tokens, templates),
                "AdminService": AdminService(self.db, settings, tokens, start_time=datetime.now(UTC)),
            },
            self.presence,
            tracing,
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
        self.presence.close()
        self.wakes.close()
        self.link.close()
        self.db.close()
        if self.tracing is not None:
            self.tracing.close()

    def _wake(self) -> None:
        """After each commit that holds events."""
        self.hub.wake()
        self.wakes.publish()

    def _nonces(self) -> dict[int, bytes]:
        with self.db.connection() as conn:
            return event_store.nonces(conn)


class Worker:
    """One worker process: the background services without a server. Any number may run."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def start(self) -> None:
        """Migrates, and begins to work."""
        settings = self.settings
        migrate(settings.database_url)
        self.db = Database(
            settings.database_url,
            size=WORKER_CONNECTIONS,
            statement_seconds=settings.statement_seconds,
            slow_seconds=settings.slow_statement_seconds,
        )
        with self.db.connection() as conn:
            identity = event_store.identity(conn)
        self.link = Link(settings.redis_url, connections=CONNECTIONS)
        self.wakes = Wakes(self.link, identity=identity, wake=lambda: None)
        self.jobs = Runner(services(settings, self.db, self.wakes.publish) + observing(settings, self.db))

    def stop(self) -> None:
        """Ends after the batches in hand."""
        self.jobs.close()
        self.wakes.close()
        self.link.close()
        self.db.close()


def services(settings: Settings, db: Database, wake: Callable[[], None]) -> list[Service]:
    """The background services of one process; ``wake`` is for after each commit that holds events."""
    found = [
        *maintenance.services(db),
        Rollups(db),
        Automation(db, automation.load(settings.rules_file), wake),
        MeasureStorage(db),
        Alerts(db, alert_rules.load(settings.alerts_file), wake),
    ]
    if settings.workspace is not None:
        found += [FileSync(db, settings.workspace, wake), MeasureWorkspace(db, settings.workspace)]
    return found


def observing(settings: Settings, db: Database) -> list[Service]:
    """What every process does whose metrics are asked for."""
    return [Observe(db)] if settings.metrics_address else []


def migrate(database_url: str) -> list[str]:
    """Brings the database to this release's schema; the names of what was applied."""
    with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as conn:
        return migrations.migrate(conn)
