"""The background of a context's target: notes, decisions, sessions, attempts, outcomes of linked tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import common_pb2, context_pb2, event_pb2, lease_pb2, report_pb2, task_pb2
from orchestration_server.codec.names import ADR_STATUS_NAMES
from orchestration_server.model import Position
from orchestration_server.store import context as context_store
from orchestration_server.store import context_background as background

TEXT = 1_000
"""Most characters of a text that is not the target's own."""
NOTES = 10
SESSIONS = 5
ARTIFACTS = 10
"""Most artifacts of an attempt that a context shows."""
_OUTCOMES = ("outcome", "resolution", "close_reason")
_PAUSED = common_pb2.SESSION_STATUS_PAUSED
_COMPLETED = common_pb2.SESSION_STATUS_COMPLETED
# The section of a document with the decision, up to the next heading.
_DECISION = re.compile(r"^#+ *decision[^\n]*\n(.*?)(?=^#|\Z)", re.IGNORECASE | re.MULTILINE | re.DOTALL)


def activities(contents: context_store.Contents) -> tuple[list[tuple[Position, event_pb2.Event]], ...]:
    """Return the activities that are hand-over notes, and those that are decisions, newest first."""
    found: dict[str, list[tuple[Position, event_pb2.Event]]] = {background.NOTE: [], background.DECISION: []}
    for position, body in reversed(contents.notes):
        event = event_pb2.Event.FromString(body)
        kind = event.payload.fields["kind"].string_value if event.HasField("payload") else ""
        if kind in found and len(found[kind]) < NOTES:
            found[kind].append((position, event))
    return found[background.NOTE], found[background.DECISION]


def notes(events: Iterable[event_pb2.Event], *, own_task: str) -> list[context_pb2.ContextNote]:
    """Return hand-over notes. ``own_task`` is the code of the context's task, if it has one."""
    return [
        context_pb2.ContextNote(
            text=_message(event),
            agent=event.agent or event.actor,
            log_time=_seconds(event.occur_time),
            task_code=_task_of(event) if _task_of(event) != own_task else "",
        )
        for event in events
    ]


def decisions(
    records: Iterable[bytes], events: Iterable[event_pb2.Event]
) -> list[context_pb2.ContextDecision]:
    """Return decisions from records and from activities, newest first."""
    found = [_record(report_pb2.Adr.FromString(body)) for body in records]
    found += [
        context_pb2.ContextDecision(
            title=_message(event), agent=event.agent or event.actor, log_time=_seconds(event.occur_time)
        )
        for event in events
    ]
    return sorted(found, key=lambda each: (-each.log_time.seconds, each.code, each.title))


def sessions(contents: context_store.Contents, own_key: str) -> list[context_pb2.ContextSession]:
    """Return the earlier sessions on the target that are closed or paused, newest first."""
    found: list[context_pb2.ContextSession] = []
    for key, body in contents.earlier:
        session = common_pb2.Session.FromString(body)
        if key == own_key or session.status not in (_PAUSED, _COMPLETED) or len(found) == SESSIONS:
            continue
        found.append(
            context_pb2.ContextSession(
                key=key,
                agent=session.agent,
                status=session.status,
                outcome=session.outcome,
                summary=(session.summary or session.pause_reason)[:TEXT],
                update_time=_seconds(session.update_time),
            )
        )
    return found


def attempts(contents: context_store.Contents) -> list[context_pb2.ContextAttempt]:
    """Return the attempts at the task that have ended, newest first."""
    found: list[context_pb2.ContextAttempt] = []
    for attempt in map(lease_pb2.Attempt.FromString, contents.attempts):
        shown = context_pb2.ContextAttempt(
            number=attempt.number,
            agent=attempt.agent,
            outcome=attempt.outcome,
            reason=attempt.reason,
            not_retryable=attempt.not_retryable,
            artifacts=attempt.artifacts[:ARTIFACTS],
            end_time=_seconds(attempt.end_time),
            session_key=attempt.session_key,
            fence=attempt.fence,
        )
        if attempt.HasField("usage"):
            shown.usage.CopyFrom(attempt.usage)
        found.append(shown)
    return found


def outcome(task: task_pb2.Task, last_session: bytes | None, completion: bytes | None) -> str:
    """Return the outcome of a task; empty if none is known.

    It is the summary of its last session, or a field of its metadata, or the reason of the attempt that
    completed it.
    """
    if last_session is not None:
        summary = common_pb2.Session.FromString(last_session).summary
        if summary:
            return summary[:TEXT]
    fields = task.metadata.fields
    outcomes = (fields[name].string_value for name in _OUTCOMES if name in fields)
    said = next(filter(None, outcomes), "")
    if not said and completion is not None and task.status == common_pb2.TASK_STATUS_COMPLETED:
        said = lease_pb2.Attempt.FromString(completion).reason
    return said[:TEXT]


def _record(adr: report_pb2.Adr) -> context_pb2.ContextDecision:
    section = _DECISION.search(adr.document)
    return context_pb2.ContextDecision(
        code=adr.code,
        title=adr.title,
        status=ADR_STATUS_NAMES[adr.status],
        text=(section.group(1) if section else adr.document).strip()[:TEXT],
        agent=adr.author,
        log_time=_seconds(adr.create_time),
    )


def _message(event: event_pb2.Event) -> str:
    return event.payload.fields["message"].string_value


def _task_of(event: event_pb2.Event) -> str:
    return event.entity_code if event.entity_type == common_pb2.ENTITY_TYPE_TASK else ""


def _seconds(time: Any) -> Timestamp:
    return Timestamp(seconds=time.seconds)
