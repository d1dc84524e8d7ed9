"""Pending changes are found by their key, even with a plan from the time when the table was empty."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest
from uuid_utils import uuid7

from orchestration_server.db.connection import Connection
from orchestration_server.embedded.engines import Engines
from orchestration_server.model import Cursor, Entity, EntityType, EventRow, Position
from orchestration_server.store import history as history_store
from orchestration_server.store import pending_changes
from orchestration_server.store.writes import NOTHING, Change, apply
from tests.conftest import new_database
from tests.support.query_plans import Explaining, connected

ROWS = 20_000
BLOCKS = 400

FILL = """
insert into held_changes (project, entity_type, entity_code, revision, stable_time, latest_time,
    correlation_id, body)
select 'default', 2, 'task-' || n / 10, mod(n, 10), now() + interval '1 hour', now() + interval '1 hour',
    'chain', '\\x00'
from generate_series(1, %(rows)s) n
"""


@pytest.fixture(params=["analyzed", "without statistics"])
def conn(engines: Engines, request: pytest.FixtureRequest) -> Iterator[Explaining]:
    with new_database(engines) as url, connected(url) as opened:
        opened.execute("alter table held_changes set (autovacuum_enabled = off)")
        if request.param == "analyzed":
            opened.execute("analyze held_changes")
        explaining = Explaining(opened)
        for ask in ASKED:
            ask(explaining)
        opened.execute(FILL, {"rows": ROWS})
        yield explaining


def connection(explaining: Explaining) -> Connection:
    return cast("Connection", explaining)


def entities() -> list[Entity]:
    return [Entity("default", EntityType.TASK, f"task-{n}") for n in range(0, 200, 10)]


def a_write(conn: Explaining) -> None:
    """Entities without pending changes."""
    now = datetime.now(UTC)
    events = [
        EventRow(
            False, "default", uuid7(), "a.b", EntityType.TASK, f"other-{n}", "", 3, "", "", "", now, now, b""
        )
        for n in range(20)
    ]
    change = Change(b"", sql=NOTHING, events=events)
    apply(connection(conn), change, project="default", locks=[], requests=[])


def a_look(conn: Explaining) -> None:
    pending_changes.with_pending(connection(conn), entities())


def a_reading(conn: Explaining) -> None:
    pending_changes.list_by_entity(connection(conn), entities())


def a_past(conn: Explaining) -> None:
    history_store.entity(
        connection(conn), project="default", entity_type=EntityType.TASK, code="task-3", newest_first=True,
        limit=50, upto=Cursor(Position(1, 1, 1)),
    )  # fmt: skip


ASKED = (a_write, a_look, a_reading, a_past)


@pytest.mark.parametrize("ask", ASKED)
def test_pending_changes_are_found_by_their_key(conn: Explaining, ask: object) -> None:
    assert callable(ask)
    ask(conn)
    scans = [node for node in conn.nodes() if node.get("Relation Name") == "held_changes"]
    scans = [node for node in scans if node["Node Type"] != "ModifyTable"]
    assert scans
    assert {node.get("Index Name") for node in scans} == {"held_changes_pkey"}
    assert all("entity_code" in node["Index Cond"] for node in scans)


def test_due_changes_are_found_in_one_scan(conn: Explaining) -> None:
    assert pending_changes.list_due(connection(conn), now=None, limit=50) == []
    assert conn.blocks() < BLOCKS, conn.plan
