"""`orchestration keys`, and the output of `serve` without a key."""

import re
import shlex
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import grpc
import psycopg
import pytest
from typer.testing import CliRunner, Result

from orchestration import Client
from orchestration.v1 import session_pb2, sprint_pb2, task_pb2
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.__main__ import cli
from orchestration_server.cli.startup_checks import access_summary
from orchestration_server.config.settings import Settings
from orchestration_server.db.connection import Connection
from orchestration_server.embedded.engines import Engines, running_database
from orchestration_server.model import Role
from orchestration_server.store import keys as key_store
from tests.conftest import Server
from tests.support.credentials import bearer
from tests.support.locks import waiting
from tests.support.rpc_errors import refused

BLOCKED = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
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
    server.app.credentials.refresh()
    with refused(grpc.StatusCode.UNAUTHENTICATED, "KEY_REVOKED"):
        tasks.ListTasks(LIST, metadata=bearer(key))


def test_keys_of_a_project_have_different_names(keys: Callable[..., Result], database_url: str) -> None:
    first = KEY.fullmatch(keys("create", "builder").stdout)
    assert first is not None
    again = keys("create", "builder", "--role", "admin")
    assert (again.exit_code, again.stdout) == (1, "")
    assert first[1] in again.stderr
    assert "use another name" in again.stderr
    assert keys("create", "builder", "--project", "web").exit_code == 0
    assert keys("create", "Builder").exit_code == 0
    # A name is free again after its key is revoked.
    assert keys("revoke", first[1]).exit_code == 0
    assert keys("create", "builder").exit_code == 0
    with Connection.connect(database_url, autocommit=True) as conn:
        states = [
            (key.name, key.revoke_time is None)
            for key in key_store.list_all(conn)
            if key.project == "default"
        ]
    assert sorted(states) == [("Builder", True), ("builder", False), ("builder", True)]


def test_a_key_scoped_to_a_missing_entity_is_created_with_a_warning(
    keys: Callable[..., Result], server: Server
) -> None:
    for kind in ("sprint", "session"):
        early = keys("create", f"early {kind}", f"--{kind}", "S-1")
        assert early.exit_code == 0
        assert KEY.fullmatch(early.stdout)
        assert f"project default has no {kind} 'S-1'" in early.stderr
    with Client(server.address, token=keys("create", "any").stdout.strip()) as client:
        sprint = sprint_pb2.Sprint(code="S-1", title="First")
        client.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=sprint))
        start = session_pb2.InitAgentRequest(sprint_code="S-1", agent="builder")
        session = client.sessions.InitAgent(start).session
    for kind, name in (("sprint", "S-1"), ("session", session.key)):
        late = keys("create", f"late {kind}", f"--{kind}", name)
        assert late.exit_code == 0
        assert "has no" not in late.stderr


def test_one_of_two_concurrent_keys_of_one_name_is_created(database_url: str) -> None:
    """The second command waits for the commit of the first, and then finds its key."""
    now = datetime.now(UTC)

    def row(key_id: str) -> key_store.KeyRow:
        return key_store.KeyRow(
            key_id, b"", "n", "default", Role.AGENT, "", "", None, None, now, None, None, None
        )

    with (
        Connection.connect(database_url, autocommit=True) as one,
        Connection.connect(database_url, autocommit=True) as two,
        ThreadPoolExecutor(1) as pool,
    ):
        with one.transaction():
            assert key_store.insert(one, row("a"))
            late = pool.submit(key_store.insert, two, row("b"))
            with psycopg.connect(database_url, autocommit=True) as looking:
                waiting(looking, 1, f"{BLOCKED} and pid = {two.info.backend_pid}")
        assert late.result(30) is False
        assert [key.id for key in key_store.list_all(one)] == ["a"]


def test_revoking_an_unknown_key_fails(keys: Callable[..., Result]) -> None:
    result = keys("revoke", "nothing")
    assert result.exit_code == 1
    assert "key 'nothing' does not exist" in result.stderr


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
def test_invalid_options_of_a_key_are_refused(
    keys: Callable[..., Result], database_url: str, arguments: list[str]
) -> None:
    assert keys("create", *arguments).exit_code == 2
    with Connection.connect(database_url, autocommit=True) as conn:
        assert not key_store.exist(conn)


def test_a_server_names_a_command_that_makes_a_key(database_url: str) -> None:
    _, lines = access_summary(Settings(database_url=database_url))
    command, *arguments = shlex.split(dict(lines)[""])
    assert arguments == ["keys", "create", "NAME"]
    assert Path(command).is_file()


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
