"""Contexts read little of a large ledger, with table statistics and without."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest

from orchestration_server.db.connection import Connection
from orchestration_server.embedded.engines import Engines
from orchestration_server.model import BEGINNING, EntityType
from orchestration_server.model import FIRST as SEEN_NOTHING
from orchestration_server.store import context as context_store
from tests.support.query_plans import Explaining, copy, filled

TASKS = 8_000
"""The tasks, in sprints of 50. Each has an event, and depends on the one before it in its sprint."""
BLOCKS = 2_500
"""The limit of read blocks: a page of a sprint's tasks with their links and blockers, and as many events."""
FIRST = context_store.TaskPageRequest(50, -1, datetime(1970, 1, 1, tzinfo=UTC), "")
FILL = (
    """
insert into sprints (project, code, status, owner, revision, create_time, update_time, body)
select 'default', 'sprint-' || n, 2, '', 1, now(), now(), '' from generate_series(0, %(tasks)s / 50) n
""",
    """
insert into tasks (project, code, sprint_code, status, priority, assignee, labels, revision, create_time,
    update_time, uid, body)
select 'default', 'task-' || n, 'sprint-' || n / 50, 1, 3, '', '{}', 1, now(), now(), gen_random_uuid(), ''
from generate_series(0, %(tasks)s - 1) n
""",
    """
insert into dependencies (project, task_code, depends_on_code, kind, create_time)
select 'default', 'task-' || n, 'task-' || n - 1, 1, now()
from generate_series(0, %(tasks)s - 1) n where mod(n, 50) > 0
""",
    """
insert into events (kept, epoch, project, event_id, type, entity_type, entity_code, sprint_code, priority,
    correlation_id, session_key, actor, occur_time, emit_time, body)
select mod(n, 10) = 0, 1, 'default', gen_random_uuid(), 'type.of', 2, 'task-' || mod(n, %(tasks)s),
    'sprint-' || mod(n, %(tasks)s) / 50, 3, '', 'session-' || mod(n, %(tasks)s) / 50, '', now(), now(), ''
from generate_series(0, 2 * %(tasks)s - 1) n
""",
    """
insert into sessions (project, key, status, agent, target_type, target_code, correlation_id,
    last_activity_time, revision, create_time, update_time, body)
select 'default', 'session-' || n, 1, '', 1, 'sprint-' || n, '', now(), 1, now(), now(), ''
from generate_series(0, %(tasks)s / 50) n
""",
)
TARGETS = [
    (EntityType.TASK, "task-77"),
    (EntityType.SPRINT, "sprint-7"),
    (EntityType.SESSION, "session-7"),
]


@pytest.fixture(scope="module")
def ledger(engines: Engines) -> Iterator[str]:
    def fill(conn: Connection) -> None:
        for statement in FILL:
            conn.execute(statement, {"tasks": TASKS})

    with filled(engines, fill) as name:
        yield name


@pytest.fixture(scope="module", params=["analyzed", "without statistics"])
def conn(engines: Engines, ledger: str, request: pytest.FixtureRequest) -> Iterator[Explaining]:
    analyze = "" if request.param == "analyzed" else None
    with copy(engines, ledger, analyze=analyze) as opened:
        yield opened


@pytest.mark.parametrize(("kind", "code"), TARGETS)
def test_a_context_reads_few_blocks(conn: Explaining, kind: EntityType, code: str) -> None:
    plain = cast(Connection, conn)
    version = context_store.version(plain, project="default", kind=kind, code=code, since=SEEN_NOTHING)
    assert version is not None
    assert sum(version.counts) == 50
    assert version.latest != BEGINNING
    assert conn.blocks() < BLOCKS, conn.plan

    found = context_store.load(
        plain, project="default", kind=kind, code=code, since=SEEN_NOTHING, events=100, page=FIRST
    )
    assert found is not None
    assert found.version == version
    assert conn.blocks() < BLOCKS, conn.plan
    if kind == EntityType.TASK:
        assert (len(found.events), len(found.links)) == (2, 1)
    else:
        assert (len(found.events), len(found.links), len(found.listed)) == (100, 49, 50)
        assert found.ready == ["task-350"]
        assert len({position for position, _ in found.events}) == 100
