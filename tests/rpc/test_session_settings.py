"""Settings of a role, a database or the environment change nothing that the ledger says or keeps."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from psycopg import sql
from psycopg.conninfo import make_conninfo

from orchestration.v1 import (
    common_pb2,
    coordination_pb2,
    event_pb2,
    report_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
)
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.report_pb2_grpc import ReportServiceStub
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App, migrate
from orchestration_server.config.settings import Settings
from orchestration_server.db import connect
from orchestration_server.db.connection import Connection
from orchestration_server.embedded.engines import EmbeddedEngines
from orchestration_server.errors import UnfitDatabase
from tests.conftest import open_channel
from tests.support import factories
from tests.support.rpc_errors import details

# The writes happen at once.
pytestmark = pytest.mark.connections(12)

SECONDS = 10
PAIRS = 20
RUNS = 20
"""Of the control: how often two links are both made goes with how busy the machine is."""
TEXT = "Zoë's „été“ 日本 😀 \\x41 \\n 'q'"
NUMBERS: dict[str, Any] = {"third": 1 / 3, "large": 1.5e300, "text": TEXT}
LEVELS = ("read committed", "repeatable read", "serializable")
SETTINGS = [
    *(("default_transaction_isolation", level) for level in LEVELS),
    *(("DateStyle", style) for style in ("German", "SQL, DMY", "Postgres, YMD")),
    *(("client_encoding", encoding) for encoding in ("LATIN1", "SQL_ASCII", "EUC_JP")),
    ("TimeZone", "Asia/Kathmandu"),
    ("bytea_output", "escape"),
    ("standard_conforming_strings", "off"),
    ("search_path", '"$user", public, pg_catalog'),
    ("synchronous_commit", "off"),
    ("default_transaction_read_only", "on"),
    ("default_transaction_deferrable", "on"),
    *(("IntervalStyle", style) for style in ("sql_standard", "iso_8601")),
    ("extra_float_digits", "-15"),
    ("transform_null_equals", "on"),
    ("array_nulls", "off"),
    ("quote_all_identifiers", "on"),
    ("gin_fuzzy_search_limit", "1"),
    ("statement_timeout", "1ms"),
    ("lock_timeout", "1ms"),
    ("idle_session_timeout", "1ms"),
    ("transaction_timeout", "200ms"),
    ("plan_cache_mode", "force_custom_plan"),
    ("enable_indexscan", "off"),
    ("row_security", "on"),
]


class Ledger:
    """A server, seen through its stubs."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._runs = itertools.count()
        self.sprints = SprintServiceStub(channel)
        self.tasks = TaskServiceStub(channel)
        self.events = EventServiceStub(channel)
        self.sessions = SessionServiceStub(channel)
        self.reports = ReportServiceStub(channel)
        self.coordination = CoordinationServiceStub(channel)

    def smoke(self, *, writes: int = 8) -> None:
        """One of most things that the ledger does; what was written is read as it was written."""
        sprint = factories.sprint("S", title=TEXT, owner=TEXT, status=2)
        self.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=sprint))
        metadata = json_format.ParseDict(NUMBERS, Struct())
        for number in range(3):
            task = factories.task(
                f"T{number}", title=TEXT, sprint_code="S", assignee=TEXT, labels=[TEXT], metadata=metadata
            )
            self.tasks.CreateTask(task_pb2.CreateTaskRequest(task=task))
        listed = self.tasks.ListTasks(task_pb2.ListTasksRequest(assignee=TEXT, labels=[TEXT])).tasks
        assert {task.code for task in listed} == {"T0", "T1", "T2"}
        for task in listed:
            assert (task.title, task.assignee, dict(task.metadata)) == (TEXT, TEXT, NUMBERS)
        self.depend("T1", "T0")
        ready = self.coordination.ListReadyTasks(coordination_pb2.ListReadyTasksRequest())
        assert {task.code for task in ready.tasks} == {"T0", "T2"}
        self.events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event(actor=TEXT)))
        self.sessions.InitAgent(session_pb2.InitAgentRequest(task_code="T2", agent="a"))
        report = self.reports.GetSprintStatusReport(
            report_pb2.GetSprintStatusReportRequest(sprint_code="S", include_markdown=True)
        )
        assert TEXT.partition("\\")[0] in report.markdown
        self.verify("T2")
        self.parallel(writes)

    def depend(self, code: str, on: str) -> bool:
        """Make a link; False if it would close a cycle, and no other refusal."""
        link = coordination_pb2.Dependency(task_code=code, depends_on_code=on)
        try:
            self.coordination.AddDependency(
                coordination_pb2.AddDependencyRequest(dependency=link), timeout=SECONDS
            )
        except grpc.RpcError as error:
            if details(error)["ErrorInfo"].reason != "DEPENDENCY_CYCLE":
                raise
            return False
        return True

    def verify(self, code: str) -> None:
        """The state rebuilt from its events is the state; the timeline has each of them once, in order."""
        rebuilt = self.events.ReconstructState(
            event_pb2.ReconstructStateRequest(
                entity_type=common_pb2.ENTITY_TYPE_TASK, entity_code=code, verify=True
            )
        )
        assert rebuilt.verification.equal, rebuilt.verification
        revisions: dict[str, list[int]] = {}
        for message in self.events.StreamTimeline(event_pb2.StreamTimelineRequest(), timeout=SECONDS):
            for event in message.events.events:
                revisions.setdefault(event.entity_uid, []).append(event.entity_revision)
        assert revisions
        assert all(found == sorted(found) for found in revisions.values())

    def parallel(self, writes: int) -> None:
        """Write to one sprint from eight threads at once, and fail if a write fails."""

        def write(number: int) -> None:
            task = factories.task(f"P{number}", sprint_code="S")
            self.tasks.CreateTask(task_pb2.CreateTaskRequest(task=task), timeout=SECONDS)
            assert self.depend(task.code, "T2")

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(write, range(writes)))

    def cycles(self) -> int:
        """How many pairs of links that close a cycle were both made, of PAIRS made at once."""
        run = next(self._runs)
        pairs = [(f"A{run}-{number}", f"B{run}-{number}") for number in range(PAIRS)]
        tasks = [task_pb2.NewTask(task=factories.task(code)) for pair in pairs for code in pair]
        self.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=tasks), timeout=SECONDS)
        both = 0
        barrier = threading.Barrier(2)

        def add(code: str, on: str) -> bool:
            barrier.wait(SECONDS)
            return self.depend(code, on)

        with ThreadPoolExecutor(2) as threads:
            for one, other in pairs:
                first = threads.submit(add, one, other)
                second = threads.submit(add, other, one)
                both += first.result() and second.result()
        return both


Start = Callable[..., App]


@pytest.fixture
def role(database_url: str) -> Iterator[str]:
    """A role that may do what the ledger's may."""
    name = f"role_{secrets.token_hex(6)}"
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(sql.SQL("create role {} login in role orchestration").format(sql.Identifier(name)))
        yield name
        conn.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
        conn.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def served(start: Start, url: str) -> Iterator[Ledger]:
    with open_channel(start(database_url=url).address) as channel:
        yield Ledger(channel)


def change(database_url: str, name: str, value: str, role: str = "") -> None:
    """Set a setting of the database, or of a role, for sessions to come."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        if conn.execute("select to_regrole(%s) is null and %s <> ''", (role, role)).fetchone() == (True,):
            raise AssertionError(role)
        if conn.execute("select current_setting(%s, true)", (name,)).fetchone() == (None,):
            return
        what = sql.SQL("role {}") if role else sql.SQL("database {}")
        of = what.format(sql.Identifier(role or conn.info.dbname))
        text = sql.SQL("alter {} set {} to {}")
        # A path is a list of names, not one.
        literal = sql.SQL(value) if name == "search_path" else sql.Literal(value)
        conn.execute(text.format(of, sql.Identifier(name), literal))


@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_a_setting_of_the_database_changes_nothing(
    start_app: Start, database_url: str, name: str, value: str
) -> None:
    change(database_url, name, value)
    for ledger in served(start_app, database_url):
        # The isolation decides whether concurrent writes fail.
        ledger.smoke(writes=24 if value in LEVELS else 8)


def test_all_settings_of_a_role_at_once_change_nothing(
    start_app: Start, database_url: str, role: str
) -> None:
    for name, value in SETTINGS:
        change(database_url, name, value, role)
    for ledger in served(start_app, make_conninfo(database_url, user=role)):
        ledger.smoke(writes=24)


@pytest.mark.parametrize("level", LEVELS)
def test_links_made_at_once_close_no_cycle_at_any_isolation_level(
    start_app: Start, database_url: str, level: str
) -> None:
    change(database_url, "default_transaction_isolation", level)
    for ledger in served(start_app, database_url):
        assert ledger.cycles() == 0


def test_without_the_pinned_isolation_level_both_links_are_made(
    start_app: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the one above: the race is one."""
    pinned = {k: v for k, v in connect.STARTUP_SETTINGS.items() if k != "default_transaction_isolation"}
    monkeypatch.setattr(connect, "STARTUP_SETTINGS", pinned)
    change(database_url, "default_transaction_isolation", "repeatable read")
    for ledger in served(start_app, database_url):
        assert any(ledger.cycles() for _ in range(RUNS))


def test_what_the_environment_says_to_libpq_changes_nothing(
    start_app: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATESTYLE", "German")
    monkeypatch.setenv("PGTZ", "Asia/Kathmandu")
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_isolation=serializable -c DateStyle=SQL")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "any")
    monkeypatch.setenv("PGAPPNAME", "somebody")
    for ledger in served(start_app, database_url):
        ledger.smoke(writes=24)
        assert ledger.cycles() == 0


def test_the_schema_of_the_url_is_that_of_the_ledger_everywhere(start_app: Start, database_url: str) -> None:
    """The tables of a ledger in another schema are there too, and stay empty."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("drop schema public cascade")
        conn.execute("create schema public")
        conn.execute("create schema ledger")
    url = make_conninfo(database_url, options="-csearch_path=ledger")
    for ledger in served(start_app, url):
        ledger.smoke()
    with psycopg.connect(database_url, autocommit=True) as conn:
        schemas = conn.execute(
            "select distinct schemaname from pg_tables where schemaname in ('public', 'ledger')"
        ).fetchall()
    assert schemas == [("ledger",)]


def test_a_schema_that_changes_under_a_server_is_not_used(start_app: Start, database_url: str) -> None:
    db = start_app(database_url=database_url).db
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("create schema other")
    change(database_url, "search_path", "other")
    with (
        connect.connect(database_url, Connection, statement_seconds=1, checked=False) as conn,
        pytest.raises(UnfitDatabase, match="schema of new connections is other, and was public"),
    ):
        db._configure(conn)


def test_a_setting_that_only_a_superuser_may_change_is_refused_by_its_name(
    database_url: str, role: str
) -> None:
    change(database_url, "session_replication_role", "replica", role)
    with pytest.raises(UnfitDatabase, match=f"alter role {role} reset session_replication_role"):
        migrate(make_conninfo(database_url, user=role))


@pytest.mark.parametrize("wish", ["on", "remote_apply", "local"])
def test_a_commit_that_waits_for_more_is_the_operators(database_url: str, wish: str) -> None:
    change(database_url, "synchronous_commit", wish)
    with connect.open_connection(database_url, application="test") as conn:
        assert conn.execute("select current_setting('synchronous_commit')").fetchone() == (wish,)


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "control"])
def test_what_was_acknowledged_outlives_a_kill_where_commits_are_set_not_to_wait(
    monkeypatch: pytest.MonkeyPatch, pinned: bool
) -> None:
    """Without the pin, which the control leaves out, a commit stays in memory for ten seconds here."""
    if not pinned:
        left = {k: v for k, v in connect._SETTINGS_AFTER_START.items() if k != "synchronous_commit"}
        monkeypatch.setattr(connect, "_SETTINGS_AFTER_START", left)
        monkeypatch.setattr(connect, "_CHECKED_SETTINGS", (*connect.STARTUP_SETTINGS, *left))
    engines = EmbeddedEngines(
        None, valkey=False, settings={"synchronous_commit": "off", "wal_writer_delay": "10s"}
    )
    url = engines.start().database_url
    try:
        app = App(Settings(address="127.0.0.1:0", database_url=url, redis_url="", grace_seconds=1))
        with open_channel(app.start()) as channel:
            for number in range(5):
                task = factories.task(f"t{number}")
                TaskServiceStub(channel).CreateTask(task_pb2.CreateTaskRequest(task=task), timeout=SECONDS)
            engines.stop_postgres("kill")
        app.stop()
        engines.start_postgres()
        with psycopg.connect(url) as conn:
            count = conn.execute("select count(*) from tasks").fetchone()
    finally:
        engines.stop()
    assert count is not None
    assert (count[0] == 5) is pinned
