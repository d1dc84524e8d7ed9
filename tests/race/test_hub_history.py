"""Reading history gives way to the sender of the live feed, and still comes to its end."""

import threading
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest

from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration_server.store import events as event_store
from orchestration_server.timeline import hub as timeline
from orchestration_server.timeline.sender import Sender
from tests.support import factories
from tests.support.timeline_readers import Reader, emit
from tests.support.timeline_readers import hub as hub
from tests.support.timeline_readers import open_reader as open_reader

SECONDS = 10


class Busy:
    """The backlog of the sender, as the reader of history sees it."""

    def __init__(self, patch: pytest.MonkeyPatch, backlogs: Iterator[int]) -> None:
        self.seen: list[int | str] = []
        """The backlogs that the reader saw, and "page" for each page that it read."""
        self._backlogs = backlogs
        self._page = event_store.page
        patch.setattr(Sender, "backlog", property(lambda sender: self._backlog()))
        patch.setattr(event_store, "page", self._read)

    def _backlog(self) -> int:
        if threading.current_thread().name != "timeline-read":
            return 0
        self.seen.append(next(self._backlogs))
        return self.seen[-1]  # type: ignore[return-value]  # it is the number added last

    def _read(self, *args: Any, **fields: Any) -> Any:
        self.seen.append("page")
        return self._page(*args, **fields)


def test_a_page_of_history_waits_until_the_sender_has_sent(
    events: EventServiceStub, open_reader: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = emit(events, "p", [factories.event()] * 3)
    open_reader("live").until("caught_up")
    monkeypatch.setattr(timeline, "GIVE_WAY_SECONDS", SECONDS)
    busy = Busy(monkeypatch, chain([3, 2, 1], repeat(0)))
    assert open_reader("p").take(stored[-1]) == stored
    assert busy.seen[:5] == [3, 2, 1, 0, "page"]


def test_history_is_read_to_its_end_while_the_sender_is_never_done(
    events: EventServiceStub, open_reader: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = [id_ for _ in range(2) for id_ in emit(events, "p", [factories.event()] * 400)]
    open_reader("live").until("caught_up")
    busy = Busy(monkeypatch, repeat(1))
    assert open_reader("p").until("caught_up") == stored
    assert busy.seen.count("page") >= 3
    assert busy.seen[0] == 1


def test_history_gives_way_to_nobody_where_no_stream_is_live(
    events: EventServiceStub, open_reader: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = emit(events, "p", [factories.event()])
    busy = Busy(monkeypatch, repeat(1))
    assert open_reader("p").take(stored[-1]) == stored
    assert busy.seen[0] == "page"
