"""Work on a claimed task, for threads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import grpc

from orchestration.claims import ANSWER_SECONDS, BEAT_TIMEOUT, SURE_SECONDS, WorkState, leases_heartbeat
from orchestration.interceptors import new_request_id
from orchestration.leases import KeptLease, LeaseTable, heartbeat_request
from orchestration.v1.coordination_pb2 import ClaimedTask, ClaimTaskRequest
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
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
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.task_pb2 import Task
from orchestration.v1.task_pb2_grpc import TaskServiceStub

_log = logging.getLogger("orchestration")


class LeaseKeeper:
    """The heartbeats of all work of one client, on one thread that starts with the first lease."""

    def __init__(
        self, coordination: CoordinationServiceStub, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._coordination = coordination
        self._clock = clock
        self._table = LeaseTable()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def keep(self, kept: KeptLease) -> None:
        """Beat for a lease until ``drop``."""
        with self._changed:
            self._table.add(kept, self._clock())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="orchestration-leases", daemon=True)
                self._thread.start()
            self._changed.notify()

    def drop(self, kept: KeptLease) -> None:
        """Beat for a lease no longer."""
        with self._changed:
            self._table.remove(kept)

    def close(self) -> None:
        """End the heartbeats. The leases expire by themselves."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=BEAT_TIMEOUT)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._table.expire(self._clock())
                due = self._table.due(self._clock())
                if self._closed:
                    return
                if not due:
                    wake = self._table.next_wake()
                    self._changed.wait(None if wake is None else max(0.0, wake - self._clock()))
                    continue
            self._beat(due)

    def _beat(self, due: list[KeptLease]) -> None:
        sent_at = self._clock()
        # A call that is not answered by then is of no use: the watchdog must not wait for it.
        left = self._table.first_expiry() - sent_at
        try:
            answer = self._coordination.Heartbeat(
                heartbeat_request(due), timeout=max(0.05, min(BEAT_TIMEOUT, left))
            )
        except (grpc.RpcError, ValueError) as error:
            # grpc raises ValueError if the channel is closed.
            _log.warning("heartbeat of %d leases failed: %s", len(due), error)
            with self._changed:
                self._table.failed(due, self._clock())
            return
        with self._changed:
            self._table.accepted(due, answer.leases, sent_at, self._clock())


class Work(WorkState):
    """A claimed task. Its lease is kept by heartbeats until it is finished or lost.

    ``lost`` is set if the lease is lost; later writes then raise LeaseLost. The methods raise
    ``grpc.RpcError`` if the server refuses.
    """

    def __init__(self, claim: Claim, claimed: ClaimedTask, sent_at: float) -> None:
        super().__init__(claimed, claim.session_key, sent_at)
        self.lost = threading.Event()
        self._claim = claim
        claim.keeper.keep(self._kept)

    def log(self, message: str, kind: str = "note", **fields: Any) -> None:
        """Log an activity of the session, or an event about the task if the client has no session.

        ``fields`` are JSON values that the payload of the event gets.
        """
        if self.session_key:
            self._claim.sessions.LogActivity(self._activity(message, kind, fields))
        else:
            self._claim.events.EmitEvent(self._event(message, kind, fields))

    def update(self, **fields: Any) -> Task:
        """Update fields of the task, with the fence. Raises LeaseLost if the lease is lost."""
        self.task = self._claim.tasks.UpdateTask(self._update_request(fields)).task
        return self.task

    def finish(
        self, summary: str = "", *, usage: Usage | None = None, artifacts: Sequence[Artifact] = ()
    ) -> Attempt:
        """Complete the task. Raises LeaseLost if the lease is lost."""
        return self._end(ATTEMPT_OUTCOME_COMPLETED, summary, usage=usage, artifacts=artifacts)

    def fail(
        self, reason: str, *, retryable: bool = True, usage: Usage | None = None,
        artifacts: Sequence[Artifact] = (),
    ) -> Attempt:  # fmt: skip
        """End the attempt as failed. The retry policy of the task decides what follows."""
        return self._end(
            ATTEMPT_OUTCOME_FAILED, reason, not_retryable=not retryable, usage=usage, artifacts=artifacts
        )

    def give_back(self, reason: str = "") -> Attempt:
        """End the attempt without a fault of the task, which becomes pending again."""
        return self._end(ATTEMPT_OUTCOME_RETURNED, reason)

    def block(self, reason: str) -> Attempt:
        """End the attempt because the task cannot continue for now."""
        return self._end(ATTEMPT_OUTCOME_BLOCKED, reason)

    def _end(self, outcome: AttemptOutcome.ValueType, reason: str, **report: Any) -> Attempt:
        request = self._release_request(outcome, reason, **report)
        answer = self._claim.coordination.ReleaseTask(request)
        self.outcome = outcome
        self._claim.keeper.drop(self._kept)
        self.task = answer.task
        return answer.attempt

    def _lose(self, reason: str) -> None:
        super()._lose(reason)
        self.lost.set()

    def leave(self, error: BaseException | None) -> None:
        """End the attempt if the block did not, and stop the heartbeats."""
        request = self._release_after(error)
        try:
            if request is not None:
                self._claim.coordination.ReleaseTask(request)
                self.outcome = request.outcome
        except grpc.RpcError as refused:
            if error is None:
                raise
            _log.warning("task %s was not released: %s", self.task.code, refused)
        finally:
            self._claim.keeper.drop(self._kept)


class Claim:
    """A claim as a context manager: entering it claims, and leaving it ends the attempt.

    Entering returns ``Work``, or None if no task was ready in time. Leaving the block with an exception
    releases the task as failed, and without ``finish`` as returned.
    """

    def __init__(
        self,
        request: ClaimTaskRequest,
        *,
        coordination: CoordinationServiceStub,
        tasks: TaskServiceStub,
        events: EventServiceStub,
        sessions: SessionServiceStub,
        keeper: LeaseKeeper,
        session_key: str,
    ) -> None:
        self.coordination, self.tasks, self.events, self.sessions = coordination, tasks, events, sessions
        self.keeper = keeper
        self.session_key = session_key
        self._request = request
        self._work: Work | None = None

    def take(self) -> list[Work]:
        """Claim what the request asks for, and keep the leases by heartbeats."""
        request = self._request
        # One id for all attempts of the call, so that a retry gets the same leases.
        request.request_id = request.request_id or new_request_id()
        wait = request.wait.seconds + request.wait.nanos / 1e9
        sent_at = time.monotonic()
        answer = self.coordination.ClaimTask(request, timeout=wait + ANSWER_SECONDS)
        if answer.claims and time.monotonic() - sent_at > SURE_SECONDS:
            # It is not known when in that time the leases began: a heartbeat tells until when they are valid.
            sent_at = time.monotonic()
            leases = [claimed.lease for claimed in answer.claims]
            self.coordination.Heartbeat(leases_heartbeat(leases), timeout=BEAT_TIMEOUT)
        return [Work(self, claimed, sent_at) for claimed in answer.claims]

    def __enter__(self) -> Work | None:
        taken = self.take()
        self._work = taken[0] if taken else None
        return self._work

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.leave(error)
