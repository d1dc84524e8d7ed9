"""Timestamps are aware on both sides."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from orchestration_server.codec.timestamps import to_datetime, to_timestamp

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-9))])
EARLIEST, LATEST = datetime(1, 1, 3), datetime(9999, 12, 29)  # noqa: DTZ001  # hypothesis adds the zones
TIMES = st.datetimes(EARLIEST, LATEST, timezones=ZONES)


@given(TIMES)
def test_a_time_comes_back_as_the_same_moment_in_utc(time: datetime) -> None:
    found = to_datetime(to_timestamp(time))
    assert found == time
    assert found.tzinfo is UTC


@given(TIMES)
def test_protobuf_makes_the_same_timestamp(time: datetime) -> None:
    expected = Timestamp()
    expected.FromDatetime(time)
    assert to_timestamp(time) == expected


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(TypeError, match="naive"):
        to_timestamp(datetime(2026, 1, 1))  # noqa: DTZ001  # naive on purpose


def test_nanoseconds_are_cut() -> None:
    assert to_datetime(Timestamp(seconds=1, nanos=1_999)).microsecond == 1
