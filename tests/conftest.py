"""Fixtures of engines, databases, servers and channels.

Each worker starts the engines once. A test that asks for a server gets its own, on a new database and a free
port; a test marked `shared_server` that needs only a channel gets a project on a server of the worker.
"""

import gc
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import grpc
import psycopg
import psycopg_pool.base
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, settings
from psycopg import sql

from orchestration.v1 import (
    admin_pb2_grpc,
    context_pb2_grpc,
    coordination_pb2_grpc,
    event_pb2_grpc,
    report_pb2_grpc,
    schedule_pb2_grpc,
    session_pb2_grpc,
    sprint_pb2_grpc,
    task_pb2_grpc,
    template_pb2_grpc,
)
from orchestration_server.app import App
from orchestration_server.cache import wakes
from orchestration_server.config.settings import Settings
from orchestration_server.db import database
from orchestration_server.embedded.engines import EmbeddedEngines, Engines
from orchestration_server.jobs import runner
from orchestration_server.store import migrations
from orchestration_server.validation import RULES, request_parser
from orchestration_server.validation.constraints import Rules
from orchestration_server.validation.wire_bounds import Bounds, bounds_of
from tests.support import clean_process, projects

clean_process.replace()

TEMPLATE = "ledger_template"
START_SECONDS = 20
CONNECTIONS = 6
WAIT_SECONDS = 5.0
OWN = {"server", "database_url", "start_app", "start_server", "start_process"}
"""Fixtures of a test that needs its own server."""
MAX_MESSAGE = 16 * 1024 * 1024
MEMORY_BYTES = 8 * 1024**3

# A database has some hundred files, and many tests make one: 20 ms in memory, up to 400 ms on a disk.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

# Tests run the background services themselves, at the moment that they choose.
os.environ["ORCHESTRATION_BACKGROUND"] = "false"

settings.register_profile(
    "ledger",
    deadline=None,
    database=None,
    derandomize=True,
    # Each example has its own project, so examples may share the fixtures.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# `make test` uses "short"; the hostile run repeats the unit tests with all examples.
settings.register_profile("short", settings.get_profile("ledger"), max_examples=40)
settings.register_profile("quick", settings.get_profile("ledger"), max_examples=10)
settings.load_profile("ledger")
# The pool, the background services and the listener of wakes draw random numbers on their threads. Hypothesis
# would count a number from the shared generator as the example's, and report a flaky strategy.
psycopg_pool.base.random = Random().random  # type: ignore[attr-defined]  # imported there, and meant
runner.random = wakes.random = Random()  # type: ignore[attr-defined, assignment]  # the module that they import


_bounds: dict[type[Message], Bounds] = {}


def _remembered(message: type[Message], rules: Rules) -> Bounds:
    if rules is not RULES:
        return bounds_of(message, rules)
    if message not in _bounds:
        _bounds[message] = bounds_of(message, rules)
    return _bounds[message]


# All servers have the same bounds of requests, and working them out takes a third of a server's start.
request_parser.bounds_of = _remembered  # type: ignore[attr-defined]  # imported there, and meant


def pytest_collection_finish() -> None:
    """Exclude all modules and tests from garbage collection, as each full collection would examine them."""
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Server:
    """A running server; ``app`` is None if it is another process."""

    address: str
    database_url: str
    app: App | None = field(default=None, repr=False)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    project: str = "default"

    def kill(self) -> None:
        """End the process at once, as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    """Run a Postgres and a Valkey for all tests of this worker, with a migrated template database."""
    with EmbeddedEngines(None, durable=False, max_connections=300) as found:
        with psycopg.connect(found.database_url, autocommit=True) as conn:
            conn.execute(sql.SQL("create database {}").format(sql.Identifier(TEMPLATE)))
        with psycopg.connect(_other(found.database_url, TEMPLATE), autocommit=True) as conn:
            migrations.migrate(conn)
        yield found


@contextmanager
def new_database(engines: Engines, template: str = TEMPLATE) -> Iterator[str]:
    """Make a copy of a database, of an empty ledger if none is named, for the block.

    No other ledger accepts its cursors and page tokens. Nobody may be connected to the one that is copied.
    """
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(engines.database_url, autocommit=True) as conn:
        conn.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        url = _other(engines.database_url, name)
        with psycopg.connect(url, autocommit=True) as own:
            own.execute("update log_state set secret = %s", (secrets.token_bytes(32),))
        yield url
        conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(autouse=True)
def own_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the log configuration in tests that run commands in process: later tests read the logs."""
    monkeypatch.setattr("orchestration_server.telemetry.logs.configure", lambda *_: None)


@pytest.fixture(autouse=True)
def own_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the priority of this worker: `archive` lowers that of its process, and nothing raises it again."""
    monkeypatch.setattr(os, "nice", lambda _: 0)


@pytest.fixture
def database_url(engines: Engines) -> Iterator[str]:
    with new_database(engines) as url:
        yield url


@pytest.fixture
def pool_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int | None:
    """Return the pool size of a server: few, or the number in the test's marker `connections`.

    A connection costs Postgres 4 ms of CPU time, and a server's own default opens 21. Most tests make few
    calls at once; where there are more, they wait for a connection instead of being refused.
    """
    marker = request.node.get_closest_marker("connections")
    if marker:
        return int(marker.args[0])
    monkeypatch.setattr(database, "CALL_TIMEOUT_SECONDS", WAIT_SECONDS)
    return CONNECTIONS


@pytest.fixture
def start_app(engines: Engines, database_url: str, pool_size: int | None) -> Iterator[Callable[..., App]]:
    """Start servers in this process, with the settings that the test gives; they stop with the test."""
    with ExitStack() as stack:

        def start(**given: Any) -> App:
            usual: dict[str, Any] = {
                "address": "127.0.0.1:0",
                "database_url": database_url,
                "redis_url": engines.redis_url or "",
                "grace_seconds": 1,
                "connections": None if "threads" in given else pool_size,
            }
            app = App(Settings(**usual | given))
            stack.callback(app.stop)
            app.start()
            return app

        yield start


@pytest.fixture
def start_server(start_app: Callable[..., App]) -> Callable[[str], Server]:
    """Start servers in this process; they stop with the test."""

    def start(database_url: str) -> Server:
        app = start_app(database_url=database_url)
        return Server(app.address, database_url, app)

    return start


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Server:
    """Return the test's own server, or the shared one if its module uses servers by their address alone."""
    shared = request.node.get_closest_marker("shared_server")
    if shared and shared.kwargs.get("by_address") and OWN.isdisjoint({*request.fixturenames} - {"server"}):
        return Server(request.getfixturevalue("shared_address"), "", project=projects.new_project())
    start: Callable[[str], Server] = request.getfixturevalue("start_server")
    return start(request.getfixturevalue("database_url"))


@pytest.fixture
def start_process(engines: Engines, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers as processes; they stop with the test."""
    with ExitStack() as stack:

        def start(
            database_url: str, emission_file: Path | None = None, *, background: bool = False
        ) -> Server:
            ready = tmp_path / f"ready-{secrets.token_hex(4)}"
            flags: list[str | Path] = ["--emission-file", emission_file] if emission_file else []
            command = Path(sys.executable).with_name("orchestration")
            log = stack.enter_context((tmp_path / f"{ready.name}.log").open("wb"))
            process = subprocess.Popen(
                [command, "serve", "--address", "127.0.0.1:0", "--ready-file", ready, *flags],
                env={
                    "DATABASE_URL": database_url,
                    "REDIS_URL": engines.redis_url or "",
                    "ORCHESTRATION_BACKGROUND": str(background).lower(),
                },
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
            stack.callback(_end, process)
            return Server(_address(process, ready), database_url, process=process)

        yield start


@pytest.fixture(scope="session")
def shared_address(engines: Engines) -> Iterator[str]:
    """Run a server for the tests marked `shared_server`, each in its own project; return its address."""
    with new_database(engines) as url, running(engines, url) as address:
        yield address


@contextmanager
def running(engines: Engines, database_url: str, **given: Any) -> Iterator[str]:
    """Run a server in this process for the block, with the settings given; return its address."""
    usual: dict[str, Any] = {
        "address": "127.0.0.1:0",
        "database_url": database_url,
        "redis_url": engines.redis_url or "",
        "grace_seconds": 1,
    }
    app = App(Settings(**usual | given))
    try:
        yield app.start()
    finally:
        app.stop()


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> Iterator[grpc.Channel]:
    """Open a channel to the test's own server, or to the shared one if the test needs only a channel."""
    if request.node.get_closest_marker("shared_server") and OWN.isdisjoint(request.fixturenames):
        with open_channel(request.getfixturevalue("shared_address")) as found:
            yield projects.in_project(found, projects.new_project())
    else:
        with open_channel(request.getfixturevalue("server").address) as found:
            yield found


def open_channel(address: str) -> grpc.Channel:
    """Open a channel that shares no connection with another."""
    return grpc.insecure_channel(
        address,
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.use_local_subchannel_pool", 1),
        ],
    )


@pytest.fixture
def sprints(channel: grpc.Channel) -> sprint_pb2_grpc.SprintServiceStub:
    return sprint_pb2_grpc.SprintServiceStub(channel)


@pytest.fixture
def tasks(channel: grpc.Channel) -> task_pb2_grpc.TaskServiceStub:
    return task_pb2_grpc.TaskServiceStub(channel)


@pytest.fixture
def events(channel: grpc.Channel) -> event_pb2_grpc.EventServiceStub:
    return event_pb2_grpc.EventServiceStub(channel)


@pytest.fixture
def sessions(channel: grpc.Channel) -> session_pb2_grpc.SessionServiceStub:
    return session_pb2_grpc.SessionServiceStub(channel)


@pytest.fixture
def contexts(channel: grpc.Channel) -> context_pb2_grpc.ContextServiceStub:
    return context_pb2_grpc.ContextServiceStub(channel)


@pytest.fixture
def templates(channel: grpc.Channel) -> template_pb2_grpc.TemplateServiceStub:
    return template_pb2_grpc.TemplateServiceStub(channel)


@pytest.fixture
def schedules(channel: grpc.Channel) -> schedule_pb2_grpc.ScheduleServiceStub:
    return schedule_pb2_grpc.ScheduleServiceStub(channel)


@pytest.fixture
def reports(channel: grpc.Channel) -> report_pb2_grpc.ReportServiceStub:
    return report_pb2_grpc.ReportServiceStub(channel)


@pytest.fixture
def admin(channel: grpc.Channel) -> admin_pb2_grpc.AdminServiceStub:
    return admin_pb2_grpc.AdminServiceStub(channel)


@pytest.fixture
def coordination(channel: grpc.Channel) -> coordination_pb2_grpc.CoordinationServiceStub:
    return coordination_pb2_grpc.CoordinationServiceStub(channel)


def _other(url: str, database: str) -> str:
    return f"postgresql:///{database}?{urlsplit(url).query}"


def _address(process: subprocess.Popen[bytes], ready: Path) -> str:
    """Return the address in the server's ready file, once it is there."""
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline:
        if ready.exists() and (text := ready.read_text().strip()):
            address: str = json.loads(text)["address"]
            return address
        try:
            # Notice at once if the server ends before it is ready.
            code = process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        log = ready.with_name(f"{ready.name}.log").read_text(errors="replace")
        raise AssertionError(f"the server ended with {code}:\n{log[-3000:]}")
    raise AssertionError("the server did not become ready")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
