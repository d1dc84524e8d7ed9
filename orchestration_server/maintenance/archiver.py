"""Moves old events from the log to the archive, and deletes old parts of the archive (docs/archive.md).

One step is one segment: a whole month, which moves as the partition that it is, or part of a month, which
moves in chunks of 500 events. If a step is killed, each event is either in the log or in the archive, and the
next step continues.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import structlog

from orchestration_server.db.database import Connection, Database
from orchestration_server.model import Call
from orchestration_server.store import archive as archive_store
from orchestration_server.store import events as event_store
from orchestration_server.store.archive import Partition

log = structlog.get_logger()

CHUNK = 500
"""Events that one statement moves out of a month."""
CHUNKS_A_STEP = 200
RESTS = 14
"""Pause after a chunk, as a multiple of the time that the chunk took."""
ATTEMPTS = 40
"""Attempts to lock a partition. With the pauses between them they take half a minute."""
PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ArchivedRange:
    """Events recorded between two times that moved to the archive, or would in a dry run."""

    start: datetime
    end: datetime
    events: int
    """For a whole partition, the number in its statistics if it has any."""
    bytes: int
    """Bytes of rows and indexes; 0 for events that were copied."""
    whole: bool
    """True if a whole partition moved, without copying a row."""


@dataclass(slots=True)
class Outcome:
    """The ranges that moved, and what is left."""

    cutoff: datetime
    moved: list[ArchivedRange] = field(default_factory=list)
    more: bool = False
    """True if old events are left in the log."""
    blocked: list[str] = field(default_factory=list)
    """The reasons why the next segment cannot move, in words for people."""

    def add(self, moved: ArchivedRange) -> None:
        """Add a range, or more events of the last one."""
        if self.moved and (last := self.moved[-1]).start == moved.start and last.end == moved.end:
            self.moved[-1] = replace(last, events=last.events + moved.events)
        else:
            self.moved.append(moved)


class CannotMoveYet(Exception):
    """A segment cannot move now, for the reasons given; without reasons, the time is up."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class _Segment:
    """An old part of the log: a month, or the events of a month recorded between two times."""

    part: Partition
    start: datetime
    end: datetime
    whole: bool
    begun: bool = True
    """True if the archive already has the partition that copied events go to."""


class Archiver:
    """The archive of a database. Any number of processes may run one; they take turns."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def cutoff(self, age: timedelta) -> datetime:
        """Return the start of the last day, in UTC, that began at least ``age`` ago.

        Events recorded before it are old. ``age`` must be a day or more: retries and live readers still look
        up younger events.
        """
        with self._db.connection() as conn:
            return day_of(event_store.now(conn) - age)

    def plan(self, cutoff: datetime, *, exact: bool, call: Call | None = None) -> Outcome:
        """Return what ``run`` would move, counted, and change nothing."""
        outcome = Outcome(cutoff)
        with self._db.connection(call) as conn:
            for segment in _segments(conn, cutoff, exact=exact):
                events = archive_store.count(
                    conn, part=segment.part.name, start=segment.start, end=segment.end
                )
                size = segment.part.bytes if segment.whole else 0
                outcome.moved.append(ArchivedRange(segment.start, segment.end, events, size, segment.whole))
                outcome.blocked += _reasons(_readers_behind(conn, segment))
        outcome.more = bool(outcome.moved)
        return outcome

    def run(
        self, cutoff: datetime, *, exact: bool, seconds: float | None = None, call: Call | None = None
    ) -> Outcome:
        """Move one segment after the other until none is left, one is blocked, or the time is up."""
        until = None if seconds is None else time.monotonic() + seconds
        outcome = Outcome(cutoff, more=True)
        while outcome.more and (until is None or time.monotonic() < until):
            try:
                moved = self.step(cutoff, exact=exact, until=until, call=call)
            except CannotMoveYet as blocked:
                outcome.blocked = blocked.reasons
                break
            if moved is None:
                outcome.more = False
            else:
                outcome.add(moved)
        return outcome

    def step(
        self, cutoff: datetime, *, exact: bool, until: float | None = None, call: Call | None = None
    ) -> ArchivedRange | None:
        """Move the oldest old segment, or some chunks of it. Return None if nothing is old.

        ``exact`` also moves the old part of a month that is not old as a whole. ``until`` is by the monotonic
        clock. Raises CannotMoveYet if the segment is blocked.
        """
        with self._alone(call) as conn:
            segment = next(_segments(conn, cutoff, exact=exact), None)
            if segment is None:
                return None
            if reasons := _reasons(_readers_behind(conn, segment)):
                raise CannotMoveYet(reasons)
            moved = _move(conn, segment, until) if segment.whole else _split(conn, segment, until)
        log.info("archived", start=f"{moved.start:%F}", end=f"{moved.end:%F}", events=moved.events)
        return moved

    def delete(self, before: datetime) -> ArchivedRange | None:
        """Delete the oldest part of the archive if all of it was recorded before a time, else return None.

        Raises CannotMoveYet if other statements keep reading the part.
        """
        with self._alone(None) as conn:
            part = next(
                (part for part in archive_store.archived_partitions(conn) if part.upper <= before), None
            )
            if part is None:
                return None
            deleted = ArchivedRange(part.lower, part.upper, _size(conn, part), part.bytes, whole=True)
            _retry(lambda: archive_store.delete(conn, part=part), part, None)
        log.info(
            "archive deleted", start=f"{deleted.start:%F}", end=f"{deleted.end:%F}", events=deleted.events
        )
        return deleted

    @contextmanager
    def _alone(self, call: Call | None) -> Iterator[Connection]:
        with self._db.connection(call) as conn, archive_store.exclusive(conn) as alone:
            if not alone:
                raise CannotMoveYet(["another process is archiving: it does the same work"])
            yield conn


def day_of(moment: datetime) -> datetime:
    """Return the start of a time's day, in UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _segments(conn: Connection, cutoff: datetime, *, exact: bool) -> Iterator[_Segment]:
    """Yield the segments that are old, oldest first.

    A month that was split continues from the end of its part in the archive, once no event before that is
    left in the log.
    """
    archived = archive_store.archived_partitions(conn)
    for part in archive_store.live_partitions(conn):
        begun = max((a.upper for a in archived if part.lower < a.upper <= part.upper), default=part.lower)
        if part.upper <= cutoff:
            if begun > part.lower and archive_store.has_before(conn, part=part.name, time=begun):
                yield _Segment(part, part.lower, begun, whole=False)
            yield _Segment(part, begun, part.upper, whole=True)
        elif exact and archive_store.has_before(conn, part=part.name, time=cutoff):
            if begun > part.lower and archive_store.has_before(conn, part=part.name, time=min(begun, cutoff)):
                yield _Segment(part, part.lower, min(begun, cutoff), whole=False)
            if begun < cutoff:
                yield _Segment(part, begun, cutoff, whole=False, begun=False)


def _move(conn: Connection, segment: _Segment, until: float | None) -> ArchivedRange:
    """Move a month as the partition that it is."""
    part = segment.part
    events = _size(conn, part)

    def attempt() -> bool:
        left = None if until is None else until - time.monotonic()
        return archive_store.check_bounds(
            conn, part=part, lower=segment.start, seconds=left
        ) and archive_store.move(conn, part=part, lower=segment.start)

    _retry(attempt, part, until)
    return ArchivedRange(segment.start, segment.end, events, part.bytes, whole=True)


def _split(conn: Connection, segment: _Segment, until: float | None) -> ArchivedRange:
    """Move some chunks of events out of a month."""
    part = segment.part
    if not segment.begun:
        _retry(lambda: archive_store.begin_split(conn, lower=segment.start, upper=segment.end), part, until)
    moved = chunks = 0
    for project in archive_store.projects(conn, part=part.name):
        since, size = segment.start, CHUNK
        while size == CHUNK and chunks < CHUNKS_A_STEP and (until is None or time.monotonic() < until):
            began = time.monotonic()
            size, since = archive_store.move_chunk(
                conn, part=part.name, project=project, since=since, before=segment.end, size=CHUNK
            )
            moved += size
            chunks += 1
            # Calls of clients come first: archiving takes a small share of the time.
            time.sleep(min(RESTS * (time.monotonic() - began), LONGEST_PAUSE_SECONDS))
    return ArchivedRange(segment.start, segment.end, moved, 0, whole=False)


def _retry(attempt: Callable[[], bool], part: Partition, until: float | None) -> None:
    """Try until an attempt succeeds, with growing pauses. Raises CannotMoveYet if none does."""
    for number in range(ATTEMPTS):
        if attempt():
            return
        pause = min(PAUSE_SECONDS * 1.5**number, LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.0)
        if until is not None and time.monotonic() + pause >= until:
            raise CannotMoveYet([])
        time.sleep(pause)
    raise CannotMoveYet([f"{part.name} is in use by long-running statements: try again later"])


def _size(conn: Connection, part: Partition) -> int:
    """Return the number of events in a partition, from its statistics if it has any, else counted."""
    if part.events >= 0:
        return part.events
    return archive_store.count(conn, part=part.name, start=part.lower, end=part.upper)


def _readers_behind(conn: Connection, segment: _Segment) -> list[tuple[str, str]]:
    """Return the readers, each with its project, that have not read all of a segment.

    A split month still gets new events, so readers need only be past the segment's end.
    """
    return archive_store.readers_behind(
        conn, part=segment.part.name, before=None if segment.whole else segment.end
    )


def _reasons(readers: Sequence[tuple[str, str]]) -> list[str]:
    return [
        f"{reader} have not read all of project {project} yet: run `orchestration worker`, or a server"
        " with background services"
        for reader, project in readers
    ]
