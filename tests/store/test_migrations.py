"""Migrations keep the rows of a database of an earlier release."""

import psycopg
from google.protobuf.timestamp_pb2 import Timestamp
from psycopg import sql
from structlog.testing import capture_logs
from uuid_utils import uuid7

from orchestration.v1.task_pb2 import Task
from orchestration_server.app import migrate
from orchestration_server.store import migrations

CODE_LENGTHS = (1, 2, 127, 128)


def test_the_uids_of_tasks_are_taken_from_their_messages(database_url: str) -> None:
    tasks = [
        Task(code="c" * length, uid=str(uuid7()), title="\x12$ 12345", create_time=Timestamp(seconds=1))
        for length in CODE_LENGTHS
    ]
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("alter table tasks drop column uid")
        conn.execute("delete from migrations where name = '0007_task_uids.sql'")
        for task in tasks:
            conn.execute(
                "insert into tasks (project, code, sprint_code, status, priority, assignee, labels, revision,"
                " create_time, update_time, body) values ('p', %s, '', 1, 3, '', '{}', 1, now(), now(), %s)",
                (task.code, task.SerializeToString()),
            )
        assert migrations.migrate(conn) == ["0007_task_uids.sql"]
        query = sql.SQL("select code, uid::text from tasks order by code")
        assert conn.execute(query).fetchall() == [(task.code, task.uid) for task in tasks]
        assert migrations.migrate(conn) == []


def test_unrevoked_keys_with_one_name_are_renamed(database_url: str) -> None:
    name = "n" * 128
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("drop index api_keys_by_name")
        conn.execute("delete from migrations where name = '0017_key_names.sql'")
        for key_id, project, revoked in (
            ("1", "p", False), ("2", "p", False), ("3", "p", True), ("4", "q", False), ("5", "p", False),
        ):  # fmt: skip
            conn.execute(
                "insert into api_keys (id, digest, name, project, role, revoke_time)"
                " values (%s, '', %s, %s, 2, case when %s then now() end)",
                (key_id, name, project, revoked),
            )
        assert migrations.migrate(conn) == ["0017_key_names.sql"]
        query = sql.SQL("select id, name from api_keys order by id")
        short = name[:110]
        assert conn.execute(query).fetchall() == [
            ("1", name), ("2", f"{short} (2)"), ("3", name), ("4", name), ("5", f"{short} (5)"),
        ]  # fmt: skip


def test_a_newer_schema_is_accepted_and_reported(database_url: str) -> None:
    """During a rolling replacement, an old server may start again beside new ones."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("insert into migrations (name) values ('9999_later.sql')")
    with capture_logs() as said:
        assert migrate(database_url) == []
    assert [(line["log_level"], line["migrations"]) for line in said] == [("warning", ["9999_later.sql"])]


def test_migrations_are_numbered_without_gaps_or_repeats() -> None:
    names = migrations.released()
    assert [name[:5] for name in names] == [f"{number:04}_" for number in range(1, len(names) + 1)]
