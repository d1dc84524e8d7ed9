"""Times and durations as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orchestration.cli.exit_codes import USAGE
from orchestration.cli.refusal import Refusal

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhdw])")


def span(text: str) -> timedelta:
    """Return a duration such as 90s, 5m, 2h, 3d or 1w. Raises Refusal."""
    found = _SPAN.fullmatch(text.strip())
    if not found:
        raise Refusal(f"{text!r} is no duration", fix="write it as 90s, 5m, 2h, 3d or 1w", code=USAGE)
    try:
        return timedelta(seconds=float(found[1]) * _UNITS[found[2]])
    except OverflowError:
        raise Refusal(f"{text!r} is too long", code=USAGE) from None


def moment(text: str, *, past: bool = False) -> datetime:
    """Return a time: ISO 8601, in this machine's zone if it names none, or a duration from now.

    A duration counts back from now if ``past``. Raises Refusal.
    """
    try:
        if _SPAN.fullmatch(text.strip()):
            now = datetime.now(UTC)
            return now - span(text) if past else now + span(text)
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refusal(
            f"{text!r} is no time",
            fix="write 2026-12-24, 2026-12-24T18:00Z or a duration such as 2h",
            code=USAGE,
        ) from None


def clock(time: Timestamp) -> str:
    """Return a time in this machine's zone: the time of day if it is today, else with its date."""
    found = time.ToDatetime(UTC).astimezone()
    today = found.date() == datetime.now(UTC).astimezone().date()
    return found.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M")


def since(time: Timestamp, now: datetime | None = None) -> str:
    """Return how long ago a time is, in two or three characters such as 5m."""
    return short(((now or datetime.now(UTC)) - time.ToDatetime(UTC)).total_seconds())


def short(seconds: float) -> str:
    """Return a duration in its largest unit: 90 seconds are 1m."""
    seconds = max(seconds, 0.0)
    for unit in ("w", "d", "h", "m"):
        if seconds >= _UNITS[unit] * (2 if unit == "w" else 1):
            return f"{int(seconds // _UNITS[unit])}{unit}"
    return f"{int(seconds)}s"
