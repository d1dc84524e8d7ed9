"""A filtered read touches little of the log, with table statistics and without."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from orchestration_server.db.connection import Connection
from orchestration_server.embedded.engines import Engines
from orchestration_server.model import FIRST, EventFilter
from orchestration_server.store import event_lists, log_positions
from orchestration_server.store import events as event_store
from orchestration_server.store import rollups as rollup_store
from tests.support.query_plans import Explaining, copy, filled

EVENTS = 60_000
PAGE = 50
BLOCKS = 900
"""The rows of a page, at most a block each, in six partitions, and the 300 events of a session."""
SINCE = datetime(2026, 1, 1, tzinfo=UTC)

# One event a second. A session, a correlation and a sprint are each a stretch of the log. A type is
# everywhere, except "rare.type", which is only at the end.
FILL = """
insert into events (kept, epoch, project, event_id, type, entity_type, entity_code, sprint_code, priority,
    correlation_id, session_key, actor, occur_time, emit_time, body)
select mod(n, 10) = 0, 1, 'default', gen_random_uuid(),
    case when n > %(events)s - 60 then 'rare.type' else 'type.of' || mod(n, 8) end, 2, 'task-' || n / 100,
    'sprint-' || n / 6000, case when mod(n, 10) = 0 then 1 else 3 end, 'correlation-' || n / 300,
    'session-' || n / 300, '', timestamptz '2026-01-01' + n * interval '1 second', now(), '\\x00'
from generate_series(0, %(events)s - 1) n
"""
FILTERS = {
    "task at the start": EventFilter(task_code="task-1"),
    "task at the end": EventFilter(task_code="task-598"),
    "session at the start": EventFilter(session_key="session-1"),
    "session at the end": EventFilter(session_key="session-198"),
    "correlation at the end": EventFilter(correlation_id="correlation-198"),
    "sprint at the end": EventFilter(sprint_code="sprint-9"),
    "sprint at the start": EventFilter(sprint_code="sprint-0"),
    "one type": EventFilter(types=["type.of3"]),
    "three types": EventFilter(types=["type.of3", "rare.type", "none.such"]),
    "a rare type": EventFilter(types=["rare.type"]),
    "types of a session": EventFilter(session_key="session-198", types=["type.*"]),
    "kept": EventFilter(priorities=[1]),
    "all": EventFilter(),
}
WILDCARDS = {
    "of a rare type": EventFilter(types=["rare.*"]),
    "of frequent types": EventFilter(types=["type.*"]),
    "and a type": EventFilter(types=["rare.*", "type.of3"]),
    "of a priority": EventFilter(types=["type.*"], priorities=[1]),
}


@pytest.fixture(scope="module")
def ledger(engines: Engines) -> Iterator[str]:
    def fill(conn: Connection) -> None:
        conn.execute(FILL, {"events": EVENTS})
        log_positions.begin(conn, reader=rollup_store.READER, project="default")
        while rollup_store.roll(conn, project="default", limit=EVENTS // 2):
            pass
        # After the position of the rollups, which do not have these types.
        conn.execute(FILL.replace("'rare.type' else", "'rare.new' else"), {"events": 40})

    with filled(engines, fill) as name:
        yield name


@pytest.fixture(scope="module", params=["analyzed", "without statistics"])
def conn(engines: Engines, ledger: str, request: pytest.FixtureRequest) -> Iterator[Explaining]:
    analyze = "events" if request.param == "analyzed" else None
    with copy(engines, ledger, analyze=analyze) as opened:
        yield opened


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("name", WILDCARDS)
def test_a_wildcard_reads_its_own_events(conn: Explaining, name: str, newest_first: bool) -> None:
    event_filter = WILDCARDS[name]
    rows = event_store.page(
        connection(conn), project="default", after=FIRST, limit=PAGE, event_filter=event_filter
    ).events
    assert len(rows) == PAGE
    assert conn.blocks() < BLOCKS, conn.plan
    assert (
        len(
            event_store.latest(
                connection(conn), project="default", count=PAGE, event_filter=event_filter
            ).events
        )
        == PAGE
    )
    assert conn.blocks() < BLOCKS, conn.plan
    listed = event_lists.page(
        connection(conn), project="default", event_filter=event_filter, start=None, end=None,
        newest_first=newest_first, after=None, limit=PAGE,
    )  # fmt: skip
    assert len(listed.events) == PAGE
    assert conn.blocks() < BLOCKS, conn.plan


def connection(conn: Explaining) -> Connection:
    return cast(Connection, conn)


@pytest.mark.parametrize("name", FILTERS)
def test_a_timeline_reads_its_own_events(conn: Explaining, name: str) -> None:
    event_filter = FILTERS[name]
    rows = event_store.page(
        connection(conn), project="default", after=FIRST, limit=PAGE, event_filter=event_filter
    ).events
    assert len(rows) == PAGE
    assert conn.blocks() < BLOCKS, conn.plan
    assert (
        len(
            event_store.latest(
                connection(conn), project="default", count=PAGE, event_filter=event_filter
            ).events
        )
        == PAGE
    )
    assert conn.blocks() < BLOCKS, conn.plan
    event_store.before_last(connection(conn), project="default", last=PAGE, event_filter=event_filter)
    assert conn.blocks() < BLOCKS, conn.plan


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("ranged", [True, False])
@pytest.mark.parametrize("name", FILTERS)
def test_a_list_reads_its_own_events(conn: Explaining, name: str, ranged: bool, newest_first: bool) -> None:
    rows = event_lists.page(
        connection(conn),
        project="default",
        event_filter=FILTERS[name],
        start=SINCE if ranged else None,
        end=SINCE + timedelta(days=1) if ranged else None,
        newest_first=newest_first,
        after=None,
        limit=PAGE,
    ).events
    assert len(rows) == PAGE
    assert [time for _, time in rows] == sorted((time for _, time in rows), reverse=newest_first)
    assert conn.blocks() < BLOCKS, conn.plan
