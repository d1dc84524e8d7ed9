"""The checks of `orchestration doctor` for what a ledger leaves behind, each on a ledger that has it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from orchestration_server.config.settings import Settings
from orchestration_server.doctor import horizon, storage, upkeep
from orchestration_server.doctor.findings import Level
from orchestration_server.store import diagnosis
from tests.support.doctor import Look, Plain, levels
from tests.support.doctor import look as look
from tests.support.doctor import own as own

OK, WARNING, FAILED = Level


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
