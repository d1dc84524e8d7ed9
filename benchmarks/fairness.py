"""Two projects, one of which makes forty expensive calls at once: the latency of the other."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks import ghz, seed
from benchmarks.gate import Measurement
from benchmarks.processes import ServerProcess
from benchmarks.provisioning import channel, make_key, temporary_database
from benchmarks.rolling import change
from benchmarks.target import LedgerStubs, RunningServer
from orchestration.v1 import task_pb2

EVENTS, TASKS = 100_000, 1_000
ROUNDS = 3
SECONDS = 4
RPS = 50
WARM_SECONDS = 1.0
CODES = [f"modest-{number}" for number in range(50)]
"""Several tasks, so that the updates do not wait for each other."""
TIMEOUT = 30.0


def measure(started: RunningServer, program: Path) -> list[Measurement]:
    """Measure the modest project's latencies in turn alone and beside the greedy one."""
    with temporary_database(started, "fairness") as url:
        greedy, modest = make_key(url, "greedy"), make_key(url, "modest")
        with ServerProcess(url, "--auth", "required") as server:
            ledger = LedgerStubs(server.address, channel(server.address, greedy))
            seeded = seed.fill(ledger, events=EVENTS, tasks=TASKS)
            seed.wait_for_services(url)
            with channel(server.address, modest) as opened:
                own = LedgerStubs(server.address, opened)
                for code in CODES:
                    task = task_pb2.Task(code=code, title=code)
                    request = task_pb2.CreateTaskRequest(task=task, request_id=code)
                    own.tasks.CreateTask(request, timeout=TIMEOUT)
            ledger.close()
            return [_compare(program, server.address, greedy, modest, seeded.sprints[:10])]


def _compare(program: Path, address: str, greedy: str, modest: str, sprints: Sequence[str]) -> Measurement:
    alone: dict[str, list[ghz.GhzResult]] = {"get": [], "update": []}
    beside: dict[str, list[ghz.GhzResult]] = {"get": [], "update": []}
    command = [sys.executable, "-m", "benchmarks.greedy_client", address, greedy, str(2 * SECONDS + 3)]
    answered = refused = 0
    for round_ in range(ROUNDS):
        for kind, found in alone.items():
            found.append(ghz.run(program, address, _load(kind, round_, modest)))
        other = subprocess.Popen([*command, *sprints], stdout=subprocess.PIPE, text=True)
        try:
            other.wait(WARM_SECONDS)
        except subprocess.TimeoutExpired:
            for kind, found in beside.items():
                found.append(ghz.run(program, address, _load(kind, round_, modest)))
        ended = json.loads(other.communicate()[0])
        answered += ended.get("OK", 0)
        refused += sum(ended.values()) - ended.get("OK", 0)
    figures = {"greedy_answered": float(answered), "greedy_refused": float(refused)}
    reasons: Counter[str] = Counter()
    for kind in alone:
        for name, share in (("p50", 0.5), ("p95", 0.95)):
            before = ghz.percentile(ghz.merged_latencies(alone[kind]), share)
            after = ghz.percentile(ghz.merged_latencies(beside[kind]), share)
            figures |= {f"{kind}_{name}_alone_ms": before, f"{kind}_{name}_ms": after}
            figures[f"{kind}_{name}_ratio"] = after / before
        for outcome in (*alone[kind], *beside[kind]):
            reasons.update(outcome.failures)
    return Measurement("fairness", "fairness", figures, dict(reasons))


def _load(kind: str, round_: int, key: str) -> ghz.GhzLoad:
    """Return the load of the modest project: reads, or updates that differ in each round."""
    calls = RPS * SECONDS
    get = [task_pb2.GetTaskRequest(task_code=code) for code in CODES]
    update = [change(CODES[n % len(CODES)], round_ * calls + n) for n in range(calls)]
    return ghz.GhzLoad(
        method="TaskService/GetTask" if kind == "get" else "TaskService/UpdateTask",
        requests=get if kind == "get" else update,
        calls=calls,
        rps=RPS,
        concurrency=20,
        connections=5,
        metadata={"authorization": f"Bearer {key}"},
    )
