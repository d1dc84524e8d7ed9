"""Every command reports a fault of its database and the fix in one line, without a traceback."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orchestration_server.app import migrate
from orchestration_server.db import connect
from orchestration_server.embedded.engines import EmbeddedEngines, Engines
from tests.support import commands
from tests.support.commands import COMMANDS
from tests.support.poolers import Mode, behind

PASSWORD = "hunter2-of-the-test"
ALL = [
    *COMMANDS,
    ("keys", "create", "NAME"),
    ("keys", "revoke", "0123456789"),
    ("migrate", "--new-epoch"),
    ("archive", "--older-than", "90d"),
    ("doctor", "--address", "127.0.0.1:0"),
]
MIGRATES = {("migrate",), ("migrate", "--new-epoch"), ("keys", "list"), ("keys", "create", "NAME")}
"""Commands that create a ledger if there is none, and succeed."""


@dataclass(frozen=True)
class Place:
    """A separate Postgres that asks roles with a password for it."""

    engines: Engines
    standby: Engines

    def run(self, command: LiteralString, *names: str, database: str = "") -> None:
        url = make_conninfo(self.engines.database_url, dbname=database or "orchestration")
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(sql.SQL(command).format(*map(sql.Identifier, names)))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Yield a Postgres, with a second one that stays in recovery from a copy of its data."""
    directory = tmp_path_factory.mktemp("engines")
    own = EmbeddedEngines(directory / "one", valkey=False)
    other = EmbeddedEngines(directory / "two", valkey=False)
    try:
        engines = own.start()
        migrate(engines.database_url)
        data = next((directory / "one").glob("postgres-[0-9]*"))
        hba = data / "pg_hba.conf"
        hba.write_text(f"local all secured scram-sha-256\n{hba.read_text()}")
        with psycopg.connect(engines.database_url, autocommit=True) as conn:
            conn.execute(sql.SQL("create role secured login password {}").format(sql.Literal(PASSWORD)))
            conn.execute("grant orchestration to secured")
        own.stop_postgres()
        copy = directory / "two" / data.name
        shutil.copytree(data, copy)
        (directory / "two").chmod(0o700)
        (copy / "standby.signal").touch()
        own.start_postgres()
        yield Place(engines, other.start())
    finally:
        other.stop()
        own.stop()


@contextmanager
def database(place: Place, options: LiteralString = "") -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    place.run("create database {} " + options, name)
    try:
        yield make_conninfo(place.engines.database_url, dbname=name, user="secured", password=PASSWORD)
    finally:
        place.run("drop database {} with (force)", name)


Condition = Callable[[Place], Iterator[str]]
"""Yields the URL of a database with a fault."""


def pooled(mode: Mode) -> Condition:
    def found(place: Place) -> Iterator[str]:
        with behind(place.engines.database_url, mode) as url:
            yield url

    return found


def standby(place: Place) -> Iterator[str]:
    yield place.standby.database_url


def only_reads(place: Place) -> Iterator[str]:
    place.run("create role {} login", "reader")
    place.run("grant pg_read_all_data to {}", "reader")
    yield make_conninfo(place.engines.database_url, user="reader")
    place.run("drop role {}", "reader")


def no_rights(place: Place) -> Iterator[str]:
    place.run("create role {} login", "nobody_much")
    yield make_conninfo(place.engines.database_url, user="nobody_much")
    place.run("drop role {}", "nobody_much")


def empty(place: Place) -> Iterator[str]:
    with database(place) as url:
        yield url


def wrong_password(place: Place) -> Iterator[str]:
    yield make_conninfo(place.engines.database_url, user="secured", password=f"{PASSWORD}-old")


def no_database(place: Place) -> Iterator[str]:
    yield make_conninfo(place.engines.database_url, dbname="none_such", user="secured", password=PASSWORD)


def no_role(place: Place) -> Iterator[str]:
    yield make_conninfo(place.engines.database_url, user="none_such", password=PASSWORD)


def role_limit(place: Place) -> Iterator[str]:
    place.run("alter role {} connection limit 0", "secured")
    with database(place) as url:
        yield url
    place.run("alter role {} connection limit -1", "secured")


def database_limit(place: Place) -> Iterator[str]:
    with database(place, "connection limit 0") as url:
        yield url


def ascii_only(place: Place) -> Iterator[str]:
    with database(place, "encoding sql_ascii locale_provider libc locale 'C' template template0") as url:
        yield url


def latin(place: Place) -> Iterator[str]:
    with database(place, "encoding latin1 locale_provider libc locale 'C' template template0") as url:
        yield url


def away(place: Place) -> Iterator[str]:
    yield f"postgresql://me:{PASSWORD}@127.0.0.1:9/x"


def of_another(place: Place) -> Iterator[str]:
    """Yield a database in which another program has a table named migrations."""
    with database(place) as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("create table migrations (id bigint primary key)")
        yield url


def no_schema(place: Place) -> Iterator[str]:
    yield make_conninfo(place.engines.database_url, options="-csearch_path=none_such")


CONDITIONS: list[tuple[Condition, str]] = [
    (pooled(Mode.REFUSES), "point DATABASE_URL straight at Postgres"),
    (pooled(Mode.DROPS), "point DATABASE_URL straight at Postgres"),
    (pooled(Mode.TRANSACTION), "point DATABASE_URL straight at Postgres"),
    (standby, "name the primary"),
    (only_reads, "orchestration doctor"),
    (no_rights, "orchestration doctor"),
    (empty, "run"),
    (wrong_password, "with another user or password"),
    (no_database, "createdb"),
    (no_role, "create role none_such login password"),
    (role_limit, "alter role secured connection limit"),
    (database_limit, "alter database"),
    (ascii_only, "createdb --encoding=UTF8"),
    (latin, "createdb --encoding=UTF8"),
    (away, "pg_isready"),
    (of_another, "no ledger of this release"),
    (no_schema, "search_path"),
]


@pytest.mark.parametrize(
    ("condition", "said"),
    CONDITIONS,
    ids=["refuses", "drops", "transaction", *(one.__name__ for one, _ in CONDITIONS[3:])],
)
def test_no_command_ends_in_a_traceback(place: Place, condition: Condition, said: str) -> None:
    with contextmanager(condition)(place) as url:
        for command in ALL:
            if condition is empty and command[0] in ("serve", "worker", "keys"):
                # The commands create the ledger and continue.
                continue
            code, text = commands.run(*command, DATABASE_URL=url)
            told = f"{' '.join(command)}: {code}\n{text}"
            assert "Traceback" not in text, told
            assert PASSWORD not in text, told
            if command[0] == "doctor":
                assert "failed, " in text.splitlines()[-1], told
            elif condition is empty and command in MIGRATES:
                assert code == 0, told
                unmade(url)
            elif condition is only_reads and command[0] == "archive":
                # There is nothing to migrate.
                assert code == 0, told
            else:
                assert code in (1, 2), told
                assert said in text, told


def unmade(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("drop owned by secured")
        conn.execute("drop schema if exists public cascade")
        conn.execute("create schema public")


def test_a_role_that_is_set_to_read_only_serves_all_the_same(place: Place) -> None:
    """The setting is only the default of a session, and the ledger's sessions override it."""
    with database(place) as url:
        place.run("alter role {} set default_transaction_read_only to on", "secured")
        try:
            assert commands.run("migrate", DATABASE_URL=url)[0] == 0
            assert commands.run("keys", "create", "NAME", DATABASE_URL=url)[0] == 0
            assert commands.run("archive", DATABASE_URL=url)[0] == 0
        finally:
            place.run("alter role {} reset default_transaction_read_only", "secured")


def test_an_address_that_is_taken_is_the_only_reason_to_choose_another(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> str:
        raise RuntimeError("something else")

    monkeypatch.setattr("orchestration_server.app.App.start", fails)
    with pytest.raises(AssertionError, match="something else"):
        commands.run("serve", "--address", "127.0.0.1:0", DATABASE_URL=database_url)


def test_of_several_hosts_the_primary_is_used_whatever_the_url_requests(place: Place) -> None:
    hosts = [conninfo_to_dict(one.database_url)["host"] for one in (place.standby, place.engines)]
    for order in (hosts, hosts[::-1]):
        for wish in ("any", "prefer-standby", "standby", "read-only", "read-write", "primary"):
            url = make_conninfo(
                place.engines.database_url, host=",".join(map(str, order)), target_session_attrs=wish
            )
            with connect.open_connection(url, application="test") as conn:
                assert conn.execute("select pg_is_in_recovery()").fetchone() == (False,)
