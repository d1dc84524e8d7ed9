"""Counts the events of each hour behind the tail of the log, for GetEventStats, and marks how late they were
recorded, for timelines that start by a time."""

from __future__ import annotations

from orchestration_server.db.database import Database
from orchestration_server.store import log_positions, log_times
from orchestration_server.store import rollups as rollup_store

BATCH = 1_000
"""Events counted in one statement, which is one transaction. What is written meanwhile reaches the timeline
only after it: milliseconds, or tens of them where no two events share an hour."""
MARKS = 20
"""Marks of a project's log in one turn: each reads some thousand events."""
PROJECTS = 200


class Rollups:
    """The service: any number may run at once, one at a time counts a project."""

    name = "rollups"
    interval = 5.0

    def __init__(self, db: Database) -> None:
        self._db = db
        self._after = ""

    def run_once(self) -> int:
        """Counts the next events of projects that have some; how many it were.

        0 where every project's came back short: what comes meanwhile waits for the next turn. It goes round
        the projects, so that busy ones do not keep it from the others.
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
