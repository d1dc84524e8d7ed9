"""The times of cron lines, against a model that looks at every minute of the wall clock."""

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from orchestration_server.recurrence import MAX_COUNTED, Recurrence, zone_names

MINUTE = timedelta(minutes=1)
DAYS = timedelta(days=3)
BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
# Besides the usual ones, changes by half an hour, by two hours, at midnight, out of season, and never.
ZONES = (
    BERLIN, NEW_YORK, LORD_HOWE, "Antarctica/Troll", "Asia/Beirut", "Africa/Cairo", "America/Havana",
    "America/Scoresbysund", "America/St_Johns", "Pacific/Chatham", "Africa/Casablanca", "Asia/Kolkata", "UTC",
)  # fmt: skip

Field = tuple[str, frozenset[int]]
MINUTES: tuple[Field, ...] = (
    ("*", frozenset(range(60))),
    ("*/15", frozenset(range(0, 60, 15))),
    ("*/7", frozenset(range(0, 60, 7))),
    ("0", frozenset({0})),
    ("30", frozenset({30})),
    ("0,30", frozenset({0, 30})),
    ("5-10", frozenset(range(5, 11))),
    ("59", frozenset({59})),
)
HOURS: tuple[Field, ...] = (
    ("*", frozenset(range(24))),
    ("*/2", frozenset(range(0, 24, 2))),
    ("*/3", frozenset(range(0, 24, 3))),
    ("0-3", frozenset(range(4))),
    ("2,3", frozenset({2, 3})),
    *((str(hour), frozenset({hour})) for hour in (0, 1, 2, 3, 23)),
)
# Python counts days of the week from Monday; here 6 is Sunday.
DAYS_OF_WEEK: tuple[Field, ...] = (
    ("*", frozenset(range(7))),
    ("SUN", frozenset({6})),
    ("0,6", frozenset({5, 6})),
    ("7", frozenset({6})),
    ("MON-FRI", frozenset(range(5))),
)


class Line:
    """A cron line with the sets that its fields mean."""

    def __init__(self, minutes: Field, hours: Field, days: Field) -> None:
        self.text = f"{minutes[0]} {hours[0]} * * {days[0]}"
        self._minutes, self._hours, self._days = minutes[1], hours[1], days[1]
        self.by_wall = minutes[0].startswith("*") or hours[0].startswith("*")

    def __repr__(self) -> str:
        return self.text

    def has(self, wall: datetime) -> bool:
        return wall.minute in self._minutes and wall.hour in self._hours and wall.weekday() in self._days


def model(line: Line, zone: str, start: datetime) -> Iterator[datetime]:
    """Yield the times after ``start``, by a look at every minute and at every minute that is left out."""
    now, before = start, start.astimezone(zoneinfo.ZoneInfo(zone)).replace(tzinfo=None)
    while now < start + DAYS:
        now += MINUTE
        local = now.astimezone(zoneinfo.ZoneInfo(zone))
        wall = local.replace(tzinfo=None)
        if line.by_wall:
            fires = line.has(wall)
        else:
            fires = line.has(wall) and not local.fold
            left_out = before + MINUTE
            while left_out < wall:
                fires |= line.has(left_out)
                left_out += MINUTE
        if fires:
            yield now
        before = wall


@cache
def shifts(zone: str, year: int) -> list[datetime]:
    """Return the hours of a year in which the zone's offset changes."""
    hours = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=number) for number in range(365 * 24)]
    offsets = [hour.astimezone(zoneinfo.ZoneInfo(zone)).utcoffset() for hour in hours]
    return [hour for hour, one, other in zip(hours, offsets, offsets[1:], strict=False) if one != other]


@st.composite
def starts(draw: st.DrawFn, zone: str) -> datetime:
    """Return a minute shortly before a change of the clock, or a little after it."""
    year = draw(st.integers(2026, 2035))
    near = draw(st.sampled_from(shifts(zone, year) or [datetime(year, 5, 5, tzinfo=UTC)]))
    return near - timedelta(minutes=draw(st.integers(-120, 2_000)))


CASES = st.sampled_from(ZONES).flatmap(lambda zone: st.tuples(st.just(zone), starts(zone)))
LINES = st.builds(Line, st.sampled_from(MINUTES), st.sampled_from(HOURS), st.sampled_from(DAYS_OF_WEEK))


def until(times: Iterator[datetime], end: datetime) -> list[datetime]:
    return list(takewhile(lambda time: time <= end, times))


def own(line: str, zone: str, start: datetime) -> Iterator[datetime]:
    """Yield the times as schedules get them: each is asked for from the one before."""
    recurrence = Recurrence(line, zone)
    following = recurrence.after(start)
    while following is not None:
        yield following
        following = recurrence.after(following)


@given(line=LINES, case=CASES)
def test_the_times_are_those_of_the_wall_clock(line: Line, case: tuple[str, datetime]) -> None:
    zone, start = case
    end = start + DAYS
    want = list(model(line, zone, start))
    # Each time of a line with many is asked for in the next test.
    got = until(Recurrence(line.text, zone)._times(start), end)
    assert got == want
    if want:
        count = min(len(want), MAX_COUNTED)
        assert Recurrence(line.text, zone).last_due(want[0], end) == (want[-1], count)


@given(line=LINES.filter(lambda line: not line.by_wall), case=CASES)
def test_each_time_follows_from_the_one_before(line: Line, case: tuple[str, datetime]) -> None:
    zone, start = case
    assert until(own(line.text, zone, start), start + DAYS) == list(model(line, zone, start))


def test_control_the_model_notices_a_wrong_change_of_the_clock() -> None:
    """Alone, cronsim takes every change for a whole hour, and Lord Howe's is half of one."""
    line = Line(MINUTES[1], ("3", frozenset({3})), DAYS_OF_WEEK[0])
    zone = zoneinfo.ZoneInfo(LORD_HOWE)
    wrong = 0
    for start in shifts(LORD_HOWE, 2026):
        begin = start - timedelta(hours=6)
        alone = (time.astimezone(UTC) for time in CronSim(line.text, begin.astimezone(zone)))
        wrong += until(alone, begin + DAYS) != list(model(line, LORD_HOWE, begin))
    assert wrong


# By hand, from the published rules of the zones.
@pytest.mark.parametrize(
    ("cron", "zone", "start", "times"),
    [
        # Berlin, 29 March 2026: 02:00 becomes 03:00, which is 01:00 UTC.
        ("30 2 * * *", BERLIN, "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]),
        ("0,30 2 * * *", BERLIN, "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:00Z"]),
        ("0 3 * * *", BERLIN, "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T01:00Z"]),
        ("30 * * * *", BERLIN, "2026-03-29T00:15Z", ["2026-03-29T00:30Z", "2026-03-29T01:30Z"]),
        ("*/30 2 * * *", BERLIN, "2026-03-28T12:00Z", ["2026-03-30T00:00Z", "2026-03-30T00:30Z"]),
        # 25 October 2026: 03:00 becomes 02:00, which is 01:00 UTC.
        ("30 2 * * *", BERLIN, "2026-10-24T12:00Z", ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]),
        ("30 2 * * *", BERLIN, "2026-10-25T00:45Z", ["2026-10-26T01:30Z"]),
        ("30 * * * *", BERLIN, "2026-10-25T00:15Z", ["2026-10-25T00:30Z", "2026-10-25T01:30Z"]),
        ("*/30 2 * * SUN", BERLIN, "2026-10-24T12:00Z", [
            "2026-10-25T00:00Z", "2026-10-25T00:30Z", "2026-10-25T01:00Z", "2026-10-25T01:30Z",
            "2026-11-01T01:00Z",
        ]),
        # New York: on 8 March 2026 02:00 becomes 03:00 at 07:00 UTC, on 1 November 01:00 at 06:00.
        ("15 2 * * *", NEW_YORK, "2026-03-07T12:00Z", ["2026-03-08T07:00Z", "2026-03-09T06:15Z"]),
        ("30 1 * * *", NEW_YORK, "2026-10-31T12:00Z", ["2026-11-01T05:30Z", "2026-11-02T06:30Z"]),
        # Lord Howe: on 5 April 2026 02:00 becomes 01:30 at 15:00 UTC, on 4 October 02:30 at 15:30.
        ("45 1 * * *", LORD_HOWE, "2026-04-04T12:00Z", ["2026-04-04T14:45Z", "2026-04-05T15:15Z"]),
        ("45 * * * *", LORD_HOWE, "2026-04-04T14:30Z", [
            "2026-04-04T14:45Z", "2026-04-04T15:15Z", "2026-04-04T16:15Z",
        ]),
        ("15 2 * * *", LORD_HOWE, "2026-10-03T12:00Z", ["2026-10-03T15:30Z", "2026-10-04T15:15Z"]),
        ("0 3 * * *", LORD_HOWE, "2026-10-03T12:00Z", ["2026-10-03T16:00Z", "2026-10-04T16:00Z"]),
        # Days of the month: the last one, and both fields, of which one has to match.
        ("0 0 L * *", "UTC", "2028-02-01T00:00Z", ["2028-02-29T00:00Z", "2028-03-31T00:00Z"]),
        ("0 0 13 * FRI", "UTC", "2026-02-10T00:00Z", ["2026-02-13T00:00Z", "2026-02-20T00:00Z"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00Z", ["2028-02-29T00:00Z", "2032-02-29T00:00Z"]),
        ("0 0 * 2 MON#5", "UTC", "2026-01-01T00:00Z", ["2044-02-29T00:00Z", "2072-02-29T00:00Z"]),
    ],
)  # fmt: skip
def test_the_times_around_changes_of_the_clock(cron: str, zone: str, start: str, times: list[str]) -> None:
    found = own(cron, zone, datetime.fromisoformat(start))
    assert [next(found) for _ in times] == [datetime.fromisoformat(time) for time in times]


def test_the_last_of_many_missed_times_is_found() -> None:
    line = Recurrence("* * * * *", BERLIN)
    first, now = datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, 59, tzinfo=UTC)
    assert line.last_due(first, now) == (now.replace(second=0), MAX_COUNTED)
    weekly = Recurrence("0 0 * * THU", "UTC")
    first = datetime(2004, 1, 1, tzinfo=UTC)
    assert weekly.last_due(first, now) == (datetime(2026, 10, 22, tzinfo=UTC), MAX_COUNTED)
    assert weekly.last_due(datetime(2026, 10, 22, tzinfo=UTC), now)[1] == 1


def test_the_zones_are_there() -> None:
    assert set(ZONES) <= zone_names()
    assert not {"localtime", "posixrules", "Factory"} & zone_names()
