"""Only transactions of this database hold the horizon, and prepared ones do, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
import pytest

from orchestration.v1 import event_pb2
from orchestration_server.config.settings import Settings
from orchestration_server.doctor import horizon as doctor
from orchestration_server.doctor.findings import Installation, Level
from orchestration_server.embedded.engines import EmbeddedEngines, Engines
from orchestration_server.store import diagnosis, migrations
from orchestration_server.store.horizon import HORIZON, OPEN
from tests.conftest import Server, open_channel
from tests.support.ledger import Ledger

SECONDS = 20
Plain = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    """Engines whose Postgres allows prepared transactions, with a ledger in their database."""
    settings = {"max_prepared_transactions": "5"}
    with EmbeddedEngines(None, durable=False, max_connections=60, settings=settings) as found:
        with psycopg.connect(found.database_url, autocommit=True) as conn:
            migrations.migrate(conn)
            conn.execute("create database foreigner")
            conn.execute("create role plain login")
            conn.execute("grant select on all tables in schema public to plain")
        yield found


@pytest.fixture
def database_url(engines: Engines) -> str:
    return engines.database_url


@pytest.fixture
def own(database_url: str) -> Iterator[Plain]:
    with psycopg.connect(database_url, autocommit=True) as conn:
        yield conn


@pytest.fixture
def foreign(engines: Engines) -> Iterator[Plain]:
    parts = urlsplit(engines.database_url)
    with psycopg.connect(f"postgresql:///foreigner?{parts.query}", autocommit=True) as conn:
        yield conn


def as_role(url: str, role: str) -> Plain:
    """A connection of another role to the same database."""
    parts = urlsplit(url)
    query = urlencode(dict(parse_qsl(parts.query)) | {"user": role})
    return psycopg.connect(f"postgresql://{parts.path}?{query}", autocommit=True)


@contextmanager
def prepared(conn: Plain, name: str) -> Iterator[int]:
    """Prepare a transaction with an id, and roll it back at the end."""
    conn.execute("begin")
    row = conn.execute("select pg_current_xact_id()::text::bigint").fetchone()
    conn.execute(f"prepare transaction '{name}'".encode())
    try:
        assert row is not None
        yield int(str(row[0]))
    finally:
        conn.execute(f"rollback prepared '{name}'".encode())


@contextmanager
def opened(conn: Plain) -> Iterator[int]:
    """Open a transaction with an id."""
    conn.execute("begin")
    row = conn.execute("select pg_current_xact_id()::text::bigint").fetchone()
    try:
        assert row is not None
        yield int(str(row[0]))
    finally:
        conn.execute("rollback")


def horizon(conn: Plain) -> tuple[object, object]:
    """Return the horizon, and the ids that hold it."""
    query = HORIZON + "select h.xid::text::bigint, " + OPEN + " from h"
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row[0], row[1]


def spend(conn: Plain) -> int:
    """Use a transaction id, so that the horizon can be above the ids before it."""
    row = conn.execute("select pg_current_xact_id()::text::bigint").fetchone()
    assert row is not None
    return int(str(row[0]))


@pytest.mark.parametrize("role", ["orchestration", "plain"])
@pytest.mark.parametrize("held", [opened, prepared], ids=["open", "prepared"])
def test_a_transaction_of_another_database_does_not_hold_the_horizon(
    own: Plain, foreign: Plain, database_url: str, held: Callable[..., AbstractContextManager[int]], role: str
) -> None:
    """For any role: Postgres hides neither ids nor databases of other roles' sessions."""
    arguments = (foreign,) if held is opened else (foreign, "far")
    with as_role(database_url, role) as asking, held(*arguments) as xid:
        above = spend(own)
        assert xid < above
        assert horizon(asking) == (above + 1, None)


@pytest.mark.parametrize("role", ["orchestration", "plain"])
@pytest.mark.parametrize("held", [opened, prepared], ids=["open", "prepared"])
def test_a_transaction_of_this_database_holds_the_horizon(
    own: Plain, database_url: str, held: Callable[..., AbstractContextManager[int]], role: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as writer:
        arguments = (writer,) if held is opened else (writer, "near")
        with as_role(database_url, role) as asking, held(*arguments) as xid:
            spend(own)
            assert horizon(asking) == (xid, [xid])


def test_a_timeline_continues_beside_a_foreign_prepared_transaction(
    foreign: Plain, database_url: str, start_server: Callable[[str], Server]
) -> None:
    with open_channel(start_server(database_url).address) as channel, prepared(foreign, "far"):
        ledger = Ledger(channel)
        stored = ledger.emit()
        assert len(stored.cursor) == 32
        request = event_pb2.StreamTimelineRequest(follow=True)
        stream = ledger.events.StreamTimeline(request, timeout=SECONDS)
        found = [event.id for event in next(m for m in stream if m.events.events).events.events]
        assert found == [stored.id]
        later = ledger.emit()
        assert [e.id for e in next(m for m in stream if m.events.events).events.events] == [later.id]
        stream.cancel()
        with diagnosis.connect(database_url) as conn:
            installation = Installation(
                Settings(database_url=database_url), database_url, "", connection=conn
            )
            checks = installation.transaction(doctor.horizon)
        assert [(one.level, one.text) for one in checks] == [(Level.OK, "no write is open")]
