"""Reads of sessions touch few of them, with table statistics and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from orchestration_server.db.connection import Connection
from orchestration_server.embedded.engines import Engines
from orchestration_server.model import EntityType, Request, SessionStatus
from orchestration_server.store import sessions as session_store
from tests.support.query_plans import Explaining, copy, filled

SESSIONS = 80_000
PAGE = 50
BLOCKS = 200
"""The rows of a page, at most two blocks each, and the descent to them."""
OPEN = [SessionStatus.ACTIVE, SessionStatus.PAUSED]

# Ten agents, one of which has a quarter of the sessions. A task has ten sessions, and every 400th is open.
FILL = """
insert into sessions (project, key, status, agent, target_type, target_code, correlation_id,
    last_activity_time, revision, create_time, update_time, body)
select 'default', 'session-' || n, case when mod(n, 400) = 0 then 1 else 3 end,
    case when mod(n, 4) = 0 then 'ann' else 'agent-' || mod(n, 9) end, 2, 'task-' || n / 10, '', now(), 1,
    timestamptz '2026-01-01' + n * interval '1 second', now(), '\\x00'
from generate_series(0, %(sessions)s - 1) n
"""
TASKS = """
insert into tasks (project, code, sprint_code, status, priority, assignee, labels, revision, create_time,
    update_time, uid, body)
select 'default', 'task-' || n, '', 1, 3, '', '{}', 1, now(), now(), gen_random_uuid(), '\\x00'
from generate_series(0, %(sessions)s / 10) n
"""
LISTS: dict[str, tuple[int, dict[str, Any]]] = {
    "all": (PAGE, {}),
    "open": (PAGE, {"statuses": OPEN}),
    "closed": (PAGE, {"statuses": [SessionStatus.COMPLETED]}),
    "an agent": (PAGE, {"agent": "ann"}),
    "an agent, open": (PAGE, {"agent": "ann", "statuses": OPEN}),
    "an agent, closed": (PAGE, {"agent": "ann", "statuses": [SessionStatus.COMPLETED]}),
    "a target": (10, {"target": (EntityType.TASK, "task-7")}),
    "a target, an agent, open": (
        1,
        {"target": (EntityType.TASK, "task-0"), "agent": "ann", "statuses": OPEN},
    ),
}


@pytest.fixture(scope="module")
def ledger(engines: Engines) -> Iterator[str]:
    def fill(conn: Connection) -> None:
        for statement in (FILL, TASKS):
            conn.execute(statement, {"sessions": SESSIONS})

    with filled(engines, fill) as name:
        yield name


@pytest.fixture(scope="module", params=["analyzed", "without statistics"])
def conn(engines: Engines, ledger: str, request: pytest.FixtureRequest) -> Iterator[Explaining]:
    analyze = "" if request.param == "analyzed" else None
    with copy(engines, ledger, analyze=analyze) as opened:
        yield opened


def connection(conn: Explaining) -> Connection:
    return cast(Connection, conn)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_reads_its_own_sessions(conn: Explaining, name: str) -> None:
    expected, chosen = LISTS[name]
    asked: dict[str, Any] = {"target": None, "agent": "", "statuses": [], **chosen}

    rows = session_store.list_page(connection(conn), project="default", after=None, limit=PAGE, **asked).rows

    assert len(rows) == expected
    assert conn.blocks() < BLOCKS, conn.plan
    last = rows[expected // 2]
    after, _ = session_store.list_page(
        connection(conn), project="default", after=(last.create_time, last.key), limit=PAGE, **asked
    )
    assert [row.key for row in after][: expected - expected // 2 - 1] == [
        row.key for row in rows[expected // 2 + 1 :]
    ]
    assert conn.blocks() < BLOCKS, conn.plan


@pytest.mark.parametrize("code", ["task-0", "task-7", "none"])
def test_the_session_to_resume_is_looked_up(conn: Explaining, code: str) -> None:
    found = session_store.prepare_on_target(
        connection(conn), project="default", request=Request("rpc", "id", b""),
        target_type=EntityType.TASK, code=code, agent="ann", key="session-5",
    )  # fmt: skip

    assert found.extra.key == ("session-0" if code == "task-0" else "")
    assert found.extra.taken
    assert (found.extra.target is None) == (code == "none")
    assert conn.blocks() < 30, conn.plan


def test_a_session_is_looked_up_with_its_target(conn: Explaining) -> None:
    request = Request("rpc", "id", b"")

    found = session_store.prepare(connection(conn), project="default", request=request, key="session-77")

    assert list(found.rows) == ["session-77"]
    assert found.extra.target is not None
    assert conn.blocks() < 30, conn.plan


def test_touch_finds_sessions_by_key(conn: Explaining) -> None:
    ages = {("default", f"session-{number}"): 0 for number in range(20)}

    session_store.touch(connection(conn), ages=ages, apart=0)

    assert conn.blocks() < 20 * 20, conn.plan
