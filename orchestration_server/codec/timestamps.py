"""Protobuf timestamps to aware datetimes and back."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)


def to_timestamp(time: datetime) -> Timestamp:
    """Return an aware datetime as a Timestamp. Raises TypeError if it is naive.

    ``Timestamp.FromDatetime`` takes a naive datetime for UTC.
    """
    delta = time - EPOCH_START
    return Timestamp(seconds=delta.days * 86_400 + delta.seconds, nanos=delta.microseconds * 1_000)


def to_datetime(time: Timestamp) -> datetime:
    """Return a Timestamp as an aware datetime, cut to microseconds."""
    return time.ToDatetime(UTC)
