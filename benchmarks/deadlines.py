"""The time from a caller's deadline until its statement has ended, and the effect on other callers."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import psycopg

from benchmarks.gate import Measurement
from benchmarks.processes import ServerProcess
from benchmarks.requests import request_id
from benchmarks.target import CHANNEL_OPTIONS, RunningServer
from orchestration.v1 import task_pb2
from orchestration.v1.task_pb2_grpc import TaskServiceStub

DEADLINE = 0.3
AT_ONCE = {1: 20, 8: 10, 100: 5}
"""The number of rounds by the number of concurrent statements."""
TRIES = 1_500
SHORTEST, LONGEST = 0.001, 0.012
WARM_SECONDS = 3.0
"""The time in which each connection prepares and plans the statement, which takes milliseconds at first."""
TIMEOUT = 30.0
CREATE_SLOW_TRIGGER = """
create or replace function benchmark_slow() returns trigger language plpgsql as $$
begin perform pg_sleep(case when new.code like 'slow-%' then 8 else 0.005 end); return new; end $$;
create trigger benchmark_slow before insert on tasks for each row
    when (new.code like 'slow-%' or new.code like 'nap-%') execute function benchmark_slow()
"""
DROP_SLOW_TRIGGER = "drop trigger benchmark_slow on tasks"
COUNT_SLEEPING = (
    "select count(*) from pg_stat_activity where datname = current_database()"
    " and application_name = 'orchestration' and state = 'active' and wait_event = 'PgSleep'"
)


def measure(started: RunningServer) -> list[Measurement]:
    """Measure on a server with a thread for each call, whose statements a trigger slows down."""
    with psycopg.connect(started.database_url, autocommit=True) as conn:
        conn.execute(CREATE_SLOW_TRIGGER.encode())
        try:
            found = []
            with ServerProcess(started.database_url, "--threads", str(max(AT_ONCE))) as server:
                channel = grpc.insecure_channel(server.address, CHANNEL_OPTIONS)
                tasks = TaskServiceStub(channel)
                for call in [_create(tasks, "slow", WARM_SECONDS) for _ in range(max(AT_ONCE))]:
                    call.exception()
                for at_once, rounds in AT_ONCE.items():
                    late = [_seconds_late(conn, tasks, at_once) for _ in range(rounds)]
                    found.append(_measurement(at_once, late))
                channel.close()
            with ServerProcess(started.database_url) as server:
                found.append(_neighbours(server.address))
        finally:
            conn.execute(DROP_SLOW_TRIGGER.encode())
    return found


def _create(tasks: TaskServiceStub, code: str, timeout: float) -> Any:
    task = task_pb2.Task(code=f"{code}-{request_id()}", title="slow")
    request = task_pb2.CreateTaskRequest(task=task, request_id=request_id())
    return tasks.CreateTask.future(request, timeout=timeout)


def _seconds_late(conn: psycopg.Connection, tasks: TaskServiceStub, at_once: int) -> float:
    """Return the seconds from the last deadline until no statement is left."""
    calls = [_create(tasks, "slow", DEADLINE) for _ in range(at_once)]
    deadline = time.monotonic() + DEADLINE
    running = _sleeping(conn)
    while time.monotonic() < deadline:
        running = max(running, _sleeping(conn))
    if running < at_once:
        raise RuntimeError(f"{running} statements ran at once, not {at_once}")
    while _sleeping(conn):
        pass
    late = time.monotonic() - deadline
    codes = Counter(call.code() for call in calls)
    if codes != {grpc.StatusCode.DEADLINE_EXCEEDED: at_once}:
        raise RuntimeError(f"the calls ended with {codes}")
    return late


def _sleeping(conn: psycopg.Connection) -> int:
    row = conn.execute(COUNT_SLEEPING.encode()).fetchone()
    return 0 if row is None else int(row[0])


def _measurement(at_once: int, late: Sequence[float]) -> Measurement:
    ordered = sorted(late)
    figures = {
        "statements_at_once": float(at_once),
        "rounds": float(len(ordered)),
        "gone_after_p50_ms": 1000 * ordered[len(ordered) // 2],
        "gone_after_max_ms": 1000 * ordered[-1],
    }
    return Measurement(f"deadlines_{at_once}", "deadlines", figures, {})


def _neighbours(address: str) -> Measurement:
    """Measure how calls with short deadlines affect calls that share their connections."""
    channel = grpc.insecure_channel(address, CHANNEL_OPTIONS)
    tasks = TaskServiceStub(channel)
    chance = random.Random(1)
    short = [chance.uniform(SHORTEST, LONGEST) for _ in range(TRIES)]
    with ThreadPoolExecutor(4) as short_calls, ThreadPoolExecutor(4) as long_calls:
        cut = short_calls.map(lambda timeout: _create(tasks, "nap", timeout).code(), short)
        kept = long_calls.map(lambda _: _create(tasks, "nap", TIMEOUT).code(), range(TRIES))
        ended, neighbours = Counter(cut), Counter(kept)
    channel.close()
    failed = {code.name: count for code, count in neighbours.items() if code is not grpc.StatusCode.OK}
    figures = {
        "tries": float(TRIES),
        "cut_by_their_deadline": float(ended[grpc.StatusCode.DEADLINE_EXCEEDED]),
        "neighbours": float(TRIES),
        "neighbours_cancelled": float(sum(failed.values())),
    }
    return Measurement("deadlines_neighbours", "deadlines", figures, failed)
