"""The credentials that a process keeps in memory, and for how long."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from orchestration_server.auth.api_keys import new_key
from orchestration_server.auth.credentials import Credentials
from orchestration_server.db.connection import Connection
from orchestration_server.db.database import Database
from orchestration_server.errors import Unauthenticated, Unavailable
from orchestration_server.store import keys as key_store
from orchestration_server.store.database_clock import DatabaseClock
from tests.support.clock import FakeClock
from tests.support.credentials import Reads, make_key


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def credentials(
    database_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Credentials]:
    """Credentials that refresh only when a test says so."""
    monkeypatch.setattr(Credentials, "_run", lambda _: None)
    db = Database(database_url, size=2).start()
    made = Credentials(db, now=DatabaseClock(db), clock=clock)
    made.start()
    yield made
    made.close()
    db.close()


def test_a_known_key_is_not_read_again(
    credentials: Credentials, reads: Reads, clock: FakeClock, database_url: str
) -> None:
    header = f"Bearer {make_key(database_url)}"
    identity = credentials.verify(header)
    assert reads.count == 1
    clock.now += 9
    assert credentials.known(header) is identity
    clock.now += 2
    assert credentials.known(header) is None
    credentials.check(identity)
    credentials.refresh()
    assert credentials.known(header) is identity
    assert reads.count == 2


def test_a_key_expires_from_memory_while_the_database_is_away(
    credentials: Credentials, reads: Reads, clock: FakeClock, database_url: str
) -> None:
    header = f"Bearer {make_key(database_url)}"
    credentials.verify(header)
    reads.away = True
    with pytest.raises(Unavailable):
        credentials.refresh()
    clock.now += 11
    assert credentials.known(header) is None
    with pytest.raises(Unavailable):
        credentials.verify(header)


def test_an_unknown_key_is_read_once_in_two_seconds(
    credentials: Credentials, reads: Reads, clock: FakeClock
) -> None:
    header = f"Bearer {new_key()[1]}"
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            credentials.verify(header)
    assert reads.count == 1
    clock.now += 3
    with pytest.raises(Unauthenticated):
        credentials.verify(header)
    assert reads.count == 2


def test_the_credentials_in_memory_are_bounded(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr(credentials._known, "_size", 2)
    monkeypatch.setattr(credentials._unknown, "_size", 2)
    for _ in range(4):
        credentials.verify(f"Bearer {make_key(database_url)}")
        with pytest.raises(Unauthenticated):
            credentials.verify(f"Bearer {new_key()[1]}")
    assert len(credentials._known) == len(credentials._unknown) == 2


def test_the_use_of_keys_is_stored_at_intervals(
    credentials: Credentials, clock: FakeClock, database_url: str
) -> None:
    used, idle = make_key(database_url), make_key(database_url)
    credentials.check(credentials.verify(f"Bearer {used}"))
    credentials.refresh()
    with Connection.connect(database_url, autocommit=True) as conn:
        assert {row.last_used_time for row in key_store.list_all(conn)} == {None}
        clock.now += 61
        credentials.refresh()
        noted = {row.id: row.last_used_time is not None for row in key_store.list_all(conn)}
    assert noted == {used.split("_")[1]: True, idle.split("_")[1]: False}


def test_a_key_expires_at_its_expire_time(credentials: Credentials, database_url: str) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    identity = credentials.verify(f"Bearer {make_key(database_url, expire_time=end)}")
    assert identity.refusal(end.timestamp() - 0.001) is None
    ended = identity.refusal(end.timestamp())
    assert ended is not None
    assert ended.reason == "KEY_EXPIRED"
