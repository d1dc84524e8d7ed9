"""A Redis that answers with a refusal is a failure: counted, logged once, and seen by doctor."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic

import pytest
import redis
from structlog.testing import capture_logs

from orchestration.v1 import sprint_pb2
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration_server.app import App
from orchestration_server.cache.client import RedisClient, fault
from orchestration_server.cache.read_through import Cache, Loaded
from orchestration_server.config.settings import Settings
from orchestration_server.doctor import cache as doctor
from orchestration_server.doctor.findings import Finding, Installation, Level
from orchestration_server.embedded.files import find_valkey
from orchestration_server.telemetry import metrics
from tests.conftest import open_channel
from tests.support import factories

SECONDS = 20
SECRET = "hunter2-of-the-cache"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port if port < 55_000 else free_port()


@contextmanager
def valkey(directory: Path, *options: str) -> Iterator[str]:
    """Start a Valkey with the options of a test, and yield its URL."""
    program, port = find_valkey(), free_port()
    assert program is not None
    directory.mkdir(exist_ok=True)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "--port", str(port), "--save", "", "--dir", str(directory), *options],
            stdout=log,
            stderr=log,
        )
    try:
        with closing(redis.Redis(port=port)) as client:
            end = monotonic() + SECONDS
            while True:
                with suppress(redis.ConnectionError):
                    client.ping()
                    break
                assert monotonic() < end
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def run(url: str, *command: str | int) -> object:
    with closing(redis.Redis.from_url(url)) as client:
        return client.execute_command(*command)  # type: ignore[no-untyped-call]


def replica(directory: Path) -> Iterator[str]:
    with valkey(directory, "--replicaof", "127.0.0.1 9") as url:
        yield url


def without_rights(directory: Path) -> Iterator[str]:
    with valkey(directory) as url:
        run(url, "acl", "setuser", "weak", "on", f">{SECRET}", "+ping", "+info", "+client", "+hello")
        yield url.replace("redis://", f"redis://weak:{SECRET}@")


def clustered(directory: Path) -> Iterator[str]:
    """Start a cluster of two nodes, and yield the URL of the one without slots."""
    options = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
    with valkey(directory / "one", *options) as one, valkey(directory / "two", *options) as two:
        run(two, "cluster", "addslotsrange", 0, 16383)
        run(one, "cluster", "meet", "127.0.0.1", two.rpartition(":")[2].partition("/")[0])
        end = monotonic() + SECONDS
        while True:
            assert monotonic() < end
            try:
                run(one, "get", "a")
            except redis.exceptions.MovedError:
                break
            except redis.ResponseError:
                continue
        yield one


def full(directory: Path) -> Iterator[str]:
    with valkey(directory, "--maxmemory", "1", "--maxmemory-policy", "noeviction") as url:
        yield url


def cannot_save(directory: Path) -> Iterator[str]:
    """Start a Valkey that refuses writes after a failed snapshot, as with a full disk."""
    with valkey(directory, "--save", "3600 1") as url:
        (directory / "dump.rdb").mkdir()
        run(url, "set", "a", "b")
        run(url, "bgsave")
        end = monotonic() + SECONDS
        while True:
            assert monotonic() < end
            try:
                run(url, "set", "a", "b")
            except redis.ResponseError as error:
                if fault(error) == "MISCONF":
                    break
                raise
        yield url


Kind = Callable[[Path], Iterator[str]]
KINDS: list[tuple[Kind, str]] = [
    (replica, "ReadOnlyError"),
    (without_rights, "NoPermissionError"),
    (clustered, "MovedError"),
    (full, "OutOfMemoryError"),
    (cannot_save, "MISCONF"),
]
parametrized = pytest.mark.parametrize(("kind", "error"), KINDS, ids=[one.__name__ for one, _ in KINDS])


def count(error: str) -> float:
    return sum(
        sample.value
        for family in metrics.REDIS_ERRORS.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["error"] == error
    )


def looked(url: str) -> list[Finding]:
    return list(doctor.cache(Installation(Settings(redis_url=url), "", url)))


@parametrized
def test_a_refusal_of_redis_is_counted_and_logged_once(tmp_path: Path, kind: Kind, error: str) -> None:
    with contextmanager(kind)(tmp_path) as url, closing(RedisClient(url, connections=2)) as client:
        cache, before = Cache(client, identity=b"log"), count(error)
        with capture_logs() as logged:
            for version in range(3):
                client._retry_at = 0.0
                loaded = Loaded(b"loaded", [version])
                value, _ = cache.get_or_load("sprint", [version], partial(lambda one: one, loaded))
                assert value == b"loaded"
                assert client.failing
        assert count(error) >= before + 3
        found = [entry for entry in logged if entry["event"] == "redis refuses"]
        # It is logged once for each refused command.
        assert {entry["error"] for entry in found} == {error}
        assert len(found) == len({entry["command"] for entry in found})


@parametrized
def test_doctor_reports_the_commands_that_redis_refuses(tmp_path: Path, kind: Kind, error: str) -> None:
    with contextmanager(kind)(tmp_path) as url:
        found = looked(url)
    (one,) = [finding for finding in found if "is refused" in finding.text]
    assert one.level is Level.WARNING
    assert error in one.text
    assert one.fix
    assert not [finding for finding in found if SECRET in finding.text + finding.fix]


@parametrized
def test_the_ledger_answers_although_redis_refuses(
    start_app: Callable[..., App], tmp_path: Path, kind: Kind, error: str
) -> None:
    with contextmanager(kind)(tmp_path) as url:
        app = start_app(redis_url=url)
        before = count(error)
        with open_channel(app.address) as channel:
            sprints = SprintServiceStub(channel)
            sprints.CreateSprint(
                sprint_pb2.CreateSprintRequest(sprint=factories.sprint("s")), timeout=SECONDS
            )
            request = sprint_pb2.GetSprintRequest(sprint_code="s", view=sprint_pb2.SPRINT_VIEW_FULL)
            for _ in range(3):
                assert sprints.GetSprint(request, timeout=SECONDS).sprint.code == "s"
        assert count(error) > before


def test_a_value_of_another_type_is_no_failure(tmp_path: Path) -> None:
    with valkey(tmp_path) as url, closing(RedisClient(url, connections=1)) as client:
        run(url, "lpush", "a", "b")
        assert client.execute(lambda client: client.get("a"), "get") is None
        assert not client.failing


def test_a_redis_that_works_again_is_logged(tmp_path: Path) -> None:
    with (
        valkey(tmp_path) as url,
        closing(RedisClient(url, connections=1)) as client,
        capture_logs() as logged,
    ):
        run(url, "config", "set", "maxmemory", "1")
        assert client.execute(lambda client: client.set("a", "b"), "set") is None
        run(url, "config", "set", "maxmemory", "0")
        client._retry_at = 0.0
        # Another command that works does not mean that this one does.
        assert client.execute(lambda client: client.ping(), "ping")
        assert [entry["event"] for entry in logged] == ["redis refuses"]
        assert client.execute(lambda client: client.set("a", "b"), "set")
        assert [entry["event"] for entry in logged] == ["redis refuses", "redis back"]
