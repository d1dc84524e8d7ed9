"""Conversion of times and durations."""

from __future__ import annotations

import time
from asyncio import sleep as async_sleep
from datetime import UTC, date, datetime, timedelta
from time import sleep

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

__all__ = ["async_sleep", "duration", "iso_date", "moment", "monotonic", "period", "sleep", "timestamp"]

monotonic = time.monotonic
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(name: str, value: datetime) -> Timestamp:
    """Return the Timestamp of an aware time. Raises ValueError, with the name, for a naive one."""
    if value.tzinfo is None:
        raise ValueError(f"{name} needs a time zone, such as datetime.now(UTC)")
    found = Timestamp()
    found.FromDatetime(value)
    return found


def moment(value: Timestamp) -> datetime:
    """Return the time of a Timestamp, in UTC."""
    # A record has several times, and ToDatetime takes twice as long.
    return _EPOCH + timedelta(0, value.seconds, value.nanos // 1_000)


def seconds_of(value: float | timedelta) -> float:
    """Return a duration in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def duration(value: float | timedelta) -> Duration:
    """Return the Duration of a number of seconds or of a timedelta."""
    found = Duration()
    found.FromTimedelta(value if isinstance(value, timedelta) else timedelta(seconds=value))
    return found


def period(value: Duration) -> timedelta:
    """Return the timedelta of a Duration."""
    return value.ToTimedelta()


def iso_date(value: date | str) -> str:
    """Return a date as YYYY-MM-DD. The server checks a str."""
    return value if isinstance(value, str) else value.strftime("%Y-%m-%d")
