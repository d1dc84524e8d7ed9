"""The two parent tables of events are alike, and a partition moves between them without being read."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import timedelta
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from orchestration_server.db.connection import APPLICATION_NAME, Connection
from orchestration_server.db.database import Database
from orchestration_server.maintenance.archiver import Archiver
from orchestration_server.store import archive as archive_store
from orchestration_server.store.horizon import HORIZON
from tests.support.archive import OldLog, month

INDEXES = """
select regexp_replace(pg_get_indexdef(indexrelid), '^.* USING', '') from pg_index
where indrelid = %s::regclass order by 1
"""
COLUMNS = """
select attname, atttypid::regtype::text, attnotnull from pg_attribute
where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum
"""


def test_the_parents_have_the_same_columns_and_indexes(database_url: str) -> None:
    """If only the log had an index, attaching a partition would build it while all writers wait."""
    with psycopg.connect(database_url) as conn:
        assert (
            conn.execute(INDEXES, ("events",)).fetchall()
            == conn.execute(INDEXES, ("archived_events",)).fetchall()
        )
        columns = conn.execute(COLUMNS, ("events",)).fetchall()
        assert sorted(conn.execute(COLUMNS, ("archived_events",)).fetchall()) == sorted(
            [*columns, ("archive_time", "timestamp with time zone", True)]
        )


def test_a_partition_is_attached_without_being_read_and_keeps_its_files(database_url: str) -> None:
    with closing(OldLog(database_url)) as log, closing(Database(database_url, size=1).start()) as db:
        for back, checked in ((7, True), (6, False)):
            log.add_month(back, checked=checked)
            log.fill(back, 200)
        log.counted()
        said: list[str] = []
        log.conn.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
        log.conn.execute("set client_min_messages = debug1")
        files = log.tables("events_rest")
        for back in (7, 6):
            with db.connection() as conn:
                part = archive_store.live_partitions(conn)[0]
                assert part.lower == month(back)
                assert archive_store.check_bounds(conn, part=part, lower=part.lower, seconds=None)
            log.conn.execute(
                "select ledger_archive_part(%s::regclass, %s, %s, %s, %s)",
                (part.name, part.lower, part.upper, f"recorded_from_{part.lower:%Y_%m_%d}",
                 archive_store.archived_partition_name(part.lower)),
            )  # fmt: skip
        assert len([text for text in said if re.search("implied by existing constraints", text)]) == 2
        assert not [text for text in said if "verifying table" in text]
        moved = log.tables("archived_events")
        assert len(moved & files) == 2
        assert Archiver(db).run(month(5), exact=False).moved == []


def test_a_partition_with_unchecked_bounds_is_not_moved(database_url: str) -> None:
    with closing(OldLog(database_url)) as log:
        name = log.add_month(7, checked=False)
        with pytest.raises(psycopg.Error) as failed:
            log.conn.execute(
                "select ledger_archive_part(%s::regclass, %s, %s, %s, 'moved')",
                (name, month(7), month(6), f"recorded_from_{month(7):%Y_%m_%d}"),
            )
        assert failed.value.sqlstate == "OL004"
        assert name in {row[0] for row in log.conn.execute("select relname from pg_class")}


def test_a_check_that_takes_too_long_stops_and_leaves_the_month(database_url: str) -> None:
    with closing(OldLog(database_url)) as log, closing(Database(database_url, size=1).start()) as db:
        log.add_month(7, checked=False)
        log.fill(7, 50)
        log.counted()
        with psycopg.connect(database_url) as other:
            other.execute(f"lock table events_rest_{month(7):%Y_%m} in share update exclusive mode".encode())
            with db.connection() as conn:
                conn.execute("set lock_timeout = '10ms'")
                part = archive_store.live_partitions(conn)[0]
                assert not archive_store.check_bounds(conn, part=part, lower=part.lower, seconds=0.01)
        outcome = Archiver(db).run(month(6) + timedelta(days=1), exact=False)
        assert [moved.events for moved in outcome.moved] == [45]


def test_the_check_of_a_month_does_not_hold_the_horizon(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of a month's bounds has a transaction id while it reads."""
    seen: list[tuple[int, int]] = []
    run = archive_store._run

    def looked_at(conn: Connection, text: LiteralString, **parts: sql.Composable) -> None:
        run(conn, text, **parts)
        own = log.conn.execute(
            "select backend_xid::text::bigint from pg_stat_activity where pid = %s", (conn.info.backend_pid,)
        ).fetchone()
        # A later transaction has ended, so that the horizon can be above both.
        log.conn.execute("select pg_current_xact_id()")
        horizon = log.conn.execute(HORIZON + "select xid::text::bigint from h").fetchone()
        assert own is not None
        assert horizon is not None
        seen.append((own[0], horizon[0]))

    with closing(OldLog(database_url)) as log, closing(Database(database_url, size=1).start()) as db:
        log.add_month(7, checked=False)
        log.fill(7, 50)
        monkeypatch.setattr(archive_store, "_run", looked_at)
        with db.connection() as conn:
            part = archive_store.live_partitions(conn)[0]
            assert archive_store.check_bounds(conn, part=part, lower=part.lower, seconds=None)
            assert conn.execute("show application_name").fetchone() == (APPLICATION_NAME,)
    ((own, horizon),) = seen
    assert horizon > own


def test_a_reader_is_behind_even_if_later_events_have_been_read(database_url: str) -> None:
    """The last event of a segment may have been recorded before many events with lower positions."""
    with closing(OldLog(database_url)) as log, closing(Database(database_url, size=1).start()) as db:
        part = log.add_month(7)
        log.fill(7, 1500)
        before = month(7) + timedelta(days=20)
        ahead, late = before - timedelta(hours=1), before - timedelta(days=1)
        log.conn.execute("update events set emit_time = %s", (ahead,))
        last = log.conn.execute("select max(seq) from events").fetchone()
        assert last is not None
        log.conn.execute("update events set emit_time = %s where seq = %s", (late, last[0]))
        log.conn.execute(
            "insert into log_positions (reader, project, epoch, xid, seq)"
            " select reader, project, epoch, xid, seq"
            " from events, unnest(array['rollups', 'automation']) reader where seq = %s - 1",
            last,
        )
        with db.connection() as conn:
            found = archive_store.readers_behind(conn, part=part, before=before)
            assert found == [("automation", "default"), ("rollups", "default")]
            assert archive_store.readers_behind(conn, part=part, before=late) == []
            log.conn.execute("delete from log_positions where reader = 'rollups'")
            found = archive_store.readers_behind(conn, part=part, before=before)
            assert found == [("automation", "default"), ("rollups", "default")]
            assert archive_store.readers_behind(conn, part=part) == found
