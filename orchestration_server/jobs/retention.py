"""Background services that archive old events and delete old archived events, as the settings say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from orchestration_server.config.settings import Settings
from orchestration_server.db.database import Database
from orchestration_server.jobs.runner import Service
from orchestration_server.maintenance.archiver import ArchivedRange, Archiver, CannotMoveYet

log = structlog.get_logger()

INTERVAL = 3600.0


@dataclass(frozen=True, slots=True)
class Retention:
    """One service of the archive. Any number of processes may run it; one at a time does something."""

    name: str
    interval: float
    step: Callable[[], ArchivedRange | None]

    def run_once(self) -> int:
        """Do one part. Return its number of events, at least 1; or 0 if nothing is left that can be moved."""
        try:
            done = self.step()
        except CannotMoveYet as blocked:
            log.info("archive held", job=self.name, reasons=blocked.reasons)
            return 0
        return 0 if done is None else max(1, done.events)


def services(db: Database, settings: Settings) -> list[Service]:
    """Return the services that the settings turn on. They move whole months only."""
    archive = Archiver(db)

    def archive_old() -> ArchivedRange | None:
        return archive.step(archive.cutoff(timedelta(days=settings.archive_after_days)), exact=False)

    def delete_old() -> ArchivedRange | None:
        return archive.delete(archive.cutoff(timedelta(days=settings.delete_archived_after_days)))

    found: list[Service] = []
    if settings.archive_after_days:
        found.append(Retention("archive", INTERVAL, archive_old))
    if settings.delete_archived_after_days:
        found.append(Retention("delete-archived", INTERVAL, delete_old))
    return found
