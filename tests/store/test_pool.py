"""The pool refills itself, and keeps live connections while no new connection can be opened."""

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
    """A role with a limited number of connections."""

    def __init__(self, url: str, name: str) -> None:
        self._admin = psycopg.connect(url, autocommit=True)
        self._name = sql.Identifier(name)
        self.url = make_conninfo(url, user=name)
        self._run("create role {} login in role orchestration")

    def limit(self, most: int) -> None:
        self._run("alter role {} connection limit " + str(most))

    def password_is_another(self) -> None:
        """Reject new connections, and keep the open ones."""
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
    """Return whether a statement succeeds."""
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


def test_the_pool_refills_when_slots_become_free(role: Role) -> None:
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


def test_a_pool_that_opened_short_fills_up(role: Role) -> None:
    role.limit(2)
    with closing(Database(role.url, size=SIZE).start()) as db:
        assert role.open() <= 2
        assert not db.away
        role.limit(-1)
        until(role.open, SIZE)


def test_open_connections_stay_while_new_ones_are_rejected(role: Role) -> None:
    """As after a change of the password: a probe with a new connection fails, and open connections work."""
    with closing(Database(role.url, size=SIZE).start()) as db:
        role.password_is_another()
        for _ in range(3):
            db.report_failure(lost=False)
            until(lambda: db._doubted.is_set(), False)
            assert asked(db)
        assert not db.away
        role.end_connections(SIZE)
        until(lambda: asked(db), False)


def test_a_write_that_fails_as_read_only_makes_all_connections_untrusted(role: Role) -> None:
    with closing(Database(role.url, size=SIZE).start()) as db:
        before = numbers(db)
        with pytest.raises(Unavailable):
            write_to_a_standby(db)
        until(lambda: asked(db), True)
        assert not before & numbers(db)


def write_to_a_standby(db: Database) -> None:
    """Fail a write as a read-only transaction does."""
    with db.connection() as conn, conn.transaction():
        conn.execute("set transaction read only")
        conn.execute("create table made ()")


def numbers(db: Database) -> set[int]:
    """Return the pids of the lent connections."""
    with ExitStack() as stack:
        conns = [stack.enter_context(db.connection()) for _ in range(SIZE)]
        rows = [conn.execute("select pg_backend_pid()").fetchone() for conn in conns]
    return {row[0] for row in rows if row is not None}
