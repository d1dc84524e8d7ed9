"""A write finds its rows by their keys, also with a plan that was made while the table was empty."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from uuid_utils import uuid7

from orchestration_server.store import tasks
from orchestration_server.store.connection import Connection
from orchestration_server.store.writes import Change, apply
from tests.explaining import Explaining, connected


def test_a_change_of_tasks_looks_each_up_by_its_code(database_url: str) -> None:
    now = datetime.now(UTC)
    rows = [
        tasks.TaskColumns(code, str(uuid7()), "", 1, 3, "", [], 0, now, now, b"") for code in ("one", "two")
    ]
    with connected(database_url) as conn:
        explaining = Explaining(conn)
        change = Change(b"", sql=tasks.UPDATE, params=tasks.columns(rows))
        apply(cast("Connection", explaining), change, project="default", locks=[1], requests=[])
    found = [node["Index Cond"] for node in explaining.nodes() if node.get("Index Name") == "tasks_pkey"]
    assert found == ["((project = c.project) AND (code = c.code))"]
