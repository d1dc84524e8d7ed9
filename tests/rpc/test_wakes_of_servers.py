"""An event reaches the streams of another server by a wake, or by a poll while Redis is away."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from time import monotonic

import grpc
import pytest

from orchestration.v1 import event_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.timeline import hub
from tests.conftest import open_channel
from tests.support import factories
from tests.support.own_valkey import AWAY, Valkey, _never_there
from tests.support.own_valkey import valkey as valkey

SECONDS = 10
NEVER_POLL = 3600.0
ROUNDS = 20


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
