"""Claims at 100,000 tasks, of which 10,000 are ready: latencies, waits, heartbeats, an open snapshot."""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import psycopg
from google.protobuf.message import Message

from benchmarks import ghz
from benchmarks.gate import Measurement
from benchmarks.processes import ServerProcess
from benchmarks.provisioning import temporary_database
from benchmarks.target import LedgerStubs, RunningServer, in_parallel
from orchestration.v1 import common_pb2, coordination_pb2, lease_pb2, task_pb2

TASKS, SHORT_TASKS = 100_000, 10_000
"""One of ten is ready."""
BATCH = 500
RPS = 200
SECONDS = 10
EXPLAIN_RPS = 100
BEATS_RPS = 5
WAITERS = 200
WAITER_CONNECTIONS = 10
"""A server takes 200 calls at once on one connection, and the client holds back what is above."""
BECOMING_READY = 100
SNAPSHOT_ROUNDS = 3
SNAPSHOT_SECONDS = 5
PAIRS_PER_SECOND = 800
"""More claims and releases a second than a server makes."""
LEASES = 10_000
BEAT_SECONDS = 30
BEAT_CALL = 1_000
TIMEOUT = 60.0
_LEASE_SECONDS = 3_600

_BLOCK = """
insert into dependencies (project, task_code, depends_on_code, kind, create_time)
select project, code, 'blocker', 1, now() from tasks
where code > 'load-' and code < 'load.' and right(code, 1) <> '0'
"""


def measure(started: RunningServer, program: Path, *, short: bool) -> list[Measurement]:
    """Measure everything on a ledger of its own."""
    with temporary_database(started, "claims") as url, ServerProcess(url) as server:
        ledger = LedgerStubs(server.address)
        _fill(ledger, url, SHORT_TASKS if short else TASKS)
        bench = _Bench(program, server, ledger, url, 2 if short else SECONDS)
        try:
            return [
                *bench.latencies(),
                bench.waiting(),
                bench.snapshot("claims beside a snapshot", lease_pb2.ATTEMPT_OUTCOME_COMPLETED),
                bench.snapshot("returns beside a snapshot", lease_pb2.ATTEMPT_OUTCOME_RETURNED),
                bench.heartbeats(LEASES // 10 if short else LEASES),
            ]
        finally:
            ledger.close()


def _fill(ledger: LedgerStubs, url: str, tasks: int) -> None:
    """Create the tasks. Nine of ten wait for one task that stays open, and that nobody can claim."""
    blocker = task_pb2.Task(code="blocker", title="blocker", status=common_pb2.TASK_STATUS_BLOCKED)
    ledger.tasks.CreateTask(task_pb2.CreateTaskRequest(task=blocker), timeout=TIMEOUT)
    _create(ledger, "load", tasks)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(_BLOCK)
        conn.execute("vacuum analyze")


def _create(ledger: LedgerStubs, prefix: str, count: int) -> list[str]:
    codes = [f"{prefix}-{number:06}" for number in range(count)]

    def batch(start: int) -> None:
        new = [
            task_pb2.NewTask(task=task_pb2.Task(code=code, title=code))
            for code in codes[start : start + BATCH]
        ]
        ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new), timeout=TIMEOUT)

    in_parallel(batch, range(0, count, BATCH))
    return codes


def _claim(ledger: LedgerStubs, code: str = "", **fields: object) -> coordination_pb2.ClaimTaskResponse:
    request = coordination_pb2.ClaimTaskRequest(task_code=code, agent="bench", **fields)  # type: ignore[arg-type]
    request.lease.seconds = _LEASE_SECONDS
    return ledger.coordination.ClaimTask(request, timeout=TIMEOUT)


class _Bench:
    def __init__(
        self, program: Path, server: ServerProcess, ledger: LedgerStubs, url: str, seconds: int
    ) -> None:
        self._program = program
        self._server = server
        self._ledger = ledger
        self._url = url
        self._seconds = seconds

    def _load(self, method: str, requests: Sequence[Message], rps: int) -> ghz.GhzResult:
        load = ghz.GhzLoad(
            method=f"CoordinationService/{method}", requests=requests, calls=rps * self._seconds, rps=rps,
            concurrency=50, connections=10,
        )  # fmt: skip
        return ghz.run(self._program, self._server.address, load)

    def _measured(self, name: str, method: str, requests: Sequence[Message], rps: int) -> Measurement:
        outcome = self._load(method, requests, rps)
        figures = {
            "p50_ms": outcome.percentile(0.5),
            "p95_ms": outcome.percentile(0.95),
            "p99_ms": outcome.percentile(0.99),
            "rate_share": outcome.calls_per_s / rps,
        }
        return Measurement(name, "claims", figures, outcome.failures)

    def latencies(self) -> list[Measurement]:
        """Measure each rpc at a fixed rate."""
        calls = RPS * self._seconds
        any_task = coordination_pb2.ClaimTaskRequest(agent="bench")
        any_task.lease.seconds = _LEASE_SECONDS
        found = [self._measured("ClaimTask (next)", "ClaimTask", [any_task], RPS)]
        named = []
        for code in _create(self._ledger, "named", calls):
            request = coordination_pb2.ClaimTaskRequest(agent="bench", task_code=code)
            request.lease.seconds = _LEASE_SECONDS
            named.append(request)
        found.append(self._measured("ClaimTask (named)", "ClaimTask", named, RPS))
        leases = self._leases()
        one = [coordination_pb2.HeartbeatRequest(leases=[lease]) for lease in leases[:calls]]
        found.append(self._measured("Heartbeat (1)", "Heartbeat", one, RPS))
        many = [
            coordination_pb2.HeartbeatRequest(leases=leases[n : n + BEAT_CALL])
            for n in range(0, len(leases) - BEAT_CALL + 1, BEAT_CALL)
        ] or [coordination_pb2.HeartbeatRequest(leases=leases)]
        found.append(self._measured(f"Heartbeat ({BEAT_CALL:,})", "Heartbeat", many, BEATS_RPS))
        release = [
            coordination_pb2.ReleaseTaskRequest(
                task_code=lease.task_code, fence=lease.fence, outcome=lease_pb2.ATTEMPT_OUTCOME_COMPLETED
            )
            for lease in leases[:calls]
        ]
        found.append(self._measured("ReleaseTask", "ReleaseTask", release, RPS))
        explain = [
            coordination_pb2.ExplainReadinessRequest(task_code=f"load-{number:06}", agent="bench")
            for number in range(1_000, 1_000 + EXPLAIN_RPS)
        ]
        found.append(self._measured("ExplainReadiness", "ExplainReadiness", explain, EXPLAIN_RPS))
        return found

    def _leases(self) -> list[coordination_pb2.LeaseRef]:
        with psycopg.connect(self._url, autocommit=True) as conn:
            rows = conn.execute("select task_code, fence from leases order by task_code").fetchall()
        return [coordination_pb2.LeaseRef(task_code=code, fence=fence) for code, fence in rows]

    def waiting(self) -> Measurement:
        """Measure the time from the commit that makes a task ready to the answer of a waiting claim."""
        answered: dict[str, float] = {}
        created: dict[str, float] = {}

        stubs = [LedgerStubs(self._server.address) for _ in range(WAITER_CONNECTIONS)]

        def wait(number: int) -> None:
            request = coordination_pb2.ClaimTaskRequest(agent=f"w{number}", labels=["waited"])
            request.wait.seconds = 60
            coordination = stubs[number % WAITER_CONNECTIONS].coordination
            # A caller that still waits at the end has its channel closed.
            with suppress(grpc.RpcError, ValueError):
                for claim in coordination.ClaimTask(request, timeout=TIMEOUT + 30).claims:
                    answered[claim.task.code] = time.perf_counter()

        waiters = [threading.Thread(target=wait, args=(number,), daemon=True) for number in range(WAITERS)]
        for waiter in waiters:
            waiter.start()
        time.sleep(1.0)
        for number in range(BECOMING_READY):
            code = f"waited-{number}"
            task = task_pb2.Task(code=code, title=code, labels=["waited"])
            self._ledger.tasks.CreateTask(task_pb2.CreateTaskRequest(task=task), timeout=TIMEOUT)
            created[code] = time.perf_counter()
            time.sleep(0.02)
        deadline = time.monotonic() + 10
        while len(answered) < BECOMING_READY and time.monotonic() < deadline:
            time.sleep(0.05)
        took = sorted(max(0.0, 1e3 * (answered[code] - created[code])) for code in answered)
        missing = BECOMING_READY - len(answered)
        for stub in stubs:
            stub.close()
        for waiter in waiters:
            waiter.join(TIMEOUT)
        figures = {"p50_ms": ghz.percentile(took, 0.5), "p95_ms": ghz.percentile(took, 0.95)}
        return Measurement("ready to claimed", "claims", figures, {"not claimed": missing} if missing else {})

    def snapshot(self, name: str, outcome: lease_pb2.AttemptOutcome.ValueType) -> Measurement:
        """Compare claims and releases a second with those beside a snapshot that stays open.

        A task that is returned goes back to its place at the head of the queue, so the workers take the same
        few tasks again and again, of which the snapshot keeps every version.
        """
        free, beside = [], []
        if outcome == lease_pb2.ATTEMPT_OUTCOME_COMPLETED:
            _create(self._ledger, "claimed", PAIRS_PER_SECOND * self._snapshot_seconds * 3 * SNAPSHOT_ROUNDS)
        for _ in range(SNAPSHOT_ROUNDS):
            free.append(self._claims_per_second(outcome))
            with _open_snapshot(self._url):
                # The claims before leave dead rows that nobody may remove now.
                self._claims_per_second(outcome)
                beside.append(self._claims_per_second(outcome))
        figures = {
            "pairs_per_s": statistics.median(free),
            "with_snapshot_per_s": statistics.median(beside),
            "share": statistics.median(b / f for b, f in zip(beside, free, strict=True)),
        }
        return Measurement(name, "claims", figures, {})

    @property
    def _snapshot_seconds(self) -> int:
        return min(self._seconds, SNAPSHOT_SECONDS)

    def _claims_per_second(self, outcome: lease_pb2.AttemptOutcome.ValueType) -> float:
        until = time.monotonic() + self._snapshot_seconds
        done = [0] * 8

        def work(worker: int) -> None:
            while time.monotonic() < until:
                for claim in _claim(self._ledger).claims:
                    request = coordination_pb2.ReleaseTaskRequest(
                        task_code=claim.task.code, fence=claim.lease.fence, outcome=outcome
                    )
                    self._ledger.coordination.ReleaseTask(request, timeout=TIMEOUT)
                    done[worker] += 1

        began = time.monotonic()
        in_parallel(work, range(8))
        return sum(done) / (time.monotonic() - began)

    def heartbeats(self, count: int) -> Measurement:
        """Measure what many live leases take of a processor, and the dead rows that they leave."""
        _create(self._ledger, "beat", count)
        with psycopg.connect(self._url, autocommit=True) as conn:
            conn.execute(_TAKE, (count,))
            refs = [
                coordination_pb2.LeaseRef(task_code=code, fence=fence)
                for code, fence in conn.execute(
                    "select task_code, fence from leases where agent = 'beats' order by task_code"
                )
            ]
            conn.execute("vacuum leases")
        sizes, hot = [], []
        began, used = time.monotonic(), self._cpu()
        beats = 3
        for _ in range(beats):
            start = time.monotonic()
            for n in range(0, len(refs), BEAT_CALL):
                request = coordination_pb2.HeartbeatRequest(leases=refs[n : n + BEAT_CALL])
                self._ledger.coordination.Heartbeat(request, timeout=TIMEOUT)
                time.sleep(max(0.0, start + (n + BEAT_CALL) / len(refs) * 3 - time.monotonic()))
            with psycopg.connect(self._url, autocommit=True) as conn:
                sizes.append(_one(conn, "select pg_relation_size('leases')"))
        seconds = time.monotonic() - began
        # The beats of 30 seconds were sent in 3.
        share = (self._cpu() - used) / (beats * BEAT_SECONDS)
        with psycopg.connect(self._url, autocommit=True) as conn:
            conn.execute("select pg_stat_force_next_flush()") if conn.info.server_version >= 150000 else None
            hot.append(_one(conn, _HOT))
        figures = {
            "leases": float(len(refs)),
            "core_share": share,
            "seconds": seconds,
            "hot_share": hot[0],
            "growth": sizes[-1] / sizes[0],
        }
        return Measurement("live leases", "claims", figures, {})

    def _cpu(self) -> float:
        """Return the processor time of the server, in seconds."""
        fields = Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


_TAKE = """
with taken as (
    select project, code, nextval('fences') as fence from tasks where code like 'beat-%%'
    order by code limit %s
), leased as (
    insert into leases (project, task_code, fence, agent, session_key, provider, labels, seconds, expire_time)
    select project, code, fence, 'beats', '', '', '{}', 3600, now() + interval '1 hour' from taken
)
insert into attempts (project, task_code, number, fence, body)
select project, code, 1, fence, '' from taken
"""
_HOT = """
select coalesce(n_tup_hot_upd::double precision / nullif(n_tup_upd, 0), 0) from pg_stat_user_tables
where relname = 'leases'
"""


def _one(conn: psycopg.Connection, query: str) -> float:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return float(row[0])


@contextmanager
def _open_snapshot(url: str) -> Iterator[None]:
    with psycopg.connect(url) as conn:
        conn.execute("set transaction isolation level repeatable read")
        conn.execute("select count(*) from log_state")
        yield
        conn.rollback()
