"""What one event says, as a sentence without its time and author."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from orchestration.claims import LOGGED
from orchestration.v1 import common_pb2, event_pb2
from orchestration_server.codec.content import plain
from orchestration_server.context.markdown.escaping import quoted, scalar, word
from orchestration_server.model import ENTITY_NAMES, EntityType

LEDGER = "orchestration."
_TASK = "orchestration.task."
_IDS = ("fence", "session_key", "uid", "hash", "snapshot", "correlation_id", "automation")
_SET = frozenset((
    "updated", "status_updated", "status_changed", "priority_changed", "metadata_updated", "assigned",
    "blocked", "unblocked",
))  # fmt: skip
_LINKED = {"dependency_added": "now depends on", "dependency_removed": "no longer depends on"}
_STATUS = frozenset((f"{_TASK}status_updated", f"{_TASK}blocked", f"{_TASK}unblocked"))
_CLAIMED = f"{_TASK}claimed"
_ENDED = frozenset((f"{_TASK}released", f"{_TASK}lease_expired"))
_PAST = ("expire_time", "retry_time")
"""Times of a lease and of a pause that are over: the reader has the task now."""
_STATUS_OF = {"completed": "completed", "blocked": "blocked"}
"""The status after an attempt, by its outcome; after all others the task is pending."""
_SAID = {
    "announcement.made": "announced", "notice.raised": "noticed", "alert.raised": "raised an alert",
    "alert.cleared": "cleared an alert",
}  # fmt: skip
_CHANGED = "_changed"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


def is_told_by(event: event_pb2.Event, following: event_pb2.Event) -> bool:
    """Return True if an event is only the change of status that comes with the claim or end after it."""
    if event.type not in _STATUS or (event.agent, event.actor) != (following.agent, following.actor):
        return False
    if event.occur_time != following.occur_time or event.entity_code != following.entity_code:
        return False
    payload, said = plain(event.payload), plain(following.payload)
    changes, reason = payload.pop("changes", None), payload.pop("reason", None)
    if payload or reason not in (None, said.get("attempt_reason")):
        return False
    status = changes.get("status") if isinstance(changes, dict) and len(changes) == 1 else None
    if not isinstance(status, dict):
        return False
    after = status.get("to")
    if following.type == _CLAIMED:
        return bool(after == "in_progress")
    outcome = said.get("outcome")
    return following.type in _ENDED and bool(after == _STATUS_OF.get(str(outcome), "pending"))


def text(event: event_pb2.Event, common: str) -> str:
    """Return what an event says. ``common`` is the beginning of the types of most callers' events."""
    payload = plain(event.payload) if event.HasField("payload") else {}
    about = " ".join(_about(event))
    if event.type.startswith(LEDGER):
        return about + _own_text(event, payload)
    if event.type == LOGGED and isinstance(payload.get("message"), str):
        return f"{about}logged {_message(payload)}"
    type_ = event.type.removeprefix(common)
    if type_.endswith(_CHANGED) and payload and payload.keys() <= {"from", "to"}:
        before, after = scalar(payload.get("from")), scalar(payload.get("to"))
        return f"{about}{type_.removesuffix(_CHANGED)} {before} → {after}"
    return about + type_ + _facts(payload, lambda name, value: scalar(value))


def _about(event: event_pb2.Event) -> Iterator[str]:
    """Return the entity of the event if it is another than that of the context."""
    if event.entity_code:
        kind = ENTITY_NAMES.get(EntityType(event.entity_type), "entity")
        yield (
            kind
            if event.entity_type == common_pb2.ENTITY_TYPE_SESSION
            else f"{kind} {word(event.entity_code)}"
        )
    if event.sprint_code:
        yield f"in sprint {event.sprint_code}"
    if event.entity_code or event.sprint_code:
        yield ""


def _own_text(event: event_pb2.Event, payload: dict[str, Any]) -> str:
    """Return what an event of the ledger says."""
    kind = event.type.rpartition(".")[2]
    for name in _IDS:
        payload.pop(name, None)
    if payload.get("agent") == event.agent:
        payload.pop("agent", None)
    changes = payload.pop("changes", None)
    changes = changes if isinstance(changes, dict) else {}
    if event.type == _CLAIMED or event.type in _ENDED:
        return _attempt(event, payload, changes)
    if kind in _LINKED and isinstance(payload.get("depends_on"), str):
        on = payload.pop("depends_on")
        link = payload.pop("kind", None)
        return f"{_LINKED[kind]} {word(on)}" + (f" ({scalar(link)})" if link else "") + _facts(payload)
    if kind == "logged" and isinstance(payload.get("kind"), str):
        return _message(payload)
    said = _SAID.get(event.type.removeprefix(LEDGER))
    if said and isinstance(payload.get("message"), str):
        payload.pop("kind", None)
        return f"{said}: {quoted(payload.pop('message'))}" + _facts(payload)
    changed = ", ".join(_changed(name, changes[name]) for name in sorted(changes))
    if kind in _SET and changed:
        return f"set {changed}" + _facts(payload)
    return ": ".join(filter(None, (kind.replace("_", " "), changed))) + _facts(payload)


def _attempt(event: event_pb2.Event, payload: dict[str, Any], changes: dict[str, Any]) -> str:
    """Return what a claim or the end of an attempt says, without saying that the holder is the assignee."""
    holder = payload.get("agent") or event.agent
    for name in _PAST:
        payload.pop(name, None)
    number = payload.pop("attempt", None)
    attempt = f"attempt {scalar(number)}" if number is not None else "an attempt"
    if event.type == _CLAIMED:
        said = f"claimed ({attempt})" if number is not None else "claimed"
    else:
        by = payload.pop("agent", None)
        of = f" of {word(by)}" if isinstance(by, str) and by else ""
        said = f"ended {attempt}{of}: {scalar(payload.pop('outcome', None))}"
    assignee = changes.get("assignee")
    after = assignee.get("to", "") if isinstance(assignee, dict) else None
    if after == (holder if event.type == _CLAIMED else ""):
        del changes["assignee"]
    changed = ", ".join(_changed(name, changes[name]) for name in sorted(changes))
    return said + (f", set {changed}" if changed else "") + _facts(payload)


def _message(payload: dict[str, Any]) -> str:
    """Return what an agent logged: the kind, its words, and its fields."""
    kind, message = payload.pop("kind", "note"), payload.pop("message", "")
    payload.pop("fence", None)
    fields = payload.get("payload")
    if isinstance(fields, dict) and not fields.keys() & payload.keys():
        del payload["payload"]
        payload |= fields
    return f"{scalar(kind)}: {quoted(message)}" + _facts(payload, lambda _, value: scalar(value))


def _changed(name: str, change: Any) -> str:
    if not isinstance(change, dict) or not change.keys() <= {"from", "to"}:
        return f"{word(name)} {quoted(change)}"
    before = f"{_value(name, change['from'])} " if "from" in change else ""
    return f"{word(name)} {before}→ {_value(name, change.get('to'))}"


def _value(name: str, value: Any) -> str:
    """Return a value of a payload, and the ledger's times as all others: in UTC, to the minute."""
    if name.endswith("_time") and isinstance(value, str) and _TIME.fullmatch(value):
        return value[:16].replace("T", " ")
    return scalar(value)


def _facts(payload: dict[str, Any], write: Callable[[str, Any], str] = _value) -> str:
    if not payload:
        return ""
    return " (" + ", ".join(f"{word(name)}: {write(name, payload[name])}" for name in sorted(payload)) + ")"
