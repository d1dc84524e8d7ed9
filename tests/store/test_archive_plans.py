"""Reads of the log and its archive touch little of both, with and without table statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from orchestration_server.db.connection import Connection
from orchestration_server.db.database import Database
from orchestration_server.embedded.engines import Engines
from orchestration_server.maintenance.archiver import Archiver
from orchestration_server.model import FIRST, EntityType
from orchestration_server.store import event_counts, event_lists, log_times
from orchestration_server.store import events as event_store
from orchestration_server.store import history as history_store
from tests.store.test_selection_plans import EVENTS, FILL, FILTERS, PAGE, SINCE
from tests.support.archive import OldLog, month
from tests.support.query_plans import Explaining, copy, filled

BACK = (9, 8, 7, 6, 5)
BLOCKS = 2_000
"""Blocks for a page's rows, at worst one each, in eleven partitions, and for a session's 300 events."""
SPREAD = FILL.replace("body)", "body, seq)").replace(
    "now(), '\\x00'", "%(start)s + n * (interval '150 days' / %(events)s), '\\x00', n"
)
"""The same events, recorded in the course of 150 days."""


@pytest.fixture(scope="module")
def ledger(engines: Engines) -> Iterator[str]:
    """Return a connection to a log of five months, of which three and a half are archived."""

    def fill(conn: Connection) -> None:
        url = conn.info.dsn
        with closing(OldLog(url)) as log, closing(Database(url, size=1).start()) as db:
            for back in BACK:
                log.add_month(back)
            conn.execute(SPREAD, {"events": EVENTS, "start": month(BACK[0])})
            log.counted()
            outcome = Archiver(db).run(month(BACK[3]) + timedelta(days=15), exact=True)
            assert not outcome.more

    with filled(engines, fill) as name:
        yield name


@pytest.fixture(scope="module", params=["analyzed", "without statistics"])
def conn(engines: Engines, ledger: str, request: pytest.FixtureRequest) -> Iterator[Explaining]:
    analyze = "events, archived_events" if request.param == "analyzed" else None
    with copy(engines, ledger, analyze=analyze) as opened:
        yield opened


def connection(conn: Explaining) -> Connection:
    return cast(Connection, conn)


def parents(conn: Explaining) -> set[str]:
    """Return the parent tables whose partitions were read."""
    names = {str(node.get("Relation Name", "")) for node in conn.nodes()}
    return {name[:8] for name in names if name.startswith(("events_", "archived"))}


@pytest.mark.parametrize("name", FILTERS)
def test_a_timeline_reads_its_own_events(conn: Explaining, name: str) -> None:
    event_filter: Any = {"project": "default", "event_filter": FILTERS[name], "archived": True}
    rows = event_store.page(connection(conn), after=FIRST, limit=PAGE, **event_filter).events
    assert len(rows) == PAGE
    assert [row.position for row in rows] == sorted({row.position for row in rows})
    assert conn.blocks() < BLOCKS, conn.plan
    assert len(event_store.latest(connection(conn), count=PAGE, **event_filter).events) == PAGE
    assert conn.blocks() < BLOCKS, conn.plan
    event_store.before_last(connection(conn), last=PAGE, **event_filter)
    assert conn.blocks() < BLOCKS, conn.plan


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("name", FILTERS)
def test_a_list_reads_its_own_events(conn: Explaining, name: str, newest_first: bool) -> None:
    rows = event_lists.page(
        connection(conn),
        project="default",
        event_filter=FILTERS[name],
        start=SINCE,
        end=SINCE + timedelta(days=1),
        newest_first=newest_first,
        after=None,
        limit=PAGE,
        archived=True,
    ).events
    assert len({row.position for row, _ in rows}) == PAGE
    assert [time for _, time in rows] == sorted((time for _, time in rows), reverse=newest_first)
    assert conn.blocks() < BLOCKS, conn.plan


def test_one_event_and_a_position_are_index_probes(conn: Explaining) -> None:
    row = event_store.latest(
        connection(conn), project="default", count=1, event_filter=FILTERS["all"]
    ).events[0]
    assert event_store.knows(connection(conn), row.position, project="default")
    assert conn.blocks() < 100, conn.plan
    gone = event_store.page(
        connection(conn), project="default", after=FIRST, limit=20, event_filter=FILTERS["all"], archived=True
    ).events
    place = next(one.position for one in gone if one.archive_time is not None)
    assert event_store.knows(connection(conn), place, project="default")
    assert conn.blocks() < 100, conn.plan
    unknown = event_store.get(
        connection(conn), project="default", event_id="00000000-0000-7000-8000-000000000000", archived=True
    )
    assert unknown is None
    assert conn.blocks() < 100, conn.plan
    log_times.before(connection(conn), project="default", time=datetime.now(UTC))
    assert conn.blocks() < 20, conn.plan


def test_reads_without_include_archived_leave_the_archive_alone(conn: Explaining) -> None:
    event_store.page(
        connection(conn), project="default", after=FIRST, limit=PAGE, event_filter=FILTERS["all"]
    )
    assert parents(conn) == {"events_k", "events_r"}


def test_an_entity_and_statistics_read_only_their_part_of_both(conn: Explaining) -> None:
    history_store.entity(
        connection(conn), project="default", entity_type=EntityType.TASK, code="task-1", newest_first=True,
        limit=PAGE, upto=datetime.now(UTC),
    )  # fmt: skip
    assert conn.blocks() < BLOCKS, conn.plan
    for group in ("type", "entity"):
        found = event_counts.stats(
            connection(conn), project="default", group=group, start=SINCE,
            end=SINCE + timedelta(minutes=20), sprint="", limit=100,
        )  # fmt: skip
        assert found[0][2] == 1_200
        assert conn.blocks() < BLOCKS, conn.plan
