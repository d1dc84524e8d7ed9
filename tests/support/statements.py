"""Counts of the statements of a server in this process, and of the bytes that Postgres sends."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from orchestration_server.db.connection import Connection, Rows

BY_THE_CLOCK = ("credentials", "session-tracker", "refusal-audit", "db-probe", "timeline-tail", "job-")
"""Threads of the server that read the database on their own schedule."""


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the text of each statement that calls run in the block."""
    seen: list[str] = []
    run = Connection.execute

    def execute(
        self: Connection, query: str, params: Mapping[str, Any] | None = None, *, name: str = ""
    ) -> Rows:
        if not threading.current_thread().name.startswith(BY_THE_CLOCK):
            seen.append(query)
        return run(self, query, params, name=name)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "execute", execute)
        yield seen


@contextmanager
def fetched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Collect the bytes of rows that each statement of the block returned."""
    sizes: list[int] = []
    run = Connection.execute

    def execute(
        self: Connection, query: str, params: Mapping[str, Any] | None = None, *, name: str = ""
    ) -> Rows:
        rows = run(self, query, params, name=name)
        result = rows._result
        cells = (result.get_value(row, n) for row in range(result.ntuples) for n in range(result.nfields))
        sizes.append(sum(len(cell) for cell in cells if cell is not None))
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "execute", execute)
        yield sizes
