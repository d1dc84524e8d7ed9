"""The check that no occur_time of a request is far ahead of the database's clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.errors import InvalidArgument

MAX_AHEAD_SECONDS = 300


def check_occur_times(request: Message, now: datetime) -> None:
    """Raise InvalidArgument if an occur_time of a request is more than 5 minutes after ``now``."""
    limit = to_timestamp(now + timedelta(seconds=MAX_AHEAD_SECONDS))
    latest = (limit.seconds, limit.nanos)
    wrong = {
        path: f"must not be more than {MAX_AHEAD_SECONDS} seconds ahead"
        for path, time in _times(request)
        if (time.seconds, time.nanos) > latest
    }
    if wrong:
        raise InvalidArgument(wrong)


def _times(request: Message) -> Iterator[tuple[str, Timestamp]]:
    """Yield the path and value of each occur_time of a request and of the messages in it."""
    for field, value in request.ListFields():
        if field.name == "occur_time":
            yield "occur_time", value
        elif field.message_type is None or "occur_time" not in field.message_type.fields_by_name:
            continue
        elif field.is_repeated:
            for index, item in enumerate(value):
                if item.HasField("occur_time"):
                    yield f"{field.name}[{index}].occur_time", item.occur_time
        elif value.HasField("occur_time"):
            yield f"{field.name}.occur_time", value.occur_time
