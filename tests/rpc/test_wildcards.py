"""Filters by a wildcard take what the same filter in Python takes, however far the rollups are."""

from random import Random

import grpc
import pytest

from orchestration.v1 import event_pb2
from orchestration_server.app import App
from orchestration_server.jobs.rollups import Rollups
from orchestration_server.store import wildcards
from tests.support import factories
from tests.support.ledger import Ledger

pytestmark = pytest.mark.shared_server

SECONDS = 20
TYPES = ["a.b", "a.b.c", "a.b.d", "a.bc.d", "a-b.c", "a.b.c.d", "b.a", "ab.b.c", "a.z"]
FILTERS = [["a.*"], ["a.b.*"], ["a.b.*", "b.a"], ["a.b.*", "a.*"], ["none.*"], ["a.b.c.*", "ab.*", "z.none"]]


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


def takes(types: list[str], type_: str) -> bool:
    return any(type_.startswith(one[:-1]) if one.endswith(".*") else type_ == one for one in types)


def streamed(ledger: Ledger, **fields: object) -> list[event_pb2.Event]:
    request = event_pb2.StreamTimelineRequest(**fields)  # type: ignore[arg-type]
    stream = ledger.events.StreamTimeline(request, timeout=SECONDS)
    return [event for message in stream for event in message.events.events]


def listed(ledger: Ledger, chosen: event_pb2.EventFilter, order: event_pb2.EventOrder.ValueType) -> list[str]:
    request = event_pb2.ListEventsRequest(filter=chosen, order=order, page_size=7)
    found: list[str] = []
    while True:
        page = ledger.events.ListEvents(request)
        found += [event.id for event in page.events]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


@pytest.mark.parametrize("behind", [wildcards.MAX_UNROLLED, 5])
def test_a_wildcard_takes_its_own_at_any_time(
    ledger: Ledger, app: App, behind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wildcards, "MAX_UNROLLED", behind)
    random = Random(behind)
    log: list[event_pb2.Event] = []
    for turn in range(4):
        new = [factories.event(random.choice(TYPES)) for _ in range(12)]
        message = event_pb2.EmitEventsRequest(request_id=f"r{turn}", events=new)
        next(ledger.events.EmitEvents(iter([message])))
        log = streamed(ledger)
        for types in FILTERS:
            wanted = [event.id for event in log if takes(types, event.type)]
            chosen = event_pb2.EventFilter(types=types)
            assert [event.id for event in streamed(ledger, filter=chosen)] == wanted
            assert [event.id for event in streamed(ledger, filter=chosen, last=5)] == wanted[-5:]
            assert sorted(listed(ledger, chosen, event_pb2.EVENT_ORDER_OLDEST_FIRST)) == sorted(wanted)
            newest = listed(ledger, chosen, event_pb2.EVENT_ORDER_NEWEST_FIRST)
            assert newest == listed(ledger, chosen, event_pb2.EVENT_ORDER_OLDEST_FIRST)[::-1]
        if turn != 2:
            Rollups(app.db).run_once()
    assert len(log) == 48
