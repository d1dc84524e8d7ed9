"""Events as a context shows them: type, time, agent, entity and changes.

The other fields of an event are shown elsewhere in the context, or its reader has no use for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestration.v1 import event_pb2
from orchestration_server.codec.content import plain, to_struct
from orchestration_server.context.compact_json import encoded

VALUE_CHARACTERS = 160
"""A longer value of a change, as JSON, is shown as CUT."""
CUT = "…"
_LEDGER = "orchestration."
_REASONS = ("attempt_reason", "reason")


@dataclass(frozen=True)
class ContextSubject:
    """The task or sprint that a context is subject. Events need not repeat its name and texts."""

    entity_type: int
    entity_code: str
    sprint_code: str = ""
    texts: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    """The reasons of the attempts that the context shows."""


def shortened(event: event_pb2.Event, subject: ContextSubject) -> event_pb2.Event:
    """Return an event without ids and without what the context shows elsewhere."""
    short = event_pb2.Event(type=event.type, agent=event.agent)
    if event.actor != event.agent:
        short.actor = event.actor
    if (event.entity_type, event.entity_code) != (subject.entity_type, subject.entity_code):
        short.entity_type, short.entity_code = event.entity_type, event.entity_code
    if event.sprint_code not in (subject.sprint_code, short.entity_code):
        short.sprint_code = event.sprint_code
    short.occur_time.seconds = event.occur_time.seconds
    if event.payload.fields:
        payload = _payload(event.type, plain(event.payload), subject)
        if payload:
            short.payload.CopyFrom(to_struct(payload))
    return short


def _payload(type_: str, payload: dict[str, Any], subject: ContextSubject) -> dict[str, Any]:
    kept = {name: value for name, value in payload.items() if not _repeats(value, subject)}
    if not type_.startswith(_LEDGER):
        return kept
    kept.pop("snapshot", None)
    for name in _REASONS:
        if isinstance(kept.get(name), str) and kept[name] in subject.reasons:
            del kept[name]
    rule = kept.get("automation")
    if isinstance(rule, dict):
        # Its cause is the id of an event.
        kept["automation"] = {name: value for name, value in rule.items() if name != "cause"}
    changes = kept.get("changes")
    if isinstance(changes, dict):
        kept["changes"] = {name: _change(change) for name, change in changes.items()}
    return kept


def _repeats(value: Any, subject: ContextSubject) -> bool:
    return isinstance(value, str) and value in subject.texts


def _change(change: Any) -> Any:
    if not isinstance(change, dict):
        return change
    return {side: _short(value) for side, value in change.items() if value not in ("", None, [], {})}


def _short(value: Any) -> Any:
    return CUT if len(encoded(value)) > VALUE_CHARACTERS else value


def without_ids(message: Any) -> None:
    """Clear the fields of an entity that only a program can use: ids, hashes, and fractions of seconds."""
    for name in ("uid", "hash", "correlation_id", "last_activity_time"):
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for name in ("create_time", "update_time", "close_time", "not_before", "due_time"):
        if name in message.DESCRIPTOR.fields_by_name and message.HasField(name):
            getattr(message, name).nanos = 0
