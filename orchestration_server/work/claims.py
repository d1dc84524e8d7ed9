"""Claims: one compare-and-set that gives an agent the lease of a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from orchestration.v1 import coordination_pb2, lease_pb2, task_pb2
from orchestration_server.codec.content import task_content
from orchestration_server.codec.entities import TASK
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.codec.wire import RESULT_FIELD, embed_all
from orchestration_server.db.connection import Connection
from orchestration_server.errors import FailedPrecondition, LedgerError, NotFound, TaskNotReady
from orchestration_server.model import EventRow, TaskStatus, Unready
from orchestration_server.store import claims as claim_store
from orchestration_server.store import tasks as task_store
from orchestration_server.store.claims import Claimer, ClaimFacts, NewLease, Terms
from orchestration_server.store.prepared import EntityRow, Prepared
from orchestration_server.store.tasks import TaskColumns
from orchestration_server.store.writes import AttemptEnd, Change
from orchestration_server.work import attempts, fences
from orchestration_server.work.events import LEASE_EXPIRED, end_facts, lost_priority, work_events
from orchestration_server.writes.task_rows import task_columns, task_event
from orchestration_server.writes.write import Lock, Write

LEASE_SECONDS = 90.0
"""The duration of a lease if the claim gives none."""
_CLAIMED = coordination_pb2.ClaimedTask


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """The duration of a lease without a heartbeat, and the longest time of its attempt."""

    seconds: float = LEASE_SECONDS
    deadline_seconds: float | None = None


@dataclass(kw_only=True)
class ClaimTasks(Write[dict[str, ClaimFacts]]):
    """The claim of tasks: of each, or of those that are ready if ``some``."""

    codes: Sequence[str]
    claimer: Claimer
    terms: LeaseTerms
    some: bool = False

    @property
    def locks(self) -> Sequence[Lock]:
        return [("task", code) for code in self.codes]

    def prepare(self, conn: Connection) -> Prepared[dict[str, ClaimFacts]]:
        return claim_store.prepare(
            conn, project=self.call.project, request=self.request, codes=self.codes, claimer=self.claimer
        )

    def decide(self, conn: Connection, found: Prepared[dict[str, ClaimFacts]]) -> Change:
        expire_time = found.now + timedelta(seconds=self.terms.seconds)
        deadline = None
        if self.terms.deadline_seconds is not None:
            deadline = found.now + timedelta(seconds=self.terms.deadline_seconds)
            expire_time = min(expire_time, deadline)
        terms = Terms(self.terms.seconds, expire_time, deadline)
        codes = [code for code in self.codes if _is_ready(code, found)] if self.some else ()
        made = [_Claim(self, code, found, terms) for code in codes or self.codes]
        lapsed = [claim.lapsed for claim in made if claim.lapsed is not None]
        return Change(
            embed_all(RESULT_FIELD, [claim.response for claim in made]),
            sql=claim_store.CLAIM,
            params=claim_store.claim_params(
                task_store.columns([claim.columns for claim in made]),
                claimer=self.claimer,
                terms=terms,
                new=[claim.lease for claim in made],
                lapsed=lapsed,
            ),
            expected=claim_store.ROWS_PER_CLAIM * len(made) + len(lapsed),
            events=[event for claim in made for event in claim.events],
            frees=False,
        )


class _Claim:
    """The claim of one task: its row, lease, attempt and events."""

    def __init__(
        self, write: ClaimTasks, code: str, found: Prepared[dict[str, ClaimFacts]], terms: Terms
    ) -> None:
        row = found.rows.get(code)
        if row is None or row.deleted:
            raise NotFound("task", code)
        facts = found.extra[code]
        if facts.session_closed:
            key = write.claimer.session_key
            raise FailedPrecondition(
                f"session {key} is closed: start another", reason="SESSION_CLOSED", subject=f"session {key}"
            )
        if facts.unready:
            raise not_ready(code, row, facts.unready)
        claimer, call = write.claimer, write.call
        now = found.now if row.lease is None else attempts.end_time(row.lease, found.now)
        self.events: list[EventRow] = []
        self.lapsed: AttemptEnd | None = None
        task = task_pb2.Task.FromString(row.body)
        before = task_content(task)
        attempt = lease_pb2.Attempt(
            task_code=code,
            number=facts.last_number + 1,
            fence=facts.fence,
            agent=claimer.agent,
            session_key=claimer.session_key,
            start_time=to_timestamp(now),
        )
        task.status = TaskStatus.IN_PROGRESS  # type: ignore[assignment]  # the numbers are the same
        task.assignee = claimer.agent
        content = task_content(task)
        TASK.advance(task, row.revision, content, now)
        if row.lease is not None:
            self.lapsed = attempts.end(code, row.lease, attempts.lost_outcome(row.lease, now), now)
            ended = end_facts(row.lease, self.lapsed)
            lost = task_event(call, LEASE_EXPIRED, task, now, ended, priority=lost_priority(task))
            self.events.append(lost)
        payload: dict[str, Any] = {
            "attempt": attempt.number,
            "fence": str(facts.fence),
            "agent": claimer.agent,
            "session_key": claimer.session_key,
            "expire_time": terms.expire_time.isoformat(),
        }
        self.events += work_events(call, "task.claimed", task, before, content, now, payload)
        self.columns: TaskColumns = task_columns(task, revision=row.revision, update_time=now)
        labels = orjson.dumps(list(task.labels)).decode()
        seen = "" if self.lapsed is None else self.lapsed.seen
        body = attempt.SerializeToString()
        self.lease = NewLease(facts.fence, labels, attempt.number, body, facts.spent, seen)
        lease = lease_message(attempt, terms.seconds)
        lease.expire_time.CopyFrom(to_timestamp(terms.expire_time))
        if terms.deadline is not None:
            lease.deadline.CopyFrom(to_timestamp(terms.deadline))
        self.response = _CLAIMED(lease=lease, task=task).SerializeToString()


def _is_ready(code: str, found: Prepared[dict[str, ClaimFacts]]) -> bool:
    return code in found.extra and not found.rows[code].deleted and not found.extra[code].unready


def lease_message(attempt: lease_pb2.Attempt, seconds: float) -> lease_pb2.Lease:
    """Return the lease of an attempt, without its times of expiry."""
    lease = lease_pb2.Lease(
        task_code=attempt.task_code,
        fence=attempt.fence,
        attempt=attempt.number,
        agent=attempt.agent,
        session_key=attempt.session_key,
        start_time=attempt.start_time,
    )
    lease.duration.FromTimedelta(timedelta(seconds=seconds))
    return lease


def not_ready(code: str, row: EntityRow, unready: int) -> LedgerError:
    """Return the error of a claim of a task that is not ready."""
    reasons = Unready(unready)
    if Unready.HELD in reasons and row.lease is not None and row.lease.valid:
        return fences.held(code, row.lease)
    return TaskNotReady(code, [reason.name or "" for reason in reasons])
