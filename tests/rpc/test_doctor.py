"""The checks of `orchestration doctor` for a database, each on a database with the fault."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from orchestration_server import doctor as table
from orchestration_server.__main__ import cli
from orchestration_server.app import BACKGROUND_CONNECTIONS
from orchestration_server.config.settings import Settings
from orchestration_server.doctor import address, database, horizon, storage, upkeep
from orchestration_server.doctor.findings import Check, Finding, Installation, Level
from orchestration_server.embedded.engines import EmbeddedEngines, Engines
from orchestration_server.embedded.files import find_postgres
from orchestration_server.model import AuthMode
from orchestration_server.store import diagnosis, migrations
from tests.conftest import Server, _other, new_database
from tests.support.credentials import make_key, revoke
from tests.support.poolers import Mode, behind

OK, WARNING, FAILED = Level

Look = Callable[..., list[Finding]]
Plain = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def look(database_url: str) -> Iterator[Look]:
    """Yield a function that runs a check on a database of this test."""
    with looking(database_url) as run:
        yield run


@pytest.fixture(scope="module")
def glance(engines: Engines) -> Iterator[Look]:
    """Yield a function that runs a check on a database that no test changes."""
    with new_database(engines) as url, looking(url) as run:
        yield run


@contextmanager
def looking(url: str) -> Iterator[Look]:
    with diagnosis.connect(url) as conn:
        installation = Installation(Settings(database_url=url), url, "", connection=conn)

        def run(check: Check, settings: Settings | None = None) -> list[Finding]:
            return replace(installation, settings=settings or installation.settings).transaction(check)

        yield run


@pytest.fixture
def own(database_url: str) -> Iterator[Plain]:
    """Yield a connection for the test itself."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        yield conn


def levels(found: list[Finding]) -> list[Level]:
    return [one.level for one in found]


def run_command(url: str, *arguments: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    arguments = ("doctor", "--json", "--address", "127.0.0.1:0", "--database-url", url, *arguments)
    result = CliRunner().invoke(cli, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    found: dict[str, list[dict[str, str]]] = {}
    for one in json.loads(result.stdout)["checks"]:
        found.setdefault(one["check"], []).append(one)
    return result.exit_code, found


def test_beside_a_server_that_runs_nothing_is_wrong(server: Server) -> None:
    code, found = run_command(server.database_url)
    # The tests' Postgres does not wait for the disk.
    assert [one["text"].partition(" ")[0] for one in found.pop("durability")] == ["fsync", "full_page_writes"]
    assert code == 1
    assert {one["level"] for every in found.values() for one in every} == {"ok"}
    assert set(found) >= {*table.DATABASE_CHECKS, *table.LEDGER_CHECKS} - {"durability", "shared workspace"}


def test_a_check_that_is_refused_by_postgres_stops_no_other(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "_OUTBOX", "select no_such_column")
    _, found = run_command(database_url)
    assert found["file outbox"][0]["level"] == "warning"
    assert "no_such_column" in found["file outbox"][0]["text"]
    assert found["sizes"][0]["level"] == "ok"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dbname": "none"}, "createdb"),
        ({"port": "1"}, "pg_isready"),
        ({"user": "nobody"}, "psql"),
    ],
)
def test_a_database_out_of_reach(database_url: str, change: dict[str, str], said: str) -> None:
    code, found = run_command(psycopg.conninfo.make_conninfo(database_url, **change))
    assert code == 1
    (one,) = found["postgres"]
    assert one["level"] == "failed"
    assert one["fix"].startswith(said)
    assert "version" not in found


def test_a_url_that_is_not_valid_is_not_shown() -> None:
    code, found = run_command("postgres:/user:hunter2")
    assert code == 1
    assert found["postgres"][0]["level"] == "failed"
    assert "hunter2" not in json.dumps(found)


def test_a_database_without_a_ledger(engines: Engines) -> None:
    with empty_database(engines) as url:
        _, found = run_command(url)
    assert [one["level"] for one in found["schema"]] == ["warning"]
    assert found["schema"][0]["fix"] == "orchestration migrate"
    assert "partitions" not in found


@contextmanager
def empty_database(engines: Engines, options: LiteralString = "") -> Iterator[str]:
    name = sql.Identifier(f"test_{secrets.token_hex(6)}")
    with psycopg.connect(engines.database_url, autocommit=True) as conn:
        conn.execute(sql.SQL("create database {} ").format(name) + sql.SQL(options))
        yield _other(engines.database_url, name.as_string(None).strip('"'))
        conn.execute(sql.SQL("drop database {} with (force)").format(name))


def test_an_encoding_that_cannot_hold_what_agents_write(engines: Engines) -> None:
    latin = "template template0 encoding 'latin1' locale_provider libc locale 'C'"
    with empty_database(engines, latin) as url, diagnosis.connect(url) as conn:
        (found,) = Installation(Settings(), url, "", connection=conn).transaction(database.encoding)
    assert found.level == FAILED
    assert "LATIN1" in found.text


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


def test_a_role_without_rights(database_url: str, own: Plain) -> None:
    name = f"role_{secrets.token_hex(6)}"
    role = sql.Identifier(name)
    own.execute(sql.SQL("create role {} login").format(role))
    try:
        url = psycopg.conninfo.make_conninfo(database_url, user=name)
        with diagnosis.connect(url) as conn:
            found = Installation(Settings(), url, "", connection=conn).transaction(database.role)
        assert levels(found) == [FAILED, FAILED, WARNING]
        assert "create on schema public" in found[0].fix
        assert "does not own events, events_rest, migrations, tasks" in found[1].text
        assert "pg_read_all_stats" in found[2].fix
        for finding in (found[0], found[2]):
            paste(finding.fix)
        with diagnosis.connect(url) as conn:
            found = Installation(Settings(), url, "", connection=conn).transaction(database.role)
        assert levels(found) == [FAILED]
    finally:
        own.execute(sql.SQL("drop owned by {}").format(role))
        own.execute(sql.SQL("drop role {}").format(role))


def paste(fix: str) -> None:
    """Run the command of a fix as a superuser whose name is not in the command."""
    programs = Path(find_postgres()[0]).parent
    env = {"PATH": f"{programs}:{os.environ['PATH']}", "PGUSER": "orchestration"}
    subprocess.run(["bash", "-c", fix], env=env, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("built_in", [False, True])
def test_the_fixes_for_a_superuser_work_as_printed(database_url: str, built_in: bool) -> None:
    with diagnosis.connect(database_url) as conn:
        installation = Installation(Settings(), database_url, "", built_in, connection=conn)
        paste(installation.as_superuser("select 1", "select 2", note="and 'more'"))
        # Other databases do not have the function.
        paste(installation.as_superuser("select ledger_none_held(0)"))


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


def test_a_schema_behind_and_one_ahead(look: Look, own: Plain, database_url: str) -> None:
    own.execute("delete from migrations where name like '0008%'")
    (found,) = look(upkeep.schema)
    assert (found.level, found.fix) == (WARNING, "orchestration migrate")
    own.execute("insert into migrations (name) values ('9999_later.sql')")
    (found,) = look(upkeep.schema)
    assert found.level == FAILED
    assert "9999_later.sql" in found.text
    _, checks = run_command(database_url)
    assert "partitions" not in checks


def test_a_write_that_stays_open_is_named_with_what_ends_it(
    look: Look, database_url: str, own: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url, application_name="forgotten") as open_:
        open_.execute("select pg_current_xact_id()")
        pid = open_.info.backend_pid
        monkeypatch.setattr(horizon, "SLOW_SECONDS", 1e9)
        (found,) = look(horizon.horizon)
        assert found.level == OK
        monkeypatch.setattr(horizon, "SLOW_SECONDS", 0.0)
        (found,) = look(horizon.horizon)
        assert found.level == WARNING
        assert f"forgotten (pid {pid}, idle in transaction)" in found.text
        monkeypatch.setattr(horizon, "STUCK_SECONDS", 0.0)
        (found,) = look(horizon.horizon)
        assert found.level == FAILED
        statement = f"select pg_terminate_backend({pid})"
        assert statement in found.fix
        monkeypatch.setattr(horizon, "IDLE_SECONDS", 0.0)
        monkeypatch.setattr(horizon, "OLD_VIEW_SECONDS", 0.0)
        assert statement in look(horizon.idle)[0].fix
        # The fix ends it.
        own.execute(statement.encode())
        # Wait for the end of the session, which comes after the client's error.
        own.execute("select pg_terminate_backend(%s, 30000)", (pid,))
        with pytest.raises(psycopg.OperationalError):
            open_.execute("select 1")
    assert levels(look(horizon.horizon)) == [OK]
    assert levels(look(horizon.idle)) == [OK]


def test_a_write_in_another_database_holds_nothing(
    glance: Look, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(horizon, "SLOW_SECONDS", 0.0)
    with psycopg.connect(engines.database_url) as other:
        other.execute("select pg_current_xact_id()")
        (found,) = glance(horizon.horizon)
    assert (found.level, found.text) == (OK, "no write is open")


def test_a_view_that_stays_open_keeps_dead_rows(
    look: Look, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert levels(look(horizon.old_views)) == [OK]
    monkeypatch.setattr(horizon, "OLD_VIEW_SECONDS", 0.0)
    with psycopg.connect(database_url) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("select 1")
        found = look(horizon.old_views)
        assert any(f"pid {reader.info.backend_pid}," in one.text for one in found)


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


def test_tables_that_autovacuum_leaves_alone(look: Look, own: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
    own.execute("alter table tasks set (autovacuum_enabled = false)")
    (found,) = look(storage.autovacuum)
    assert found.level == WARNING
    assert "alter table tasks reset" in found.fix
    about = diagnosis.postgres_facts
    monkeypatch.setattr(
        diagnosis,
        "postgres_facts",
        lambda conn: about(conn)._replace(autovacuum=False, frozen_age=1_900_000_000),
    )
    assert levels(look(storage.autovacuum)) == [FAILED, WARNING, FAILED]


def test_months_without_a_partition(look: Look, own: Plain) -> None:
    assert levels(look(upkeep.partitions)) == [OK]
    names = [one.name for one in diagnosis.partitions(own) if one.name.startswith("events_rest_")]
    drop(own, names[-1], names[-2])
    (found,) = look(upkeep.partitions)
    assert found.level == WARNING
    assert found.fix.startswith("orchestration migrate")
    for name in names[:-2]:
        drop(own, name)
    (found,) = look(upkeep.partitions)
    assert found.level == FAILED
    assert "every write fails" in found.text


def drop(conn: Plain, *names: str) -> None:
    for name in names:
        conn.execute(sql.SQL("drop table {}").format(sql.Identifier(name)))


def test_events_in_a_default_partition_or_a_detached_one(look: Look, own: Plain) -> None:
    own.execute("create table events_rest_other partition of events_rest default")
    own.execute("create table events_rest_2001_01 (like events)")
    found = look(upkeep.partitions)
    assert levels(found) == [OK, WARNING]
    assert "events_rest_2001_01" in found[1].text
    own.execute(
        "insert into events_rest_other select false, 1, '1'::xid8, 1, 'p', gen_random_uuid(), 't', 0, '', '',"
        " 3, '', '', '', now(), now() - interval '30 years', ''"
    )
    found = look(upkeep.partitions)
    assert levels(found) == [OK, FAILED, WARNING]
    assert "events_rest_other has rows" in found[1].text


def test_an_index_that_is_not_valid(look: Look, own: Plain) -> None:
    own.execute("create index half_made on tasks (code)")
    own.execute("update pg_index set indisvalid = false where indexrelid = 'half_made'::regclass")
    (found,) = look(storage.indexes)
    assert found.level == WARNING
    assert "reindex index concurrently half_made" in found.fix


def test_remembered_answers_that_are_not_deleted(look: Look, own: Plain) -> None:
    assert levels(look(upkeep.requests)) == [OK]
    own.execute("insert into requests values ('p', 'r', 'i', '', '', now() - interval '23 hours')")
    assert levels(look(upkeep.requests)) == [OK]
    own.execute("update requests set create_time = now() - interval '3 days'")
    (found,) = look(upkeep.requests)
    assert found.level == WARNING
    assert "3 d old" in found.text


def test_requested_files_that_are_not_written(look: Look, own: Plain) -> None:
    assert levels(look(upkeep.outbox)) == [OK]
    own.execute("insert into file_outbox (project, kind, code, correlation_id) values ('p', 'task', 'c', '')")
    assert levels(look(upkeep.outbox)) == [OK]
    own.execute("update file_outbox set queue_time = now() - interval '1 hour'")
    (found,) = look(upkeep.outbox, Settings(workspace=Path("/w")))
    assert found.level == WARNING
    assert found.fix.startswith("orchestration worker --workspace /w")
    own.execute("update file_outbox set attempts = 2, last_error = 'no space left'")
    (found,) = look(upkeep.outbox)
    assert found.level == WARNING
    assert "no space left" in found.text


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


def test_rows_that_are_dead_or_not_marked(look: Look, own: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
    assert levels(look(storage.visibility)) == [OK]
    assert levels(look(storage.dead_rows)) == [OK]
    monkeypatch.setattr(storage, "VISIBLE_PAGES", 0)
    own.execute("alter table events_kept set (autovacuum_enabled = false)")
    own.execute(
        "insert into events values (true, 1, default, default, 'p', gen_random_uuid(), 't', 0, '', '', 1,"
        " '', '', '', now(), now(), '')"
    )
    (found,) = look(storage.visibility)
    assert found.level == WARNING
    assert "vacuum (analyze) events_kept" in found.fix
    own.execute("vacuum (analyze) events_kept")
    assert levels(look(storage.visibility)) == [OK]
    monkeypatch.setattr(diagnosis, "dead_rows", lambda *_, **__: [("tasks", 10, 20_000)])
    assert "20,000 dead rows" in look(storage.dead_rows)[0].text


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


def test_statements_are_read_without_their_values() -> None:
    preload = {"shared_preload_libraries": "pg_stat_statements"}
    with EmbeddedEngines(None, durable=False, valkey=False, settings=preload) as engines:
        with psycopg.connect(engines.database_url, autocommit=True) as conn:
            migrations.migrate(conn)
            conn.execute("create schema apart")
            conn.execute("create extension pg_stat_statements schema apart")
            conn.execute("select apart.pg_stat_statements_reset()")
            conn.execute("select  code from tasks\nwhere code = 'hunter2'")
            conn.execute("select 'hunter2'")
        _, found = run_command(engines.database_url)
    texts = [one["text"] for one in found["statements"]]
    assert len(texts) == 1
    assert "of 1 calls: from tasks (queryid " in texts[0]


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
