"""Events as rows of the log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from uuid_utils import uuid7

from orchestration.v1 import event_pb2
from orchestration_server.codec import causers
from orchestration_server.codec.content import to_struct
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.model import KEPT_PRIORITIES, PRIORITY_DEFAULT, Call, EntityType, EventRow


def change_event(
    call: Call,
    type_: str,
    now: datetime,
    *,
    entity: EntityType,
    code: str,
    uid: str,
    revision: int,
    payload: dict[str, Any],
    sprint_code: str = "",
    priority: int = PRIORITY_DEFAULT,
    occur_time: datetime | None = None,
) -> EventRow:
    """Return an event that the server itself logs. ``type_`` is its type without ``orchestration.``."""
    if call.automation is not None:
        payload = payload | {"automation": dict(call.automation)}
    event = event_pb2.Event(
        type=f"orchestration.{type_}",
        entity_type=int(entity),  # type: ignore[arg-type]  # the numbers are the same
        entity_code=code,
        entity_uid=uid,
        entity_revision=revision,
        sprint_code=sprint_code,
        priority=priority,  # type: ignore[arg-type]  # the numbers are the same
        payload=to_struct(payload),
    )
    return event_row(event, call, now=now, occur_time=occur_time, tail=event_tail(call, now))


def event_tail(call: Call, now: datetime) -> bytes:
    """Return the fields that all events of one call share, serialized once."""
    return event_pb2.Event(
        correlation_id=call.correlation_id,
        session_key=call.session_key,
        agent=call.agent,
        emit_time=to_timestamp(now),
    ).SerializeToString()


def event_row(
    event: event_pb2.Event, call: Call, *, now: datetime, occur_time: datetime | None, tail: bytes
) -> EventRow:
    """Give an event its id and times, and return its row. ``tail`` comes from ``event_tail``."""
    happened = occur_time or now
    event_id = uuid7()
    event.id = str(event_id)
    event.occur_time.CopyFrom(to_timestamp(happened))
    return EventRow(
        kept=event.priority in KEPT_PRIORITIES,
        project=call.project,
        event_id=event_id,
        type=event.type,
        entity_type=event.entity_type,
        entity_code=event.entity_code,
        sprint_code=event.sprint_code,
        priority=event.priority,
        correlation_id=call.correlation_id,
        session_key=call.session_key,
        actor=event.actor or call.agent,
        occur_time=happened,
        emit_time=now,
        body=event.SerializeToString() + tail,
        agent=call.agent,
        scopes=causers.recorded(call),
    )
