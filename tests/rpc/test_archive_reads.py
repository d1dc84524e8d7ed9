"""Queries with include_archived find events in the archive; those without it do not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import common_pb2, event_pb2
from orchestration_server.embedded.engines import Engines
from orchestration_server.jobs.rollups import Rollups
from orchestration_server.store import events as event_store
from tests.conftest import new_database
from tests.support import factories
from tests.support.old_ledger import BACK, Old, Written, ids, written
from tests.support.rpc_errors import details, refused


@pytest.fixture(scope="module")
def log(engines: Engines) -> Iterator[Written]:
    with written(engines) as found:
        yield found


@pytest.fixture
def database_url(engines: Engines, log: Written) -> Iterator[str]:
    with new_database(engines, log.database) as url:
        yield url


@pytest.fixture
def old(log: Written, database_url: str, channel: grpc.Channel) -> Iterator[Old]:
    with log.opened(database_url, channel) as found:
        yield found


def test_a_cached_context_is_not_used_once_its_events_are_archived(old: Old) -> None:
    def event_count() -> int:
        return len(old.ledger.context({"task_code": "t"}, max_events=500).events)

    old.ledger.task("t")
    before = event_count()
    old.archive()
    assert event_count() == before - len(set(old.ids) - old.kept) > 0


def test_queries_read_the_archive_on_request(old: Old) -> None:
    assert ids(old.history()) == old.all
    before = {e.id: e for e in old.history()}
    old.archive()
    live = [i for i in old.all if i in old.kept or i in old.new]
    assert ids(old.history()) == live
    assert ids(old.history(include_archived=True)) == old.all
    for e in old.history(include_archived=True):
        assert e.HasField("archive_time") == (e.id not in live)
        e.ClearField("archive_time")
        assert e == before[e.id], "nothing of it changes but where it is"
    for chosen in (None, event_pb2.EventFilter(task_code="t"), event_pb2.EventFilter(types=["agents.*"])):
        for newest in (True, False):
            assert old.listed(chosen, newest, archived=False) == sorted(
                live, reverse=newest, key=old.all.index
            )
            assert old.listed(chosen, newest, archived=True) == sorted(
                old.all, reverse=newest, key=old.all.index
            )
    moved = old.ids[1]
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        old.events.GetEvent(event_pb2.GetEventRequest(event_id=moved))
    request = event_pb2.GetEventRequest(event_id=moved, include_archived=True)
    assert old.events.GetEvent(request).event.HasField("archive_time")


def test_timelines_start_in_the_archive_too(old: Old) -> None:
    old.archive()
    time = old.months[1] + timedelta(days=5)
    start = Timestamp()
    start.FromDatetime(time)
    assert ids(old.history(from_time=start, include_archived=True)) == old.all[24:]
    assert set(ids(old.history(from_time=start))) == (old.kept & set(old.all[24:])) | set(old.new)
    assert ids(old.history(last=33, include_archived=True)) == old.all[-33:]
    assert ids(old.history(last=250, include_archived=True)) == old.all
    everything = old.history(include_archived=True)
    for place, event in enumerate(everything):
        rest = old.history(after_cursor=event.cursor, include_archived=True)
        assert ids(rest) == old.all[place + 1 :]


def test_a_cursor_before_archived_events_is_refused_with_a_start(old: Old) -> None:
    everything = old.history()
    old.archive(old.months[1])
    edge = old.months[1]
    for event in everything[:19]:
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "CURSOR_ARCHIVED", "include_archived") as caught:
            old.history(after_cursor=event.cursor)
        assert details(caught.value)["ErrorInfo"].metadata["live_from"] == edge.isoformat()
        kept = event_pb2.EventFilter(priorities=[common_pb2.PRIORITY_P0])
        assert set(ids(old.history(after_cursor=event.cursor, filter=kept))) <= old.kept | set(old.new)
    # A cursor at the last archived event, or after it, misses nothing.
    for place in range(19, 60):
        assert ids(old.history(after_cursor=everything[place].cursor)) == old.all[place + 1 :]
    start = Timestamp()
    start.FromDatetime(edge)
    assert ids(old.history(from_time=start)) == old.all[20:]


def test_a_dedup_key_is_known_for_ever(old: Old) -> None:
    old.archive()
    again = factories.event(dedup_key="k-1-1", entity_type=common_pb2.ENTITY_TYPE_TASK, entity_code="t")
    answer = old.events.EmitEvent(event_pb2.EmitEventRequest(event=again))
    assert answer.duplicate
    assert answer.event.id == old.ids[1]
    assert answer.event.HasField("archive_time")
    with old.retention(delete_archived_after_days=1) as services:
        assert [service.run_once() for service in services if service.name == "delete-archived"] == [16]
    answer = old.events.EmitEvent(event_pb2.EmitEventRequest(event=again))
    assert (answer.duplicate, answer.event.id) == (True, old.ids[1])
    assert answer.event.dedup_key == "k-1-1"


def test_statistics_count_archived_events(old: Old) -> None:
    start, end = Timestamp(), Timestamp()
    start.FromDatetime(old.months[0] + timedelta(minutes=7))
    end.FromDatetime(old.months[2] + timedelta(days=14, minutes=50))

    def counts() -> list[event_pb2.GetEventStatsResponse]:
        found = []
        for group in event_pb2.EventGrouping.values():
            request = event_pb2.GetEventStatsRequest(group_by=group, start_time=start, end_time=end)
            answer = old.events.GetEventStats(request)
            answer.ClearField("elapsed")
            found.append(answer)
        return found

    old.conn.execute("delete from log_positions")
    rollups = Rollups(old.db)
    rollups.run_once()
    before = counts()
    old.conn.execute(
        "insert into log_positions select 'automation', project, epoch, xid, seq from log_positions"
    )
    assert len(old.archive().parts) == 3
    old.emit(0)  # a new version, so that no answer comes from the cache
    assert counts() == before
    assert [answer.total for answer in before] == [50] * 6 + [0], "of nobody in particular"


def test_a_timeline_ends_with_an_error_if_its_next_events_are_archived(
    old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    old.fill(BACK[0], 600)
    old.counted()
    read, pages = event_store.page, count()

    def page(conn: Any, **given: Any) -> event_store.LogPage:
        """Archive the events of the next page after the first page."""
        if next(pages) == 1:
            old.archive(old.months[1])
        return read(conn, **given)

    monkeypatch.setattr(event_store, "page", page)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "CURSOR_ARCHIVED"):
        old.history()
    assert next(pages) == 2
    assert len(old.history(include_archived=True)) == len(old.all) + 600
