"""Statements of the file outbox read little, with table statistics and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from uuid_utils import uuid4

from orchestration_server.db.connection import Connection
from orchestration_server.embedded.engines import Engines
from orchestration_server.model import Request
from orchestration_server.store import outbox
from orchestration_server.store.outbox import FinishedRow
from orchestration_server.store.writes import Change, apply
from tests.support.query_plans import Explaining, copy, filled

ROWS = 20_000
BLOCKS = 1_500
"""The blocks of 50 rows: each is found, changed, and inserted into two indexes."""

FILL = """
insert into file_outbox (project, kind, code, correlation_id, next_attempt_time)
select 'default', 'task', 'task-' || n, '', now() + (mod(n, 100) - 1) * interval '1 hour'
from generate_series(1, %(rows)s) n
"""
TASKS = """
insert into tasks (project, code, sprint_code, status, priority, assignee, labels, revision, create_time,
    update_time, uid, body)
select 'default', 'task-' || n, 'sprint-' || n / 10, 1, 3, '', '{}', 1, now(), now(), gen_random_uuid(),
    '\\x00'
from generate_series(1, %(rows)s) n
"""
SPRINTS = """
insert into sprints (project, code, status, owner, revision, create_time, update_time, body)
select 'default', 'sprint-' || n, 1, '', 1, now(), now(), '\\x00' from generate_series(0, %(rows)s / 10) n
"""
LINKS = """
insert into dependencies (project, task_code, depends_on_code, kind, create_time)
select 'default', 'task-' || n, 'task-' || n - k, k, now()
from generate_series(5, %(rows)s) n, generate_series(1, 4) k
"""


@pytest.fixture(scope="module")
def ledger(engines: Engines) -> Iterator[str]:
    def fill(conn: Connection) -> None:
        for table in ("file_outbox", "tasks", "sprints", "dependencies"):
            conn.execute(f"alter table {table} set (autovacuum_enabled = off)")
        for statement in (FILL, TASKS, SPRINTS, LINKS):
            conn.execute(statement, {"rows": ROWS})

    with filled(engines, fill) as name:
        yield name


@pytest.fixture(params=["analyzed", "without statistics"])
def conn(engines: Engines, ledger: str, request: pytest.FixtureRequest) -> Iterator[Explaining]:
    analyze = "" if request.param == "analyzed" else None
    with copy(engines, ledger, analyze=analyze) as opened:
        yield opened


def connection(explaining: Explaining) -> Connection:
    return cast("Connection", explaining)


def test_claim_and_finish_read_few_blocks(conn: Explaining) -> None:
    # The explained run claims 50 rows, and the next one another 50.
    claim = uuid4()
    rows = outbox.claim(connection(conn), claim=claim, limit=50, seconds=60)
    assert len(rows) == 50
    assert conn.blocks() < BLOCKS
    assert len(outbox.entities(connection(conn), rows)) == 50
    assert conn.blocks() < BLOCKS
    ends = [FinishedRow(row) for row in rows]
    outbox.finish(connection(conn), claim=claim, rows=ends, events=[])
    assert conn.blocks() < BLOCKS


def test_preparing_a_sprint_reads_few_blocks(conn: Explaining) -> None:
    request = Request("SyncSprint", "", b"")
    found = outbox.prepare_sprint(connection(conn), project="default", request=request, code="sprint-7")
    assert found.extra == 10
    assert conn.blocks() < 100
    change = Change(
        b"",
        sql=outbox.QUEUE_SPRINT,
        params={"c_code": "sprint-7", "c_correlation": ""},
        expected=11,
        anchors=["sprint-7"],
    )
    apply(connection(conn), change, project="default", locks=[1], requests=[])
    assert conn.blocks() < 500
