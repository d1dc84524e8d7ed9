"""When things happened, as callers say it: never long after now, which the database's clock tells."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.errors import InvalidArgument

AHEAD_SECONDS = 300


def refuse_ahead(request: Message, now: datetime) -> None:
    """Raise InvalidArgument if something in a request is said to happen more than 5 minutes after now."""
    limit = to_timestamp(now + timedelta(seconds=AHEAD_SECONDS))
    latest = (limit.seconds, limit.nanos)
    wrong = {
        path: f"must not be more than {AHEAD_SECONDS} seconds ahead"
        for path, time in _times(request)
        if (time.seconds, time.nanos) > latest
    }
    if wrong:
        raise InvalidArgument(wrong)


def _times(request: Message) -> Iterator[tuple[str, Timestamp]]:
    """The occur_time of a request, and of the message or the messages that it brings."""
    for field, value in request.ListFields():
        if field.name == "occur_time":
            yield "occur_time", value
        elif field.message_type is None or "occur_time" not in field.message_type.fields_by_name:
            continue
        elif field.is_repeated:
            for place, item in enumerate(value):
                if item.HasField("occur_time"):
                    yield f"{field.name}[{place}].occur_time", item.occur_time
        elif value.HasField("occur_time"):
            yield f"{field.name}.occur_time", value.occur_time
