"""The ledger beside job queues on the same Postgres: jobs a second, pickup, and the rate after faults.

The queues run in turn, each in its own database, with the same number of workers and durable commits. Each
runs its workers in one process (peers_queues.py, peers_ledger.py), which is started again if it ends. The
ledger has a server process besides, so its figures include the network, the event log and the fences.
"""

from __future__ import annotations

import json
import math
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from benchmarks import peers_environment
from benchmarks.gate import Measurement
from benchmarks.ghz import percentile
from benchmarks.peers_workers import Workers, run
from benchmarks.processes import ServerProcess
from orchestration_server.embedded.engines import EmbeddedEngines

WORKERS, SHORT_WORKERS = (8, 64), (8,)
ROUNDS, SHORT_ROUNDS = 3, 1
WARM_SECONDS = 3.0
SECONDS, SHORT_SECONDS = 15.0, 3.0
FAULT_ROUNDS = 2
FAULT_SECONDS = 10.0
BACK_SECONDS = 10.0
"""The rate after a fault counts from here, since Postgres is back or the backend was ended."""
PICKUPS, SHORT_PICKUPS = 80, 20
PICKUP_GAP = 0.05
FAULT_WORKERS = 8
ESTIMATES = {"procrastinate": 1_000.0, "pgqueuer": 8_000.0, "awa": 4_000.0}
"""Jobs a second for which a queue is filled at first."""
ESTIMATE = 800.0
MARGIN = 1.5
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
QUEUES = Path(__file__).with_name("peers_queues.py")

LEDGER, LEDGER_BATCH = "ledger", "ledger_batch"
_COMPLETED = {
    "procrastinate": "select count(*) from procrastinate_jobs where status = 'succeeded'",
    "pgqueuer": "select count(*) from pgqueuer_log where status = 'successful'",
    # It soon removes completed jobs, and counts them.
    "awa": """
        select (select count(*) from awa.jobs where state = 'completed')
            + (select coalesce(sum(pruned_completed_count), 0) from awa.queue_terminal_rollups)""",
    LEDGER: "select count(*) from tasks where status = 4",
}
_BUSY = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
order by state = 'active' desc, state_change desc limit 1
"""


@dataclass
class Contender:
    """A queue, its database, and what was measured of it."""

    name: str
    url: str
    idle_url: str
    """A database without jobs, for the pickup."""
    program: Sequence[str]
    """The command that peers_queues.py and peers_ledger.py document, without its last arguments."""
    serves: bool = False
    """True if it needs a server of the ledger."""
    loaded: int = 0
    begun: int = 0
    fastest: float = 0.0
    """The highest rate so far, or an estimate."""
    rates: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    latencies: list[list[float]] = field(default_factory=list)
    shares: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    restarts: int = 0
    completed: float = math.nan
    """The jobs that the database had as completed after the rates, as a share of those that had begun."""

    @contextmanager
    def commands(self, url: str = "") -> Iterator[Callable[..., list[str]]]:
        """Give the function that makes a command, while the queue can be used."""
        if not self.serves:
            yield lambda command, *numbers: [*self.program, command, url or self.url, *map(str, numbers)]
            return
        with ServerProcess(url or self.url, "--background") as server:
            yield lambda command, *numbers: [*self.program, command, server.address, *map(str, numbers)]

    def fill(self, make: Callable[..., list[str]], seconds: float) -> None:
        """Enqueue as many jobs as the workers may take in a time, beside those that are left."""
        wanted = math.ceil(self.fastest * MARGIN * seconds) - (self.loaded - self.begun)
        if wanted > 0:
            run(make("load", wanted))
            self.loaded += wanted
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute("vacuum analyze")

    @contextmanager
    def working(self, make: Callable[..., list[str]], workers: int, seconds: float) -> Iterator[Workers]:
        """Fill the queue and let it work. Raises RuntimeError if the jobs do not last."""
        self.fill(make, seconds)
        with Workers(make("work", workers)) as process:
            process.wait_for_jobs()
            time.sleep(WARM_SECONDS)
            yield process
        self.begun += process.count
        self.restarts += process.restarts
        if self.begun >= self.loaded:
            self.fastest *= 2
            raise RuntimeError(f"{self.name} ran out of jobs")

    def measure_rate(self, workers: int, seconds: float) -> None:
        """Measure the jobs a second."""
        with self.commands() as make, self.working(make, workers, seconds + WARM_SECONDS) as process:
            rate = process.rate(seconds)
        self.fastest = max(self.fastest, rate)
        self.rates[workers].append(rate)

    def measure_pickup(self, jobs: int) -> None:
        """Measure how long a job waits for one of idle workers."""
        with self.commands(self.idle_url) as make:
            took = sorted(json.loads(run(make("pickup", FAULT_WORKERS, jobs, PICKUP_GAP))))
        if len(took) < jobs:
            # Jobs that are left would be before those of the next time.
            raise RuntimeError(f"{self.name} began {len(took)} of {jobs} jobs")
        self.latencies.append(took)

    def measure_faults(self, engines: EmbeddedEngines, seconds: float) -> None:
        """Measure the share of the rate that is left after Postgres restarts, and after a backend ends."""
        span = WARM_SECONDS + 3 * seconds + 2 * BACK_SECONDS
        with self.commands() as make, self.working(make, FAULT_WORKERS, span) as process:
            before = process.rate(seconds)
            engines.stop_postgres("fast")
            engines.start_postgres()
            time.sleep(BACK_SECONDS)
            self.shares["restart"].append(process.rate(seconds) / before)
            with psycopg.connect(self.url, autocommit=True) as conn:
                conn.execute(_BUSY)
            time.sleep(BACK_SECONDS)
            self.shares["kill"].append(process.rate(seconds) / before)

    def count_completed(self) -> None:
        """Compare the jobs that the database has as completed with those that have begun."""
        query = _COMPLETED.get(self.name, _COMPLETED[LEDGER])
        with psycopg.connect(self.url, autocommit=True) as conn:
            row = conn.execute(query.encode()).fetchone()
        assert row is not None
        self.completed = float(row[0]) / self.begun

    def measurement(self) -> Measurement:
        """Return the medians of all rounds."""
        figures = {}
        for workers, rates in self.rates.items():
            figures[f"jobs_per_s_{workers}"] = statistics.median(rates)
            figures[f"lowest_{workers}"], figures[f"highest_{workers}"] = min(rates), max(rates)
        for share in (0.5, 0.95) if self.latencies else ():
            found = [1e3 * percentile(took, share) for took in self.latencies]
            figures[f"pickup_p{share * 100:.0f}_ms"] = statistics.median(found)
        for fault, shares in self.shares.items():
            figures[f"share_after_{fault}"] = statistics.median(shares)
        figures["worker_restarts"] = float(self.restarts)
        figures["completed_share"] = self.completed
        return Measurement(f"peers_{self.name}", "peer_queues", figures, {})


def measure(*, short: bool) -> list[Measurement]:
    """Measure all queues in turn."""
    python = peers_environment.python()
    rounds, seconds = (SHORT_ROUNDS, SHORT_SECONDS) if short else (ROUNDS, SECONDS)
    engines = EmbeddedEngines(None, durable=True)
    with engines as started:
        contenders = _contenders(started.database_url, python)
        _check_durable(started.database_url)
        errors: dict[str, int] = defaultdict(int)

        def turns(work: Callable[[Contender], None], among: Sequence[Contender]) -> None:
            for contender in among:
                print(f"[{datetime.now(UTC):%H:%M:%S}] {contender.name}", file=sys.stderr, flush=True)
                try:
                    work(contender)
                except RuntimeError as error:
                    errors[str(error)[:300]] += 1

        alone = [one for one in contenders if one.name != LEDGER_BATCH]
        for _ in range(rounds):
            for workers in SHORT_WORKERS if short else WORKERS:
                # A batch of few tasks is hardly one.
                among = contenders if short or workers == max(WORKERS) else alone
                turns(lambda one, w=workers: one.measure_rate(w, seconds), among)  # type: ignore[misc]
            turns(lambda one: one.measure_pickup(SHORT_PICKUPS if short else PICKUPS), alone)
        turns(Contender.count_completed, contenders)
        for _ in range(min(rounds, FAULT_ROUNDS)):
            turns(lambda one: one.measure_faults(engines, seconds if short else FAULT_SECONDS), alone)
    return [*(one.measurement() for one in contenders), _ratios(contenders, errors)]


def _contenders(url: str, python: Path) -> list[Contender]:
    found = []
    for name in ("procrastinate", "pgqueuer", "awa", LEDGER, LEDGER_BATCH):
        own, idle = _database(url, f"peers_{name}"), _database(url, f"idle_{name}")
        if name in (LEDGER, LEDGER_BATCH):
            mode = "batch" if name == LEDGER_BATCH else "single"
            program, serves = [sys.executable, "-m", "benchmarks.peers_ledger", mode], True
        else:
            program, serves = [str(python), str(QUEUES), name], False
            for database in (own, idle):
                run([*program, "setup", database])
        found.append(Contender(name, own, idle, program, serves, fastest=ESTIMATES.get(name, ESTIMATE)))
    return found


def _database(url: str, name: str) -> str:
    """Create a database and return its URL."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"create database {name}".encode())
    return re.sub(r"^(\w+://[^/]*/)[^?]*", rf"\g<1>{name}", url)


def _check_durable(url: str) -> None:
    """Raise RuntimeError if a commit of this Postgres is not on disk when it returns."""
    with psycopg.connect(url, autocommit=True) as conn:
        for setting in DURABLE:
            row = conn.execute(f"show {setting}".encode()).fetchone()
            if row != ("on",):
                raise RuntimeError(f"{setting} is not on")


def _ratios(contenders: Sequence[Contender], errors: dict[str, int]) -> Measurement:
    """Compare the ledger with each other queue. The best mode and number of workers of each count."""
    best = {
        one.name: max((statistics.median(rates) for rates in one.rates.values()), default=math.nan)
        for one in contenders
    }
    ours = max(best[LEDGER], best[LEDGER_BATCH])
    figures = {f"of_{name}": ours / best[name] for name in ESTIMATES}
    ledger = next(one for one in contenders if one.name == LEDGER)
    for fault, shares in ledger.shares.items():
        figures[f"share_after_{fault}"] = statistics.median(shares)
    return Measurement("peers", "peers", figures, errors)
