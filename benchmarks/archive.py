"""The cost of archiving old events for concurrent writers, and a count of all events afterwards."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
from psycopg import sql

from benchmarks import ghz
from benchmarks.gate import Measurement
from benchmarks.requests import fresh_codes, request_id
from benchmarks.target import CHANNEL_OPTIONS, RunningServer
from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.db.partitions import bounds_name

PROJECT = "benchmark-archive"
WRITERS = 8
CALLS_PER_S = 20  # of each writer
QUIET_SECONDS = 8.0
TURN_SECONDS = 3.0
WATCH_SECONDS = 0.01
SPLIT_DAYS = 10
# Months back, the share of the events in each, and True if the month's table has checked bounds, as this
# release creates it. The last month is split at a day.
MONTHS = ((7, 0.32, True), (6, 0.34, False), (5, 0.32, True), (4, 0.02, True))
KEPT_SHARE = 0.02
COLUMNS = sql.SQL(
    "kept, epoch, xid, seq, project, event_id, type, entity_type, entity_code, sprint_code, priority,"
    " correlation_id, session_key, actor, occur_time, emit_time, body"
)
# The ids grow with time, as the ledger's own do, and the bodies are those of seeded events.
ROWS = sql.SQL("""
insert into {table} ({columns})
select {kept}, 1, '3'::xid8, n, {project},
    (lpad(to_hex((extract(epoch from time) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3)
        || '8' || substr(md5(n::text), 4, 15))::uuid,
    'agent.noted', 2, 'task-' || n % 20000, 'sprint-' || n % 200, {priority}, 'correlation-' || n / 100,
    'session-' || n / 1000, 'agent-' || n % 50, time, time, (select body from bodies where place = n % 500)
from (select n, {start} + (n - {first}) * ({length} / {events}) as time
    from generate_series({first}, {first} + {events} - 1) n) made
""")
WORKING = """
select query from pg_stat_activity
where datname = current_database() and state = 'active' and pid <> pg_backend_pid()
    and (query like '%ledger_archive%' or query like '%validate constraint%')
"""
COUNT = """
select count(*), coalesce(sum(hashtext(event_id::text)), 0), count(*) filter (where archived) from (
    select event_id, false as archived from events where project = %(project)s
    union all
    select event_id, true from archived_events where project = %(project)s
) there
"""


def month(back: int) -> datetime:
    """Return the start of the month `back` months ago, in UTC."""
    found = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(back):
        found = (found - timedelta(days=1)).replace(day=1)
    return found


@dataclass
class Writers:
    """Writers that each call at a steady rate.

    The latency of a call counts from when it was due, so it includes the time that the call waited for an
    earlier one.
    """

    address: str
    calls: list[tuple[float, float]] = field(default_factory=list)
    """For each call, its due time by the monotonic clock and the seconds until it was answered."""
    reasons: Counter[str] = field(default_factory=Counter)
    _ending: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        codes = fresh_codes(WRITERS)
        self._threads = [threading.Thread(target=self._write, args=(n, codes[n])) for n in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int, code: str) -> None:
        with grpc.insecure_channel(self.address, CHANNEL_OPTIONS) as channel:
            events, tasks = EventServiceStub(channel), TaskServiceStub(channel)
            due = time.monotonic() + number / WRITERS / CALLS_PER_S
            made = 0
            while not self._ending.wait(max(0.0, due - time.monotonic())):
                try:
                    if made % 2:
                        event = event_pb2.NewEvent(type="bench.write", actor=code)
                        events.EmitEvent(event_pb2.EmitEventRequest(event=event, request_id=request_id()))
                    else:
                        task = task_pb2.Task(code=f"{code}-{made}", title="Written while the archive works")
                        tasks.CreateTask(task_pb2.CreateTaskRequest(task=task, request_id=request_id()))
                except grpc.RpcError as error:
                    self.reasons[f"write: {error}"[:200]] += 1
                self.calls.append((due, time.monotonic() - due))
                made += 1
                due += 1 / CALLS_PER_S

    def latencies(self, spans: list[tuple[float, float]]) -> list[float]:
        """Return the sorted latencies, in milliseconds, of the calls that were due in one of the spans."""
        return sorted(
            took * 1000 for due, took in self.calls if any(start <= due < end for start, end in spans)
        )


class ArchiveRun:
    """A run that fills old months, archives them with kills in between, and counts the events."""

    def __init__(self, started: RunningServer, events: int) -> None:
        self._started = started
        self._events = events
        self._conn: psycopg.Connection[Any] = psycopg.connect(started.database_url, autocommit=True)
        self._conn.execute("set timezone = 'UTC'")
        self._cutoff = month(MONTHS[-1][0]) + timedelta(days=SPLIT_DAYS)
        self.seed_seconds = 0.0

    def close(self) -> None:
        self._conn.close()

    def fill(self) -> None:
        """Fill months, and bring them to their usual state: analyzed, vacuumed and counted."""
        began = time.monotonic()
        self._conn.execute("set maintenance_work_mem = '512MB'")
        self._conn.execute("set synchronous_commit = off")
        self._conn.execute(
            "create temporary table bodies as select row_number() over () - 1 as place, body"
            " from (select body from events where length(body) > 200 limit 500) sample"
        )
        self._conn.execute("create index on bodies (place)")
        self._conn.execute("analyze bodies")
        self._conn.execute(
            "insert into log_positions (reader, project, epoch, xid, seq)"
            " select reader, %s, 1, '3'::xid8, 1000000000000"
            " from unnest(array['rollups', 'automation']) reader",
            (PROJECT,),
        )
        first = 0
        for back, share, checked in MONTHS:
            count = int(self._events * share)
            self._fill_month(back, first, count, checked)
            first += count
        self._rows("events", first, max(1, int(self._events * KEPT_SHARE)), month(7), 90, kept=True)
        self._conn.execute("vacuum analyze events")
        self.seed_seconds = time.monotonic() - began

    def _fill_month(self, back: int, first: int, count: int, checked: bool) -> None:
        """Fill the table of a month before it has indexes, which is several times as fast."""
        start, end = month(back), month(back - 1)
        name = f"events_rest_{start:%Y_%m}"
        checks = sql.SQL(
            ", constraint archived_not_kept check (not kept and priority not in (1, 2))"
            ", constraint {} check (emit_time >= {} and emit_time < {})"
        ).format(sql.Identifier(bounds_name(start)), sql.Literal(start), sql.Literal(end))
        table = sql.Identifier(name)
        with self._conn.transaction():
            self._conn.execute(
                sql.SQL(
                    "create table {} (like events including defaults{})"
                    " with (autovacuum_vacuum_insert_scale_factor = 0.05)"
                ).format(table, checks if checked else sql.SQL(""))
            )
            days = SPLIT_DAYS if back == MONTHS[-1][0] else 28
            self._rows(name, first, count, start, days, kept=False)
            self._conn.execute(
                sql.SQL("alter table events_rest attach partition {} for values from ({}) to ({})").format(
                    table, sql.Literal(start), sql.Literal(end)
                )
            )

    def _rows(self, table: str, first: int, count: int, start: datetime, days: int, *, kept: bool) -> None:
        self._conn.execute(
            ROWS.format(
                table=sql.Identifier(table),
                columns=COLUMNS,
                kept=sql.Literal(kept),
                project=sql.Literal(PROJECT),
                priority=sql.Literal(1 if kept else 3),
                start=sql.Literal(start),
                first=sql.Literal(first),
                length=sql.Literal(timedelta(days=days)),
                events=sql.Literal(count),
            )
        )

    def count(self) -> tuple[int, int, int]:
        """Return the number of events, the sum of the hashes of their ids, and the number archived."""
        row = self._conn.execute(COUNT, {"project": PROJECT}).fetchone()
        assert row is not None
        return int(row[0]), int(row[1]), int(row[2])

    def start(self) -> subprocess.Popen[bytes]:
        days = (datetime.now(UTC) - self._cutoff).days
        command = [
            sys.executable,
            "-m",
            "orchestration_server",
            "archive",
            f"--older-than={days}d",
            "--exact",
        ]
        env = {**os.environ, "DATABASE_URL": self._started.database_url}
        return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def doing(self) -> str:
        """Return the running statement of the archive; empty if none runs."""
        row = self._conn.execute(WORKING).fetchone()
        return "" if row is None else str(row[0])

    def parts(self) -> int:
        row = self._conn.execute(
            "select count(*) from pg_inherits where inhparent = 'archived_events'::regclass"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def chunked(self) -> int:
        row = self._conn.execute(
            "select coalesce(max(moves), 0) from archive_edges where project = %s", (PROJECT,)
        ).fetchone()
        assert row is not None
        return int(row[0])


def measure(started: RunningServer, events: int) -> Measurement:
    """Measure the writers' p95 with and without a running archive. Count the events after each kill -9."""
    with closing(ArchiveRun(started, events)) as archiving:
        archiving.fill()
        before = archiving.count()
        # While the first month moves, while the bounds of the next one are checked, and between chunks.
        enough = len(MONTHS) + int(events * MONTHS[-1][1] / 500 * 0.3)
        kills: list[Callable[[], bool]] = [
            lambda: archiving.parts() > 0 or "ledger_archive_part" in archiving.doing(),
            lambda: "validate constraint" in archiving.doing(),
            lambda: archiving.chunked() > enough and "ledger_archive_chunk" in archiving.doing(),
        ]
        reasons: Counter[str] = Counter()
        quiet: list[tuple[float, float]] = []
        busy: list[tuple[float, float]] = []
        killed = 0
        writers = Writers(started.address)
        writers.start()
        try:
            _wait(quiet, 2 * QUIET_SECONDS)
            for kill in [*kills, None]:
                began = time.monotonic()
                process = archiving.start()
                while process.poll() is None:
                    if kill is not None and kill():
                        process.kill()
                        process.wait()
                        killed += 1
                    elif kill is None and time.monotonic() - began > TURN_SECONDS:
                        began = _pause(archiving, process, began, busy, quiet)
                    time.sleep(WATCH_SECONDS)
                while archiving.doing():
                    time.sleep(WATCH_SECONDS)
                busy.append((began, time.monotonic()))
                if kill is None and process.returncode != 0:
                    reasons[f"the archive ended with {process.returncode}"] += 1
                after = archiving.count()
                if after[:2] != before[:2]:
                    reasons["events lost or doubled"] += max(1, abs(after[0] - before[0]))
                _wait(quiet, QUIET_SECONDS)
        finally:
            writers.stop()
    if killed < len(kills):
        reasons["kills that came too late"] += len(kills) - killed
    expected = sum(int(events * share) for _, share, _ in MONTHS)
    if after[2] != expected:
        reasons["events not archived"] += max(1, expected - after[2])
    figures = {
        "events_archived": float(after[2]),
        "events_before": float(before[0]),
        "events_after": float(after[0]),
        "kills": float(killed),
        "archiving_s": sum(end - start for start, end in busy),
        "seed_s": archiving.seed_seconds,
        **_latency_figures(writers.latencies(quiet), writers.latencies(busy)),
    }
    return Measurement("archive", "archive", figures, dict(reasons + writers.reasons))


def _latency_figures(without: list[float], beside: list[float]) -> dict[str, float]:
    """Return the writers' figures without and beside a running archive."""
    figures = {"writes_without": float(len(without)), "writes_beside": float(len(beside))}
    for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99)):
        figures[f"{name}_without_ms"] = ghz.percentile(without, share)
        figures[f"{name}_beside_ms"] = ghz.percentile(beside, share)
    figures["longest_beside_ms"] = beside[-1] if beside else 0.0
    figures["p95_ratio"] = figures["p95_beside_ms"] / figures["p95_without_ms"]
    return figures


def _pause(
    archiving: ArchiveRun,
    process: subprocess.Popen[bytes],
    began: float,
    busy: list[tuple[float, float]],
    quiet: list[tuple[float, float]],
) -> float:
    """Stop the process during a turn of the writers alone, and return the time when it went on.

    The running statement ends first, and between two statements the process has no locks.
    """
    process.send_signal(signal.SIGSTOP)
    while archiving.doing():
        time.sleep(WATCH_SECONDS)
    busy.append((began, time.monotonic()))
    _wait(quiet, TURN_SECONDS)
    process.send_signal(signal.SIGCONT)
    return time.monotonic()


def _wait(spans: list[tuple[float, float]], seconds: float) -> None:
    """Let the writers write alone for a time, and add it to the spans."""
    began = time.monotonic()
    time.sleep(seconds)
    spans.append((began, time.monotonic()))
