"""`orchestration keys`, and what `serve` says without one."""

import re
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner, Result

from orchestration.v1 import task_pb2
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.__main__ import cli
from orchestration_server.embedded import Engines, running_database
from orchestration_server.store import keys as store
from orchestration_server.store.connection import Connection
from tests.conftest import Server
from tests.keying import bearer
from tests.status import refused

KEY = re.compile(r"orch_([0-9a-f]{12})_[0-9a-f]{64}\n")
LIST = task_pb2.ListTasksRequest()


@pytest.fixture
def keys(database_url: str) -> Callable[..., Result]:
    runner = CliRunner(env={"DATABASE_URL": database_url, "TERM": "dumb"})
    return lambda *arguments: runner.invoke(cli, ["keys", *arguments])


def test_a_key_is_shown_once_kept_as_a_hash_and_revoked(
    keys: Callable[..., Result], server: Server, tasks: TaskServiceStub, database_url: str
) -> None:
    made = keys("create", "builder", "--role", "reader", "--expires", "90d")
    assert made.exit_code == 0
    found = KEY.fullmatch(made.stdout)
    assert found is not None
    key, key_id = found[0].strip(), found[1]
    assert "it is the first" in made.stderr
    assert key not in made.stderr
    tasks.ListTasks(LIST, metadata=bearer(key))

    listed = keys("list").stdout
    (row,) = [line for line in listed.splitlines() if key_id in line]
    assert row.split()[:4] == [key_id, "builder", "default", "reader"]
    assert "good until" in row
    assert key not in listed
    with Connection.connect(database_url, autocommit=True) as conn:
        stored = repr(conn.execute("select to_jsonb(k)::text from api_keys k").fetchall())
    assert key.rpartition("_")[2] not in stored

    for _ in range(2):
        assert keys("revoke", key_id).exit_code == 0
    assert "revoked" in keys("list").stdout
    assert server.app is not None
    server.app.credentials.look()
    with refused(grpc.StatusCode.UNAUTHENTICATED, "KEY_REVOKED"):
        tasks.ListTasks(LIST, metadata=bearer(key))


def test_there_is_no_such_key(keys: Callable[..., Result]) -> None:
    result = keys("revoke", "nothing")
    assert result.exit_code == 1
    assert "no key 'nothing'" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["", "--role", "agent"],
        ["n", "--role", "root"],
        ["n", "--project", "-"],
        ["n", "--session", "k", "--sprint", "s"],
        ["n", "--project", "*", "--sprint", "s"],
        ["n", "--sprint", "a b"],
        ["n", "--expires", "soon"],
        ["n", "--expires", "0d"],
        ["n", "--per-minute", "0"],
    ],
)
def test_what_makes_no_key_is_refused(
    keys: Callable[..., Result], database_url: str, arguments: list[str]
) -> None:
    assert keys("create", *arguments).exit_code == 2
    with Connection.connect(database_url, autocommit=True) as conn:
        assert not store.exist(conn)


def test_off_loopback_a_server_without_keys_does_not_start(database_url: str, tmp_path: Path) -> None:
    runner = CliRunner(env={"DATABASE_URL": database_url, "TERM": "dumb"})
    result = runner.invoke(
        cli, ["serve", "--address", "0.0.0.0:0", "--auto-tls", "--data-dir", str(tmp_path)]
    )
    assert result.exit_code == 2
    assert "keys create" in result.stderr
    assert (tmp_path / "tls" / "cert.pem").exists()


def test_the_database_of_a_running_server_is_found(engines: Engines, tmp_path: Path) -> None:
    found = running_database(engines.data_dir)
    assert found == engines.database_url
    assert running_database(tmp_path) is None
