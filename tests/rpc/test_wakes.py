"""Servers wake each other through Redis. Whatever Redis does, wakes only change the speed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from threading import Semaphore
from time import monotonic
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from orchestration_server.cache import client as redis_client
from orchestration_server.cache import wakes
from orchestration_server.cache.client import RedisClient
from orchestration_server.cache.wakes import WakeBus
from orchestration_server.db.connection import Connection
from orchestration_server.embedded.engines import Engines
from orchestration_server.store import events as event_store
from tests.conftest import new_database
from tests.support.own_valkey import AWAY, Valkey
from tests.support.own_valkey import valkey as valkey

SECONDS = 10
AT_ONCE = 0.5
"""The most seconds that many wakes, or one stop, may take while Redis does not answer."""
LOG, OTHER_LOG = b"a" * 32, b"b" * 32


class Listening(WakeBus):
    """A bus that records each message after it was processed."""

    def __init__(self, client: RedisClient, **settings: Any) -> None:
        self.taken: SimpleQueue[Any] = SimpleQueue()
        super().__init__(client, **settings)

    def _take(self, message: dict[str, Any]) -> None:
        super()._take(message)
        self.taken.put(message["data"])


class Peer:
    """The bus of one server, with all messages that it receives."""

    def __init__(self, url: str, log: bytes, **settings: Any) -> None:
        self._heard: SimpleQueue[None] = SimpleQueue()
        self.client = RedisClient(url, connections=wakes.CONNECTIONS)
        self.wakes = Listening(self.client, identity=log, wake=lambda: self._heard.put(None), **settings)
        self.wakes.start()

    def hears(self, timeout: float = SECONDS) -> bool:
        try:
            self._heard.get(timeout=timeout)
        except Empty:
            return False
        return True

    def knows(self, teller: "Peer") -> None:
        """Wait for the teller's first message, which is sent again if Redis took too long and lost it."""
        for _ in range(SECONDS):
            try:
                while self.wakes.taken.get(timeout=1) != teller.wakes._own:
                    pass
            except Empty:
                teller.wakes.publish()
            else:
                break
        while not self._heard.empty():
            self._heard.get()

    def woken_until(self, teller: "Peer") -> int:
        """Return the number of wakes until the teller's message was processed."""
        while self.wakes.taken.get(timeout=SECONDS) != teller.wakes._own:
            pass
        times = self._heard.qsize()
        for _ in range(times):
            self._heard.get()
        return times

    def close(self) -> float:
        """Close the bus and return the seconds that it took."""
        began = monotonic()
        self.wakes.close()
        took = monotonic() - began
        self.client.close()
        return took


@pytest.fixture
def new_peer(valkey: Valkey) -> Iterator[Callable[..., Peer]]:
    started: list[tuple[bytes, Peer]] = []
    with ExitStack() as stack:

        def start(log: bytes = LOG, url: str = "", **settings: Any) -> Peer:
            peer = Peer(url or valkey.url, log, **settings)
            stack.callback(peer.close)
            if not url:
                assert peer.hears(), "what was told before it listened is looked for"
                # A server that begins to listen publishes a wake, and receives it itself.
                started.append((log, peer))
                for other_log, other in started:
                    if other_log == log:
                        other.knows(peer)
            return peer

        yield start


def test_a_wake_reaches_the_other_servers_and_not_its_sender(new_peer: Callable[..., Peer]) -> None:
    one, two, three = new_peer(), new_peer(), new_peer()
    one.wakes.publish()
    assert (two.woken_until(one), three.woken_until(one)) == (1, 1)
    # A channel keeps the order of messages, so its own came before this one.
    two.wakes.publish()
    assert (one.woken_until(two), three.woken_until(two)) == (1, 1)


def test_a_server_that_is_alone_publishes_nothing_until_another_listens(
    new_peer: Callable[..., Peer], valkey: Valkey
) -> None:
    one = new_peer()
    with redis.Redis.from_url(valkey.url) as client:

        def published() -> int:
            return int(client.info("commandstats")["cmdstat_publish"]["calls"])

        before = published()
        for _ in range(20):
            one.wakes.publish()
        # A wake may have been requested before the server knew that it is alone.
        assert published() <= before + 1
        two = new_peer()
        one.wakes.publish()
        assert two.woken_until(one) == 1


def test_ledgers_on_one_redis_do_not_wake_each_other(new_peer: Callable[..., Peer]) -> None:
    one, two = new_peer(LOG), new_peer(LOG)
    other, another = new_peer(OTHER_LOG), new_peer(OTHER_LOG)
    one.wakes.publish()
    assert two.woken_until(one) == 1
    another.wakes.publish()
    assert other.woken_until(another) == 1


def test_a_copy_in_the_same_cluster_is_another_log(engines: Engines) -> None:
    found = []
    with new_database(engines) as one, new_database(engines) as two:
        for url in (one, two, one):
            with Connection.connect(url, autocommit=True) as conn:
                conn.execute("update log_state set secret = 'one and the same'")
                found.append(event_store.identity(conn))
    assert found[0] == found[2] != found[1]


def test_many_commits_publish_few_wakes(new_peer: Callable[..., Peer], valkey: Valkey) -> None:
    peer, _ = new_peer(), new_peer()
    with redis.Redis.from_url(valkey.url) as client, client.pubsub() as messages:
        messages.subscribe(peer.wakes.channel)
        heard = messages.listen()
        assert next(heard)["type"] == "subscribe"
        began, commits = monotonic(), 0
        while monotonic() - began < 0.3:
            peer.wakes.publish()
            commits += 1
        peer.close()
        took = monotonic() - began
        client.publish(peer.wakes.channel, b"the end")
        sent = 0
        while next(heard)["data"] != b"the end":
            sent += 1

    assert commits > 1_000
    assert 1 <= sent <= took / wakes.COALESCE_SECONDS + 2


@pytest.mark.parametrize("away", AWAY)
def test_no_call_waits_for_a_redis_that_is_away(
    new_peer: Callable[..., Peer], valkey: Valkey, away: Callable[[Valkey], str]
) -> None:
    peer = new_peer()
    if url := away(valkey):
        peer = new_peer(url=url)
    began = monotonic()
    for _ in range(1_000):
        peer.wakes.publish()
    assert monotonic() - began < AT_ONCE
    assert peer.close() < 2 * AT_ONCE


def test_a_stop_publishes_the_wake_that_is_due_and_does_not_wait(
    new_peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LISTEN_SECONDS", "STOP_SECONDS"):
        monkeypatch.setattr(wakes, name, SECONDS)
    one, two = new_peer(), new_peer()
    one.wakes.publish()
    assert one.close() < SECONDS / 2
    assert two.hears()


def test_without_redis_no_thread_runs() -> None:
    peer = Peer("", LOG)
    peer.wakes.publish()
    assert not peer.wakes._threads
    peer.close()


@pytest.mark.parametrize(
    "happens", [Valkey.restart, Valkey.pause_and_go_on, Valkey.flush, Valkey.drop_listeners]
)
def test_wakes_are_received_again_after(
    new_peer: Callable[..., Peer], valkey: Valkey, happens: Callable[[Valkey], None]
) -> None:
    one, two = new_peer(), new_peer()
    happens(valkey)

    # Listening again counts as one wake, so one wake would not show that messages arrive.
    heard, deadline = 0, monotonic() + SECONDS
    while heard < 5:
        assert monotonic() < deadline
        one.wakes.publish()
        heard += two.hears(timeout=0.1)


class Logged:
    """A logger whose events a test can wait for."""

    def __init__(self) -> None:
        self.events: SimpleQueue[str] = SimpleQueue()

    def warning(self, event: str, **_: str) -> None:
        self.events.put(event)

    info = warning


def test_a_silent_connection_is_closed(
    new_peer: Callable[..., Peer], valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = Logged()
    peer = new_peer(silence_seconds=0.5)
    monkeypatch.setattr(wakes, "log", logged)
    valkey.pause()
    assert logged.events.get(timeout=SECONDS) == "wakes of other servers away"
    valkey.go_on()
    assert peer.hears()
    assert logged.events.get(timeout=SECONDS) == "wakes of other servers back"


def test_a_redis_that_stays_away_is_logged_once(
    new_peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (
        (wakes, "BACKOFF_FIRST_SECONDS"),
        (wakes, "BACKOFF_MOST_SECONDS"),
        (redis_client, "OPEN_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.0)
    tried = Semaphore(0)
    listen = WakeBus._listen

    def counted(self: WakeBus, client: redis.Redis) -> None:
        tried.release()
        listen(self, client)

    monkeypatch.setattr(WakeBus, "_listen", counted)
    with capture_logs() as logged:
        peer = new_peer(url="unix:///nowhere/valkey.sock")
        for _ in range(50):
            assert tried.acquire(timeout=SECONDS)
            assert peer.client.execute(lambda client: client.ping()) is None
        peer.close()
    assert sorted(entry["event"] for entry in logged) == ["redis away", "wakes of other servers away"]
