"""Servers wake each other through Redis. Whatever Redis does, wakes only change the speed."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Semaphore
from time import monotonic
from typing import Any

import grpc
import pytest
import redis
from structlog.testing import capture_logs

from orchestration.v1 import event_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration_server.app import App
from orchestration_server.cache import client as redis_client
from orchestration_server.cache import wakes
from orchestration_server.cache.client import RedisClient
from orchestration_server.cache.wakes import WakeBus
from orchestration_server.config.settings import Settings
from orchestration_server.db.connection import Connection
from orchestration_server.embedded.engines import EmbeddedEngines, Engines
from orchestration_server.store import events as event_store
from orchestration_server.timeline import hub
from tests.conftest import new_database, open_channel
from tests.support import factories

SECONDS = 10
AT_ONCE = 0.5
"""The most seconds that many wakes, or one stop, may take while Redis does not answer."""
NEVER_POLL = 3600.0
ROUNDS = 20
LOG, OTHER_LOG = b"a" * 32, b"b" * 32


class Valkey:
    """A Redis that a test can stop, pause and start again."""

    def __init__(self, engines: EmbeddedEngines) -> None:
        self._engines = engines
        url = engines.start().redis_url
        assert url is not None
        self.url = url
        self._paused = False

    def _signal(self, number: signal.Signals) -> None:
        assert self._engines.valkey_pid is not None
        os.kill(self._engines.valkey_pid, number)

    def stop(self) -> None:
        self._signal(signal.SIGKILL)
        assert self._engines._valkey is not None
        self._engines._valkey.join()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)
        self._paused = True

    def go_on(self) -> None:
        if self._paused:
            self._signal(signal.SIGCONT)
            self._paused = False

    def restart(self) -> None:
        self.stop()
        assert self._engines._start_valkey() == self.url

    def pause_and_go_on(self) -> None:
        self.pause()
        self.go_on()

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def drop_listeners(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    engines = EmbeddedEngines(tmp_path / "valkey", postgres=False)
    try:
        found = Valkey(engines)
        yield found
        found.go_on()
    finally:
        engines.stop()


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
                        other.woken_until(peer)
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


def _never_there(valkey: Valkey) -> str:
    return "unix:///nowhere/valkey.sock"


def _stopped(valkey: Valkey) -> str:
    valkey.stop()
    return ""


def _paused(valkey: Valkey) -> str:
    valkey.pause()
    return ""


AWAY = [_never_there, _stopped, _paused]


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


class Following:
    """A live stream of one server."""

    def __init__(self, app: App, channel: grpc.Channel) -> None:
        self._app = app
        request = event_pb2.StreamTimelineRequest(follow=True)
        self._stream = EventServiceStub(channel).StreamTimeline(request, timeout=2 * SECONDS)
        while next(self._stream).WhichOneof("message") != "caught_up":
            pass

    def next_ids(self) -> list[str]:
        """Return the events of the next batch."""
        while True:
            message = next(self._stream)
            if message.events.events:
                return [event.id for event in message.events.events]

    def note_wakes(self, monkeypatch: pytest.MonkeyPatch) -> SimpleQueue[None]:
        """Return a queue with an item for each wake from other servers."""
        told: SimpleQueue[None] = SimpleQueue()
        wake = self._app.wakes._wake

        def noted() -> None:
            wake()
            told.put(None)

        monkeypatch.setattr(self._app.wakes, "_wake", noted)
        return told


@contextmanager
def two_servers(database_url: str, redis_url: str) -> Iterator[tuple[EventServiceStub, Following]]:
    """A stub of one server, and a stream of another."""
    with ExitStack() as stack:
        started = []
        for _ in range(2):
            app = App(
                Settings(
                    address="127.0.0.1:0", database_url=database_url, redis_url=redis_url, grace_seconds=1
                )
            )
            stack.callback(app.stop)
            started.append((app, stack.enter_context(open_channel(app.start()))))
        yield EventServiceStub(started[0][1]), Following(*started[1])


def reach(events: EventServiceStub, stream: Following) -> None:
    """Write through one server and wait until the stream of the other has the event."""
    request = event_pb2.EmitEventRequest(event=factories.event())
    written = events.EmitEvent(request, timeout=SECONDS).event.id
    assert stream.next_ids() == [written]


def test_a_wake_alone_brings_an_event_to_the_other_server(
    database_url: str, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "POLL_SECONDS", NEVER_POLL)
    with two_servers(database_url, valkey.url) as (events, stream):
        told = stream.note_wakes(monkeypatch)
        began = monotonic()
        for _ in range(ROUNDS):
            reach(events, stream)
            told.get(timeout=SECONDS)
        # A hub also reads by itself, at most once a second.
        assert monotonic() - began < ROUNDS / 2


@pytest.mark.parametrize("away", AWAY)
def test_while_redis_is_away_polls_bring_the_events(
    database_url: str, valkey: Valkey, away: Callable[[Valkey], str]
) -> None:
    url = valkey.url
    if away is _never_there:
        url = away(valkey)
    with two_servers(database_url, url) as (events, stream):
        if away is not _never_there:
            away(valkey)
        for _ in range(5):
            reach(events, stream)
