"""Measurements for alerts use indexes: they read no closed sessions and no older events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from orchestration_server.db.connection import Connection
from orchestration_server.embedded.engines import Engines
from orchestration_server.store import alerts as alert_store
from tests.support.query_plans import Explaining, copy, filled

ROWS = 8_000
OPEN = 80
LATE = 500
PROJECTS = 50
NOW = datetime(2030, 1, 1, tzinfo=UTC)

SESSIONS = """
insert into sessions (project, key, status, agent, target_type, target_code, correlation_id,
    last_activity_time, revision, create_time, update_time, body)
select 'default', 'session-' || n,
    case when mod(n, %(rows)s / %(open)s) = 0 then 1 + mod(n * %(open)s / %(rows)s, 2) else 3 end,
    'a', 2, 't', '', %(now)s - n * interval '1 second', 1, now(), now(), '\\x00'
from generate_series(1, %(rows)s) n
"""
# The last events were recorded within the last minute.
EVENTS = """
insert into events (kept, epoch, project, event_id, type, entity_type, entity_code, sprint_code, priority,
    correlation_id, session_key, actor, agent, occur_time, emit_time, body)
select true, 1, 'project-' || mod(n, %(projects)s), gen_random_uuid(), 'a.b', 0, '', '', 1, '', '',
    'actor-' || n, 'agent-' || mod(n / %(projects)s, 2), now(),
    %(now)s - case when n <= %(late)s then interval '30 seconds' else n * interval '1 hour' end, '\\x00'
from generate_series(1, %(rows)s) n
"""


@pytest.fixture(scope="module")
def ledger(engines: Engines) -> Iterator[str]:
    def fill(conn: Connection) -> None:
        for table in ("sessions", "events_kept"):
            conn.execute(f"alter table {table} set (autovacuum_enabled = off)")
        conn.execute(SESSIONS, {"rows": ROWS, "open": OPEN, "now": NOW})
        conn.execute(EVENTS, {"rows": ROWS, "late": LATE, "projects": PROJECTS, "now": NOW})

    with filled(engines, fill) as name:
        yield name


@pytest.fixture(params=["analyzed", "without statistics"])
def conn(engines: Engines, ledger: str, request: pytest.FixtureRequest) -> Iterator[Explaining]:
    analyze = "" if request.param == "analyzed" else None
    with copy(engines, ledger, analyze=analyze) as opened:
        yield opened


def test_idle_sessions_read_only_open_sessions(conn: Explaining) -> None:
    found = alert_store.idle_sessions(cast("Connection", conn), now=NOW, limit=10)
    assert len(found) == 10
    values = [about.value for about in found]
    assert values == sorted(values, reverse=True)
    assert values[0] >= ROWS - 2 * ROWS / OPEN
    assert conn.blocks() < 2 * OPEN + 50


def test_busiest_agents_read_only_the_last_minute(conn: Explaining) -> None:
    found = alert_store.busiest_agents(cast("Connection", conn), now=NOW, limit=1_000)
    assert len(found) == 2 * PROJECTS
    assert {about.value for about in found} == {LATE / PROJECTS / 2}
    read = [node for node in conn.nodes() if node.get("Relation Name", "").startswith("events_")]
    assert "Seq Scan" not in {node["Node Type"] for node in read}
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in read) <= LATE + 2 * PROJECTS + 10
    assert alert_store.busiest_agents(cast("Connection", conn), now=NOW + timedelta(minutes=1), limit=9) == []
