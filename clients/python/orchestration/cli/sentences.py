"""Events as plain sentences: who did what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestration.claims import LOGGED
from orchestration.cli.output import one_line
from orchestration.structs import plain
from orchestration.v1.event_pb2 import Event

_PREFIX = "orchestration."
_BY_STATUS = {
    "in_progress": "{who} started {code}",
    "completed": "{who} completed {code}",
    "cancelled": "{who} cancelled {code}",
    "blocked": "{who} blocked {code}",
    "pending": "{who} set {code} back to pending",
    "active": "{who} made {code} active",
    "planning": "{who} set {code} back to planning",
}
_BY_OUTCOME = {
    "completed": "{who} completed {code}",
    "failed": "{who} failed at {code}",
    "returned": "{who} gave {code} back",
    "blocked": "{who} blocked {code}",
}
_STATUS = ("task.status_updated", "task.blocked", "task.unblocked")
_ATTEMPT = ("task.claimed", "task.released", "task.lease_expired")
_LONGEST = 300
_Payload = Mapping[str, Any]


def sentence(event: Event, code: str = "") -> str:
    """Return what an event says, on one line. A type that is not known is named.

    ``code`` is that of the entity, if the event does not repeat it.
    """
    code = event.entity_code or code
    payload = plain(event.payload)
    who = (event.agent or event.actor or "someone").removeprefix(_PREFIX)
    kind = event.type.removeprefix(_PREFIX)
    tell = _BY_TYPE.get(kind) if kind != event.type else None
    if event.type == LOGGED:
        text = _activity(who, code, payload)
    elif tell is None:
        about = f" about {code}" if code else ""
        message = payload.get("message")
        text = f"{who}: {event.type}{about}" + (f": {message}" if isinstance(message, str) else "")
    else:
        text = tell(who, code, payload)
    return one_line(text, _LONGEST)


def repeats(event: Event, following: Event | None) -> bool:
    """Return True if an event is a change of status, and the next is the claim or the end that made it."""
    return (
        following is not None
        and event.type.removeprefix(_PREFIX) in _STATUS
        and following.type.removeprefix(_PREFIX) in _ATTEMPT
        and (event.entity_code, event.entity_revision) == (following.entity_code, following.entity_revision)
    )


def _changes(payload: _Payload) -> dict[str, tuple[Any, Any]]:
    found = payload.get("changes")
    if not isinstance(found, dict):
        return {}
    return {
        name: (change.get("from"), change.get("to"))
        for name, change in found.items()
        if isinstance(change, dict)
    }


def _reason(payload: _Payload, name: str = "reason") -> str:
    return f": {payload[name]}" if payload.get(name) else ""


def _created(who: str, code: str, payload: _Payload) -> str:
    found = payload.get("snapshot")
    content = found if isinstance(found, dict) else {}
    facts = [str(content[name]) for name in ("priority", "sprint_code") if content.get(name)]
    title = f" “{content['title']}”" if content.get("title") else ""
    return f"{who} created {code}{title}" + (f" ({', '.join(facts)})" if facts else "")


def _status(who: str, code: str, payload: _Payload) -> str:
    before, after = _changes(payload).get("status", ("", ""))
    text = _BY_STATUS.get(str(after), "{who} set {code} to {after}")
    if (before, after) == ("blocked", "pending"):
        text = "{who} unblocked {code}"
    return text.format(who=who, code=code, after=after) + _reason(payload)


def _priority(who: str, code: str, payload: _Payload) -> str:
    before, after = _changes(payload).get("priority", ("?", "?"))
    return f"{who} changed the priority of {code} from {before} to {after}"


def _assigned(who: str, code: str, payload: _Payload) -> str:
    after = _changes(payload).get("assignee", ("", ""))[1]
    return f"{who} assigned {code} to {after}" if after else f"{who} assigned {code} to nobody"


def _updated(who: str, code: str, payload: _Payload) -> str:
    names = [name.replace("_", " ") for name in _changes(payload)]
    return f"{who} changed {', '.join(names) or 'nothing'} of {code}"


def _link(word: str) -> Callable[[str, str, _Payload], str]:
    def tell(who: str, code: str, payload: _Payload) -> str:
        other = payload.get("depends_on", "another task")
        kind = payload.get("kind", "blocks")
        if kind == "blocks":
            return f"{code} waits for {other}{' no more' if word == 'removed' else ''} ({who})"
        return f"{who} {word} the link {kind} from {code} to {other}"

    return tell


def _claimed(who: str, code: str, payload: _Payload) -> str:
    attempt = payload.get("attempt")
    tries = f", attempt {attempt}" if isinstance(attempt, int) and attempt > 1 else ""
    return f"{payload.get('agent') or who} claimed {code}{tries}"


def _released(who: str, code: str, payload: _Payload) -> str:
    outcome = str(payload.get("outcome", ""))
    text = _BY_OUTCOME.get(outcome, "{who} released {code} ({outcome})")
    told = text.format(who=payload.get("agent") or who, code=code, outcome=outcome.replace("_", " "))
    return told + _reason(payload, "attempt_reason")


def _expired(who: str, code: str, payload: _Payload) -> str:
    return f"{payload.get('agent') or who} lost the lease of {code}: no heartbeat came in time"


def _activity(who: str, code: str, payload: _Payload) -> str:
    about = f" on {code}" if code else ""
    kind = payload.get("kind") or "activity"
    return f"{who}{about} ({kind}): {payload.get('message', '')}"


def _message(text: str) -> Callable[[str, str, _Payload], str]:
    """Return a sentence that ends with the message of the payload."""

    def tell(who: str, code: str, payload: _Payload) -> str:
        said = payload.get("message") or payload.get("error") or ""
        return text.format(who=who, code=code) + (f": {said}" if said else "")

    return tell


def _simple(text: str) -> Callable[[str, str, _Payload], str]:
    return lambda who, code, payload: text.format(who=who, code=code) + _reason(payload)


_BY_TYPE: Mapping[str, Callable[[str, str, _Payload], str]] = {
    **{f"{entity}.created": _created for entity in ("sprint", "task")},
    **{
        f"{entity}.generated": _simple("{who} created {code} from a template")
        for entity in ("sprint", "task")
    },
    **{f"{entity}.updated": _updated for entity in ("sprint", "task")},
    **{f"{entity}.deleted": _simple("{who} deleted {code}") for entity in ("sprint", "task")},
    "sprint.status_changed": _status,
    "sprint.metadata_updated": _simple("{who} changed the metadata of {code}"),
    "task.status_updated": _status,
    "task.blocked": _status,
    "task.unblocked": _status,
    "task.priority_changed": _priority,
    "task.assigned": _assigned,
    "task.dependency_added": _link("added"),
    "task.dependency_removed": _link("removed"),
    "task.claimed": _claimed,
    "task.released": _released,
    "task.lease_expired": _expired,
    "task.overdue": _simple("{code} is overdue"),
    "session.started": _simple("{who} started the session {code}"),
    "session.resumed": _simple("{who} resumed the session {code}"),
    "session.paused": _simple("{who} paused the session {code}"),
    "session.closed": _simple("{who} closed the session {code}"),
    "activity.logged": _activity,
    "context.assembled": _simple("{who} read the context of {code}"),
    "file.synced": _simple("the files of {code} were written"),
    "file.skipped": _simple("the files of {code} were not written"),
    "file.sync_failed": _message("the files of {code} cannot be written yet"),
    "file.conflict_found": _simple("a file of {code} was edited by hand and is kept"),
    "alert.raised": _message("alert"),
    "alert.cleared": _message("alert is over"),
    "announcement.made": _message("{who} announced"),
    "notice.raised": _message("{who} noticed"),
    "adr.created": _created,
    "bug_report.created": _created,
    "bug_report.seen_again": _simple("{who} saw the bug {code} again"),
    "schedule.created": _simple("{who} created the schedule {code}"),
    "schedule.updated": _simple("{who} changed the schedule {code}"),
    "schedule.deleted": _simple("{who} deleted the schedule {code}"),
    "schedule.fired": _simple("the schedule {code} fired"),
    "schedule.skipped": _simple("the schedule {code} was skipped"),
    "schedule.failed": _message("the schedule {code} failed"),
    "work.paused": _simple("{who} paused work"),
    "work.resumed": _simple("{who} resumed work"),
    "work.limit_changed": _simple("{who} changed a limit of work"),
}
