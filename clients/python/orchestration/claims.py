"""Claims of tasks: requests, and what sync and async work share."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.interceptors import new_request_id
from orchestration.leases import OUT_OF_TIME, KeptLease
from orchestration.reasons import LeaseLost
from orchestration.structs import struct
from orchestration.v1.common_pb2 import ENTITY_TYPE_TASK
from orchestration.v1.context_pb2 import Context, ContextOptions
from orchestration.v1.coordination_pb2 import (
    DIRECTIVE_CONTINUE,
    ClaimedTask,
    ClaimTaskRequest,
    Directive,
    HeartbeatRequest,
    LeaseRef,
    LeaseState,
    ReleaseTaskRequest,
)
from orchestration.v1.event_pb2 import EmitEventRequest, NewEvent
from orchestration.v1.lease_pb2 import (
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_RETURNED,
    ATTEMPT_OUTCOME_UNSPECIFIED,
    Artifact,
    AttemptOutcome,
    Lease,
    Usage,
)
from orchestration.v1.session_pb2 import LogActivityRequest
from orchestration.v1.task_pb2 import Budget, Task, UpdateTaskRequest

MAX_REASON = 2_000
LOGGED = "agent.work.logged"
"""The type of the event of ``log`` outside a session."""
ANSWER_SECONDS = 10.0
"""The time that a claim has beyond its wait."""
SURE_SECONDS = 1.0
"""The longest time of a claim that is taken off its lease without asking the server."""
BEAT_TIMEOUT = 5.0
"""The longest deadline of a heartbeat, in seconds."""


def claim_request(
    task_code: str,
    *,
    sprint_code: str,
    labels: Sequence[str],
    priorities: Sequence[Any],
    capabilities: Sequence[str],
    provider: str,
    lease: float,
    attempt_deadline: float | None,
    wait: float,
    context: ContextOptions | None,
    request_id: str,
) -> ClaimTaskRequest:
    """Return the request of a claim of one task."""
    request = ClaimTaskRequest(
        task_code=task_code,
        sprint_code=sprint_code,
        labels=labels,
        priorities=priorities,
        capabilities=capabilities,
        provider=provider,
        request_id=request_id,
    )
    request.lease.FromTimedelta(timedelta(seconds=lease))
    if attempt_deadline is not None:
        request.attempt_deadline.FromTimedelta(timedelta(seconds=attempt_deadline))
    if wait and not task_code:
        request.wait.FromTimedelta(timedelta(seconds=wait))
    if context is not None:
        request.context.CopyFrom(context)
    return request


def leases_heartbeat(leases: Iterable[Lease]) -> HeartbeatRequest:
    """Return the heartbeat of leases."""
    return HeartbeatRequest(
        leases=[LeaseRef(task_code=lease.task_code, fence=lease.fence) for lease in leases]
    )


class WorkState:
    """The state of one claimed task, which ``Work`` and ``AsyncWork`` share.

    Attributes:
        task: The task, as the last answer has it.
        context: The context of the task; empty if the claim did not ask for it.
        lease: The lease as ClaimTask returned it.
        directive: What the server asks the holder to do, by the last heartbeat.
        directive_reason: Why, and by whom.
        session_key: The session that holds the lease; empty if there is none.
        outcome: How this client ended the attempt; unspecified while it has not.
    """

    def __init__(
        self, claimed: ClaimedTask, session_key: str, sent_at: float, state: LeaseState | None
    ) -> None:
        """Initialize.

        Args:
            claimed: The task and its lease.
            session_key: The session that holds the lease; empty if there is none.
            sent_at: When the claim was sent, or the heartbeat whose answer is ``state``.
            state: The state of the lease by a heartbeat; None if there was none yet.
        """
        self.task: Task = claimed.task
        self.context: Context = claimed.context
        self.lease: Lease = claimed.lease
        self.directive: Directive.ValueType = DIRECTIVE_CONTINUE
        self.directive_reason = ""
        self.session_key = session_key
        self.outcome: AttemptOutcome.ValueType = ATTEMPT_OUTCOME_UNSPECIFIED
        self._lost_reason = ""
        seconds = self.lease.duration.seconds + self.lease.duration.nanos / 1e9
        lasts = (self.lease.expire_time.ToDatetime() - self.lease.start_time.ToDatetime()).total_seconds()
        if state is not None:
            lasts = state.time_left.seconds + state.time_left.nanos / 1e9
        self._release: ReleaseTaskRequest | None = None
        self._kept = KeptLease(
            self.lease, sent_at + min(seconds, lasts), lost=self._lose, directed=self._direct
        )

    @property
    def fence(self) -> int:
        """The fence of the lease, for systems that check it."""
        return self.lease.fence

    @property
    def ended(self) -> bool:
        """True if this client ended the attempt."""
        return self.outcome != ATTEMPT_OUTCOME_UNSPECIFIED

    @property
    def given_back(self) -> bool:
        """True if this client gave the task back without an outcome."""
        return self.outcome == ATTEMPT_OUTCOME_RETURNED

    @property
    def budget_left(self) -> Budget:
        """What is left of the budget of the task, by the last heartbeat. Empty if it has none."""
        return self._kept.budget_left

    def report(self, usage: Usage) -> None:
        """Report with each heartbeat from now on what the attempt has used since its start.

        The ledger keeps it if the attempt ends without another report. If the budget of the task is used up,
        ``directive`` becomes CANCEL.
        """
        kept = Usage()
        kept.CopyFrom(usage)
        self._kept.usage = kept

    def check(self) -> None:
        """Raise LeaseLost if the lease is lost. Call it before an effect outside the ledger."""
        if (reason := self._loss()) and not self.ended:
            raise LeaseLost(f"the lease of task {self.task.code} is lost: {reason}")

    def _loss(self) -> str:
        """Return why the lease is lost; empty if it is held."""
        # The thread of the heartbeats may not have seen yet that the time is over, such as after SIGSTOP.
        over = time.monotonic() >= self._kept.valid_until
        return self._lost_reason or (OUT_OF_TIME if over else "")

    def _lose(self, reason: str) -> None:
        self._lost_reason = reason

    def _direct(self, directive: int, reason: str) -> None:
        self.directive = Directive.ValueType(directive)
        self.directive_reason = reason

    def _update_request(self, fields: Mapping[str, Any]) -> UpdateTaskRequest:
        self.check()
        return UpdateTaskRequest(
            task=Task(code=self.task.code, **fields),
            update_mask=FieldMask(paths=list(fields)),
            fence=self.lease.fence,
        )

    def _release_request(
        self,
        outcome: AttemptOutcome.ValueType,
        reason: str = "",
        *,
        not_retryable: bool = False,
        usage: Usage | None = None,
        artifacts: Sequence[Artifact] = (),
    ) -> ReleaseTaskRequest:
        """Return the request of an end. The same end has the request_id of its last attempt.

        That one may have taken effect although its answer was an error, and ended the lease.
        """
        request = ReleaseTaskRequest(
            task_code=self.task.code,
            fence=self.lease.fence,
            outcome=outcome,
            reason=reason[:MAX_REASON],
            not_retryable=not_retryable,
            usage=usage,
            artifacts=artifacts,
            request_id=self._release.request_id if self._release else "",
        )
        if request != self._release:
            self.check()
            request.request_id = new_request_id()
            self._release = request
        return request

    def _release_after(self, error: BaseException | None) -> ReleaseTaskRequest | None:
        """Return the request that ends the attempt when the block is left, or None if it has ended."""
        if self.ended or self._loss():
            return None
        if error is None:
            return self._release_request(ATTEMPT_OUTCOME_RETURNED, "the block ended without finish()")
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, Exception):
            return self._release_request(ATTEMPT_OUTCOME_FAILED, reason)
        return self._release_request(ATTEMPT_OUTCOME_RETURNED, reason)

    def _activity(self, message: str, kind: str, fields: Mapping[str, Any]) -> LogActivityRequest:
        payload = struct("fields", fields) if fields else None
        return LogActivityRequest(session_key=self.session_key, kind=kind, message=message, payload=payload)

    def _event(self, message: str, kind: str, fields: Mapping[str, Any]) -> EmitEventRequest:
        event = NewEvent(type=LOGGED, entity_type=ENTITY_TYPE_TASK, entity_code=self.task.code)
        event.payload.update({"kind": kind, "message": message, "fence": str(self.lease.fence)})
        if fields:
            event.payload.fields["payload"].struct_value.CopyFrom(struct("fields", fields))
        return EmitEventRequest(event=event)
