"""Claims and work with messages, as ``claim`` of the client returns them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from orchestration.claims import ANSWER_SECONDS, BEAT_TIMEOUT, SURE_SECONDS, WorkState, leases_heartbeat
from orchestration.interceptors import new_request_id
from orchestration.lease_keeper import AsyncEvent, AsyncLeaseKeeper
from orchestration.leases import HAS_ENDED
from orchestration.v1.coordination_pb2 import (
    LEASE_STATUS_HELD,
    ClaimedTask,
    ClaimTaskRequest,
    LeaseState,
    ReleaseTaskRequest,
)
from orchestration.v1.lease_pb2 import (
    ATTEMPT_OUTCOME_BLOCKED,
    ATTEMPT_OUTCOME_COMPLETED,
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_RETURNED,
    Artifact,
    Attempt,
    AttemptOutcome,
    Usage,
)
from orchestration.v1.task_pb2 import Task

if TYPE_CHECKING:
    from orchestration.v1.coordination_pb2_grpc import CoordinationServiceAsyncStub
    from orchestration.v1.event_pb2_grpc import EventServiceAsyncStub
    from orchestration.v1.session_pb2_grpc import SessionServiceAsyncStub
    from orchestration.v1.task_pb2_grpc import TaskServiceAsyncStub

_log = logging.getLogger("orchestration")


class AsyncWork(WorkState):
    """A claimed task. Its lease is kept by heartbeats until it is finished or lost.

    ``lost`` is set if the lease is lost; later writes then raise LeaseLost. The methods raise
    ``grpc.RpcError`` if the server refuses.
    """

    def __init__(
        self, claim: AsyncClaim, claimed: ClaimedTask, sent_at: float, state: LeaseState | None = None
    ) -> None:
        super().__init__(claimed, claim.session_key, sent_at, state)
        self.lost = AsyncEvent()
        self._claim = claim
        if state is not None and state.status != LEASE_STATUS_HELD:
            self._lose(HAS_ENDED)
        else:
            claim.keeper.keep(self._kept)

    async def log(self, message: str, kind: str = "note", **fields: Any) -> None:
        """Log an activity of the session, or an event about the task if the client has no session.

        ``fields`` are JSON values that the payload of the event gets.
        """
        if self.session_key:
            await self._claim.sessions.LogActivity(self._activity(message, kind, fields))
        else:
            await self._claim.events.EmitEvent(self._event(message, kind, fields))

    async def update(self, **fields: Any) -> Task:
        """Update fields of the task, with the fence. Raises LeaseLost if the lease is lost."""
        self.task = (await self._claim.tasks.UpdateTask(self._update_request(fields))).task
        return self.task

    async def finish(
        self, summary: str = "", *, usage: Usage | None = None, artifacts: Sequence[Artifact] = ()
    ) -> Attempt:
        """Complete the task. Raises LeaseLost if the lease is lost."""
        return await self._end(ATTEMPT_OUTCOME_COMPLETED, summary, usage=usage, artifacts=artifacts)

    async def fail(
        self, reason: str, *, retryable: bool = True, usage: Usage | None = None,
        artifacts: Sequence[Artifact] = (),
    ) -> Attempt:  # fmt: skip
        """End the attempt as failed. The retry policy of the task decides what follows."""
        return await self._end(
            ATTEMPT_OUTCOME_FAILED, reason, not_retryable=not retryable, usage=usage, artifacts=artifacts
        )

    async def give_back(self, reason: str = "") -> Attempt:
        """End the attempt without a fault of the task, which becomes pending again."""
        return await self._end(ATTEMPT_OUTCOME_RETURNED, reason)

    async def block(self, reason: str) -> Attempt:
        """End the attempt because the task cannot continue for now."""
        return await self._end(ATTEMPT_OUTCOME_BLOCKED, reason)

    async def _end(self, outcome: AttemptOutcome.ValueType, reason: str, **report: Any) -> Attempt:
        return await self._send(self._release_request(outcome, reason, **report))

    async def _send(self, request: ReleaseTaskRequest) -> Attempt:
        # From here on a heartbeat may find that the lease has ended.
        self._kept.ending = True
        try:
            answer = await self._claim.coordination.ReleaseTask(request)
        except BaseException:
            self._kept.ending = False
            raise
        self.outcome = request.outcome
        self._claim.keeper.drop(self._kept)
        self.task = answer.task
        return answer.attempt

    def _lose(self, reason: str) -> None:
        super()._lose(reason)
        self.lost.set()

    async def leave(self, error: BaseException | None) -> None:
        """End the attempt if the block did not, and stop the heartbeats."""
        request = self._release_after(error)
        try:
            if request is not None:
                await self._send(request)
        except grpc.RpcError as refused:
            if error is None:
                raise
            _log.warning("task %s was not released: %s", self.task.code, refused)
        finally:
            self._claim.keeper.drop(self._kept)


class AsyncClaim:
    """A claim as a context manager: entering it claims, and leaving it ends the attempt.

    Entering returns the work, or None if no task was ready in time. Leaving the block with an exception
    releases the task as failed, and without ``finish`` as returned.
    """

    def __init__(
        self,
        request: ClaimTaskRequest,
        *,
        coordination: CoordinationServiceAsyncStub,
        tasks: TaskServiceAsyncStub,
        events: EventServiceAsyncStub,
        sessions: SessionServiceAsyncStub,
        keeper: AsyncLeaseKeeper,
        session_key: str,
    ) -> None:
        self.coordination, self.tasks, self.events, self.sessions = coordination, tasks, events, sessions
        self.keeper = keeper
        self.session_key = session_key
        self._request = request
        self._work: AsyncWork | None = None

    async def take(self) -> list[AsyncWork]:
        """Claim what the request asks for, and keep the leases by heartbeats."""
        request = self._request
        # One id for all attempts of the call, so that a retry gets the same leases.
        request.request_id = request.request_id or new_request_id()
        wait = request.wait.seconds + request.wait.nanos / 1e9
        sent_at = time.monotonic()
        answer = await self.coordination.ClaimTask(request, timeout=wait + ANSWER_SECONDS)
        if answer.claims and time.monotonic() - sent_at > SURE_SECONDS:
            # It is not known when in that time the leases began: a heartbeat tells until when they are valid.
            asked_at = time.monotonic()
            leases = [claimed.lease for claimed in answer.claims]
            try:
                beat = await self.coordination.Heartbeat(leases_heartbeat(leases), timeout=BEAT_TIMEOUT)
            except grpc.RpcError as error:
                _log.warning("the leases of a slow claim count from its sending: %s", error)
            else:
                states = zip(answer.claims, beat.leases, strict=True)
                return [AsyncWork(self, claimed, asked_at, state) for claimed, state in states]
        return [AsyncWork(self, claimed, sent_at) for claimed in answer.claims]

    async def __aenter__(self) -> AsyncWork | None:
        taken = await self.take()
        self._work = taken[0] if taken else None
        return self._work

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        work, self._work = self._work, None
        if work is not None:
            await work.leave(error)
