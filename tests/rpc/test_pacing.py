"""History beside traffic: one page is read at a time, and none ahead of a client that does not read."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.timeline import pacing
from orchestration_server.timeline.backfill import Backfill
from orchestration_server.timeline.pacing import PAGE_EVENTS, Pace, Progress, Traffic
from tests.conftest import Server, open_channel
from tests.support import factories

READERS = 6
EVENTS = 6_000
BYTES = 2_000
SECONDS = 60
MOST_PAGES = 60


class Pages:
    """A record of the pages of history that are read: their sizes, and how many at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.at_once = self.most_at_once = 0
        self.changed = threading.Condition()
        read = Backfill._page

        def counted(history: Backfill, stream: Any) -> Any:
            with self.changed:
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                page = read(history, stream)
            finally:
                with self.changed:
                    self.at_once -= 1
            assert page is not None
            with self.changed:
                self.sizes.append(sum(len(body) for body, _, _ in page.messages))
                self.changed.notify_all()
            return page

        monkeypatch.setattr(Backfill, "_page", counted)


@pytest.fixture
def stored(events: EventServiceStub) -> list[str]:
    large = factories.event(payload={"text": "x" * BYTES})
    messages = (
        event_pb2.EmitEventsRequest(request_id=f"m{n}", events=[large] * 500) for n in range(EVENTS // 500)
    )
    return [event_id for answer in events.EmitEvents(messages) for event_id in answer.event_ids]


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _crowded(monkeypatch: pytest.MonkeyPatch, crowded: bool) -> None:
    monkeypatch.setattr(Traffic, "recent", property(lambda _: crowded))


def _read(channel: Any) -> list[str]:
    stream = EventServiceStub(channel).StreamTimeline(event_pb2.StreamTimelineRequest(), timeout=SECONDS)
    return [event.id for message in stream for event in message.events.events]


def test_with_traffic_readers_get_all_events_by_one_small_page_at_a_time(
    server: Server, stored: list[str], opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    _crowded(monkeypatch, True)
    pages = Pages(monkeypatch)
    found: list[list[str]] = []
    channels = [opened.enter_context(open_channel(server.address)) for _ in range(READERS)]
    threads = [threading.Thread(target=lambda c=c: found.append(_read(c))) for c in channels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [stored] * READERS
    assert pages.most_at_once == 1
    assert max(pages.sizes) < (PAGE_EVENTS + 1) * (BYTES + 500)


@pytest.mark.parametrize("crowded", [True, False])
def test_with_traffic_a_client_that_does_not_read_costs_one_page(
    server: Server, stored: list[str], opened: ExitStack, monkeypatch: pytest.MonkeyPatch, crowded: bool
) -> None:
    """The transport takes none of its messages. Without traffic the server reads ahead for the client."""
    _crowded(monkeypatch, crowded)
    pages = Pages(monkeypatch)
    sent = threading.Event()

    def never_taken(outlet: Any, body: bytes, done: Any) -> bool:
        sent.set()
        return True

    monkeypatch.setattr("orchestration_server.rpc.stream_writer.StreamWriter.send", never_taken)
    request = event_pb2.StreamTimelineRequest(batch_size=100)
    for _ in range(READERS):
        channel = opened.enter_context(open_channel(server.address))
        call = EventServiceStub(channel).StreamTimeline(request, timeout=SECONDS)
        opened.callback(call.cancel)
    assert sent.wait(SECONDS)
    wanted = READERS if crowded else READERS + 1
    with pages.changed:
        assert pages.changed.wait_for(lambda: len(pages.sizes) >= wanted, SECONDS)
    assert server.app is not None
    history = server.app.hub._backfill
    if crowded:
        with pages.changed:
            assert not pages.changed.wait_for(lambda: len(pages.sizes) > wanted or pages.at_once, 0)
        assert history._waiting.empty()


def test_a_rest_is_in_proportion_to_the_slice_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter([10.0, 10.004, 10.004, 11.0, 11.0])
    rests: list[Any] = []
    clock = SimpleNamespace(thread_time=lambda: next(spent), sleep=rests.append, monotonic=time.monotonic)
    monkeypatch.setattr(pacing, "time", clock)
    traffic = Traffic()
    pace = Pace(traffic)
    traffic.seen()
    with pace.turn(Progress()):
        pace.rest()
        pace.rest()
    assert rests == [pytest.approx(0.004 * pacing.REST), pacing.MOST_REST_SECONDS]


def test_without_traffic_a_reader_does_not_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    clock = SimpleNamespace(thread_time=time.thread_time, sleep=rests.append, monotonic=time.monotonic)
    monkeypatch.setattr(pacing, "time", clock)
    pace = Pace(Traffic())
    with pace.turn(Progress()), pace.turn(Progress()):
        pace.rest()
    assert not rests


def test_calls_and_deliveries_are_traffic_and_opening_a_stream_is_not(
    server: Server, events: EventServiceStub, tasks: TaskServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(Traffic, "seen", lambda _: seen.append(True))
    assert list(events.StreamTimeline(event_pb2.StreamTimelineRequest(), timeout=SECONDS))
    assert not seen
    tasks.ListTasks(task_pb2.ListTasksRequest())
    assert len(seen) == 1
    live = events.StreamTimeline(event_pb2.StreamTimelineRequest(follow=True), timeout=SECONDS)
    assert next(live).HasField("caught_up")
    request = event_pb2.EmitEventsRequest(request_id="r", events=[factories.event()])
    assert [answer.stored for answer in events.EmitEvents(iter([request]))] == [1]
    assert next(live).events.events
    live.cancel()
    assert len(seen) == 2


def test_a_reader_arrives_even_if_the_log_grows_faster_than_it_reads_with_traffic(
    server: Server, stored: list[str], opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    _crowded(monkeypatch, True)
    monkeypatch.setattr(pacing, "LOSING_SECONDS", 0.0)
    events = EventServiceStub(opened.enter_context(open_channel(server.address)))
    read = Backfill._page
    pages = 0

    def grown(history: Backfill, stream: Any) -> Any:
        """Emit more events with each page than a page has with traffic, for MOST_PAGES pages."""
        nonlocal pages
        pages += 1
        if pages <= MOST_PAGES:
            request = event_pb2.EmitEventsRequest(
                request_id=f"p{pages}", events=[factories.event()] * (PAGE_EVENTS + 50)
            )
            stored.extend(next(events.EmitEvents(iter([request]))).event_ids)
        return read(history, stream)

    monkeypatch.setattr(Backfill, "_page", grown)
    assert _read(opened.enter_context(open_channel(server.address))) == stored
    assert pages <= MOST_PAGES


def test_a_reader_is_losing_if_it_comes_no_nearer_in_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = Progress(), Progress()
    for second, behind in enumerate((1_000, 1_300, 900, 700, 699, 600)):
        fast.note(behind, second)
    assert not fast.losing
    for second, behind in enumerate((1_000, 300, 1_000)):
        assert not slow.losing
        slow.note(behind, second)
    assert slow.losing
    slow.note(10, 100.0)
    assert slow.losing

    rests: list[float] = []
    clock = SimpleNamespace(thread_time=time.thread_time, sleep=rests.append, monotonic=time.monotonic)
    monkeypatch.setattr(pacing, "time", clock)
    traffic = Traffic()
    pace = Pace(traffic)
    traffic.seen()
    with pace.turn(Progress()), pace.turn(slow):
        pace.rest()
    assert not rests
