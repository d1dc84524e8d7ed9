"""The background service that writes the files that callers requested.

It claims rows of the outbox, reads their entities, writes the files and logs events. Each row ends with one
event: ``orchestration.file.synced`` with the state of its files, or ``orchestration.file.skipped`` if the
entity was deleted or has moved. ``orchestration.file.conflict_found`` comes before ``synced`` for each file
that was left as it was because someone else had edited it.

A row that fails is tried again after growing pauses, and its first failure is logged as
``orchestration.file.sync_failed``. The event and the end of the row are one transaction. If a worker is
killed, the row stays, and another worker writes the same files.
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from uuid_utils import uuid4

from orchestration_server.codec.events import change_event
from orchestration_server.db.database import Database
from orchestration_server.model import PRIORITY_DEFAULT, Call, EntityType, EventRow
from orchestration_server.store import events as event_store
from orchestration_server.store import outbox
from orchestration_server.store.outbox import ClaimedRow, FinishedRow, SerializedEntity
from orchestration_server.telemetry import metrics
from orchestration_server.workspace import rendering, writer
from orchestration_server.workspace.rendering import Document
from orchestration_server.workspace.tree import UnsafePath, Workspace
from orchestration_server.writes import debounce

log = structlog.get_logger()

BATCH = 50
CLAIM_SECONDS = 60
"""The time after which another worker takes over a row. The first may only be slow: workspace/writer.py
explains why its older state does not win."""
PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0
AGENT = "orchestration.file-sync"
ERROR_LENGTH = 500
SLOW_SECONDS = 0.5
"""The time above which writing one entity's files counts as slow."""

_ENTITIES: Mapping[str, EntityType] = {
    "sprint": EntityType.SPRINT,
    "task": EntityType.TASK,
    "adr": EntityType.ADR,
    "bug_report": EntityType.BUG_REPORT,
}


class FileSync:
    """The background service. It calls ``wake`` after each commit with events."""

    name = "file-sync"
    interval = 1.0

    def __init__(self, db: Database, root: Path, wake: Callable[[], None]) -> None:
        self._db = db
        self._root = root
        self._wake = wake

    def run_once(self) -> int:
        """Write the files of the next rows that are due. Return the number of rows."""
        claim = uuid4()
        with self._db.connection() as conn:
            rows = outbox.claim(conn, claim=claim, limit=BATCH, seconds=CLAIM_SECONDS)
            if not rows:
                return 0
            entities = outbox.entities(conn, rows)
        ends = [self._write(row, entities.get(row.key)) for row in rows]
        with self._db.connection() as conn:
            now = event_store.now(conn)
        events = [event for end in ends for event in end.events(now)]
        finished = [end.finished() for end in ends]
        debounce.flush_and_write(
            self._db,
            events,
            lambda conn: outbox.finish(conn, claim=claim, rows=finished, events=events),
        )
        if events:
            self._wake()
        return len(rows)

    def _write(self, row: ClaimedRow, entity: SerializedEntity | None) -> _End:
        """Write the files of one entity. A deleted entity has none."""
        if entity is None:
            return _End(row, skipped="absent")
        document = None
        try:
            document = _document(row, entity)
            if entity.deleted:
                return _End(row, document, skipped="deleted")
            with _timed():
                workspace = Workspace(self._root, row.project)
                written = writer.write(workspace, document, again=lambda: self._read(row))
                return _End(row, document, written, skipped=written.skipped)
        except Exception as error:
            # Any fault is this row's alone and must not delay the rest of the batch.
            metrics.FILE_SYNC_FAILURES.inc()
            log.warning("files not written", project=row.project, kind=row.kind, error=error)
            return _End(row, document, error=_error_text(error))

    def _read(self, row: ClaimedRow) -> Document | None:
        with self._db.connection() as conn:
            entity = outbox.entities(conn, [row]).get(row.key)
        return None if entity is None or entity.deleted else _document(row, entity)


def _document(row: ClaimedRow, entity: SerializedEntity) -> Document:
    return rendering.document(row.kind, entity.body, entity.links)


@dataclass(frozen=True, slots=True)
class _End:
    """The result of a row: written, failed or skipped."""

    row: ClaimedRow
    document: Document | None = None
    written: writer.Written | None = None
    error: str = ""
    skipped: str = ""

    def finished(self) -> FinishedRow:
        """Return how the row ends: done, or to be tried again."""
        if not self.error:
            return FinishedRow(self.row)
        seconds = min(PAUSE_SECONDS * 2.0 ** min(self.row.attempts, 20), LONGEST_PAUSE_SECONDS)
        return FinishedRow(self.row, self.error, int(seconds * 1_000 * random.uniform(0.5, 1.0)))

    def events(self, now: datetime) -> Iterator[EventRow]:
        """Yield the events of the row."""
        if self.error and not self.row.attempts:
            yield self._event("sync_failed", now, {"error": self.error})
        if self.skipped:
            yield self._event("skipped", now, {"reason": self.skipped})
        if self.written is None or self.skipped:
            return
        revision = self.written.document.revision
        for conflict in self.written.edited:
            payload = {
                "path": conflict.path,
                "written_sha256": conflict.written,
                "found_sha256": conflict.found,
                "revision": revision,
            }
            yield self._event("conflict_found", now, payload)
        listed = [
            {"path": path, "sha256": digest, "written": path in self.written.changed}
            for path, digest in self.written.files.items()
        ]
        yield self._event("synced", now, {"revision": revision, "files": listed})

    def _event(self, name: str, now: datetime, payload: dict[str, Any]) -> EventRow:
        """Return an event about the entity. It changes nothing, so it has no revision."""
        row, document = self.row, self.document
        call = Call("FileSync", row.project, correlation_id=row.correlation_id, agent=AGENT)
        return change_event(
            call, f"file.{name}", now, entity=_ENTITIES[row.kind], code=row.code,
            uid=document.uid if document else "", revision=0, payload=payload,
            sprint_code=document.sprint_code if document else "",
            priority=document.priority if document else PRIORITY_DEFAULT,
        )  # fmt: skip


@contextmanager
def _timed() -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        took = time.monotonic() - began
        metrics.FILE_SYNC_SECONDS.observe(took)
        if took > SLOW_SECONDS:
            metrics.FILE_SYNC_SLOW.inc()


def _error_text(error: Exception) -> str:
    """Return the text of an error without the names of directories above the workspace."""
    if isinstance(error, OSError) and error.errno:
        return f"{errno.errorcode.get(error.errno, error.errno)}: {error.strerror}"
    return str(error)[:ERROR_LENGTH] if isinstance(error, UnsafePath) else type(error).__name__
