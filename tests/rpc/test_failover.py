"""A standby takes over: no read is older than a write that was acknowledged before it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic

import grpc
import psycopg
import pytest

from orchestration.v1 import coordination_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App, migrate
from orchestration_server.config.settings import Settings
from orchestration_server.db import connect
from orchestration_server.db import database as db_module
from orchestration_server.embedded.engines import EmbeddedEngines
from tests.conftest import open_channel
from tests.support import factories
from tests.support.database_wire import Wire
from tests.support.rpc_errors import reason

SECONDS = 5
SETTINGS = {"wal_keep_size": "64MB"}
LONG_SECONDS = 40.0
GRACE_SECONDS = 5.0
READS = 60
"""At once, so that each connection of the pool answers some."""


class Node:
    """A Postgres that follows another, or is followed."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.engines = EmbeddedEngines(directory, valkey=False, settings=SETTINGS)
        self.url = self.engines.start().database_url
        self.directory = next(directory.glob("postgres-[0-9]*"))
        stack.callback(self.engines.stop)

    def follow(self, other: Node) -> None:
        """Become a standby, from the next start on."""
        follow(self.directory, other)

    def promote(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute("select pg_promote(true, 30)")


def follow(directory: Path, other: Node) -> None:
    """Let the Postgres of a directory be a standby, from its next start on."""
    with psycopg.connect(other.url) as conn:
        place = f"host={conn.info.host} user={conn.info.user}"
    with (directory / "postgresql.auto.conf").open("a") as file:
        file.write(f"primary_conninfo = '{place}'\n")
    (directory / "standby.signal").touch()


class Pair:
    """A primary and its standby, and a server that reaches them by one address."""

    def __init__(self, cluster: Path, directory: Path, stack: ExitStack) -> None:
        for name in ("one", "two"):
            shutil.copytree(cluster, directory / name / cluster.name)
            (directory / name).chmod(0o700)
        self.one = Node(directory / "one", stack)
        # Marked before it starts, as it would be a primary of its own otherwise.
        follow(directory / "two" / cluster.name, self.one)
        self.two = Node(directory / "two", stack)
        self.wire = Wire(self.one.url)
        stack.callback(self.wire.close)
        app = App(Settings(address="127.0.0.1:0", database_url=self.wire.url, redis_url="", grace_seconds=1))
        stack.callback(app.stop)
        self.app = app
        channel = stack.enter_context(open_channel(app.start()))
        self.tasks = TaskServiceStub(channel)
        self.coordination = CoordinationServiceStub(channel)

    def create(self, code: str) -> None:
        request = task_pb2.CreateTaskRequest(task=factories.task(code))
        self.tasks.CreateTask(request, timeout=SECONDS)

    def created(self, code: str) -> None:
        """Create it, as soon as a write is acknowledged again."""
        end = monotonic() + LONG_SECONDS
        while True:
            try:
                return self.create(code)
            except grpc.RpcError:
                if monotonic() > end:
                    raise

    def update(self, code: str, title: str) -> None:
        task = task_pb2.Task(code=code, title=title)
        request = task_pb2.UpdateTaskRequest(task=task)
        request.update_mask.paths.append("title")
        self.tasks.UpdateTask(request, timeout=SECONDS)

    def titles(self, code: str) -> list[str]:
        """What reads at once are answered; those that are refused are left out."""
        request = task_pb2.GetTaskRequest(task_code=code)
        futures = [self.tasks.GetTask.future(request, timeout=SECONDS) for _ in range(READS)]
        return [one.result().task.title for one in futures if one.exception() is None]

    def caught_up(self) -> None:
        with psycopg.connect(self.one.url) as conn:
            place = conn.execute("select pg_current_wal_lsn()::text").fetchone()
        assert place is not None
        end = monotonic() + LONG_SECONDS
        with psycopg.connect(self.two.url, autocommit=True) as conn:
            while conn.execute("select pg_last_wal_replay_lsn() >= %s::pg_lsn", place).fetchone() != (True,):
                assert monotonic() < end


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the files of a Postgres with an empty ledger, for all pairs."""
    directory = tmp_path_factory.mktemp("cluster")
    with EmbeddedEngines(directory, valkey=False, settings=SETTINGS) as engines:
        migrate(engines.database_url)
    return next(directory.glob("postgres-[0-9]*"))


@pytest.fixture
def pair(cluster: Path, tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(cluster, tmp_path, stack)


def swap(pair: Pair) -> None:
    """The primary is stopped and comes back as a standby of the one that follows it now."""
    pair.caught_up()
    pair.one.engines.stop_postgres()
    pair.two.promote()
    pair.one.follow(pair.two)
    pair.one.engines.start_postgres()


def test_reads_after_an_acknowledged_write_show_it_whoever_was_connected_before(pair: Pair) -> None:
    """The address leads to the node that is a standby now, and only then to the new primary."""
    pair.create("a")
    assert len(pair.titles("a")) == READS
    swap(pair)
    with pytest.raises(grpc.RpcError):
        pair.create("meanwhile")
    # Whatever is read now is no older than what was acknowledged, as nothing was since.
    assert set(pair.titles("a")) <= {"Task a"}
    pair.wire.lead(pair.two.url)
    pair.created("b")
    for number in range(5):
        pair.update("b", f"title {number}")
        assert set(pair.titles("b")) == {f"title {number}"}


def test_a_pool_that_takes_standbys_reads_what_is_older(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the one above, without the two guards."""
    any_server = pair.app.db._parameters | {"target_session_attrs": "any"}
    pair.app.db._parameters = any_server
    pair.app.db._prepare = None  # it would write
    pair.app.db._pool.kwargs = {"autocommit": True, **any_server}
    monkeypatch.setattr(connect, "_PRIMARY_ATTRS", frozenset(("any",)))
    monkeypatch.setattr(connect, "connection_parameters", lambda url, **_: any_server)
    monkeypatch.setattr(db_module.Database, "_trusted", lambda _, pool, timeout: pool.getconn(timeout))
    monkeypatch.setattr(db_module, "PROBE_INTERVAL_SECONDS", LONG_SECONDS)
    pair.create("a")
    swap(pair)
    end = monotonic() + LONG_SECONDS
    while not pair.titles("a"):
        assert monotonic() < end
    with psycopg.connect(pair.one.url, autocommit=True) as conn:
        # A standby is always somewhat behind; this one stays so.
        conn.execute("select pg_wal_replay_pause()")
    pair.wire.lead(pair.two.url)
    with beside(pair.two) as tasks:
        request = task_pb2.UpdateTaskRequest(task=task_pb2.Task(code="a", title="new"))
        request.update_mask.paths.append("title")
        tasks.UpdateTask(request, timeout=SECONDS)
    assert "Task a" in pair.titles("a")


def claim(pair: Pair, agent: str) -> coordination_pb2.ClaimTaskResponse:
    """Claim task a, as soon as there is an answer."""
    request = coordination_pb2.ClaimTaskRequest(task_code="a", agent=agent)
    end = monotonic() + LONG_SECONDS
    while True:
        try:
            return pair.coordination.ClaimTask(request, timeout=SECONDS)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or monotonic() > end:
                raise


def take_over_late(pair: Pair) -> coordination_pb2.LeaseRef:
    """Let a standby take over after a lease has run out, and return the lease."""
    pair.create("a")
    lease = claim(pair, "holder").claims[0].lease
    with psycopg.connect(pair.one.url, autocommit=True) as conn:
        query = "update leases set seconds = %s, expire_time = clock_timestamp() - interval '1 second'"
        conn.execute(query, [GRACE_SECONDS])
    swap(pair)
    with psycopg.connect(pair.two.url, autocommit=True) as conn:
        # The start of the standby itself gives no grace.
        conn.execute(
            "select pg_sleep(extract(epoch from pg_postmaster_start_time() - clock_timestamp()) + %s)",
            [GRACE_SECONDS],
        )
    pair.wire.lead(pair.two.url)
    return coordination_pb2.LeaseRef(task_code="a", fence=lease.fence)


def test_holders_may_beat_before_others_claim_after_a_standby_took_over(pair: Pair) -> None:
    lease = take_over_late(pair)
    with pytest.raises(grpc.RpcError) as refused:
        claim(pair, "other")
    assert reason(refused.value) == "TASK_HELD"
    (state,) = pair.coordination.Heartbeat(coordination_pb2.HeartbeatRequest(leases=[lease])).leases
    assert state.status == coordination_pb2.LEASE_STATUS_HELD


def test_without_the_time_of_the_return_the_task_is_taken(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the one above."""
    monkeypatch.setattr(pair.app.db, "_prepare", None)
    take_over_late(pair)
    assert claim(pair, "other").claims[0].lease.attempt == 2


@contextmanager
def beside(node: Node) -> Iterator[TaskServiceStub]:
    """Another server, of the primary alone."""
    app = App(Settings(address="127.0.0.1:0", database_url=node.url, redis_url="", grace_seconds=1))
    try:
        with open_channel(app.start()) as channel:
            yield TaskServiceStub(channel)
    finally:
        app.stop()


def test_an_old_primary_that_lives_on_is_left_as_soon_as_the_address_leads_elsewhere(pair: Pair) -> None:
    """Nothing tells its connections: a look now and then at where the address leads does."""
    pair.create("a")
    pair.caught_up()
    pair.two.promote()
    pair.wire.lead(pair.two.url)
    end = monotonic() + LONG_SECONDS
    number = 0
    while revision(pair.two, f"t{number}") is None:
        assert monotonic() < end
        number += 1
        with suppress(grpc.RpcError):
            pair.create(f"t{number}")
    pair.update("a", "new")
    assert set(pair.titles("a")) == {"new"}
    assert (revision(pair.one, "a"), revision(pair.two, "a")) == (1, 2)


def revision(node: Node, code: str) -> int | None:
    with psycopg.connect(node.url) as conn:
        row = conn.execute("select revision from tasks where code = %s", (code,)).fetchone()
    return row[0] if row else None
