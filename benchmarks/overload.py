"""A thousand calls at once against a server whose four connections are all busy."""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import psycopg

from benchmarks.gate import Measurement
from benchmarks.processes import ServerProcess
from benchmarks.rolling import change
from benchmarks.target import CHANNEL_OPTIONS, RunningServer, resident_mb
from orchestration.v1 import task_pb2
from orchestration.v1.task_pb2_grpc import TaskServiceStub

CALLS = 1_000
POOL = 4
THREADS = 16
WAITING = 64
CHANNELS = 20
HELD_SECONDS = 2.0
TIMEOUT = 30.0
WAVES = 10
"""The number of further waves of calls, after which the server's memory must not have grown."""
AFTERWARDS = 500
CODE = "limits"


def measure(started: RunningServer) -> list[Measurement]:
    """Measure calls that change one task whose row is locked, so that none of them ends by itself."""
    with tempfile.TemporaryDirectory(prefix="limits-") as directory:
        times = Path(directory, "times.json")
        server = ServerProcess(
            started.database_url,
            "--threads", str(THREADS), "--connections", str(POOL), "--waiting-calls", str(WAITING),
            program=("-m", "benchmarks.overload_server", str(times), "serve"),
        )  # fmt: skip
        try:
            figures, failures = _overload(started, server)
        finally:
            server.stop()
        refusals: dict[str, list[float]] = json.loads(times.read_text())
    for kind, seconds in (("handler", refusals["handlers"]), ("arrival", refusals["arrivals"])):
        figures[f"refused_by_{kind}"] = float(len(seconds))
        for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0)):
            figures[f"refused_by_{kind}_{name}_ms"] = 1000 * _percentile(seconds, share)
    return [Measurement("limits", "limits", figures, failures)]


def _overload(started: RunningServer, server: ServerProcess) -> tuple[dict[str, float], dict[str, int]]:
    channels = [grpc.insecure_channel(server.address, CHANNEL_OPTIONS) for _ in range(CHANNELS)]
    stubs = [TaskServiceStub(channel) for channel in channels]
    request = task_pb2.CreateTaskRequest(task=task_pb2.Task(code=CODE, title="held"), request_id=CODE)
    stubs[0].CreateTask(request, timeout=TIMEOUT)
    for stub in stubs:
        stub.GetTask(task_pb2.GetTaskRequest(task_code=CODE), timeout=TIMEOUT)
    ended: list[tuple[float, grpc.StatusCode]] = []
    with psycopg.connect(started.database_url) as conn:
        conn.execute("select 1 from tasks where code = %s for update", (CODE,))
        calls = _wave(stubs, ended)
        time.sleep(HELD_SECONDS)
        refused = [seconds for seconds, code in ended if code is grpc.StatusCode.RESOURCE_EXHAUSTED]
        before = resident_mb(server.pid)
        for _ in range(WAVES):
            late = [
                call for call in _wave(stubs, []) if call.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED
            ]
            if late:
                raise RuntimeError(f"{len(late)} calls of a later wave were not refused: {late[0].code()}")
        growth = resident_mb(server.pid) - before
        conn.rollback()
    codes = Counter(call.code() for call in calls)
    began = time.monotonic()
    answered = sum(
        stubs[n % CHANNELS].GetTask(task_pb2.GetTaskRequest(task_code=CODE), timeout=TIMEOUT).task.code
        == CODE
        for n in range(AFTERWARDS)
    )
    for channel in channels:
        channel.close()
    expected = (grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED)
    figures = {
        "calls": float(CALLS),
        "pool": float(POOL),
        "refused": float(codes[grpc.StatusCode.RESOURCE_EXHAUSTED]),
        "refused_in_later_waves": float(WAVES * CALLS),
        "rss_growth_mb": growth,
        "refused_while_held": float(len(refused)),
        "answered_once_let_go": float(codes[grpc.StatusCode.OK]),
        "hanging": float(CALLS - sum(codes[code] for code in expected)),
        "seen_by_client_p50_ms": 1000 * _percentile(refused, 0.5),
        "seen_by_client_max_ms": 1000 * _percentile(refused, 1.0),
        "answered_afterwards": float(answered),
        "afterwards_per_s": AFTERWARDS / (time.monotonic() - began),
    }
    return figures, {code.name: count for code, count in codes.items() if code not in expected}


def _wave(stubs: Sequence[TaskServiceStub], ended: list[tuple[float, grpc.StatusCode]]) -> list[Any]:
    """Make a thousand calls at once. Add the duration and status code of each to ``ended``."""
    calls: list[Any] = []
    for number in range(CALLS):
        call = stubs[number % CHANNELS].UpdateTask.future(change(CODE, number), timeout=TIMEOUT)
        call.add_done_callback(_record_end(ended))
        calls.append(call)
    return calls


def _record_end(ended: list[tuple[float, grpc.StatusCode]]) -> Callable[[Any], None]:
    began = time.monotonic()

    def note(call: Any) -> None:
        ended.append((time.monotonic() - began, call.code()))

    return note


def _percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile of the values; NaN if there are none."""
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
