"""The composition root: builds, starts and stops everything of one server process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg
import structlog

from orchestration_server.auth.admission import Admission
from orchestration_server.auth.audit import RefusalAudit
from orchestration_server.auth.credentials import Credentials
from orchestration_server.auth.rate_limits import RateLimiter
from orchestration_server.auth.session_tracker import SessionTracker
from orchestration_server.cache.client import RedisClient
from orchestration_server.cache.read_through import Cache
from orchestration_server.cache.wakes import CONNECTIONS, WakeBus
from orchestration_server.codec.cursors import CursorSigner
from orchestration_server.config.settings import Settings
from orchestration_server.context.broker import Broker
from orchestration_server.db import connect
from orchestration_server.db.database import Database
from orchestration_server.jobs import cleanup, retention
from orchestration_server.jobs.alerts import Alerts
from orchestration_server.jobs.automation import Automation
from orchestration_server.jobs.debounce import Debounced
from orchestration_server.jobs.file_sync import FileSync
from orchestration_server.jobs.measure import ExportGauges, MeasureStorage, MeasureWorkspace
from orchestration_server.jobs.rollups import Rollups
from orchestration_server.jobs.runner import Runner, Service
from orchestration_server.jobs.server_stats import ServerStats
from orchestration_server.model import AuthMode
from orchestration_server.rpc import address
from orchestration_server.rpc.interceptor import Interceptor
from orchestration_server.rpc.server import Server
from orchestration_server.rules import alerts, automation
from orchestration_server.rules import emission as policies
from orchestration_server.rules.emission import Policies
from orchestration_server.services.activities import Activities
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
from orchestration_server.store import keys as key_store
from orchestration_server.store import migrations
from orchestration_server.store.database_clock import DatabaseClock
from orchestration_server.telemetry.access_log import AccessLog
from orchestration_server.templates import Templates
from orchestration_server.timeline.hub import Hub
from orchestration_server.timeline.pacing import Traffic
from orchestration_server.workspace.reader import WorkspaceFiles
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.group_commit import GroupCommit

if TYPE_CHECKING:
    from orchestration_server.auth.jwt_verifier import JwtKeyFile
    from orchestration_server.telemetry.tracing import Tracing

log = structlog.get_logger()

BACKGROUND_CONNECTIONS = 13
"""Beside one for each unary call: the tailer, two readers of history, three for the group commit, the session
tracker, the refresh of credentials, and five for the services and the calls that read files, which hold
theirs for moments."""
WORKER_CONNECTIONS = 6


class App:
    """One server process. The settings name a database that is there."""

    def __init__(self, settings: Settings, tracing: Tracing | None = None) -> None:
        self.settings = settings
        self.tracing = tracing
        self.address = ""

    def start(self) -> str:
        """Migrates, serves, and returns the address that answers.

        ConfigurationError where it is not to listen so, or a file of the settings is not usable.
        """
        address.check(self.settings)
        settings = self.settings = secured(self.settings)
        jwt = jwt_source(settings)
        templates = Templates(settings.templates_dir)
        emission = policies.load(settings.emission_file)
        if settings.traces and self.tracing is None:
            # Their packages may not be there, and are not loaded for nothing.
            from orchestration_server.telemetry.tracing import to_collector

            self.tracing = to_collector(settings.traces, share=settings.traces_share)
        tracing = self.tracing
        migrate(settings.database_url)
        self.db = Database(
            settings.database_url,
            size=settings.connections or settings.threads + BACKGROUND_CONNECTIONS,
            statement_seconds=settings.statement_seconds,
            slow_seconds=settings.slow_statement_seconds,
            on_statement=tracing.statement if tracing else None,
        )
        with self.db.connection() as conn:
            secret = event_store.secret(conn)
            identity = event_store.identity(conn)
        self.clock = DatabaseClock(self.db)
        cursors = CursorSigner(secret, self._nonces)
        self.redis = RedisClient(
            settings.redis_url,
            connections=settings.threads + CONNECTIONS,
            on_command=tracing.redis_command if tracing else None,
        )
        self.cache = Cache(self.redis, identity=identity)
        traffic = Traffic()
        self.hub = Hub(self.db, cursors, max_subscriptions=settings.timeline_streams, traffic=traffic)
        self.hub.start()
        self.wakes = WakeBus(self.redis, identity=identity, wake=self.hub.wake)
        self.commits = GroupCommit(self.db, self._wake)
        self.session_tracker = SessionTracker(self.db)
        working = services(settings, self.db, self._wake) if settings.background else []
        figures = ServerStats(self.db, alerts.load(settings.alerts_file))
        self.jobs = Runner([*working, *observing(settings, self.db), figures])
        gate = Gate(self.db, self._wake, emission, answer_bytes=settings.max_answer_bytes)
        self.admission = self._admission(gate, jwt, identity)
        self.server = Server(
            settings,
            self._servicers(gate, cursors, templates, emission),
            Interceptor(
                self.session_tracker,
                self.admission,
                AccessLog(settings.log_calls),
                tracing,
                answer_bytes=settings.max_answer_bytes,
                traffic=traffic,
            ),
        )
        port = self.server.start()
        host = settings.address.rpartition(":")[0]
        self.address = f"{host}:{port}"
        return self.address

    def _admission(self, gate: Gate, jwt: JwtKeyFile | None, identity: bytes) -> Admission:
        settings = self.settings
        self.credentials = Credentials(self.db, jwt, now=self.clock)
        self.refusal_audit = RefusalAudit(gate, self.clock.now)
        local = address.on_loopback(settings.address)
        return Admission(
            self.db,
            self.credentials,
            self.refusal_audit,
            mode=settings.auth if local else AuthMode.REQUIRED,
            rate_limiter=RateLimiter(self.redis, identity=identity),
            calls_per_minute=settings.calls_per_minute,
            events_per_minute=settings.events_per_minute,
        )

    def _servicers(
        self, gate: Gate, cursors: CursorSigner, templates: Templates, emission: Policies
    ) -> dict[str, object]:
        db = self.db
        generation = Generation(gate, templates)
        files = WorkspaceFiles(self.settings.workspace)
        broker = Broker(db, cursors, self.cache, files, tokenizer=self.settings.tokenizer)
        activities = Activities(db, gate, self.commits, emission)
        self.events = EventService(db, self.commits, self.hub, cursors, self.cache, emission, self.clock)
        return {
            "SprintService": SprintService(db, gate, cursors, self.cache, generation.create_sprint),
            "TaskService": TaskService(db, gate, cursors, generation.create_tasks),
            "EventService": self.events,
            "SessionService": SessionService(db, gate, cursors, broker, self.session_tracker, activities),
            "ContextService": ContextService(gate, broker, files),
            "CoordinationService": CoordinationService(db, gate, cursors),
            "TemplateService": TemplateService(cursors, templates),
            "ReportService": ReportService(db, gate, cursors, templates),
            "AdminService": AdminService(db, self.settings, cursors, start_time=self.clock.now()),
        }

    def stop(self) -> None:
        """Ends streams and calls in flight, then everything else."""
        self.server.stop(self._end_streams)
        self.jobs.close()
        self.commits.close()
        self.session_tracker.close()
        self.credentials.close()
        self.refusal_audit.close()
        self.wakes.close()
        self.redis.close()
        self.db.close()
        if self.tracing is not None:
            self.tracing.close()

    def _end_streams(self) -> None:
        self.hub.close()
        self.events.stop()

    def _wake(self) -> None:
        """After each commit that holds events."""
        self.hub.wake()
        self.wakes.publish()

    def _nonces(self) -> dict[int, bytes]:
        with self.db.connection() as conn:
            return event_store.nonces(conn)


def secured(settings: Settings) -> Settings:
    """The settings with a certificate of our own, where they ask for one."""
    if not settings.auto_tls:
        return settings
    from orchestration_server.rpc import tls

    return tls.with_auto_tls(settings)


def jwt_source(settings: Settings) -> JwtKeyFile | None:
    """What checks JWTs, where they are let in. ConfigurationError where the settings are not usable."""
    if settings.jwt_key_file is None:
        return None
    # It takes its time, and few need it.
    from orchestration_server.auth.jwt_verifier import JwtKeyFile

    return JwtKeyFile(
        settings.jwt_key_file,
        algorithm=settings.jwt_algorithm,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway=settings.jwt_leeway_seconds,
    )


def has_credentials(settings: Settings) -> bool:
    """Migrates, and says whether there is a key, or keys of JWTs, with which somebody can call."""
    migrate(settings.database_url)
    if settings.jwt_key_file is not None:
        return True
    with connect.open_connection(settings.database_url, application="orchestration keys") as conn:
        return key_store.exist(conn)


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
        self.redis = RedisClient(settings.redis_url, connections=CONNECTIONS)
        self.wakes = WakeBus(self.redis, identity=identity, wake=lambda: None)
        found = services(settings, self.db, self.wakes.publish) + observing(settings, self.db)
        self.jobs = Runner(found)
        log.info(
            "worker runs",
            services=", ".join(service.name for service in found),
            workspace="none" if settings.workspace is None else str(settings.workspace),
        )

    def stop(self) -> None:
        """Ends after the batches in hand."""
        self.jobs.close()
        self.wakes.close()
        self.redis.close()
        self.db.close()


def services(settings: Settings, db: Database, wake: Callable[[], None]) -> list[Service]:
    """The background services of one process; ``wake`` is for after each commit that holds events."""
    found = [
        *cleanup.services(db),
        *retention.services(db, settings),
        Rollups(db),
        Automation(db, automation.load(settings.rules_file), wake, policies.load(settings.emission_file)),
        Debounced(db, wake),
        MeasureStorage(db),
        Alerts(db, alerts.load(settings.alerts_file), wake),
    ]
    if settings.workspace is not None:
        found += [FileSync(db, settings.workspace, wake), MeasureWorkspace(db, settings.workspace)]
    return found


def observing(settings: Settings, db: Database) -> list[Service]:
    """What every process does whose metrics are asked for."""
    return [ExportGauges(db)] if settings.metrics_address else []


def migrate(database_url: str, *, new_epoch: bool = False) -> list[str]:
    """Brings the database to this release's schema; the names of what was applied.

    A newer schema is said in the log and taken: while servers are replaced, the older ones go on beside it.
    Raises UnfitDatabase if the database, or a pooler before it, is one that no ledger can run on.
    """
    with connect.connect(
        database_url, psycopg.Connection, application="orchestration migrate", prepare_threshold=None
    ) as conn:
        if connect.check(conn).pooled:
            connect.check_lasting(database_url, conn)
        applied = migrations.migrate(conn, new_epoch=new_epoch)
        if newer := migrations.ahead(conn):
            log.warning("the database is of a newer release: replace this one soon", migrations=newer)
        return applied
