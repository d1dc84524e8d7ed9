"""A report reads little of a large log, with table statistics and without."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import cast

import pytest

from orchestration_server.db.connection import Connection
from orchestration_server.embedded.engines import Engines
from orchestration_server.model import Request
from orchestration_server.reports import status_report
from orchestration_server.store import reports as report_store
from tests.support.query_plans import Explaining, copy, filled

TASKS = 1_000
EVENTS = 100_000
STATE_BLOCKS = 10_000
"""Six for each task that waits, its links and what they lead to, and some 20 for the last change of status of
each in progress or listed as blocked, in six partitions. A walk of the log would be 2,000 a task."""
COMPLETIONS_BLOCKS = 500
DOCUMENTS = 20_000
DOCUMENT_BLOCKS = 30
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)

SPRINT = """
insert into sprints (project, code, status, owner, revision, create_time, update_time, body)
values ('default', 'sprint', 2, '', 1, now(), now(), '')
"""
# Of ten tasks six are pending, two are in progress, one is blocked and one completed. Each depends on the one
# before.
FILL_TASKS = """
insert into tasks (project, code, sprint_code, status, priority, assignee, labels, revision, create_time,
    update_time, uid, body)
select 'default', 'task-' || n, 'sprint', (array[1, 1, 1, 1, 1, 1, 2, 2, 3, 4])[1 + mod(n, 10)],
    1 + mod(n, 5), '', '{}', 1, now(), now(), gen_random_uuid(), '\\x00'
from generate_series(0, %(tasks)s - 1) n
"""
FILL_LINKS = """
insert into dependencies (project, task_code, depends_on_code, kind, create_time)
select 'default', 'task-' || n, 'task-' || n - 1, 1, now() from generate_series(1, %(tasks)s - 1) n
"""
# One event a minute, all of the sprint: notes of its tasks, and every hundredth is a change of status.
FILL_EVENTS = """
insert into events (kept, epoch, project, event_id, type, entity_type, entity_code, sprint_code, priority,
    correlation_id, session_key, actor, occur_time, emit_time, body)
select mod(n, 10) = 0, 1, 'default', gen_random_uuid(),
    case when mod(n, 200) = 0 then 'orchestration.task.status_updated'
        when mod(n, 200) = 1 then 'orchestration.task.blocked' else 'agents.note' end,
    2, 'task-' || n / 100, 'sprint', 3, '', '', '', timestamptz '2026-01-01' + n * interval '1 minute', now(),
    %(completed)s::bytea
from generate_series(0, %(events)s - 1) n
"""
# Two projects, so that a row is found only by both columns of an index.
FILL_DOCUMENTS = """
with made as (
    select (array['default', 'other'])[1 + mod(n, 2)] as project, 1 + n / 2 as number
    from generate_series(0, %(documents)s - 1) n
), decided as (
    insert into adrs (project, number, code, revision, create_time, update_time, body)
    select project, number, 'ADR-' || number, 1, now(), now(), '\\x00' from made
)
insert into bug_reports (project, number, code, fingerprint, revision, create_time, update_time, body)
select project, number, 'BUG-' || number, sha256(number::text::bytea), 1, now(), now(), '\\x00' from made
"""


@pytest.fixture(scope="module")
def ledger(engines: Engines) -> Iterator[str]:
    def fill(conn: Connection) -> None:
        conn.execute(SPRINT)
        conn.execute(FILL_TASKS, {"tasks": TASKS})
        conn.execute(FILL_LINKS, {"tasks": TASKS})
        conn.execute(FILL_EVENTS, {"events": EVENTS, "completed": status_report.COMPLETED})
        conn.execute(FILL_DOCUMENTS, {"documents": DOCUMENTS})

    with filled(engines, fill) as name:
        yield name


@pytest.fixture(scope="module", params=["analyzed", "without statistics"])
def conn(engines: Engines, ledger: str, request: pytest.FixtureRequest) -> Iterator[Explaining]:
    analyze = "" if request.param == "analyzed" else None
    with copy(engines, ledger, analyze=analyze) as opened:
        yield opened


def connection(conn: Explaining) -> Connection:
    return cast(Connection, conn)


def test_the_state_of_a_sprint_reads_only_its_rows(conn: Explaining) -> None:
    state = report_store.sprint_state(connection(conn), project="default", sprint="sprint")

    assert state is not None
    assert sum(count for *_, count in state.counts) == TASKS
    assert len(state.blocked) == report_store.BLOCKED_LISTED
    assert state.blocked_total == TASKS // 10 * 6
    assert conn.blocks() < STATE_BLOCKS, conn.plan


def test_completions_read_only_changes_of_status(conn: Explaining) -> None:
    end = BEGINNING + timedelta(minutes=EVENTS)
    found = report_store.completions(
        connection(conn),
        project="default",
        sprint="sprint",
        since=end - timedelta(minutes=EVENTS // 2),
        becoming=status_report.COMPLETED,
    )
    assert len(found) == EVENTS // 2 // 200
    assert conn.blocks() < COMPLETIONS_BLOCKS, conn.plan


def test_a_document_is_prepared_with_few_probes(conn: Explaining) -> None:
    request = Request("ReportService/CreateAdr", "once", b"")
    found = report_store.prepare_adr(
        connection(conn), project="default", request=request, sprint="sprint", task="task-1"
    )
    assert found.extra.number == DOCUMENTS // 2 + 1
    assert found.sprints == {"sprint"}
    assert conn.blocks() < DOCUMENT_BLOCKS, conn.plan

    known = report_store.prepare_bug(
        connection(conn),
        project="default",
        request=request,
        sprint="none",
        task="none",
        fingerprint=sha256(b"17").digest(),
    )
    assert list(known.rows) == ["BUG-17"]
    assert known.extra == (None, DOCUMENTS // 2 + 1)
    assert conn.blocks() < DOCUMENT_BLOCKS, conn.plan
