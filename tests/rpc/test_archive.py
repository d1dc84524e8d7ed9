"""Old events move to the archive, where queries with include_archived find them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner

from orchestration.v1 import admin_pb2, common_pb2, event_pb2
from orchestration.v1.admin_pb2_grpc import AdminServiceStub
from orchestration_server.__main__ import cli
from orchestration_server.config.settings import Settings
from orchestration_server.db.database import Database
from orchestration_server.embedded.engines import EmbeddedEngines
from orchestration_server.jobs import retention as jobs
from orchestration_server.jobs.rollups import Rollups
from orchestration_server.jobs.runner import Service
from orchestration_server.maintenance.archiver import Archiver
from orchestration_server.services.admin import ANSWER_SECONDS
from orchestration_server.store import events as event_store
from tests.conftest import Server
from tests.rpc.test_restore import Copy, serving
from tests.support import factories
from tests.support.archive import OldLog, month
from tests.support.ledger import Ledger
from tests.support.rpc_errors import details, refused

BACK = (7, 6, 5)


class Old(OldLog):
    """A server whose log has three old months of 20 events, every fifth of them P0, and 10 recent events."""

    def __init__(self, server: Server, channel: grpc.Channel) -> None:
        super().__init__(server.database_url)
        self.database_url = server.database_url
        self.db = Database(server.database_url, size=1).start()
        self.ledger = Ledger(channel)
        self.events = self.ledger.events
        self.admin = AdminServiceStub(channel)
        self.months = [month(back) for back in BACK]
        for back in BACK:
            self.add_month(back)
        self.ids: list[str] = []
        times: list[datetime] = []
        for start in self.months:
            for n in range(20):
                self.ids.append(self.emit(n).id)
                times.append(start + timedelta(days=1.3 * n, seconds=1))
        self.new = [self.emit(n).id for n in range(10)]
        self.age(self.ids, times)
        self.all = self.ids + self.new
        self.kept = {self.ids[at] for at in range(0, 60, 5)}
        self.counted()

    def emit(self, n: int) -> event_pb2.Event:
        priority = common_pb2.PRIORITY_P0 if n % 5 == 0 else common_pb2.PRIORITY_P3
        return self.ledger.emit("t", priority=priority, dedup_key=f"k-{len(self.ids)}-{n}")

    def archive(
        self, cutoff: datetime | None = None, *, exact: bool = False, dry_run: bool = False
    ) -> admin_pb2.ArchiveEventsResponse:
        request = admin_pb2.ArchiveEventsRequest(exact=exact, dry_run=dry_run)
        if cutoff is None:
            request.older_than.CopyFrom(Duration(seconds=90 * 86_400))
        else:
            request.cutoff.FromDatetime(cutoff)
        return self.admin.ArchiveEvents(request, timeout=30)

    def history(self, **fields: Any) -> list[event_pb2.Event]:
        request = event_pb2.StreamTimelineRequest(batch_size=7, **fields)
        return [e for m in self.events.StreamTimeline(request, timeout=10) for e in m.events.events]

    def listed(self, chosen: event_pb2.EventFilter | None, newest: bool, *, archived: bool) -> list[str]:
        """Return the events of a list that is read with pages of one event."""
        request = event_pb2.ListEventsRequest(
            filter=chosen,
            page_size=9,
            include_archived=archived,
            order=event_pb2.EVENT_ORDER_NEWEST_FIRST if newest else event_pb2.EVENT_ORDER_OLDEST_FIRST,
        )
        found: list[str] = []
        while True:
            answer = self.events.ListEvents(request)
            found += ids(answer.events)
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    @contextmanager
    def retention(self, **settings: int) -> Iterator[Sequence[Service]]:
        yield jobs.services(self.db, Settings(**settings))  # type: ignore[arg-type]  # numbers of days

    @staticmethod
    def stamp(time: datetime) -> Timestamp:
        found = Timestamp()
        found.FromDatetime(time)
        return found

    def close(self) -> None:
        self.db.close()
        super().close()


@pytest.fixture
def old(server: Server, channel: grpc.Channel) -> Iterator[Old]:
    made = Old(server, channel)
    yield made
    made.close()


def ids(events: Iterable[event_pb2.Event]) -> list[str]:
    return [event.id for event in events]


def test_whole_months_move_as_partitions_and_kept_events_stay(old: Old) -> None:
    tables = old.tables("events_rest")
    answer = old.archive()
    assert [(p.events, p.whole) for p in answer.parts] == [(16, True)] * 3
    assert all(p.bytes > 0 for p in answer.parts)
    assert not answer.more
    assert not answer.held
    live, archived = old.places()
    assert archived == set(old.ids) - old.kept
    assert live == old.kept | set(old.new)
    assert old.tables("archived_events") <= tables, "no row was copied: the tables are those that they were"
    assert old.archive().parts == []


def test_a_cached_context_is_not_used_once_its_events_are_archived(old: Old) -> None:
    def event_count() -> int:
        return len(old.ledger.context({"task_code": "t"}, max_events=500).events)

    old.ledger.task("t")
    before = event_count()
    old.archive()
    assert event_count() == before - len(set(old.ids) - old.kept) > 0


def test_a_dry_run_counts_and_changes_nothing(old: Old) -> None:
    before = old.places()
    answer = old.archive(dry_run=True)
    assert [(p.start_time.ToDatetime(UTC), p.events, p.whole) for p in answer.parts] == [
        (start, 16, True) for start in old.months
    ]
    assert answer.more
    assert old.places() == before


def test_a_month_is_split_at_a_day_and_its_rest_moves_as_a_partition(old: Old) -> None:
    day = old.months[1] + timedelta(days=10)
    # Without ``exact`` the month that is partly old stays.
    assert [p.whole for p in old.archive(day).parts] == [True]
    answer = old.archive(day + timedelta(hours=7), exact=True)
    assert answer.cutoff_time.ToDatetime(UTC) == day
    assert [(p.events, p.whole) for p in answer.parts] == [(6, False)]
    archived = old.places()[1]
    aged = {e.id for e in old.history() if e.emit_time.ToDatetime(UTC) < day}
    assert aged <= old.kept
    assert len(archived) == 16 + 6
    later = day + timedelta(days=3)
    assert [p.events for p in old.archive(later, exact=True).parts] == [2]
    tables = old.tables("events_rest")
    assert [(p.events, p.whole) for p in old.archive().parts] == [(8, True), (16, True)]
    assert len(old.tables("archived_events") & tables) == 2
    assert old.places()[1] == set(old.ids) - old.kept


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


def test_an_archived_quiet_log_is_caught_up_at_its_end(server: Server, channel: grpc.Channel) -> None:
    with closing(OldLog(server.database_url)) as log:
        ledger = Ledger(channel)
        log.add_month(BACK[0])
        one = ledger.emit()
        log.age([one.id], [month(BACK[0]) + timedelta(days=1)])
        log.counted()
        request = admin_pb2.ArchiveEventsRequest(older_than=Duration(seconds=90 * 86_400))
        assert len(AdminServiceStub(channel).ArchiveEvents(request).parts) == 1
        stream = ledger.events.StreamTimeline(event_pb2.StreamTimelineRequest(follow=True), timeout=10)
        cursor = next(m.caught_up.cursor for m in stream if m.WhichOneof("message") == "caught_up")
        two = ledger.emit()
        stream.cancel()
        again = event_pb2.StreamTimelineRequest(after_cursor=cursor)
        assert [e.id for m in ledger.events.StreamTimeline(again) for e in m.events.events] == [two.id]


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


def test_a_month_that_is_not_counted_yet_stays(old: Old) -> None:
    old.conn.execute("delete from log_positions where reader = 'rollups'")
    answer = old.archive()
    assert (list(answer.parts), answer.more) == ([], True)
    assert answer.held[0].startswith("rollups have not read all of project default")
    Rollups(old.db).run_once()
    old.conn.execute("update log_positions set xid = '3'::xid8, seq = 1 where reader = 'automation'")
    assert old.archive().held[0].startswith("automation have not read all")
    old.counted()
    assert len(old.archive().parts) == 3


def test_a_part_of_a_month_moves_once_readers_have_passed_it(old: Old) -> None:
    """Readers need not have read the younger part: the current month still gets events."""
    cutoff = old.months[2] + timedelta(days=10)
    assert len(old.archive(cutoff).parts) == 2

    def read_up_to(last: str) -> None:
        old.conn.execute(
            "update log_positions p set epoch = e.epoch, xid = e.xid, seq = e.seq from events e"
            " where p.reader = 'rollups' and e.event_id = %s::uuid",
            (last,),
        )

    old_part = old.ids[40:48]
    read_up_to(old_part[-2])
    assert old.archive(cutoff, exact=True, dry_run=True).held
    assert old.archive(cutoff, exact=True).held[0].startswith("rollups have not read all")
    read_up_to(old_part[-1])
    assert not old.archive(cutoff, exact=True, dry_run=True).held
    assert [part.events for part in old.archive(cutoff, exact=True).parts] == [6]


def test_an_entity_is_rebuilt_from_the_archive(server: Server, channel: grpc.Channel) -> None:
    with closing(OldLog(server.database_url)) as log:
        ledger = Ledger(channel)
        log.add_month(BACK[0])
        ledger.task("a", title="first")
        for n in range(5):
            ledger.retitle("a", f"title {n}")
        about = event_pb2.GetEntityHistoryRequest(entity_type=common_pb2.ENTITY_TYPE_TASK, entity_code="a")
        whole = ledger.events.GetEntityHistory(about)
        ids = [change.event_id for change in reversed(whole.changes)]
        log.age(ids[:4], [month(BACK[0]) + timedelta(days=n) for n in range(4)])
        log.counted()
        whole = ledger.events.GetEntityHistory(about)
        correlation = whole.changes[-2].correlation_id
        request = admin_pb2.ArchiveEventsRequest(older_than=Duration(seconds=90 * 86_400))
        AdminServiceStub(channel).ArchiveEvents(request)
        assert log.places()[1] == set(ids[:4])
        assert len(ledger.events.GetEntityHistory(about).changes) == 2
        about.include_archived = True
        assert ledger.events.GetEntityHistory(about) == whole
        for revision, title in enumerate(["first", *(f"title {n}" for n in range(5))], 1):
            asked = event_pb2.ReconstructStateRequest(
                entity_type=common_pb2.ENTITY_TYPE_TASK, entity_code="a", revision=revision, verify=True
            )
            answer = ledger.events.ReconstructState(asked)
            assert (answer.task.title, answer.verification.equal) == (title, True)
        at = Timestamp()
        at.FromDatetime(month(BACK[0]) + timedelta(days=2))
        for as_of in ({"time": at}, {"cursor": whole.changes[-3].cursor}):
            asked = event_pb2.ReconstructStateRequest(
                entity_type=common_pb2.ENTITY_TYPE_TASK, entity_code="a", **as_of
            )
            assert ledger.events.ReconstructState(asked).task.title == "title 1"
        checked = ledger.events.ReplayEvents(
            event_pb2.ReplayEventsRequest(correlation_id=correlation, dry_run=True)
        )
        assert (checked.events, checked.consistent) == (1, True)


def test_retention_deletes_parts_of_the_archive_and_nothing_that_is_kept(old: Old) -> None:
    everything = old.history()
    old.archive()
    days = (datetime.now(UTC) - old.months[2]).days
    with old.retention(delete_archived_after_days=days) as services:
        delete = next(service for service in services if service.name == "delete-archived")
        assert [delete.run_once() for _ in range(3)] == [16, 16, 0]
    live, archived = old.places()
    assert old.kept | set(old.new) == live
    assert archived == set(old.ids[40:]) - old.kept
    assert ids(old.history(include_archived=True)) == [i for i in old.all if i in live | archived]
    for event in everything[:39]:
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "CURSOR_EXPIRED", "from_time") as caught:
            old.history(after_cursor=event.cursor, include_archived=True)
        assert details(caught.value)["ErrorInfo"].metadata["live_from"] == old.months[2].isoformat()
    assert ids(old.history(after_cursor=everything[39].cursor, include_archived=True)) == old.all[40:]


def test_nothing_is_deleted_until_it_is_switched_on(old: Old) -> None:
    with old.retention() as services:
        assert [service.name for service in services] == ["archive"]
        assert [services[0].run_once() for _ in range(4)] == [16, 16, 16, 0]
    with old.retention(archive_after_days=0) as services:
        assert services == []


def test_kept_events_can_be_neither_moved_nor_deleted(old: Old) -> None:
    old.archive()
    everything = old.places()
    for statement in (
        "delete from events",
        "delete from events where priority = 1",
        "delete from events_kept",
        "update events set kept = false",
        "truncate events",
        "truncate events_kept",
        "delete from archived_events",
        "update archived_events set priority = 5",
        "truncate archived_events",
    ):
        with pytest.raises(psycopg.errors.Error) as failed:
            old.conn.execute(statement.encode())
        assert failed.value.sqlstate == "OL003", statement
    columns = (
        "kept, epoch, xid, seq, project, event_id, type, entity_type, entity_code, sprint_code, priority,"
        " correlation_id, session_key, actor, occur_time, emit_time, body, agent, scopes"
    )
    with pytest.raises(psycopg.errors.CheckViolation):
        old.conn.execute(
            f"insert into archived_events ({columns}, archive_time)"
            f" select {columns}, now() from events where kept and emit_time < '{month(4)}'".encode()
        )
    assert old.places() == everything


def test_a_cutoff_that_is_too_recent_is_refused(old: Old) -> None:
    for request in (
        admin_pb2.ArchiveEventsRequest(),
        admin_pb2.ArchiveEventsRequest(older_than=Duration(seconds=86_399)),
        admin_pb2.ArchiveEventsRequest(cutoff=old.stamp(datetime.now(UTC))),
    ):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
            old.admin.ArchiveEvents(request)


def test_a_deadline_leaves_the_rest_to_the_next_call(old: Old) -> None:
    request = admin_pb2.ArchiveEventsRequest(older_than=Duration(seconds=90 * 86_400))
    answer = old.admin.ArchiveEvents(request, timeout=ANSWER_SECONDS / 2)
    assert (list(answer.parts), answer.more, list(answer.held)) == ([], True, [])


def test_the_command_does_the_same(old: Old) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(cli, ["archive", *arguments], env={"DATABASE_URL": old.database_url})
        return result.exit_code, result.output

    code, text = run("--older-than", "90d", "--dry-run")
    assert code == 0
    assert text.count("16 events") == 3
    assert old.places()[1] == set()
    code, text = run("--older-than", "90d")
    assert code == 0
    assert "48 events" in text
    assert old.places()[1] == set(old.ids) - old.kept
    code, text = run("--older-than", "13w")
    assert "0 events" in text
    assert run("--older-than", "0d")[0] == 2


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


def test_a_restored_dump_has_its_archive(old: Old, tmp_path: Path) -> None:
    everything = old.history()
    old.archive(old.months[1] + timedelta(days=9), exact=True)
    copy = Copy(old.database_url, tmp_path / "dump")
    copy.dump()
    with EmbeddedEngines(None, durable=False, valkey=False) as engines, ExitStack() as stack:
        copy.restore(engines.database_url)
        ledger = stack.enter_context(serving(engines.database_url))
        request = event_pb2.StreamTimelineRequest(include_archived=True)
        found = [e for m in ledger.events.StreamTimeline(request) for e in m.events.events]
        assert ids(found) == old.all
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "CURSOR_ARCHIVED"):
            ledger.history(everything[3].cursor)
        with (
            closing(OldLog(ledger.database_url)) as log,
            closing(Database(ledger.database_url, size=1).start()) as db,
        ):
            log.counted()
            outcome = Archiver(db).run(old.months[2], exact=False)
            assert [(moved.whole, outcome.more) for moved in outcome.moved] == [(True, False)]
            assert log.places()[1] == set(old.ids[:40]) - old.kept
