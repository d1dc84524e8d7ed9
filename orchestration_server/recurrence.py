"""The times of a cron line in a time zone, as aware UTC datetimes. No clock is read here.

cronsim reads the line; docs/decisions/0018 says why the times are computed here.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from heapq import heappop, heappush

MAX_CRON = 200
"""The most characters of a cron line."""
MAX_COUNTED = 1_000
"""The most missed times that are counted."""
UTC_ZONE = "UTC"
NEVER = "never fires: no month of the line has such a day"
_DAY = timedelta(days=1)
_LONGEST_SHIFT = timedelta(hours=3)
"""Longer than a clock is set back or forward for summer time: two hours at most, in Antarctica/Troll."""
_SEARCHED = 50 * 366 * _DAY
"""How far the next time is searched. The fifth Monday of a February comes after up to 40 years."""
_FIELDS = "minute, hour, day of month, month, day of week"
_RANGES = "minute 0-59, hour 0-23, day of month 1-31 or L, month 1-12 or JAN-DEC, day of week 0-7 or SUN-SAT"
_CHARACTERS = re.compile(r"[0-9A-Za-z*,/#\- \t]*")
# These name no fixed zone: the machine's own, and a placeholder.
_NO_ZONES = frozenset(("localtime", "Factory"))
_LOOK_BACK = (timedelta(hours=1), _DAY, 32 * _DAY, _SEARCHED)


def cron_fault(cron: str) -> str:
    """Return what is wrong with a cron line and what to write instead; empty if nothing is."""
    fields = cron.split()
    if len(fields) != 5:
        return f'must have five fields, {_FIELDS}, such as "30 4 * * MON-FRI"; it has {len(fields)}'
    if not _CHARACTERS.fullmatch(cron):
        return f"may contain letters, digits and * , / - # only: {_RANGES}"
    if not (fault := _parse_fault(fields)):
        return ""
    if not _parse_fault([*fields[:3], "*", fields[4]]) and not _parse_fault([*"***", fields[3], "*"]):
        return NEVER
    return f"has a {fault.removeprefix('bad ')} that is not valid: write {_RANGES}"


def _parse_fault(fields: list[str]) -> str:
    # The import is late so that only processes that read cron lines need the package.
    from cronsim import CronSim, CronSimError

    try:
        CronSim(" ".join(fields), datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        return str(error).lower()
    except (AssertionError, TypeError, ValueError):
        # Some steps of L raise errors that cronsim does not mean to raise.
        return "part"
    return ""


@cache
def zone_names() -> frozenset[str]:
    """Return the names of the time zones."""
    return frozenset(zoneinfo.available_timezones()) - _NO_ZONES


def zone_fault(name: str) -> str:
    """Return what is wrong with a time zone's name, and a name that looks like it; empty if nothing is."""
    if not name or name == UTC_ZONE or name in zone_names():
        return ""
    by_form = {known.casefold(): known for known in zone_names()}
    near = difflib.get_close_matches(name[:64].casefold(), by_form, n=1)
    hint = f"; did you mean {by_form[near[0]]}?" if near else ""
    return f"must be the name of an IANA time zone, such as Europe/Berlin or UTC{hint}"


class Recurrence:
    """The times at which a valid cron line fires in a time zone.

    A line whose minute or hour begins with ``*`` fires by the clock on the wall: not in an hour that is left
    out, and twice in an hour that comes twice. Another line fires once for each of its times: at the end of
    an hour that is left out, and in the first pass of one that comes twice. So does Debian's cron.
    """

    def __init__(self, cron: str, zone: str) -> None:
        from cronsim import CronSim

        fields = CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC))
        self._months, self._match_day = fields.months, fields.match_day
        self._clock_times = [
            time(hour, minute) for hour in sorted(fields.hours) for minute in sorted(fields.minutes)
        ]
        self._by_wall = any(field.startswith("*") for field in cron.split()[:2])
        self._zone = zoneinfo.ZoneInfo(zone or UTC_ZONE)

    def after(self, start: datetime) -> datetime | None:
        """Return the first time after ``start``, or None if there is none in the next 50 years."""
        return next(self._times(start), None)

    def last_due(self, first: datetime, now: datetime) -> tuple[datetime, int]:
        """Return the last time up to ``now``, and how many there are from ``first``, which is one, to it.

        The number is at most MAX_COUNTED.
        """
        last, count = first, 1
        for found in self._times(first):
            if found > now:
                break
            if count == MAX_COUNTED:
                return self._last_until(now), count
            last, count = found, count + 1
        return last, count

    def local(self, moment: datetime) -> datetime:
        """Return a moment in the zone."""
        return moment.astimezone(self._zone)

    def _last_until(self, now: datetime) -> datetime:
        """Return the last time up to ``now``, of which there is one."""
        for back in _LOOK_BACK:
            last = None
            for found in self._times(now - back):
                if found > now:
                    break
                last = found
            if last is not None:
                return last
        raise AssertionError("there is a time before now")

    def _times(self, start: datetime) -> Iterator[datetime]:
        earliest = start.astimezone(self._zone).replace(tzinfo=None) - _LONGEST_SHIFT
        pending: list[datetime] = []
        for wall, fires in self._walls(earliest):
            if pending:
                # Later walls give no earlier moment than this.
                bound = wall.replace(tzinfo=self._zone).astimezone(UTC) - _LONGEST_SHIFT
                while pending and pending[0] <= bound:
                    if (moment := heappop(pending)) > start:
                        yield moment
                        start = moment
            if fires:
                for moment in self._moments(wall):
                    heappush(pending, moment)
        yield from sorted({moment for moment in pending if moment > start})

    def _walls(self, earliest: datetime) -> Iterator[tuple[datetime, bool]]:
        """Yield the beginning of each day with False, and the clock's times of the line with True."""
        for number in range(earliest.toordinal(), earliest.toordinal() + _SEARCHED.days):
            day = date.fromordinal(number)
            yield datetime.combine(day, time()), False
            if day.month in self._months and self._match_day(day):
                for clock_time in self._clock_times:
                    wall = datetime.combine(day, clock_time)
                    if wall >= earliest:
                        yield wall, True

    def _moments(self, wall: datetime) -> set[datetime]:
        """Return the moments at which the line fires for a time on the wall."""
        local = wall.replace(tzinfo=self._zone)
        moment = local.astimezone(UTC)
        exists = moment.astimezone(self._zone).replace(tzinfo=None) == wall
        if self._by_wall:
            return {moment, local.replace(fold=1).astimezone(UTC)} if exists else set()
        return {moment if exists else self._end_of_gap(local)}

    def _end_of_gap(self, local: datetime) -> datetime:
        """Return the moment at which the clock is set forward over a local time."""
        # In a gap, fold 0 has the offset before it and so gives a moment after it; fold 1 is the reverse.
        after, before = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
        offset = before.astimezone(self._zone).utcoffset()
        while after - before > timedelta(seconds=1):
            middle = before + (after - before) // 2
            if middle.astimezone(self._zone).utcoffset() == offset:
                before = middle
            else:
                after = middle
        return after.replace(microsecond=0)


@lru_cache(maxsize=1_000)
def recurrence(cron: str, zone: str) -> Recurrence:
    """Return the times of a valid cron line in a valid time zone; an empty one is UTC."""
    return Recurrence(cron, zone)
