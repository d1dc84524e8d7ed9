"""The background service that counts the events of each hour, for GetEventStats.

It follows the tail of the log. It also marks how late events were recorded, for timelines that start at a
time.
"""

from __future__ import annotations

from orchestration_server.db.database import Database
from orchestration_server.store import log_positions, log_times
from orchestration_server.store import rollups as rollup_store

BATCH = 1_000
"""Events counted in one statement, which is one transaction.

Events that are written meanwhile reach the timeline after it: that takes milliseconds, or tens of
milliseconds if no two events share an hour.
"""
MARKS = 20
"""Marks of a project's log in one run. Each reads some thousand events."""
PROJECTS = 200


class Rollups:
    """The background service. Any number of processes may run it; one at a time counts a project."""

    name = "rollups"
    interval = 5.0

    def __init__(self, db: Database) -> None:
        self._db = db
        self._after = ""

    def run_once(self) -> int:
        """Count the next events of each project that has some, and return their number.

        Return 0 if every project's batch was short: new events wait for the next run. The projects take
        turns, so that busy ones do not keep the others waiting.
        """
        counted = 0
        more = False
        with self._db.connection() as conn:
            projects = log_positions.behind(
                conn, reader=rollup_store.READER, after=self._after, limit=PROJECTS
            )
            if not projects and self._after:
                projects = log_positions.behind(conn, reader=rollup_store.READER, after="", limit=PROJECTS)
            for project in projects:
                log_positions.begin(conn, reader=rollup_store.READER, project=project)
                batch = rollup_store.roll(conn, project=project, limit=BATCH)
                counted += batch
                more |= batch == BATCH
                for _ in range(MARKS):
                    if not log_times.mark(conn, project=project):
                        break
        more |= len(projects) == PROJECTS
        self._after = projects[-1] if len(projects) == PROJECTS else ""
        return counted if more else 0
