"""The SQL that says what the database is."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

from orchestration_server.db.connection import Connection

_STATE: LiteralString = "select max(name), clock_timestamp() from migrations"


def state(conn: Connection) -> tuple[str, datetime]:
    """The name of the last migration, and the database's clock."""
    row = conn.execute(_STATE, name="server.state").fetchone()
    assert row is not None
    return row[0], row[1]


def schema(conn: Connection) -> str:
    """Return the name of the last migration; empty if there is no ledger in this database."""
    row = conn.execute("select to_regclass('migrations') is null", name="server.schema").fetchone()
    if row is None or row[0]:
        return ""
    return state(conn)[0] or ""
