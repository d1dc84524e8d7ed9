"""ClaimTask from request to leases: the named task, or the next ready ones."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import structlog

from orchestration.v1 import coordination_pb2, lease_pb2
from orchestration_server.codec.requests import request_key
from orchestration_server.db.database import Database
from orchestration_server.errors import (
    Aborted,
    InvalidArgument,
    LedgerError,
    NotFound,
    TaskHeld,
    TaskNotReady,
)
from orchestration_server.model import Call, Request
from orchestration_server.store import claims as claim_store
from orchestration_server.store.aging import Aging
from orchestration_server.store.claims import Claimer, TaskFilter
from orchestration_server.work.claims import LEASE_SECONDS, ClaimTasks, LeaseTerms
from orchestration_server.work.ready_windows import ReadyWindows
from orchestration_server.work.releases import ReleaseTask
from orchestration_server.writes.gate import Gate, check_answer

log = structlog.get_logger()

TRIES = 50
"""The most tasks that one claim tries before it leaves the rest to the next call."""


def claimer_of(request: coordination_pb2.ClaimTaskRequest, call: Call) -> Claimer:
    """Return who claims. Raises InvalidArgument if neither the request nor the metadata names an agent."""
    agent = request.agent or call.agent
    if not agent:
        raise InvalidArgument({"agent": "is required, here or as orchestration-agent in the metadata"})
    return Claimer(agent, call.session_key, request.provider, sorted(set(request.capabilities)))


def terms_of(request: coordination_pb2.ClaimTaskRequest) -> LeaseTerms:
    """Return the terms of the leases that a request asks for."""
    seconds = request.lease.ToTimedelta().total_seconds() if request.HasField("lease") else LEASE_SECONDS
    if not request.HasField("attempt_deadline"):
        return LeaseTerms(seconds)
    return LeaseTerms(seconds, request.attempt_deadline.ToTimedelta().total_seconds())


def filter_of(request: coordination_pb2.ClaimTaskRequest) -> TaskFilter:
    """Return the tasks that a claim without a task code may take."""
    return TaskFilter(
        request.sprint_code, tuple(sorted(set(request.labels))), tuple(sorted(set(request.priorities)))
    )


class Claiming:
    """The claims of one process."""

    def __init__(self, db: Database, gate: Gate, windows: ReadyWindows) -> None:
        self._db = db
        self._gate = gate
        self._windows = windows

    def claim(self, request: coordination_pb2.ClaimTaskRequest, call: Call) -> bytes | None:
        """Return the response of a claim, or None if no task is ready now.

        Raises the errors of a named claim.
        """
        key, claimer, terms = request_key(call, request), claimer_of(request, call), terms_of(request)
        write = ClaimTasks(call, key, codes=[request.task_code], claimer=claimer, terms=terms)
        if request.task_code:
            return self._gate.write(write)
        tasks = filter_of(request)
        count = request.count or 1
        for _ in range(TRIES):
            codes = self._windows.take(call, tasks, claimer, count)
            if not codes:
                break
            try:
                return self._gate.write(replace(write, codes=codes, some=True))
            except (TaskHeld, TaskNotReady, NotFound):
                # Others were first. The next tasks may be free.
                continue
            except Aborted:
                count = 1
        return self._stored(call, key)

    @property
    def order(self) -> Aging:
        """Return the order in which claims take tasks."""
        return self._windows.order

    def any_ready(self, call: Call, tasks: TaskFilter, claimer: Claimer) -> bool:
        """Return whether a claim of the next task would get one now."""
        return bool(self._windows.take(call, tasks, claimer, 1))

    def kind(self, request: coordination_pb2.ClaimTaskRequest, call: Call) -> Hashable:
        """Return what claims share that would get the same tasks."""
        return self._windows.query(call.project, filter_of(request), claimer_of(request, call))

    def give_back(self, request: coordination_pb2.ClaimTaskRequest, call: Call, response: bytes) -> None:
        """Return the tasks of a claim whose caller has left. A caller with a ``request_id`` may come back."""
        if request.request_id:
            return
        # The deadline of the call may have passed, and the tasks are returned all the same.
        quiet = call._replace(on_end=None, deadline=None)
        for one in coordination_pb2.ClaimTaskResponse.FromString(response).claims:
            release = coordination_pb2.ReleaseTaskRequest(
                task_code=one.lease.task_code,
                fence=one.lease.fence,
                outcome=lease_pb2.ATTEMPT_OUTCOME_RETURNED,
                reason="the caller left before it got the lease",
            )
            try:
                self._gate.write(
                    ReleaseTask(quiet, Request(call.rpc, "", b""), code=release.task_code, message=release)
                )
            except LedgerError as error:
                # The lease expires by itself.
                log.info("a claim was not given back", task=release.task_code, error=str(error))

    def _stored(self, call: Call, key: Request) -> bytes | None:
        """Return the response that an earlier call with the same ``request_id`` got."""
        if not key.request_id:
            return None
        with self._db.connection(call) as conn:
            found = claim_store.prepare(
                conn, project=call.project, request=key, codes=(), claimer=Claimer(call.agent)
            )
        return None if found.answer is None else check_answer(found.answer, key)
