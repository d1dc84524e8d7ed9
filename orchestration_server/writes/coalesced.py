"""Coalesced events: one event that logs several changes of an entity's status.

The event has the first old status and the last new one, and lists each change under ``steps``: its revision,
its statuses, its caller and its time. So history shows all of them. If the status is back at its first value,
``changes`` is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from orchestration.v1 import event_pb2
from orchestration_server.codec.content import plain, to_struct
from orchestration_server.codec.timestamps import to_datetime, to_timestamp
from orchestration_server.rules.emission import DEBOUNCED

_STEPS = "steps"
_WHO = ("agent", "session_key", "correlation_id")


def coalesce(events: Sequence[event_pb2.Event]) -> event_pb2.Event:
    """Return one event for the events of an entity, which are one a revision, oldest first.

    The log adds its id, its times and its caller, which are those of the last event.
    """
    last = events[-1]
    payloads = [plain(event.payload) for event in events]
    before = payloads[0]["changes"]["status"]["from"]
    after = payloads[-1]["changes"]["status"]["to"]
    payload = {name: value for name, value in payloads[-1].items() if name != "snapshot"}
    payload["changes"] = {} if before == after else {"status": {"from": before, "to": after}}
    payload["step_count"] = len(events)
    payload[_STEPS] = [_step(event, payload) for event, payload in zip(events, payloads, strict=True)]
    return event_pb2.Event(
        type=last.type,
        entity_type=last.entity_type,
        entity_code=last.entity_code,
        entity_uid=last.entity_uid,
        entity_revision=last.entity_revision,
        sprint_code=last.sprint_code,
        priority=last.priority,
        payload=to_struct(payload),
    )


def _step(event: event_pb2.Event, payload: dict[str, Any]) -> dict[str, Any]:
    who = {name: getattr(event, name) for name in _WHO if getattr(event, name)}
    rest = {name: value for name, value in payload.items() if name != "changes"}
    return {
        "revision": event.entity_revision,
        **payload["changes"]["status"],
        "time": to_datetime(event.emit_time).isoformat(),
        **who,
        **rest,
    }


def has_steps(event: event_pb2.Event) -> bool:
    """Return whether an event lists steps."""
    return event.type in DEBOUNCED and _STEPS in event.payload.fields


def expand(event: event_pb2.Event) -> list[event_pb2.Event]:
    """Return one event for each step of an event, oldest first, all with its id. Without steps, return it."""
    if not has_steps(event):
        return [event]
    steps: list[dict[str, Any]] = plain(event.payload)[_STEPS]
    return [_event(event, step) for step in steps]


def _event(whole: event_pb2.Event, step: dict[str, Any]) -> event_pb2.Event:
    left = dict(step)
    time = to_timestamp(datetime.fromisoformat(left.pop("time")))
    event = event_pb2.Event(
        id=whole.id,
        type=whole.type,
        entity_type=whole.entity_type,
        entity_code=whole.entity_code,
        entity_uid=whole.entity_uid,
        entity_revision=left.pop("revision"),
        sprint_code=whole.sprint_code,
        priority=whole.priority,
        occur_time=time,
        emit_time=time,
        **{name: left.pop(name, "") for name in _WHO},
    )
    change = {"status": {"from": left.pop("from"), "to": left.pop("to")}}
    event.payload.CopyFrom(to_struct({"changes": change, **left}))
    return event
