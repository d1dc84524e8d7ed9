"""Moves what is old from the log to the archive, and deletes what is old there (docs/archive.md).

One step is one part: a month that goes as the partition it is, or of one that is split by a day, chunks of
500 events. A step that is killed leaves each event where it was or where it goes, and is done by the next.
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
from orchestration_server.store import archive as store
from orchestration_server.store import events as event_store
from orchestration_server.store.archive import Part

log = structlog.get_logger()

CHUNK = 500
"""Events that one statement moves where a month is split."""
CHUNKS_A_STEP = 200
RESTS = 14
"""How much longer it rests after a chunk than the chunk took."""
ATTEMPTS = 40
"""How often the locks for a part are tried for; with the pauses between them it takes half a minute."""
PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ArchivedRange:
    """What went to the archive, or would: events recorded between two times."""

    start: datetime
    end: datetime
    events: int
    """Of a whole partition by its statistics, where it has some."""
    bytes: int
    """Of rows and indexes; 0 for events that were copied."""
    whole: bool
    """Whether it went as a partition, no row copied."""


@dataclass(slots=True)
class Outcome:
    """What was done: the parts that went, and what is left that could go."""

    cutoff: datetime
    moved: list[ArchivedRange] = field(default_factory=list)
    more: bool = False
    held: list[str] = field(default_factory=list)
    """What keeps the next part from going, for people."""

    def add(self, moved: ArchivedRange) -> None:
        """Adds a part, or more of the last one."""
        if self.moved and (last := self.moved[-1]).start == moved.start and last.end == moved.end:
            self.moved[-1] = replace(last, events=last.events + moved.events)
        else:
            self.moved.append(moved)


class CannotMoveYet(Exception):
    """A part cannot go now, for the reasons given; none where the time is up."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class _Segment:
    """A part of the log that is old: a month, or what of it was recorded between two times."""

    part: Part
    start: datetime
    end: datetime
    whole: bool
    begun: bool = True
    """Whether the archive has the part that copied events go to."""


class Archiver:
    """Any number of processes may run it; one at a time moves something."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def cutoff(self, age: timedelta) -> datetime:
        """The last day, in UTC, that began so long ago, which is a day at the least: retries and live readers
        still look for what is younger. What was recorded before it is old."""
        with self._db.connection() as conn:
            return day_of(event_store.now(conn) - age)

    def plan(self, cutoff: datetime, *, exact: bool, call: Call | None = None) -> Outcome:
        """What would go, counted; nothing is changed."""
        outcome = Outcome(cutoff)
        with self._db.connection(call) as conn:
            for work in _works(conn, cutoff, exact=exact):
                events = store.count(conn, part=work.part.name, start=work.start, end=work.end)
                size = work.part.bytes if work.whole else 0
                outcome.moved.append(ArchivedRange(work.start, work.end, events, size, work.whole))
                outcome.blocked += _waiting(_behind(conn, work))
        outcome.more = bool(outcome.moved)
        return outcome

    def run(
        self, cutoff: datetime, *, exact: bool, seconds: float | None = None, call: Call | None = None
    ) -> Outcome:
        """Moves one part after the other until none is left, one is held, or the time is up."""
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
        """Moves the oldest part that is old, or some chunks of it; None where nothing is old. ``until`` is by
        the monotonic clock. Raises CannotMoveYet where it cannot go now."""
        with self._alone(call) as conn:
            work = next(_works(conn, cutoff, exact=exact), None)
            if work is None:
                return None
            if waiting := _waiting(_behind(conn, work)):
                raise CannotMoveYet(waiting)
            moved = _move(conn, work, until) if work.whole else _split(conn, work, until)
        log.info("archived", start=f"{moved.start:%F}", end=f"{moved.end:%F}", events=moved.events)
        return moved

    def delete(self, before: datetime) -> ArchivedRange | None:
        """Deletes the oldest part of the archive, where all of it was recorded before a time; None where none
        was. Raises CannotMoveYet where others read it all the while."""
        with self._alone(None) as conn:
            part = next((part for part in store.archived_parts(conn) if part.upper <= before), None)
            if part is None:
                return None
            gone = ArchivedRange(part.lower, part.upper, _about(conn, part), part.bytes, whole=True)
            _retried(lambda: store.delete(conn, part=part), part, None)
        log.info("archive deleted", start=f"{gone.start:%F}", end=f"{gone.end:%F}", events=gone.events)
        return gone

    @contextmanager
    def _alone(self, call: Call | None) -> Iterator[Connection]:
        with self._db.connection(call) as conn, store.alone(conn) as alone:
            if not alone:
                raise CannotMoveYet(["another process is archiving: it does the same work"])
            yield conn


def day_of(moment: datetime) -> datetime:
    """The start of a time's day, in UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _works(conn: Connection, cutoff: datetime, *, exact: bool) -> Iterator[_Segment]:
    """What there is to move, oldest first. A month that was split goes on from where the archive's part of it
    ends, once nothing before that is left."""
    archived = store.archived_parts(conn)
    for part in store.live_parts(conn):
        begun = max((a.upper for a in archived if part.lower < a.upper <= part.upper), default=part.lower)
        if part.upper <= cutoff:
            if begun > part.lower and store.has_before(conn, part=part.name, time=begun):
                yield _Segment(part, part.lower, begun, whole=False)
            yield _Segment(part, begun, part.upper, whole=True)
        elif exact and store.has_before(conn, part=part.name, time=cutoff):
            if begun > part.lower and store.has_before(conn, part=part.name, time=min(begun, cutoff)):
                yield _Segment(part, part.lower, min(begun, cutoff), whole=False)
            if begun < cutoff:
                yield _Segment(part, begun, cutoff, whole=False, begun=False)


def _move(conn: Connection, work: _Segment, until: float | None) -> ArchivedRange:
    """Moves a month as the partition that it is."""
    part = work.part
    events = _about(conn, part)

    def attempt() -> bool:
        left = None if until is None else until - time.monotonic()
        return store.check_bounds(conn, part=part, lower=work.start, seconds=left) and store.move(
            conn, part=part, lower=work.start
        )

    _retried(attempt, part, until)
    return ArchivedRange(work.start, work.end, events, part.bytes, whole=True)


def _split(conn: Connection, work: _Segment, until: float | None) -> ArchivedRange:
    """Moves events of a part of a month, some chunks of them."""
    part = work.part
    if not work.begun:
        _retried(lambda: store.begin_split(conn, lower=work.start, upper=work.end), part, until)
    moved = chunks = 0
    for project in store.projects(conn, part=part.name):
        since, size = work.start, CHUNK
        while size == CHUNK and chunks < CHUNKS_A_STEP and (until is None or time.monotonic() < until):
            began = time.monotonic()
            size, since = store.move_chunk(
                conn, part=part.name, project=project, since=since, before=work.end, size=CHUNK
            )
            moved += size
            chunks += 1
            # Most of the time is for those who wait for their answers.
            time.sleep(min(RESTS * (time.monotonic() - began), LONGEST_PAUSE_SECONDS))
    return ArchivedRange(work.start, work.end, moved, 0, whole=False)


def _retried(attempt: Callable[[], bool], part: Part, until: float | None) -> None:
    """Tries until it succeeds, with longer and longer pauses."""
    for number in range(ATTEMPTS):
        if attempt():
            return
        pause = min(PAUSE_SECONDS * 1.5**number, LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.0)
        if until is not None and time.monotonic() + pause >= until:
            raise CannotMoveYet([])
        time.sleep(pause)
    raise CannotMoveYet([f"{part.name} is in use by statements that run for long: again later"])


def _about(conn: Connection, part: Part) -> int:
    """How many events a partition has, by its statistics; counted where it has none."""
    if part.events >= 0:
        return part.events
    return store.count(conn, part=part.name, start=part.lower, end=part.upper)


def _behind(conn: Connection, work: _Segment) -> list[tuple[str, str]]:
    """Readers that have not read yet what is to go. The month that runs now always has something to come."""
    return store.behind(conn, part=work.part.name, before=None if work.whole else work.end)


def _waiting(readers: Sequence[tuple[str, str]]) -> list[str]:
    return [
        f"{reader} have not read all of project {project} yet: run `orchestration worker`, or a server"
        " with background services"
        for reader, project in readers
    ]
