"""`orchestration doctor` on a database out of reach, without a ledger, or with another schema or rights."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from orchestration_server import doctor as table
from orchestration_server.__main__ import cli
from orchestration_server.config.settings import Settings
from orchestration_server.doctor import database, upkeep
from orchestration_server.doctor.findings import Installation, Level
from orchestration_server.embedded.engines import EmbeddedEngines, Engines
from orchestration_server.embedded.files import find_postgres
from orchestration_server.store import diagnosis, migrations
from tests.conftest import Server, _other
from tests.support.doctor import Look, Plain, levels
from tests.support.doctor import look as look
from tests.support.doctor import own as own

OK, WARNING, FAILED = Level


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
