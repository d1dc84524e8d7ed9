"""The pool grows back by itself, and holds on to what answers while no new connection can be had."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing
from time import monotonic, sleep

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from orchestration_server.db.database import Database
from orchestration_server.errors import ResourceExhausted, Unavailable

SIZE = 6
SECONDS = 30


class Role:
    """A role with a limit of connections."""

    def __init__(self, url: str, name: str) -> None:
        self._admin = psycopg.connect(url, autocommit=True)
        self._name = sql.Identifier(name)
        self.url = make_conninfo(url, user=name)
        self._run("create role {} login in role orchestration")

    def limit(self, most: int) -> None:
        self._run("alter role {} connection limit " + str(most))

    def password_is_another(self) -> None:
        """Nobody gets in any more; those who are in stay."""
        self._run("alter role {} nologin")

    def end_connections(self, count: int) -> None:
        self._admin.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where pid in ("
            "select pid from pg_stat_activity where usename = %s limit %s)",
            (self._name.as_string().strip('"'), count),
        )

    def open(self) -> int:
        row = self._admin.execute(
            "select count(*) from pg_stat_activity where usename = %s and application_name = 'orchestration'",
            (self._name.as_string().strip('"'),),
        ).fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        self._run("drop owned by {}")
        self._run("drop role {}")
        self._admin.close()

    def _run(self, command: str) -> None:
        self._admin.execute(sql.SQL(command).format(self._name))


def asked(db: Database) -> bool:
    """Whether a statement is answered."""
    try:
        with db.connection() as conn:
            return conn.execute("select 1").fetchone() == (1,)
    except (Unavailable, ResourceExhausted):
        return False


@pytest.fixture
def role(database_url: str) -> Iterator[Role]:
    with closing(Role(database_url, f"role_{secrets.token_hex(6)}")) as found:
        yield found


def until(condition: object, wanted: int) -> None:
    assert callable(condition)
    end = monotonic() + SECONDS
    while condition() != wanted:
        assert monotonic() < end, condition()
        sleep(0.01)


def test_it_grows_back_when_slots_come_free_again_though_nobody_asks(role: Role) -> None:
    with closing(Database(role.url, size=SIZE).start()) as db:
        assert role.open() == SIZE
        role.limit(2)
        role.end_connections(SIZE)
        until(lambda: asked(db) and db._pool._nconns < SIZE, True)
        until(lambda: asked(db), True)
        role.limit(-1)
        until(role.open, SIZE)
        with ExitStack() as stack:
            conns = [stack.enter_context(db.connection()) for _ in range(SIZE)]
            assert [conn.execute("select 1").fetchone() for conn in conns] == [(1,)] * SIZE


def test_it_grows_to_its_size_when_it_was_opened_short(role: Role) -> None:
    role.limit(2)
    with closing(Database(role.url, size=SIZE).start()) as db:
        assert role.open() <= 2
        assert not db.away
        role.limit(-1)
        until(role.open, SIZE)


def test_who_is_in_stays_in_while_nobody_else_gets_in(role: Role) -> None:
    """As when the password was changed: a look by a new connection fails, and what is open answers."""
    with closing(Database(role.url, size=SIZE).start()) as db:
        role.password_is_another()
        for _ in range(3):
            db.report_failure(lost=False)
            until(lambda: db._doubted.is_set(), False)
            assert asked(db)
        assert not db.away
        role.end_connections(SIZE)
        until(lambda: asked(db), False)


def test_one_write_that_is_refused_as_read_only_puts_all_connections_in_doubt(role: Role) -> None:
    with closing(Database(role.url, size=SIZE).start()) as db:
        before = numbers(db)
        with pytest.raises(Unavailable):
            write_to_a_standby(db)
        until(lambda: asked(db), True)
        assert not before & numbers(db)


def write_to_a_standby(db: Database) -> None:
    """It refuses a write as a transaction does that may only read."""
    with db.connection() as conn, conn.transaction():
        conn.execute("set transaction read only")
        conn.execute("create table made ()")


def numbers(db: Database) -> set[int]:
    """The numbers of the backends that are lent, each once."""
    with ExitStack() as stack:
        conns = [stack.enter_context(db.connection()) for _ in range(SIZE)]
        rows = [conn.execute("select pg_backend_pid()").fetchone() for conn in conns]
    return {row[0] for row in rows if row is not None}
