"""The rpcs of CoordinationService about work: claims, heartbeats, the ends of attempts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from orchestration.v1 import coordination_pb2, lease_pb2
from orchestration_server.codec import budgets
from orchestration_server.codec.cursors import CursorSigner, page_size
from orchestration_server.codec.requests import request_key
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.codec.wire import PAGE_TOKEN_FIELD, RESULT_FIELD, embed, embed_all
from orchestration_server.context.broker import Broker, Target
from orchestration_server.db.database import Database
from orchestration_server.errors import LedgerError, NotFound
from orchestration_server.model import Call, EntityType
from orchestration_server.store import leases as lease_store
from orchestration_server.store.leases import Beat, HeldLease, ListedLease
from orchestration_server.store.pages import PAGE_BYTES
from orchestration_server.timeline.reply import Reply
from orchestration_server.work.claiming import Claiming
from orchestration_server.work.claims import lease_message
from orchestration_server.work.releases import PreemptTask, ReleaseTask
from orchestration_server.work.waiting_claims import WaitingClaim, WaitingClaims
from orchestration_server.writes.gate import Gate

_CONTEXT_FIELD = coordination_pb2.ClaimedTask.CONTEXT_FIELD_NUMBER
_NO_CLAIM = b""
CONTEXT_THREADS = 2
"""Threads that assemble the contexts of claims that waited."""
_DIRECTIVES: Mapping[int | None, coordination_pb2.Directive.ValueType] = {
    None: coordination_pb2.DIRECTIVE_CONTINUE,
    coordination_pb2.PAUSE_MODE_PAUSE: coordination_pb2.DIRECTIVE_PAUSE,
    coordination_pb2.PAUSE_MODE_DRAIN: coordination_pb2.DIRECTIVE_DRAIN,
    coordination_pb2.PAUSE_MODE_CANCEL: coordination_pb2.DIRECTIVE_CANCEL,
}


class WorkRpcs:
    """The rpcs about work. CoordinationService inherits them."""

    _db: Database
    _gate: Gate
    _cursors: CursorSigner

    def __init__(self, claiming: Claiming, waiting: WaitingClaims, broker: Broker) -> None:
        self._claiming = claiming
        self._waiting = waiting
        self._broker = broker
        self._contexts = ThreadPoolExecutor(CONTEXT_THREADS, thread_name_prefix="claim-contexts")

    def ClaimTask(self, request: coordination_pb2.ClaimTaskRequest, call: Call, reply: Reply) -> None:
        response = self._claiming.claim(request, call)
        wait = request.wait.ToTimedelta().total_seconds()
        if response is None and wait > 0:
            self._wait(request, call, reply, wait)
            return
        self._deliver(request, call, reply, response)

    def _deliver(
        self,
        request: coordination_pb2.ClaimTaskRequest,
        call: Call,
        reply: Reply,
        response: bytes | None,
    ) -> None:
        """Send the response of a claim. Nobody works on its tasks if the caller does not get it."""
        if response is None:
            _answer(reply, _NO_CLAIM)
            return
        try:
            delivered = _answer(reply, self._with_contexts(request, call, response))
        except LedgerError:
            self._claiming.give_back(request, call, response)
            raise
        if not delivered:
            self._claiming.give_back(request, call, response)

    def _wait(
        self, request: coordination_pb2.ClaimTaskRequest, call: Call, reply: Reply, seconds: float
    ) -> None:
        # A callback and a deadline for each attempt would stay with the call.
        quiet = call._replace(on_end=None, deadline=None)

        def answer(response: bytes | None, error: LedgerError | None) -> None:
            if error is not None:
                reply.finish(error)
            elif response is None or not request.HasField("context"):
                self._deliver(request, quiet, reply, response)
            else:
                self._contexts.submit(self._deliver_late, request, quiet, reply, response)

        claim = WaitingClaim(
            lambda: self._claiming.kind(request, quiet),
            time.monotonic() + seconds,
            lambda: self._claiming.claim(request, quiet),
            answer,
        )
        self._waiting.add(claim)
        if call.on_end is not None and not call.on_end(claim.left.set):
            claim.left.set()

    def _deliver_late(
        self, request: coordination_pb2.ClaimTaskRequest, call: Call, reply: Reply, response: bytes
    ) -> None:
        try:
            self._deliver(request, call, reply, response)
        except LedgerError as error:
            reply.finish(error)

    def _with_contexts(
        self, request: coordination_pb2.ClaimTaskRequest, call: Call, response: bytes
    ) -> bytes:
        """Add the context of each claimed task, if the request asks for it."""
        if not request.HasField("context"):
            return response
        claimed: list[bytes] = []
        left = PAGE_BYTES - len(response)
        for one in coordination_pb2.ClaimTaskResponse.FromString(response).claims:
            target = Target(EntityType.TASK, one.lease.task_code)
            context = embed(_CONTEXT_FIELD, self._broker.assemble(call, target, request.context).body)
            # The tasks are claimed already, so a client must not refuse the response because of its size.
            left -= len(context)
            claimed.append(one.SerializeToString() + (context if left >= 0 or not claimed else b""))
        return embed_all(RESULT_FIELD, claimed)

    def Heartbeat(self, request: coordination_pb2.HeartbeatRequest, call: Call) -> bytes:
        beats = [_beat(lease) for lease in request.leases]
        with self._db.connection(call) as conn:
            held = lease_store.beat(conn, project=call.project, leases=beats)
        return coordination_pb2.HeartbeatResponse(
            leases=[_lease_state(beat, held.get((beat.task_code, beat.fence))) for beat in beats]
        ).SerializeToString()

    def ReleaseTask(self, request: coordination_pb2.ReleaseTaskRequest, call: Call) -> bytes:
        return self._gate.write(
            ReleaseTask(call, request_key(call, request), code=request.task_code, message=request)
        )

    def PreemptTask(self, request: coordination_pb2.PreemptTaskRequest, call: Call) -> bytes:
        return self._gate.write(
            PreemptTask(call, request_key(call, request), code=request.task_code, reason=request.reason)
        )

    def ListLeases(self, request: coordination_pb2.ListLeasesRequest, call: Call) -> bytes:
        scope = ["leases", call.project, request.agent, request.session_key]
        position = self._cursors.page_position(request.page_token, scope)
        size = page_size(request.page_size)
        with self._db.connection(call) as conn:
            rows = lease_store.list_page(
                conn, project=call.project, agent=request.agent, session_key=request.session_key,
                after="" if position is None else position[0], limit=size + 1,
            )  # fmt: skip
        body = embed_all(RESULT_FIELD, [_listed(row).SerializeToString() for row in rows[:size]])
        if len(rows) > size:
            token = self._cursors.page_token(scope, [rows[size - 1].task_code])
            body += embed(PAGE_TOKEN_FIELD, token.encode())
        return body

    def ListAttempts(self, request: coordination_pb2.ListAttemptsRequest, call: Call) -> bytes:
        scope = ["attempts", call.project, request.task_code]
        position = self._cursors.page_position(request.page_token, scope)
        size = page_size(request.page_size)
        with self._db.connection(call) as conn:
            page = lease_store.list_attempts(
                conn, project=call.project, task=request.task_code,
                before=_BEYOND if position is None else position[0], limit=size,
            )  # fmt: skip
        if page is None:
            raise NotFound("task", request.task_code)
        body = embed_all(RESULT_FIELD, [row.body for row in page.rows])
        if page.more:
            token = self._cursors.page_token(scope, [page.rows[-1].number])
            body += embed(PAGE_TOKEN_FIELD, token.encode())
        return body


_BEYOND = 2**31 - 1
"""A number above that of every attempt."""


def _answer(reply: Reply, response: bytes) -> bool:
    """Send the one message of a response, and end the call. Return False if the caller has left."""
    if not reply.send(response, lambda: None):
        return False
    reply.finish(None)
    return True


def _beat(lease: coordination_pb2.LeaseRef) -> Beat:
    if not lease.HasField("usage"):
        return Beat(lease.task_code, lease.fence)
    used = budgets.to_array(budgets.amounts(lease.usage))
    return Beat(lease.task_code, lease.fence, used, lease.usage.SerializeToString())


def _lease_state(beat: Beat, lease: HeldLease | None) -> coordination_pb2.LeaseState:
    state = coordination_pb2.LeaseState(
        task_code=beat.task_code, fence=beat.fence, status=coordination_pb2.LEASE_STATUS_LOST
    )
    if lease is None:
        return state
    state.status = coordination_pb2.LEASE_STATUS_HELD
    state.directive = _DIRECTIVES[lease.pause_mode]
    state.expire_time.CopyFrom(to_timestamp(lease.expire_time))
    if lease.pause_mode is not None:
        by = f" (by {lease.paused_by})" if lease.paused_by else ""
        state.reason = f"{lease.pause_reason}{by}"
    state.time_left.FromTimedelta(max(lease.time_left, timedelta()))
    if lease.attempt_time_left is not None:
        state.attempt_time_left.FromTimedelta(max(lease.attempt_time_left, timedelta()))
    state.usage_ignored = bool(beat.used) and beat.used != budgets.to_array(lease.used)
    if lease.budget is not None:
        _add_budget(state, lease.budget, lease)
    return state


def _add_budget(state: coordination_pb2.LeaseState, budget: Sequence[int | None], lease: HeldLease) -> None:
    state.budget_left.CopyFrom(budgets.to_budget(budgets.left(budget, lease.spent, lease.used)))
    spent = budgets.spent(budget, lease.spent, lease.used)
    if spent and state.directive != coordination_pb2.DIRECTIVE_CANCEL:
        state.directive = coordination_pb2.DIRECTIVE_CANCEL
        state.reason = f"the budget of the task is used up: {', '.join(spent)}"


def _listed(row: ListedLease) -> lease_pb2.Lease:
    lease = lease_message(lease_pb2.Attempt.FromString(row.attempt), row.seconds)
    lease.expire_time.CopyFrom(to_timestamp(row.expire_time))
    if row.deadline is not None:
        lease.deadline.CopyFrom(to_timestamp(row.deadline))
    return lease
