"""The throughput of a call as a share of what grpcio and Postgres allow, measured in the same minute.

The limit is 1/(1/echo + 1/sql), where echo is the rate of a bare grpcio server that answers the same bytes,
and sql is the rate of pgbench on the call's statements. All three run in turn, round by round, with the same
concurrency.
"""

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import grpc
import psycopg
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from benchmarks import echo_server, ghz, requests, statements
from benchmarks.gate import Measurement
from benchmarks.seed import Seeded, new_task
from benchmarks.statements import NumberedCodes, Recorded
from benchmarks.target import LedgerStubs, RunningServer, in_parallel
from orchestration.v1 import coordination_pb2, lease_pb2, task_pb2

CONCURRENCY = 16
READS = 4_800
WRITES = 1_600
ECHO_TIMEOUT = 20.0
FIRST_FENCE = 5_000_000
"""A number that the statements have nowhere else, so that a fence is found in them."""
LEASE_SECONDS = 6 * 3_600
"""The scripts claim with the time of expiry that was recorded."""
Round = tuple[Sequence[Message], str]
"""The requests of a round, and a script for pgbench with the statements of as many."""


@dataclass(frozen=True)
class RatioCase:
    """An rpc to compare with its limit. `prepare` creates the rows and requests of a round."""

    name: str
    group: str
    method: str
    calls: int
    recorded: Recorded
    answer: bytes
    prepare: Callable[[Recorded], Round]


class Ratios:
    """A runner of the cases against one server."""

    def __init__(
        self, ghz_program: Path, pgbench: Path, started: RunningServer, ledger: LedgerStubs, seeded: Seeded
    ) -> None:
        self._ghz = ghz_program
        self._pgbench = pgbench
        self._started = started
        self._ledger = ledger
        self._seeded = seeded

    def measure(self, rounds: int) -> list[Measurement]:
        claim = self._claim_task()
        contests = [self._get_task(), self._create_task(), self._update_status(), claim]
        contests.append(self._release_task(claim))
        answers = {f"/{ghz.PACKAGE}.{contest.method}": contest.answer for contest in contests}
        rates: dict[str, list[tuple[float, float, float]]] = {c.name: [] for c in contests}
        reasons: dict[str, dict[str, int]] = {contest.name: {} for contest in contests}
        with _echo_server(answers) as address:
            for _ in range(rounds):
                for contest in contests:
                    found, failures = self._round(contest, address)
                    rates[contest.name].append(found)
                    reasons[contest.name] |= failures
        return [Measurement(c.name, c.group, _figures(rates[c.name]), reasons[c.name]) for c in contests]

    def _round(
        self, contest: RatioCase, echo_address: str
    ) -> tuple[tuple[float, float, float], dict[str, int]]:
        asked, script = contest.prepare(contest.recorded)
        load = ghz.GhzLoad(
            method=contest.method,
            requests=asked,
            calls=contest.calls,
            rps=0,
            concurrency=CONCURRENCY,
            connections=CONCURRENCY,
        )
        ours = ghz.run(self._ghz, self._started.address, load)
        bare = ghz.run(self._ghz, echo_address, load)
        sql = statements.run(
            self._pgbench,
            self._started,
            script,
            clients=CONCURRENCY,
            transactions=contest.calls,
        )
        return (ours.calls_per_s, bare.calls_per_s, sql), dict(ours.failures)

    def _record(self, method: str, code: str, request: Message) -> tuple[Recorded, bytes]:
        """Return the statements of a call, and the bytes of its answer."""
        call: grpc.UnaryUnaryMultiCallable[Message, bytes]
        call = self._ledger.channel.unary_unary(
            f"/{ghz.PACKAGE}.{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=None,
        )
        answers: list[bytes] = []
        metadata = (("orchestration-correlation-id", code),)
        recorded = statements.record(
            self._started, code, lambda: answers.append(call(request, metadata=metadata))
        )
        return recorded, answers[0]

    def _get_task(self) -> RatioCase:
        method, code = "TaskService/GetTask", self._seeded.tasks[0]
        recorded, answer = self._record(method, code, task_pb2.GetTaskRequest(task_code=code))

        def prepare(recorded: Recorded) -> Round:
            rows = NumberedCodes("seed-task-")
            asked = requests.get_task(self._ledger, self._seeded, READS)
            assert not isinstance(asked, str)
            pick = statements.pick_any(len(self._seeded.tasks))
            return asked, recorded.script(rows, pick)

        return RatioCase("ratio GetTask", "ratio_read", method, READS, recorded, answer, prepare)

    def _create_task(self) -> RatioCase:
        method = "TaskService/CreateTask"
        code = requests.fresh_codes(1)[0]
        request = self._creation(code)
        recorded, answer = self._record(method, code, request)

        def prepare(recorded: Recorded) -> Round:
            theirs = NumberedCodes(requests.fresh_codes(1)[0][: -statements.DIGITS])
            asked = [self._creation(code) for code in requests.fresh_codes(WRITES)]
            return asked, recorded.script(theirs, statements.PICK_EACH_ONCE)

        return RatioCase("ratio CreateTask", "ratio_write", method, WRITES, recorded, answer, prepare)

    def _creation(self, code: str) -> task_pb2.CreateTaskRequest:
        rng = random.Random(code)
        task = new_task(code, self._seeded.sprints[0], rng)
        return task_pb2.CreateTaskRequest(task=task, request_id=code)

    def _update_status(self) -> RatioCase:
        method = "TaskService/UpdateTaskStatus"
        code = requests.make_tasks(self._ledger, self._seeded, 1)[0]
        request = requests.start_tasks([code])[0]
        request.request_id = code
        recorded, answer = self._record(method, code, request)

        def prepare(recorded: Recorded) -> Round:
            make = partial(requests.make_tasks, self._ledger, self._seeded, WRITES)
            theirs = NumberedCodes(make()[0][: -statements.DIGITS])
            asked = requests.start_tasks(make())
            return asked, recorded.script(theirs, statements.PICK_EACH_ONCE)

        return RatioCase("ratio UpdateTaskStatus", "ratio_write", method, WRITES, recorded, answer, prepare)

    def _claim_task(self) -> RatioCase:
        method = "CoordinationService/ClaimTask"
        code = requests.make_tasks(self._ledger, self._seeded, 1)[0]
        with psycopg.connect(self._started.database_url, autocommit=True) as conn:
            conn.execute("select setval('fences', %s)", (FIRST_FENCE,))
        recorded, answer = self._record(method, code, _claims([code])[0])
        fence = coordination_pb2.ClaimTaskResponse.FromString(answer).claims[0].lease.fence

        def prepare(recorded: Recorded) -> Round:
            make = partial(requests.make_tasks, self._ledger, self._seeded, WRITES)
            theirs = NumberedCodes(make()[0][: -statements.DIGITS])
            return _claims(make()), recorded.script(theirs, statements.PICK_EACH_ONCE)

        recorded = replace(recorded, fence=fence)
        return RatioCase("ratio ClaimTask", "ratio_write", method, WRITES, recorded, answer, prepare)

    def _release_task(self, claim: RatioCase) -> RatioCase:
        """Release tasks that the script of `claim` has claimed, or that the server has claimed."""
        method = "CoordinationService/ReleaseTask"
        request = self._claimed(requests.make_tasks(self._ledger, self._seeded, 1))[0]
        recorded, answer = self._record(method, request.task_code, request)

        def prepare(recorded: Recorded) -> Round:
            make = partial(requests.make_tasks, self._ledger, self._seeded, WRITES)
            theirs = NumberedCodes(make()[0][: -statements.DIGITS])
            script = claim.recorded.script(theirs, statements.PICK_EACH_ONCE)
            statements.run(self._pgbench, self._started, script, clients=CONCURRENCY, transactions=WRITES)
            return self._claimed(make()), recorded.script(theirs, statements.PICK_EACH_ONCE)

        recorded = replace(recorded, fence=request.fence)
        return RatioCase("ratio ReleaseTask", "ratio_write", method, WRITES, recorded, answer, prepare)

    def _claimed(self, codes: Sequence[str]) -> list[coordination_pb2.ReleaseTaskRequest]:
        """Claim tasks, and return the requests that release them as completed."""
        answers = in_parallel(self._ledger.coordination.ClaimTask, _claims(codes))
        return [
            coordination_pb2.ReleaseTaskRequest(
                task_code=answer.claims[0].task.code,
                fence=answer.claims[0].lease.fence,
                outcome=lease_pb2.ATTEMPT_OUTCOME_COMPLETED,
                request_id=answer.claims[0].task.code,
            )
            for answer in answers
        ]


def _claims(codes: Sequence[str]) -> list[coordination_pb2.ClaimTaskRequest]:
    lease = Duration(seconds=LEASE_SECONDS)
    return [
        coordination_pb2.ClaimTaskRequest(task_code=code, agent="bench", lease=lease, request_id=code)
        for code in codes
    ]


def _figures(rates: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    shares = [ours * (1 / bare + 1 / sql) for ours, bare, sql in rates]
    ours, bare, sql = (statistics.median(column) for column in zip(*rates, strict=True))
    return {
        "calls_per_s": ours,
        "echo_per_s": bare,
        "sql_per_s": sql,
        "share": statistics.median(shares),
        "share_low": min(shares),
        "share_high": max(shares),
    }


@contextmanager
def _echo_server(answers: dict[str, bytes]) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder, ready = Path(name, "answers"), Path(name, "ready")
        folder.mkdir()
        for path, answer in answers.items():
            (folder / echo_server.file_name(path)).write_bytes(answer)
        process = subprocess.Popen([sys.executable, "-m", "benchmarks.echo_server", str(folder), str(ready)])
        try:
            deadline = time.monotonic() + ECHO_TIMEOUT
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the echo server did not start")
                time.sleep(0.02)
            yield ready.read_text()
        finally:
            process.terminate()
            process.wait()
