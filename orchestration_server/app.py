"""The composition root: it builds, starts and stops all parts of a process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, TypeVar

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
from orchestration_server.jobs import work as work_jobs
from orchestration_server.jobs.alerts import Alerts
from orchestration_server.jobs.automation import Automation
from orchestration_server.jobs.debounce import Debounced
from orchestration_server.jobs.file_sync import FileSync
from orchestration_server.jobs.measure import ExportGauges, MeasureStorage, MeasureWorkspace
from orchestration_server.jobs.rollups import Rollups
from orchestration_server.jobs.runner import Runner, Service
from orchestration_server.jobs.schedules import Schedules
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
from orchestration_server.services.schedules import ScheduleService
from orchestration_server.services.sessions import SessionService
from orchestration_server.services.sprints import SprintService
from orchestration_server.services.tasks import TaskService
from orchestration_server.services.templates import TemplateService
from orchestration_server.store import events as event_store
from orchestration_server.store import keys as key_store
from orchestration_server.store import migrations
from orchestration_server.store.aging import Aging
from orchestration_server.store.database_clock import DatabaseClock
from orchestration_server.store.returns import Returns
from orchestration_server.telemetry.access_log import AccessLog
from orchestration_server.templates import Templates
from orchestration_server.timeline.hub import Hub
from orchestration_server.timeline.pacing import Traffic
from orchestration_server.work.claiming import Claiming
from orchestration_server.work.ready_windows import ReadyWindows
from orchestration_server.work.waiting_claims import WaitingClaims
from orchestration_server.workspace.reader import WorkspaceFiles
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.group_commit import GroupCommit

if TYPE_CHECKING:
    from orchestration_server.auth.jwt_verifier import JwtKeyFile
    from orchestration_server.telemetry.tracing import Tracing

log = structlog.get_logger()

BACKGROUND_CONNECTIONS = 13
"""Connections beside one for each unary call: one for the tailer, two for the readers of history, three for
the group commit, one for the session tracker, one for the refresh of credentials, and five for the background
services and the calls that read files, which hold theirs for a moment."""
WORKER_CONNECTIONS = 6


class Part(Protocol):
    """A part of a process that has threads."""

    def start(self) -> object:
        """Start the threads."""

    def close(self) -> None:
        """End the threads. It may be called if ``start`` failed, or was not called."""


PartT = TypeVar("PartT", bound=Part)


def _start(stack: ExitStack, part: PartT) -> PartT:
    """Start a part, and close it when the stack unwinds, also if its start fails."""
    stack.callback(part.close)
    part.start()
    return part


class App:
    """One server process. The settings name a database that exists."""

    def __init__(self, settings: Settings, tracing: Tracing | None = None) -> None:
        self.settings = settings
        self.tracing = tracing
        self.address = ""
        self._running = ExitStack()
        """Stops what was started, the last part first."""

    def start(self) -> str:
        """Migrate the database, start all parts, and return the address that the server listens on.

        If a part fails to start, those that were started before are stopped. Raises ConfigurationError if the
        server must not listen as the settings say, or a file that they name is not usable.
        """
        address.check(self.settings)
        with ExitStack() as stack:
            self._start_parts(stack)
            self._running = stack.pop_all()
        return self.address

    def _start_parts(self, stack: ExitStack) -> None:
        settings = self.settings = with_auto_tls(self.settings)
        jwt = jwt_source(settings)
        templates = Templates(settings.templates_dir)
        emission = policies.load(settings.emission_file)
        if settings.traces and self.tracing is None:
            # The packages of tracing are optional, and slow to import.
            from orchestration_server.telemetry.tracing import to_collector

            self.tracing = to_collector(settings.traces, share=settings.traces_share)
        tracing = self.tracing
        if tracing is not None:
            stack.callback(tracing.close)
        migrate(settings.database_url)
        self.db = _start(
            stack,
            Database(
                settings.database_url,
                size=settings.connections or settings.threads + BACKGROUND_CONNECTIONS,
                statement_seconds=settings.statement_seconds,
                slow_seconds=settings.slow_statement_seconds,
                on_statement=tracing.statement if tracing else None,
                prepare=Returns().prepare,
            ),
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
        stack.callback(self.redis.close)
        self.cache = Cache(self.redis, identity=identity)
        traffic = Traffic()
        hub = Hub(self.db, cursors, max_subscriptions=settings.timeline_streams, traffic=traffic)
        self.hub = _start(stack, hub)
        self.windows = ReadyWindows(self.db, Aging.by_hours(settings.priority_aging_hours))
        self.waiting_claims = _start(stack, WaitingClaims())
        # The bus calls ``_woken`` as soon as it starts, so what that wakes stands before it.
        self.wakes = _start(stack, WakeBus(self.redis, identity=identity, wake=self._woken))
        gate = Gate(
            self.db, self._wake, emission, answer_bytes=settings.max_answer_bytes, freed=self._work_freed
        )
        self.refusal_audit = _start(stack, RefusalAudit(gate, self.clock.now))
        self.credentials = _start(stack, Credentials(self.db, jwt, now=self.clock))
        self.session_tracker = _start(stack, SessionTracker(self.db))
        self.commits = _start(stack, GroupCommit(self.db, self._wake))
        background = (
            services(settings, self.db, self._wake, freed=self._work_freed) if settings.background else []
        )
        stats = ServerStats(self.db, alerts.load(settings.alerts_file))
        self.jobs = _start(stack, Runner([*background, *gauge_services(settings, self.db), stats]))
        self.admission = self._admission(identity)
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
        stack.callback(self.server.stop, self._end_streams)
        self.address = f"{settings.address.rpartition(':')[0]}:{port}"

    def _admission(self, identity: bytes) -> Admission:
        settings = self.settings
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
            "CoordinationService": CoordinationService(
                db, gate, cursors, Claiming(db, gate, self.windows), self.waiting_claims, broker
            ),
            "TemplateService": TemplateService(cursors, templates),
            "ScheduleService": ScheduleService(db, gate, cursors, generation),
            "ReportService": ReportService(db, gate, cursors, templates),
            "AdminService": AdminService(db, self.settings, cursors, start_time=self.clock.now()),
        }

    def stop(self) -> None:
        """End all calls, then stop the other parts in the reverse of their order of start."""
        self._running.close()

    def _end_streams(self) -> None:
        self.hub.close()
        self.events.stop()
        self.waiting_claims.stop()

    def _wake(self) -> None:
        """Wake the timelines of all servers after a commit with events."""
        self.hub.wake()
        self.wakes.publish()

    def _woken(self) -> None:
        """Read what another server committed: its events, and the tasks that it may have made ready."""
        self.hub.wake()
        self.waiting_claims.wake()

    def _work_freed(self) -> None:
        """Look for ready tasks after a commit that may have made some."""
        self.windows.freed()
        self.waiting_claims.wake()

    def _nonces(self) -> dict[int, bytes]:
        with self.db.connection() as conn:
            return event_store.nonces(conn)


def with_auto_tls(settings: Settings) -> Settings:
    """Return the settings with a self-signed certificate if they ask for one, else as they are."""
    if not settings.auto_tls:
        return settings
    from orchestration_server.rpc import tls

    return tls.with_auto_tls(settings)


def jwt_source(settings: Settings) -> JwtKeyFile | None:
    """Return the keys that verify JWTs, or None if the server accepts no JWT.

    Raises ConfigurationError if the settings are not usable.
    """
    if settings.jwt_key_file is None:
        return None
    # The import is slow, and few servers need it.
    from orchestration_server.auth.jwt_verifier import JwtKeyFile

    return JwtKeyFile(
        settings.jwt_key_file,
        algorithm=settings.jwt_algorithm,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway=settings.jwt_leeway_seconds,
    )


def has_credentials(settings: Settings) -> bool:
    """Migrate the database, and return whether a caller can have a credential: an API key or a JWT."""
    migrate(settings.database_url)
    if settings.jwt_key_file is not None:
        return True
    with connect.open_connection(settings.database_url, application="orchestration keys") as conn:
        return key_store.exist(conn)


class Worker:
    """One worker process: the background services without a server. Any number may run."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._running = ExitStack()

    def start(self) -> None:
        """Migrate the database and start the services. If a part fails, those before it are stopped."""
        with ExitStack() as stack:
            self._start_parts(stack)
            self._running = stack.pop_all()

    def _start_parts(self, stack: ExitStack) -> None:
        settings = self.settings
        migrate(settings.database_url)
        self.db = _start(
            stack,
            Database(
                settings.database_url,
                size=WORKER_CONNECTIONS,
                statement_seconds=settings.statement_seconds,
                slow_seconds=settings.slow_statement_seconds,
                prepare=Returns().prepare,
            ),
        )
        with self.db.connection() as conn:
            identity = event_store.identity(conn)
        self.redis = RedisClient(settings.redis_url, connections=CONNECTIONS)
        stack.callback(self.redis.close)
        self.wakes = _start(stack, WakeBus(self.redis, identity=identity, wake=lambda: None))
        found = services(settings, self.db, self.wakes.publish) + gauge_services(settings, self.db)
        self.jobs = _start(stack, Runner(found))
        log.info(
            "worker runs",
            services=", ".join(service.name for service in found),
            workspace="none" if settings.workspace is None else str(settings.workspace),
        )

    def stop(self) -> None:
        """Stop the services after their current batches, then the other parts."""
        self._running.close()


def services(
    settings: Settings,
    db: Database,
    wake: Callable[[], None],
    *,
    freed: Callable[[], None] = lambda: None,
) -> list[Service]:
    """Return the background services of one process.

    They call ``wake`` after each commit with events, and ``freed`` after each that may have made a task
    ready.
    """
    gate = Gate(db, wake, freed=freed)
    found = [
        *cleanup.services(db),
        *retention.services(db, settings),
        Rollups(db),
        Automation(db, automation.load(settings.rules_file), wake, policies.load(settings.emission_file)),
        Debounced(db, wake),
        *work_jobs.services(db, gate, freed),
        Schedules(db, gate, Generation(gate, Templates(settings.templates_dir))),
        MeasureStorage(db),
        Alerts(db, alerts.load(settings.alerts_file), wake),
    ]
    if settings.workspace is not None:
        found += [FileSync(db, settings.workspace, wake), MeasureWorkspace(db, settings.workspace)]
    return found


def gauge_services(settings: Settings, db: Database) -> list[Service]:
    """Return the services of every process that serves metrics."""
    return [ExportGauges(db)] if settings.metrics_address else []


def migrate(database_url: str, *, new_epoch: bool = False) -> list[str]:
    """Migrate the database to this release's schema. Return the names of the migrations applied.

    A newer schema is accepted with a warning in the log: in a rolling upgrade older servers go on with it.
    Raises UnfitDatabase if no ledger can run on the database, or on a pooler in front of it.
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
