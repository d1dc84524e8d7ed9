"""The query of ready tasks uses its index for any number of tasks."""

from typing import cast

import pytest

from orchestration_server.db.connection import Connection
from orchestration_server.store import ready_tasks as ready_store
from orchestration_server.store.aging import DEFAULT, Aging
from orchestration_server.store.tasks import ListedTask
from tests.support.query_plans import Explaining

TASKS = 100_000
LINKS = 60_000
PAGE = 51

# Every third task is pending, and of those the first thousand by priority and age are all blocked.
FILL = """
insert into tasks (project, code, sprint_code, status, priority, assignee, labels, revision,
    create_time, update_time, uid, body)
select 'default', 't' || n, case when mod(n, 10) = 0 then 's' else '' end,
    case when mod(n, 3) = 0 then 1 else 4 end, 1 + mod(n, 5), '', '{}', 1,
    timestamptz '2024-01-01' + n * interval '1 second', now(), gen_random_uuid(), ''
from generate_series(1, %(tasks)s) n
"""
SPRINT = """
insert into sprints (project, code, status, owner, revision, create_time, update_time, body)
values ('default', 's', 2, '', 1, now(), now(), '')
"""
LINK = """
insert into dependencies (project, task_code, depends_on_code, kind, create_time)
select 'default', 't' || n * 3, 't' || n * 3 - d, case when d = 3 then 4 else 1 end, now()
from generate_series(2, %(links)s / 3) n, generate_series(1, 3) d
"""
BLOCK = """
insert into dependencies (project, task_code, depends_on_code, kind, create_time)
select 'default', code, 't3', 1, now() from (
    select code from tasks where status = 1 and code <> 't3'
    order by priority, create_time, code limit 1000
) first
"""


def test_a_page_of_ready_tasks_reads_little_of_100_000(database_url: str) -> None:
    with Connection.connect(database_url, autocommit=True) as conn:
        conn.execute(SPRINT)
        conn.execute(FILL, {"tasks": TASKS})
        conn.execute(LINK, {"links": LINKS})
        conn.execute(BLOCK)
        conn.execute("vacuum analyze tasks")
        conn.execute("vacuum analyze dependencies")
        explaining = Explaining(conn)

        first = page(explaining, None)
        assert len(first) == PAGE
        nodes = explaining.nodes()
        kinds = {node["Node Type"] for node in nodes}
        # What is sorted is a page for each priority.
        assert not kinds & {"Seq Scan", "Hash", "Bitmap Heap Scan"}, kinds
        assert "tasks_pending" in {node.get("Index Name", "") for node in nodes}, explaining.plan
        # A thousand blocked tasks precede the page, each with four links to probe. Measured: 19 blocks a
        # task, and 13 with a probe that stops at the first open blocker.
        assert explaining.blocks() < 20 * (1_000 + PAGE)
        second = page(explaining, first[-1])
        # The function that decides reads some 35 blocks a task, and a candidate of each priority takes 10.
        assert explaining.blocks() < (35 + 5 * 10 + 5) * PAGE
        assert [row.code for row in first + second] == ready(conn, 2 * PAGE)


@pytest.mark.parametrize("sprint", ["s", "none"])
def test_the_ready_tasks_of_a_sprint_are_found_by_an_index(database_url: str, sprint: str) -> None:
    with Connection.connect(database_url, autocommit=True) as conn:
        conn.execute(SPRINT)
        conn.execute(FILL, {"tasks": 20_000})
        conn.execute("vacuum analyze tasks")
        explaining = Explaining(conn)
        rows = page(explaining, None, sprint_code=sprint)
        assert len(rows) == (PAGE if sprint == "s" else 0)
        assert "Seq Scan" not in {node["Node Type"] for node in explaining.nodes()}


def page(
    conn: Explaining, after: ListedTask | None, sprint_code: str = "", order: Aging = DEFAULT
) -> list[ListedTask]:
    wanted = ready_store.Wanted("default", sprint_code, 0, order)
    return ready_store.list_page(cast(Connection, conn), wanted=wanted, after=after, limit=PAGE).rows


def ready(conn: Connection, count: int) -> list[str]:
    """Return the expected tasks, in plain Python."""
    rows = conn.execute("select code, status, priority, create_time from tasks").fetchall()
    open_ = {code for code, status, _, _ in rows if status in (1, 2, 3)}
    links = conn.execute("select task_code, depends_on_code from dependencies where kind = 1")
    held = {task for task, on in links.fetchall() if on in open_}
    free = [
        (priority, time, code) for code, status, priority, time in rows if status == 1 and code not in held
    ]
    return [code for *_, code in sorted(DEFAULT.key(*task) for task in free)[:count]]
