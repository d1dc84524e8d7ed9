"""Records of histories and reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestration.model.records import Sprint
from orchestration.model.times import moment
from orchestration.model.words import TaskStatus
from orchestration.model.work_records import Attempt
from orchestration.structs import plain
from orchestration.v1 import event_pb2, report_pb2


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an entity, as an event describes it.

    Attributes:
        revision: The entity's revision after the change.
        type: The type of the event, such as "orchestration.task.status_updated".
        changes: The values before and after: {field: {"from": ..., "to": ...}}.
        reason: The reason that was given.
        actor: Who acted, if not the agent.
        agent: The agent that made the call.
        session: The key of the session.
        correlation_id: Links the events of one piece of work.
        occurred: When the change happened.
        attempt: The attempt that a claim began, or that a release or an expiry ended; else None.
        pending: True if the change is committed and its event is not logged yet.
        event_id: The id of the event.
        cursor: The position of the event in the log.
        raw: The message.
    """

    revision: int
    type: str
    changes: Mapping[str, Any] = field(hash=False)
    reason: str
    actor: str
    agent: str
    session: str
    correlation_id: str
    occurred: datetime
    attempt: Attempt | None
    pending: bool
    event_id: str
    cursor: str
    raw: event_pb2.EntityChange = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: event_pb2.EntityChange) -> Change:
        """Return the record of a message."""
        return cls(
            raw.revision,
            raw.type,
            plain(raw.changes),
            raw.reason,
            raw.actor,
            raw.agent,
            raw.session_key,
            raw.correlation_id,
            moment(raw.occur_time),
            Attempt.of(raw.attempt) if raw.HasField("attempt") else None,
            raw.pending,
            raw.event_id,
            raw.cursor,
            raw,
        )


@dataclass(frozen=True, slots=True)
class SprintReport:
    """The status of a sprint. str() is the report as Markdown.

    Attributes:
        sprint: The sprint.
        total: The number of its tasks.
        counts: The number of its tasks by status.
        percent: Completed tasks as a percentage of those not cancelled.
        blocked: The codes of the tasks that cannot continue, up to 100.
        markdown: The report as Markdown, with the first page of its table of tasks.
        raw: The message, which has the rest.
    """

    sprint: Sprint
    total: int
    counts: Mapping[TaskStatus, int] = field(hash=False)
    percent: float
    blocked: tuple[str, ...]
    markdown: str
    raw: report_pb2.GetSprintStatusReportResponse = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.markdown

    @classmethod
    def of(cls, raw: report_pb2.GetSprintStatusReportResponse) -> SprintReport:
        """Return the record of a message."""
        found = raw.task_counts
        counts: dict[TaskStatus, int] = {
            "pending": found.pending,
            "in_progress": found.in_progress,
            "blocked": found.blocked,
            "completed": found.completed,
            "cancelled": found.cancelled,
        }
        blocked = tuple(each.task.code for each in raw.blocked)
        return cls(
            Sprint.of(raw.sprint), found.total, counts, raw.progress_percent, blocked, raw.markdown, raw
        )
