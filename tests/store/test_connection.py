"""The ledger's connection keeps those guarantees of psycopg that the pool and the stores need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any

import psycopg
import pytest
from uuid_utils import uuid7

from orchestration_server.db import connection
from orchestration_server.db.arrays import (
    Array,
    BigintArray,
    BoolArray,
    ByteaArray,
    TextArray,
    TimestampArray,
    UuidArray,
)
from orchestration_server.db.connection import Connection
from orchestration_server.db.database import Database
from orchestration_server.errors import ResourceExhausted
from orchestration_server.jobs import cleanup

NOW = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
PIDS = "select pid from pg_stat_activity where application_name = 'orchestration' order by pid"


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with Connection.connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("select %(value)s::text", "näïve ☃"),
        ("select %(value)s::text", ""),
        ("select %(value)s", 2**62),
        ("select %(value)s", True),
        ("select %(value)s", b"\0\xff"),
        ("select %(value)s", NOW),
        ("select %(value)s::bigint", None),
    ],
)
def test_a_value_comes_back_as_it_was_bound(conn: Connection, query: str, value: Any) -> None:
    assert conn.execute(query, {"value": value}).fetchall() == [(value,)]


@pytest.mark.parametrize(
    ("array", "items"),
    [
        (TextArray, ["", "a", "b" * 300]),
        (ByteaArray, [b"", b"\0"]),
        (BigintArray, [-1, 2**62]),
        (TimestampArray, [NOW]),
        (BoolArray, [True, False]),
    ],
)
def test_arrays_come_back_as_they_were_bound(conn: Connection, array: type[Array], items: list[Any]) -> None:
    for length in range(len(items) + 1):
        rows = conn.execute("select %(items)s", {"items": array(items[:length])}).fetchall()
        assert rows == [(items[:length],)]


def test_uuids_come_back_as_they_were_bound(conn: Connection) -> None:
    ids = [uuid7(), uuid7()]
    rows = conn.execute("select i::text from unnest(%(ids)s) i", {"ids": UuidArray(ids)}).fetchall()
    assert rows == [(str(one),) for one in ids]


def test_a_text_with_nul_raises_an_error(conn: Connection) -> None:
    with pytest.raises(psycopg.DataError):
        conn.execute("select %(value)s::text", {"value": "a\0b"})


def test_a_type_without_an_encoder_raises_an_error(conn: Connection) -> None:
    with pytest.raises(TypeError, match="object"):
        conn.execute("select %(value)s::text", {"value": object()})


def test_a_block_that_raises_is_rolled_back_and_another_is_committed(conn: Connection) -> None:
    conn.execute("create table kept (n bigint)")
    with suppress(ZeroDivisionError), conn.transaction():
        conn.execute("insert into kept values (1)")
        raise ZeroDivisionError
    with conn.transaction():
        conn.execute("insert into kept values (2)")
    assert conn.execute("select n from kept").fetchall() == [(2,)]


def test_the_commit_of_a_failed_transaction_raises_an_error(conn: Connection) -> None:
    failed = pytest.raises(psycopg.errors.InFailedSqlTransaction)
    with failed, conn.transaction(), suppress(psycopg.errors.DivisionByZero):
        conn.execute("select 1 / %(zero)s", {"zero": 0})
    assert conn.execute("select 1").fetchone() == (1,)


def test_the_least_recently_used_statement_is_deallocated(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MAX_PREPARED_STATEMENTS", 3)
    for n in (0, 1, 2, 0, 3, 0, 4):
        assert conn.execute(f"select {n}").fetchone() == (n,)
    rows = conn.execute("select statement from pg_prepared_statements order by 1").fetchall()
    assert [row[0] for row in rows] == [
        "select 0", "select 4", "select statement from pg_prepared_statements order by 1"
    ]  # fmt: skip


def test_a_lost_connection_is_an_operational_error(conn: Connection, database_url: str) -> None:
    row = conn.execute("select pg_backend_pid()").fetchone()
    assert row is not None
    with Connection.connect(database_url, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%(pid)s::int)", {"pid": row[0]})
    with pytest.raises(psycopg.OperationalError):
        conn.execute("select 1")


def test_a_check_of_the_pool_keeps_live_connections(conn: Connection, database_url: str) -> None:
    others = set(conn.execute(PIDS))
    db = Database(database_url, size=3).start()
    try:
        db._pool.wait(timeout=10)
        before = conn.execute(PIDS).fetchall()
        db._pool.check()
        db._pool.wait(timeout=10)
        assert conn.execute(PIDS).fetchall() == before
        assert len(set(before) - others) == 3
    finally:
        db.close()


def test_the_service_adds_missing_partitions(conn: Connection, database_url: str) -> None:
    name = "select relname from pg_class where relname like 'events_rest_2%%' and relkind = 'r' order by 1"
    before = conn.execute(name).fetchall()
    conn.execute(f"drop table {before[-1][0]}")
    db = Database(database_url, size=2).start()
    try:
        (partitions,) = [s for s in cleanup.services(db) if s.name == "partitions"]
        partitions.run_once()
        assert conn.execute(name).fetchall() == before
    finally:
        db.close()


def test_a_late_caller_gets_a_free_connection(database_url: str) -> None:
    """A busy machine may take a call's whole timeout before the pool looks for a connection."""
    db = Database(database_url, size=1).start()
    try:
        with db.connection(timeout=-1.0) as conn:
            assert conn.execute("select 1").fetchone() == (1,)
            for timeout in (-1.0, 0.0):
                with pytest.raises(ResourceExhausted), db.connection(timeout=timeout):
                    pass
        with db.connection(timeout=0.0) as conn:
            assert conn.execute("select 1").fetchone() == (1,)
    finally:
        db.close()


def test_an_overload_does_not_check_the_pool(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    db = Database(database_url, size=1).start()
    looks: SimpleQueue[None] = SimpleQueue()
    checks: list[None] = []

    def answers() -> bool:
        looks.put(None)
        return True

    monkeypatch.setattr(db, "_answers", answers)
    monkeypatch.setattr(db._pool, "check", lambda: checks.append(None))
    try:
        with db.connection():
            # At the second probe, the work after the first one is done.
            for _ in range(2):
                with pytest.raises(ResourceExhausted), db.connection(timeout=0.0):
                    pass
                looks.get(timeout=10)
        assert checks == []
    finally:
        db.close()
