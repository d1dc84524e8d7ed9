"""No page reads more from Postgres than it shows, however large the bodies are."""

from typing import Any

import grpc
import pytest

from orchestration.v1 import common_pb2, event_pb2
from orchestration_server.store import automation as automation_store
from orchestration_server.store import pages
from orchestration_server.store.log_positions import START, LogPosition
from tests.support import factories
from tests.support.ledger import Ledger
from tests.support.paged_ledger import NOTED, NOTES, PAGE_BYTES, WALKS, fill, struct_of, token_of
from tests.support.query_plans import connected
from tests.support.rpc_catalog import answers
from tests.support.statements import fetched

pytestmark = pytest.mark.shared_server

LARGE = 15_000
ROWS = 24
"""Rows of each kind if all are large: many times what a page takes."""
BESIDE = 20_000
"""Bytes that a response may take from Postgres besides its pages of bodies."""
PENDING = common_pb2.TASK_STATUS_PENDING


@pytest.mark.parametrize("size", [ROWS, 500])
def test_a_page_reads_from_postgres_only_what_it_shows(
    channel: grpc.Channel, database_url: str, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    filled = fill(channel, database_url, [LARGE] * ROWS)
    monkeypatch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
    for rpc, walk in WALKS.items():
        with fetched(monkeypatch) as sizes:
            answer = filled.ask(rpc, walk.request(size, ""))
        assert len(walk.names(answer)) == 1, rpc
        assert token_of(answer), rpc
        # A report has two lists, of tasks and of blocked tasks, and a context has tasks and events.
        assert sum(sizes) < 2 * PAGE_BYTES + BESIDE, rpc


@pytest.mark.parametrize("target", [{"task_code": "waits"}, {"sprint_code": "s"}])
def test_a_context_has_all_links_and_the_texts_of_the_first_ones(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch, target: dict[str, str]
) -> None:
    ledger = Ledger(channel)
    ledger.sprint("s")
    ledger.task("waits", sprint_code="s")
    codes = [f"t-{n:02}" for n in range(ROWS)]
    for code in codes:
        ledger.task(code, description="x" * LARGE)
        ledger.link("waits", code)
    monkeypatch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
    with fetched(monkeypatch) as sizes:
        context = ledger.context(target, max_events=1)
    assert [link.depends_on_code for link in context.blockers] == codes
    assert {link.status for link in context.blockers} == {PENDING}
    assert [link.depends_on_code for link in context.blockers if link.title] == codes[:1]
    assert sum(sizes) < PAGE_BYTES + BESIDE


@pytest.mark.parametrize("start", [{}, {"last": ROWS}, {"last": ROWS, "include_archived": True}])
def test_a_timeline_reads_large_events_a_few_at_a_time(
    channel: grpc.Channel, database_url: str, monkeypatch: pytest.MonkeyPatch, start: dict[str, Any]
) -> None:
    filled = fill(channel, database_url, [LARGE] * ROWS)
    monkeypatch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
    with fetched(monkeypatch) as sizes:
        notes = filled.notes(**start)
    assert len(notes) == len(set(notes)) == ROWS
    assert max(sizes) < PAGE_BYTES + BESIDE


def test_automation_reads_large_events_a_few_at_a_time(
    channel: grpc.Channel, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = fill(channel, database_url, [LARGE] * ROWS)
    notes = filled.notes()
    monkeypatch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
    found: list[str] = []
    progress, more = START, True
    with connected(database_url) as conn:
        while more:
            with fetched(monkeypatch) as sizes:
                batch = automation_store.read_batch(
                    conn, project=str(filled.metadata[0][1]), progress=progress, types=[NOTED], prefixes=[],
                    limit=1_000,
                )  # fmt: skip
            assert max(sizes) < PAGE_BYTES + BESIDE
            found += [event_pb2.Event.FromString(body).id for _, body, _ in batch.events]
            progress, more = LogPosition(batch.last), batch.more
    assert found == notes


def test_a_timeline_follows_large_events_a_few_at_a_time(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
    follow = event_pb2.StreamTimelineRequest(filter=NOTES, follow=True)
    stream = answers(channel, "EventService/StreamTimeline", follow)
    assert next(stream).HasField("caught_up")
    batch = event_pb2.EmitEventsRequest(
        request_id="r", events=[factories.event(NOTED, payload=struct_of(LARGE))] * ROWS
    )
    with fetched(monkeypatch) as sizes:
        (answer,) = answers(channel, "EventService/EmitEvents", batch)
        found: list[str] = []
        while len(found) < ROWS:
            found += [event.id for event in next(stream).events.events]
    assert found == list(answer.event_ids)
    assert max(sizes) < PAGE_BYTES + BESIDE
