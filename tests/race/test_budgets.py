"""Holders that report usage, release and vanish at once: nothing that was reported is lost."""

from __future__ import annotations

import random
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

import grpc
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration

from orchestration.v1 import coordination_pb2, lease_pb2, task_pb2
from tests.conftest import Server
from tests.support import factories
from tests.support.ledger import Ledger
from tests.support.lengths import lengths
from tests.support.rpc_errors import must_be

HELD = coordination_pb2.LEASE_STATUS_HELD

AGENTS = 6


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


class Fleet:
    """Agents that work on one task until its budget is used up, each with a thread for its heartbeats."""

    def __init__(self, ledger: Ledger, limit: int, url: str) -> None:
        self.ledger, self.limit, self.url = ledger, limit, url
        self.lock = Lock()
        self.reported: dict[int, int] = defaultdict(int)
        """The highest usage that was accepted, by fence."""
        self.ended: set[int] = set()
        self.late_claims: list[int] = []

    def run(self, seed: int) -> None:
        chance = random.Random(seed)
        while not self._spent():
            with self.lock:
                before = sum(self.reported[fence] for fence in self.ended)
            request = coordination_pb2.ClaimTaskRequest(task_code="t", agent=f"a{seed}")
            try:
                fence = self.ledger.coordination.ClaimTask(request).claims[0].lease.fence
            except grpc.RpcError as error:
                must_be(error, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ABORTED)
                continue
            if before >= self.limit:
                self.late_claims.append(fence)
            self._work(fence, chance)

    def _spent(self) -> bool:
        request = coordination_pb2.ExplainReadinessRequest(task_code="t")
        kinds = {reason.kind for reason in self.ledger.coordination.ExplainReadiness(request).reasons}
        held = coordination_pb2.READINESS_REASON_KIND_HELD
        return coordination_pb2.READINESS_REASON_KIND_BUDGET in kinds and held not in kinds

    def _work(self, fence: int, chance: random.Random) -> None:
        stop = Event()
        with ThreadPoolExecutor(1) as pool:
            beats = pool.submit(self._beat, fence, stop, random.Random(chance.random()))
            end = chance.choice(["release", "release", "preempt", "expire"])
            if end == "release":
                self._release(fence, chance)
            elif end == "preempt":
                request = coordination_pb2.PreemptTaskRequest(task_code="t", reason="r")
                self.ledger.coordination.PreemptTask(request)
            else:
                with psycopg.connect(self.url) as conn:
                    conn.execute("update leases set expire_time = '-infinity' where fence = %s", (fence,))
            stop.set()
            beats.result()
        if end != "expire":
            with self.lock:
                self.ended.add(fence)

    def _beat(self, fence: int, stop: Event, chance: random.Random) -> None:
        calls = 0
        while not stop.is_set():
            # However long the end of an attempt takes, it uses no more than a quarter.
            calls = min(calls + chance.randint(1, 3), self.limit // 4)
            ref = coordination_pb2.LeaseRef(
                task_code="t", fence=fence, usage=lease_pb2.Usage(tool_calls=calls)
            )
            (state,) = self.ledger.coordination.Heartbeat(
                coordination_pb2.HeartbeatRequest(leases=[ref])
            ).leases
            if state.status != HELD:
                return
            with self.lock:
                self.reported[fence] = calls

    def _release(self, fence: int, chance: random.Random) -> None:
        request = coordination_pb2.ReleaseTaskRequest(
            task_code="t", fence=fence, outcome=lease_pb2.ATTEMPT_OUTCOME_RETURNED
        )
        if chance.random() < 0.5:
            request.usage.tool_calls = 1
        while True:
            try:
                self.ledger.coordination.ReleaseTask(request)
            except grpc.RpcError as error:
                # Heartbeats came between each time: a client tries again.
                must_be(error, grpc.StatusCode.ABORTED)
                continue
            return


@lengths("limit", short=150, long=3_000)
def test_no_reported_usage_is_lost_and_none_claims_what_is_used_up(
    server: Server, ledger: Ledger, limit: int
) -> None:
    policy = task_pb2.RetryPolicy(
        max_attempts=100, backoff=Duration(), budget=task_pb2.Budget(tool_calls=limit)
    )
    ledger.tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t", retry_policy=policy)))
    fleet = Fleet(ledger, limit, server.database_url)
    with ThreadPoolExecutor(AGENTS) as pool:
        list(pool.map(fleet.run, range(AGENTS)))
    attempts: list[lease_pb2.Attempt] = []
    request = coordination_pb2.ListAttemptsRequest(task_code="t", page_size=500)
    while True:
        page = ledger.coordination.ListAttempts(request)
        attempts += page.attempts
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert len(attempts) > 1
    for attempt in attempts:
        if attempt.outcome:
            assert attempt.usage.tool_calls >= fleet.reported[attempt.fence], attempt
    # The last attempt may be open, under a lost lease, and shows no usage yet.
    used = (max(attempt.usage.tool_calls, fleet.reported[attempt.fence]) for attempt in attempts)
    assert sum(used) >= limit
    assert fleet.late_claims == []
