"""A write finds its rows by key, even with a plan from the time when the table was empty."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from uuid_utils import uuid7

from orchestration_server.db.connection import Connection
from orchestration_server.model import Request
from orchestration_server.store import generation as generation_store
from orchestration_server.store import tasks as task_store
from orchestration_server.store.writes import Change, apply
from tests.support.query_plans import Explaining, connected


def test_an_update_finds_each_task_by_code(database_url: str) -> None:
    now = datetime.now(UTC)
    rows = [
        task_store.TaskColumns(code, str(uuid7()), "", 1, 3, "", [], 0, now, now, b"")
        for code in ("one", "two")
    ]
    with connected(database_url) as conn:
        explaining = Explaining(conn)
        change = Change(b"", sql=task_store.UPDATE, params=task_store.columns(rows))
        apply(cast("Connection", explaining), change, project="default", locks=[1], requests=[])
    found = [node["Index Cond"] for node in explaining.nodes() if node.get("Index Name") == "tasks_pkey"]
    assert found == ["((project = c.project) AND (code = c.code))"]


def test_a_stored_response_is_read_once(database_url: str) -> None:
    """Otherwise a retry of a thousand tasks would read its response, of megabytes, a thousand times."""
    now = datetime.now(UTC)
    codes = ["one", "two"]
    rows = [task_store.TaskColumns(code, str(uuid7()), "", 1, 3, "", [], 0, now, now, b"") for code in codes]
    request = Request("TaskService/BatchCreateTasks", "r", b"print")
    with connected(database_url) as conn:
        change = Change(b"", sql=task_store.INSERT, params=task_store.columns(rows), expected=2)
        remembered = [("default", request, b"answer")]
        apply(conn, change, project="default", locks=[1], requests=remembered)
        for request_id, answer, there in (("r", (b"print", b"answer"), []), ("other", None, codes)):
            asked = replace(request, request_id=request_id)
            for found in (
                task_store.prepare(conn, project="default", request=asked, codes=codes),
                generation_store.prepare(conn, project="default", request=asked, sprint="", codes=codes),
            ):
                assert found.answer == answer
                assert sorted(found.rows) == there
