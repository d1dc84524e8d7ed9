"""History uses only its own index, with table statistics and without."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest

from orchestration_server.db.connection import Connection
from orchestration_server.embedded.engines import Engines
from orchestration_server.model import BEGINNING, Cursor, EntityType, Position
from orchestration_server.store import history as history_store
from tests.support.query_plans import Explaining, copy, filled

EVENTS = 60_000
OF_ONE = 500
BLOCKS = 900
"""The rows of one entity or chain, at most a block each, in six partitions."""
WIDE = 4_000
"""The blocks of look-ups beside a chain: a probe of each partition for each."""

# The events of an entity are a stretch of the log, and a chain crosses five. Every tenth event is kept.
FILL = """
insert into events (kept, epoch, xid, project, event_id, type, entity_type, entity_code, sprint_code,
    priority, correlation_id, session_key, actor, occur_time, emit_time, body)
select mod(n, 10) = 0, 1, (1000 + n)::text::xid8, 'default', gen_random_uuid(),
    'orchestration.task.updated', 2, 'task-' || n / %(of_one)s, 'sprint-1', 3, 'correlation-' || n / 2500,
    '', '', now(), now() + n * interval '1 second', '\\x00'
from generate_series(0, %(events)s - 1) n
"""
TASKS = """
insert into tasks (project, code, sprint_code, status, priority, assignee, labels, revision, create_time,
    update_time, uid, body)
select 'default', 'task-' || n, '', 1, 3, '', '{}', 1, now(), now(), gen_random_uuid(),
    '\\x00' from generate_series(0, 119) n
"""


@pytest.fixture(scope="module")
def ledger(engines: Engines) -> Iterator[str]:
    def fill(conn: Connection) -> None:
        conn.execute(FILL, {"events": EVENTS, "of_one": OF_ONE})
        conn.execute(TASKS)

    with filled(engines, fill) as name:
        yield name


@pytest.fixture(scope="module", params=["analyzed", "without statistics"])
def conn(engines: Engines, ledger: str, request: pytest.FixtureRequest) -> Iterator[Explaining]:
    analyze = "events, tasks" if request.param == "analyzed" else None
    with copy(engines, ledger, analyze=analyze) as opened:
        yield opened


def connection(conn: Explaining) -> Connection:
    return cast(Connection, conn)


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("task", [0, 60, 119])
def test_an_entity_reads_its_own_events(conn: Explaining, task: int, newest_first: bool) -> None:
    first = 1000 + task * OF_ONE
    for upto, shown in (
        (None, 256),
        (Cursor(Position(1, first + 300, 0)), 256),
        (Cursor(Position(1, first + 99, 0), (first - 1,)), 100),
        (datetime(9999, 1, 1, tzinfo=UTC), 256),
        (datetime(2000, 1, 1, tzinfo=UTC), 0),
    ):
        stored, _, page = history_store.entity(
            connection(conn), project="default", entity_type=EntityType.TASK, code=f"task-{task}",
            newest_first=newest_first, limit=256, upto=upto,
        )  # fmt: skip
        assert stored is not None
        assert (len(page.rows), page.more) == (shown, shown == 256)
        places = [one.position for one in page.rows]
        assert places == sorted(places, reverse=newest_first)
        assert conn.blocks() < BLOCKS, conn.plan


def test_a_page_continues_after_the_one_before(conn: Explaining) -> None:
    after: Position | None = None
    found: list[Position] = []
    more = True
    while more:
        _, _, page = history_store.entity(
            connection(conn), project="default", entity_type=EntityType.TASK, code="task-7",
            newest_first=True, limit=99, after=after,
        )  # fmt: skip
        found += [one.position for one in page.rows]
        more, after = page.more, found[-1]
        assert conn.blocks() < BLOCKS, conn.plan
    assert [place.xid for place in found] == list(range(1000 + 8 * OF_ONE - 1, 1000 + 7 * OF_ONE - 1, -1))


def test_a_chain_reads_its_own_events(conn: Explaining) -> None:
    page = history_store.chain(
        connection(conn), project="default", correlation_id="correlation-23", after=BEGINNING, limit=500
    )
    assert (len(page.rows), page.more) == (500, True)
    assert conn.blocks() < BLOCKS, conn.plan


def test_spans_use_the_index_of_the_entity(conn: Explaining) -> None:
    spans = [
        history_store.EventSpan(
            EntityType.TASK,
            f"task-{task}",
            Position(1, 1000 + task * OF_ONE + 10, EVENTS),
            Position(1, 1000 + task * OF_ONE + 21, 0),
        )
        for task in range(0, 120, 3)
    ]
    found = history_store.list_spans(connection(conn), project="default", spans=spans, limit=1_000)
    assert [len(bodies or ()) for bodies in found] == [10] * 40
    assert conn.blocks() < WIDE, conn.plan
    # The limit cuts off the last span, and all after it.
    found = history_store.list_spans(connection(conn), project="default", spans=spans, limit=25)
    assert [bodies is None for bodies in found] == [False] * 2 + [True] * 38


def test_unknown_entities_are_found_by_their_codes(conn: Explaining) -> None:
    asked = [(int(kind), f"task-{n}") for kind in EntityType if kind for n in range(118, 122)]
    found = history_store.missing_entities(connection(conn), project="default", entities=asked)
    assert found == {one for one in asked if one not in [(2, "task-118"), (2, "task-119")]}
    assert conn.blocks() < WIDE, conn.plan
