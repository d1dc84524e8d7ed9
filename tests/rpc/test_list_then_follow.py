"""A cursor of any response resumes without a gap, even if transactions were open when it was read."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest

from orchestration.v1 import common_pb2, event_pb2, session_pb2
from orchestration_server import model
from orchestration_server.services import replay
from orchestration_server.store import history as history_store
from tests.support import factories
from tests.support.late_writer import LateWriter, late_writer
from tests.support.ledger import ASSEMBLED, Ledger

pytestmark = pytest.mark.shared_server

TASK = common_pb2.ENTITY_TYPE_TASK
SECONDS = 20
Answer = Callable[[Ledger], str]


def emitted(ledger: Ledger) -> str:
    return ledger.emit().cursor


def got(ledger: Ledger) -> str:
    request = event_pb2.GetEventRequest(event_id=ledger.emit().id)
    return ledger.events.GetEvent(request).event.cursor


def listed(ledger: Ledger) -> str:
    ledger.emit()
    return ledger.events.ListEvents(event_pb2.ListEventsRequest(page_size=1)).events[0].cursor


def listed_on_a_second_page(ledger: Ledger) -> str:
    ledger.emit()
    ledger.emit()
    order = event_pb2.EVENT_ORDER_OLDEST_FIRST
    first = ledger.events.ListEvents(event_pb2.ListEventsRequest(page_size=1, order=order))
    request = event_pb2.ListEventsRequest(page_size=500, order=order, page_token=first.next_page_token)
    return ledger.events.ListEvents(request).events[-1].cursor


def of_a_history(ledger: Ledger) -> str:
    ledger.task("shown")
    request = event_pb2.GetEntityHistoryRequest(entity_type=TASK, entity_code="shown")
    return ledger.events.GetEntityHistory(request).changes[0].cursor


def of_a_state(ledger: Ledger) -> str:
    ledger.task("shown")
    request = event_pb2.ReconstructStateRequest(entity_type=TASK, entity_code="shown")
    return ledger.events.ReconstructState(request).cursor


def of_a_chain(ledger: Ledger) -> str:
    metadata = (("orchestration-correlation-id", "chain"),)
    request = event_pb2.EmitEventRequest(event=factories.event())
    ledger.events.EmitEvent(request, metadata=metadata)
    replay = event_pb2.ReplayEventsRequest(correlation_id="chain", dry_run=True)
    return ledger.events.ReplayEvents(replay).last_cursor


def of_an_activity(ledger: Ledger) -> str:
    ledger.task("shown")
    ledger.session("shown", task_code="shown")
    request = session_pb2.LogActivityRequest(session_key="shown", kind="note", message="m")
    return ledger.sessions.LogActivity(request).event.cursor


ANSWERS = [
    emitted, got, listed, listed_on_a_second_page, of_a_history, of_a_state, of_a_chain, of_an_activity,
]  # fmt: skip


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


@pytest.fixture
def writers(database_url: str) -> Iterator[list[LateWriter]]:
    with ExitStack() as stack:
        yield [stack.enter_context(late_writer(database_url)) for _ in range(3)]


def followed(ledger: Ledger, cursor: str, count: int) -> list[event_pb2.Event]:
    """Return the next events from a cursor, also live ones. Each call takes a single message."""
    found: list[event_pb2.Event] = []
    request = event_pb2.StreamTimelineRequest(after_cursor=cursor, follow=True)
    stream = ledger.events.StreamTimeline(request, timeout=SECONDS)
    for message in stream:
        found += message.events.events
        if len(found) >= count:
            break
    stream.cancel()
    return found


def behind(ledger: Ledger, cursor: str) -> list[str]:
    """Return the types of all events after a cursor."""
    request = event_pb2.StreamTimelineRequest(after_cursor=cursor)
    stream = ledger.events.StreamTimeline(request, timeout=SECONDS)
    found = [event.type for message in stream for event in message.events.events]
    return [type_ for type_ in found if type_ != ASSEMBLED]


@pytest.mark.parametrize("answer", ANSWERS)
def test_events_of_open_transactions_come_after_the_response(
    ledger: Ledger, writers: list[LateWriter], answer: Answer
) -> None:
    ledger.emit(type_="before.all")
    first, second, empty = writers
    first.begin()
    ledger.emit(type_="seen.between")
    second.begin()
    empty.begin()
    cursor = answer(ledger)
    ids = [*first.insert(3, "late.first"), *second.insert(2, "late.second")]
    after = ledger.emit(type_="after.all").id
    for writer in (second, empty, first):
        writer.commit()

    everything = [*ids, after]
    found = followed(ledger, cursor, len(everything))
    assert [event.id for event in found] == everything
    # A reader that leaves in the middle misses no event and gets none twice.
    for place, event in enumerate(found):
        assert [e.id for e in followed(ledger, event.cursor, len(everything) - place - 1)] == everything[
            place + 1 :
        ]
    assert len(found[-1].cursor) == 32


def test_a_stream_is_live_while_transactions_stay_open(ledger: Ledger, writers: list[LateWriter]) -> None:
    """A stream is live while transactions are open, and its cursors resume as the response's does."""
    first, second, _ = writers
    first.begin()
    ledger.emit(type_="seen.between")
    second.begin()
    cursor = ledger.emit(type_="seen.last").cursor
    request = event_pb2.StreamTimelineRequest(after_cursor=cursor, follow=True)
    stream = ledger.events.StreamTimeline(request, timeout=SECONDS)
    caught_up = next(message for message in stream if message.WhichOneof("message") == "caught_up")
    one = first.insert(2, "late.first")
    first.commit()
    found: list[event_pb2.Event] = []
    while len(found) < 2:
        found += next(stream).events.events
    assert [event.id for event in found] == one
    two = second.insert(1, "late.second")
    second.commit()
    after = ledger.emit(type_="after.all").id
    while len(found) < 4:
        found += next(stream).events.events
    assert [event.id for event in found] == [*one, *two, after]
    stream.cancel()

    for place, resumed in ((0, caught_up.caught_up.cursor), (1, found[0].cursor), (2, found[1].cursor)):
        assert [e.id for e in followed(ledger, resumed, 4 - place)] == [*one, *two, after][place:]
    assert len(found[3].cursor) == 32


@pytest.mark.parametrize("answer", ANSWERS)
def test_without_open_ids_in_cursors_late_events_are_lost(
    ledger: Ledger, writers: list[LateWriter], answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with a cursor that is only a position, the events of the test above are lost."""

    def position_alone(position: model.Position, _: object) -> model.Cursor:
        return model.Cursor(position)

    monkeypatch.setattr("orchestration_server.model.log.cursor_of", position_alone)
    monkeypatch.setattr("orchestration_server.store.history.cursor_of", position_alone)
    monkeypatch.setattr("orchestration_server.services.replay.cursor_of", position_alone)
    writers[0].begin()
    cursor = answer(ledger)
    writers[0].insert(3)
    writers[0].commit()
    ledger.emit(type_="after.all")
    assert followed(ledger, cursor, 1)[0].type == "after.all"


def test_all_pages_of_a_list_are_of_one_snapshot(ledger: Ledger, writers: list[LateWriter]) -> None:
    """An event logged between two pages is on neither, and follows from a cursor of each."""
    ids = [ledger.emit(type_="seen.one").id for _ in range(4)]
    writers[0].begin()
    ids.append(ledger.emit(type_="seen.last").id)
    order = event_pb2.EVENT_ORDER_OLDEST_FIRST
    page = ledger.events.ListEvents(event_pb2.ListEventsRequest(page_size=2, order=order))
    shown = list(page.events)
    late = writers[0].insert(2)
    writers[0].commit()
    after = ledger.emit(type_="after.first.page").id
    while page.next_page_token:
        request = event_pb2.ListEventsRequest(page_size=2, order=order, page_token=page.next_page_token)
        page = ledger.events.ListEvents(request)
        shown += page.events
    assert [event.id for event in shown] == ids
    assert [event.id for event in followed(ledger, shown[-1].cursor, 3)] == [*late, after]
    assert [event.id for event in followed(ledger, shown[0].cursor, 7)] == [*ids[1:4], *late, ids[4], after]


def test_a_context_since_such_a_cursor_has_the_late_events(ledger: Ledger, writers: list[LateWriter]) -> None:
    ledger.task("t")
    writers[0].begin()
    cursor = ledger.emit(task="t", type_="seen.last").cursor

    def context(since: str) -> tuple[list[str], str]:
        found = ledger.context({"task_code": "t"}, since_cursor=since)
        return [event.type for event in found.events], found.as_of_cursor

    types, as_of = context(cursor)
    assert types == []
    ledger.emit(task="t", type_="came.later")
    assert context(as_of)[0] == []
    writers[0].commit()
    assert context(cursor)[0] == ["came.later"]
    types, newer = context(as_of)
    assert types == ["came.later"]
    assert context(newer)[0] == []
    assert behind(ledger, as_of) == ["came.later"]


def test_a_state_at_such_a_cursor_lacks_the_late_changes(
    ledger: Ledger, writers: list[LateWriter], database_url: str
) -> None:
    """A change that commits later, below the cursor, is no part of the cursor's state."""
    ledger.task("t", title="Old")
    with late_writer(database_url) as writer:
        writer.begin()
        cursor = ledger.emit().cursor
        writer.retitle("t", "Old", "New")
        writer.commit()
    request = event_pb2.ReconstructStateRequest(entity_type=TASK, entity_code="t", cursor=cursor)
    assert ledger.events.ReconstructState(request).task.title == "Old"
    request.cursor = ledger.emit().cursor
    assert ledger.events.ReconstructState(request).task.title == "New"


def test_events_on_a_later_page_of_a_chain_do_not_come_again(
    ledger: Ledger, writers: list[LateWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that was open at one page and is on the next one counts as seen."""
    late, *_ = writers
    metadata = (("orchestration-correlation-id", "late"),)
    request = event_pb2.EmitEventRequest(event=factories.event())
    for _ in range(2):
        ledger.events.EmitEvent(request, metadata=metadata)
    late.begin()
    ledger.events.EmitEvent(request, metadata=metadata)
    read = history_store.chain

    def chain(*args: Any, **given: Any) -> Any:
        page = read(*args, **given)
        if given["after"] == model.BEGINNING:
            late.insert(1)
            late.commit()
        return page

    monkeypatch.setattr(history_store, "chain", chain)
    monkeypatch.setattr(replay, "CHAIN_PAGE", 2)
    checked = ledger.events.ReplayEvents(event_pb2.ReplayEventsRequest(correlation_id="late", dry_run=True))
    assert checked.types[1].key == "late.came"
    assert behind(ledger, checked.last_cursor) == []
