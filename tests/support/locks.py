"""Locks of another session, and the server's statements that wait for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import psycopg

from tests.support.waits import turns

SECONDS = 20
# The application name leaves out the connections that tests open.
RUNNING = (
    "select count(*) from pg_stat_activity where datname = current_database()"
    " and application_name = 'orchestration' and state <> 'idle' and wait_event_type = 'Lock'"
)
SLEEPING = RUNNING.replace("wait_event_type = 'Lock'", "wait_event = 'PgSleep'")


@contextmanager
def held(url: str, statement: str = "select 1 from tasks where code = 'a' for update") -> Iterator[None]:
    """Lock a row, or what the statement locks, for the block."""
    with psycopg.connect(url) as conn:
        conn.execute(statement.encode())
        yield
        conn.rollback()


def waiting(conn: psycopg.Connection, wanted: int, running: str = RUNNING) -> float:
    """Return the seconds until ``wanted`` statements of the server wait for a lock."""
    began = monotonic()
    for _ in turns(SECONDS):
        if conn.execute(running.encode()).fetchone() == (wanted,):
            break
    return monotonic() - began
