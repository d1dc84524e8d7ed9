"""Old events move to the archive, as whole months or in parts, and leave it when their time is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from typer.testing import CliRunner

from orchestration.v1 import admin_pb2, event_pb2
from orchestration_server.__main__ import cli
from orchestration_server.db.database import Database
from orchestration_server.embedded.engines import EmbeddedEngines, Engines
from orchestration_server.jobs.rollups import Rollups
from orchestration_server.maintenance.archiver import Archiver
from orchestration_server.services.admin import ANSWER_SECONDS
from tests.conftest import new_database
from tests.rpc.test_restore import Copy, serving
from tests.support.archive import OldLog, month
from tests.support.old_ledger import Old, Written, ids, written
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
