"""The plans of the store's statements, and the blocks that they read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from orchestration_server.db import connect
from orchestration_server.db.connection import Connection, Rows
from orchestration_server.embedded.engines import Engines
from tests.conftest import new_database

FILL_SECONDS = 120.0


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Open a connection with the planner settings of a server."""
    with connect.connect(url, Connection, statement_seconds=FILL_SECONDS) as opened:
        yield opened


@contextmanager
def filled(engines: Engines, fill: Callable[[Connection], object]) -> Iterator[str]:
    """Fill a database for the block; return its name, of which `copy` makes copies."""
    with new_database(engines) as url:
        with connected(url) as conn:
            fill(conn)
        yield str(conninfo_to_dict(url)["dbname"])


@contextmanager
def copy(engines: Engines, name: str, *, analyze: str | None) -> Iterator[Explaining]:
    """Explain on a copy of a filled database; ``analyze`` names the tables to analyze, "" all of them."""
    with new_database(engines, name) as url, connected(url) as conn:
        if analyze is not None:
            conn.execute(f"analyze {analyze}")
        yield Explaining(conn)


class Explaining:
    """A connection that keeps the plan of each statement and runs it."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self.plan: dict[str, Any] = {}

    def execute(self, query: str, params: dict[str, Any], *, name: str = "") -> Rows:
        row = self._conn.execute(f"explain (analyze, buffers, format json) {query}", params).fetchone()
        assert row is not None
        self.plan = row[0][0]["Plan"]
        return self._conn.execute(query, params)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Do nothing: no server commits here."""

    def nodes(self) -> list[dict[str, Any]]:
        found, left = [], [self.plan]
        while left:
            node = left.pop()
            found.append(node)
            left += node.get("Plans", [])
        return found

    def blocks(self) -> int:
        return int(self.plan["Shared Hit Blocks"] + self.plan["Shared Read Blocks"])
