"""Events as a context shows them: what happened, when, who did it and what changed.

Everything else about an event is either shown elsewhere in the context or of no use to its reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestration.v1 import event_pb2
from orchestration_server.codec.content import plain, to_struct
from orchestration_server.context.compact_json import encoded

VALUE_CHARACTERS = 160
"""A value before or after a change that is longer, as JSON, is shown as CUT."""
CUT = "…"
_LEDGER = "orchestration."


@dataclass(frozen=True)
class About:
    """The subject of a context, whose name and texts its events need not repeat."""

    entity_type: int
    entity_code: str
    sprint_code: str = ""
    texts: frozenset[str] = frozenset()


def brief(event: event_pb2.Event, about: About) -> event_pb2.Event:
    """Return an event without what the context says anyway, and without ids."""
    short = event_pb2.Event(type=event.type, agent=event.agent)
    if event.actor != event.agent:
        short.actor = event.actor
    if (event.entity_type, event.entity_code) != (about.entity_type, about.entity_code):
        short.entity_type, short.entity_code = event.entity_type, event.entity_code
    if event.sprint_code not in (about.sprint_code, short.entity_code):
        short.sprint_code = event.sprint_code
    short.occur_time.seconds = event.occur_time.seconds
    if event.payload.fields:
        payload = _payload(event.type, plain(event.payload), about)
        if payload:
            short.payload.CopyFrom(to_struct(payload))
    return short


def _payload(type_: str, payload: dict[str, Any], about: About) -> dict[str, Any]:
    kept = {name: value for name, value in payload.items() if not _repeats(value, about)}
    if not type_.startswith(_LEDGER):
        return kept
    kept.pop("snapshot", None)
    changes = kept.get("changes")
    if isinstance(changes, dict):
        kept["changes"] = {name: _change(change) for name, change in changes.items()}
    return kept


def _repeats(value: Any, about: About) -> bool:
    return isinstance(value, str) and value in about.texts


def _change(change: Any) -> Any:
    if not isinstance(change, dict):
        return change
    return {side: _short(value) for side, value in change.items() if value not in ("", None, [], {})}


def _short(value: Any) -> Any:
    return CUT if len(encoded(value)) > VALUE_CHARACTERS else value


def without_ids(message: Any) -> None:
    """Clear what only another program can use of an entity: ids, hashes, and times below a second."""
    for name in ("uid", "hash", "correlation_id", "last_activity_time"):
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for name in ("create_time", "update_time", "close_time"):
        if name in message.DESCRIPTOR.fields_by_name and message.HasField(name):
            getattr(message, name).nanos = 0
