"""The checks of `orchestration doctor` for Postgres and how servers use it, each with the fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from orchestration_server.app import BACKGROUND_CONNECTIONS
from orchestration_server.config.settings import Settings
from orchestration_server.doctor import address, database, horizon, storage, upkeep
from orchestration_server.doctor.findings import Installation, Level
from orchestration_server.embedded.engines import Engines
from orchestration_server.model import AuthMode
from orchestration_server.store import diagnosis
from tests.conftest import new_database
from tests.support.credentials import make_key, revoke
from tests.support.doctor import Look, levels, looking
from tests.support.doctor import look as look
from tests.support.poolers import Mode, behind

OK, WARNING, FAILED = Level


@pytest.fixture(scope="module")
def glance(engines: Engines) -> Iterator[Look]:
    """Yield a function that runs a check on a database that no test changes."""
    with new_database(engines) as url, looking(url) as run:
        yield run


@pytest.mark.parametrize(("major", "wanted"), [(14, FAILED), (15, OK), (18, OK), (19, WARNING)])
def test_a_version_that_is_not_tested(
    glance: Look, monkeypatch: pytest.MonkeyPatch, major: int, wanted: Level
) -> None:
    about = diagnosis.postgres_facts
    monkeypatch.setattr(diagnosis, "postgres_facts", lambda conn: about(conn)._replace(major=major))
    assert levels(glance(database.version)) == [wanted]


def test_a_replica_takes_no_writes(glance: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    about = diagnosis.postgres_facts
    monkeypatch.setattr(diagnosis, "postgres_facts", lambda conn: about(conn)._replace(replica=True))
    assert levels(glance(database.version)) == [FAILED, OK]


def test_a_commit_that_does_not_wait_for_the_disk(database_url: str) -> None:
    url = psycopg.conninfo.make_conninfo(database_url, options="-c synchronous_commit=off")
    with diagnosis.connect(url) as conn:
        found = Installation(Settings(), url, "", connection=conn).transaction(database.durability)
    assert [(one.level, one.text.partition(" ")[0]) for one in found] == [
        (FAILED, "fsync"),
        (FAILED, "full_page_writes"),
        (WARNING, "synchronous_commit"),
    ]


def test_clocks_that_are_apart(glance: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "clock", lambda _: datetime.now(UTC) - timedelta(seconds=7))
    (found,) = glance(database.clock)
    assert found.level == WARNING
    assert "7.0 s apart" in found.text


def test_pools_that_do_not_fit(glance: Look) -> None:
    small, large = (Settings(workers=workers, threads=64) for workers in (1, 64))
    assert levels(glance(database.connections, small)) == [OK]
    (found,) = glance(database.connections, large)
    assert found.level == FAILED
    each = 64 + BACKGROUND_CONNECTIONS
    assert (
        f"{64 * each}, 64 x (64 threads + {BACKGROUND_CONNECTIONS}); max_connections allows 297" in found.text
    )
    assert "set max_connections" in found.fix


@pytest.mark.parametrize(("open_", "ours", "wanted"), [(0, 0, OK), (290, 280, WARNING), (290, 0, WARNING)])
def test_pools_that_do_not_fit_beside_others(
    glance: Look, monkeypatch: pytest.MonkeyPatch, open_: int, ours: int, wanted: Level
) -> None:
    count = diagnosis.connections
    monkeypatch.setattr(
        diagnosis, "connections", lambda conn: count(conn)._replace(open=open_, of_servers=ours)
    )
    assert levels(glance(database.connections)) == [wanted]


def test_a_limit_of_the_role_counts_as_one_of_postgres(glance: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    count = diagnosis.connections
    monkeypatch.setattr(diagnosis, "connections", lambda conn: count(conn)._replace(of_role=10))
    assert levels(glance(database.connections)) == [FAILED]


@pytest.mark.parametrize(
    ("mode", "wanted", "said"),
    [
        (Mode.REFUSES, FAILED, "refuses session settings"),
        (Mode.DROPS, FAILED, "do not arrive"),
        (Mode.TRANSACTION, FAILED, "pooler in transaction mode"),
        (Mode.SESSION, OK, "through a pooler"),
    ],
)
def test_sessions_behind_a_pooler(database_url: str, mode: Mode, wanted: Level, said: str) -> None:
    installation = Installation(Settings(), database_url, "")
    with behind(database_url, mode) as url:
        (found,) = database.sessions(replace(installation, database_url=url))
    assert found.level == wanted
    assert said in found.text
    assert wanted == OK or "straight at Postgres" in found.fix


def test_a_write_in_another_database_holds_nothing(
    glance: Look, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(horizon, "SLOW_SECONDS", 0.0)
    with psycopg.connect(engines.database_url) as other:
        other.execute("select pg_current_xact_id()")
        (found,) = glance(horizon.horizon)
    assert (found.level, found.text) == (OK, "no write is open")


def test_hidden_sessions_and_prepared_transactions_are_reported(
    glance: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        diagnosis, "sessions_holding_horizon", lambda _: [diagnosis.BackendSession(7, "other", "", None)]
    )
    prepared = [diagnosis.PreparedTransaction("g", "o", 90.0), diagnosis.PreparedTransaction("h", "o", 1.0)]
    monkeypatch.setattr(diagnosis, "prepared_transactions", lambda _: prepared)
    hidden, old, new = glance(horizon.horizon)
    assert (hidden.level, old.level, new.level) == (WARNING, FAILED, WARNING)
    assert "pg_read_all_stats" in hidden.fix
    assert "rollback prepared 'g'" in old.fix


@pytest.mark.parametrize(
    ("slot", "wanted"),
    [
        (diagnosis.ReplicationSlot("s", active=True, age=5, bytes=10), OK),
        (diagnosis.ReplicationSlot("s", active=True, age=5, bytes=2**40), WARNING),
        (diagnosis.ReplicationSlot("s", active=False, age=5, bytes=10), WARNING),
    ],
)
def test_replication_slots_without_a_reader(
    glance: Look, monkeypatch: pytest.MonkeyPatch, slot: diagnosis.ReplicationSlot, wanted: Level
) -> None:
    monkeypatch.setattr(diagnosis, "slots", lambda _: [slot])
    assert levels(glance(horizon.slots)) == [wanted]


def test_a_workspace_of_one_machine_for_servers_of_several(
    glance: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(workspace=tmp_path)
    assert glance(upkeep.shared_workspace) == []
    assert levels(glance(upkeep.shared_workspace, settings)) == [OK]
    count = diagnosis.connections
    monkeypatch.setattr(diagnosis, "connections", lambda conn: count(conn)._replace(hosts=2))
    assert levels(glance(upkeep.shared_workspace, settings)) == [WARNING]
    monkeypatch.setattr(upkeep, "file_system", lambda _: "nfs4")
    assert levels(glance(upkeep.shared_workspace, settings)) == [OK]


def test_no_fix_edits_the_configuration_of_the_built_in_postgres(database_url: str) -> None:
    with diagnosis.connect(database_url) as conn:
        (found,) = storage.statements(Installation(Settings(), database_url, "", True, connection=conn))
    assert (found.level, found.fix) == (OK, "")


def test_the_slowest_statements(glance: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = glance(storage.statements)
    assert found.level == OK
    assert "create extension pg_stat_statements" in found.fix
    slow = [diagnosis.SlowStatement(n, "select 1", 5, mean) for n, mean in ((7, 1_500.0), (8, 0.5))]
    monkeypatch.setattr(diagnosis, "slowest", lambda *_, **__: slow)
    assert levels(glance(storage.statements)) == [WARNING, OK]
    monkeypatch.setattr(diagnosis, "slowest", lambda *_, **__: [])
    assert levels(glance(storage.statements)) == [OK]


WRITE = """with locked as materialized (select pg_advisory_xact_lock(k) from unnest($2)), changed as (
    update tasks e set x = $1 from locked, unnest($2) as c for update skip locked), event as (
    insert into events select 1 from changed) select 1 from changed"""
READ = """with s as materialized (select pg_current_snapshot() from log_state)
    select extract(epoch from now()) from s join events e on exists (select from pg_stat_activity)"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WRITE, "update tasks, insert into events"),
        (READ, "from log_state, join events"),
        ("select 1", "select 1"),
    ],
)
def test_a_statement_is_summarized_by_its_tables(text: str, said: str) -> None:
    assert storage.statement_summary(text) == said


def test_callers_need_a_valid_key(look: Look, database_url: str) -> None:
    near, far = Settings(), Settings(address="0.0.0.0:1", allow_plaintext=True)
    closed = Settings(auth=AuthMode.REQUIRED)
    assert [levels(look(address.keys, one)) for one in (near, far, closed)] == [[OK], [FAILED], [FAILED]]
    key = make_key(database_url)
    assert [levels(look(address.keys, one)) for one in (near, far, closed)] == [[OK]] * 3
    revoke(database_url, key)
    assert [levels(look(address.keys, one)) for one in (near, far, closed)] == [[WARNING], [FAILED], [FAILED]]
