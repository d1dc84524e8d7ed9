"""The command `python -m benchmarks`: run the benchmarks and check them against the thresholds."""

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from benchmarks import (
    archive,
    claims,
    deadlines,
    fairness,
    gate,
    ghz,
    hostile_clients,
    overload,
    peers,
    rolling,
    seed,
    throughput,
    tools,
)
from benchmarks.fanout import LiveStreams
from benchmarks.gate import GateName, Measurement
from benchmarks.ratios import Ratios
from benchmarks.report import BenchmarkReport
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.seed import Seeded
from benchmarks.target import BenchmarkServer, LedgerStubs, RunningServer

EVENTS, SHORT_EVENTS = 1_000_000, 10_000
TASKS, SHORT_TASKS = 10_000, 1_000
ROUNDS, SHORT_ROUNDS = 9, 3
TIMELINE_ROUNDS = 3
LIVE_COUNTS = [200, 2_000]
MISSED, BROKEN = 1, 2  # exit codes


@dataclass(frozen=True)
class Bench:
    """The server, the data and the options of a run, which all parts share."""

    ghz: Path
    started: RunningServer
    ledger: LedgerStubs
    seeded: Seeded
    short: bool
    events: int

    @property
    def rounds(self) -> int:
        return SHORT_ROUNDS if self.short else ROUNDS

    def load(self, scenario: Scenario) -> Measurement:
        calls = scenario.short_calls if self.short else scenario.calls
        load = ghz.GhzLoad(
            method=scenario.method,
            requests=scenario.make(self.ledger, self.seeded, calls),
            calls=calls,
            rps=scenario.rps,
            concurrency=scenario.concurrency,
            connections=scenario.connections,
        )
        outcome = ghz.run(self.ghz, self.started.address, load)
        figures = {
            "calls": float(calls),
            "offered_per_s": float(scenario.rps),
            "calls_per_s": outcome.calls_per_s,
            "p50_ms": outcome.percentile(0.50),
            "p95_ms": outcome.percentile(0.95),
            "p99_ms": outcome.percentile(0.99),
            "mean_ms": statistics.fmean(outcome.latencies),
        }
        if scenario.rps:
            figures["rate_share"] = outcome.calls_per_s / scenario.rps
        return Measurement(scenario.name, scenario.group, figures, outcome.failures)

    def ratios(self) -> list[Measurement]:
        pgbench = tools.pgbench()
        return Ratios(self.ghz, pgbench, self.started, self.ledger, self.seeded).measure(self.rounds)

    def emit(self) -> list[Measurement]:
        return [throughput.measure_emit(self.started, self.seeded, self.rounds)]

    def timeline(self) -> list[Measurement]:
        return [throughput.measure_timeline(self.started, self.seeded, TIMELINE_ROUNDS)]

    def live(self) -> list[Measurement]:
        return LiveStreams(self.ghz, self.started, self.ledger, self.seeded).measure(LIVE_COUNTS)

    def hanging(self) -> list[Measurement]:
        return [LiveStreams(self.ghz, self.started, self.ledger, self.seeded).measure_hanging()]

    def archive(self) -> list[Measurement]:
        return [archive.measure(self.started, self.events)]

    def limits(self) -> list[Measurement]:
        return overload.measure(self.started)

    def deadlines(self) -> list[Measurement]:
        return deadlines.measure(self.started)

    def rolling(self) -> list[Measurement]:
        return rolling.measure(self.started)

    def hostile_clients(self) -> list[Measurement]:
        return hostile_clients.measure(self.started, self.ghz)

    def claims(self) -> list[Measurement]:
        return claims.measure(self.started, self.ghz, short=self.short)

    def fairness(self) -> list[Measurement]:
        return fairness.measure(self.started, self.ghz)


PARTS: dict[str, Callable[[Bench], list[Measurement]]] = {
    "timeline": Bench.timeline,
    "ratios": Bench.ratios,
    "emit": Bench.emit,
    "live": Bench.live,
    "hanging": Bench.hanging,
    "archive": Bench.archive,
    "limits": Bench.limits,
    "deadlines": Bench.deadlines,
    "rolling": Bench.rolling,
    "strangers": Bench.hostile_clients,
    "claims": Bench.claims,
    "fairness": Bench.fairness,
}

ALONE: dict[str, Callable[[bool], list[Measurement]]] = {"peers": lambda short: peers.measure(short=short)}
"""Parts that start all that they need and run only if they are named. Each has a gate of its own."""


def main() -> int:
    options = _arguments()
    if options.list:
        print("\n".join(_names()))
        return 0
    wanted: Collection[str] = options.only or _default(options.short)
    alone = [name for name in ALONE if name in wanted]
    of_server = [name for name in wanted if name not in ALONE]
    own_gate = alone[0] if alone and not of_server else None
    gate_name = cast(GateName, options.gate or own_gate or ("outer" if options.short else "inner"))
    try:
        program = tools.ghz() if of_server else None
        limits = gate.load(gate_name)
    except (tools.ProgramMissing, gate.BadThresholds) as error:
        print(error, file=sys.stderr)
        return BROKEN
    # SIGTERM must still stop the server.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(BROKEN))
    began = time.monotonic()
    measurements: list[Measurement] = []
    setting: dict[str, object] = {}
    if program is not None:
        measurements, setting = _run(program, options, of_server)
    for name in alone:
        measurements += _guarded(name, name, lambda n=name: ALONE[n](options.short))  # type: ignore[misc]  # bound now
    required = [scenario.name for scenario in SCENARIOS if scenario.name in wanted]
    whole = not options.only
    report = BenchmarkReport(
        gate=gate_name,
        when=datetime.now(UTC),
        seconds=time.monotonic() - began,
        setting=setting,
        measurements=measurements,
        misses=gate.misses(measurements, limits, required=required, whole=whole),
    )
    path = report.save()
    print(report.markdown())
    print(f"written to {path.parent.name}/{path.name} of the benchmarks, and beside it as JSON")
    return MISSED if report.misses else 0


def _run(
    program: Path, options: argparse.Namespace, wanted: Collection[str]
) -> tuple[list[Measurement], dict[str, object]]:
    """Start a server, fill it and run the wanted parts. Return the measurements and the setting."""
    events = options.events or (SHORT_EVENTS if options.short else EVENTS)
    tasks = SHORT_TASKS if options.short else TASKS
    with BenchmarkServer() as started:
        ledger = LedgerStubs(started.address)
        # The archive's part inserts its own old events, which no rpc can create.
        recent = SHORT_EVENTS if set(wanted) == {"archive"} else events
        _say(f"seeding {recent:,} events and {tasks:,} tasks")
        seeded = seed.fill(ledger, events=recent, tasks=tasks)
        _say(f"seeded at {seeded.events_per_s:,.0f} events/s; the background services follow")
        seed.wait_for_services(started.database_url)
        _say("measuring")
        bench = Bench(program, started, ledger, seeded, options.short, events)
        measurements = list(_measure(bench, wanted))
        ledger.close()
    rate = round(seeded.events_per_s)
    return measurements, {"events": events, "tasks": tasks, "seeded events/s": rate}


def _names() -> list[str]:
    return [scenario.name for scenario in SCENARIOS] + list(PARTS) + list(ALONE)


def _measure(bench: Bench, wanted: Collection[str]) -> Iterable[Measurement]:
    """Run one part after the other. A failure is reported as an error of its part."""
    for scenario in SCENARIOS:
        if scenario.name in wanted:
            yield from _guarded(scenario.name, scenario.group, lambda s=scenario: [bench.load(s)])  # type: ignore[misc]  # bound now
    for name, part in PARTS.items():
        if name in wanted:
            yield from _guarded(name, name, lambda p=part: p(bench))  # type: ignore[misc]  # bound now


def _guarded(name: str, group: str, work: Callable[[], list[Measurement]]) -> list[Measurement]:
    try:
        found = work()
    except Exception as error:
        found = [Measurement(name, group, {}, {f"{type(error).__name__}: {error}"[:1500]: 1})]
    for m in found:
        p95 = m.figures.get("p95_ms")
        _say(f"{m.name}: " + (f"p95 {p95:.1f} ms, " if p95 is not None else "") + f"{m.errors} errors")
    return found


def _default(short: bool) -> list[str]:
    return [scenario.name for scenario in SCENARIOS] + ([] if short else list(PARTS))


def _say(text: str) -> None:
    print(f"[{datetime.now(UTC):%H:%M:%S}] {text}", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="use a small table and few calls, as CI does")
    parser.add_argument(
        "--gate",
        choices=["outer", "inner", "peers"],
        help="default: inner, with --short outer; peers if only peers is run",
    )
    parser.add_argument("--events", type=int, help=f"the number of events (default: {EVENTS:,})")
    parser.add_argument(
        "--only", action="append", choices=_names(), metavar="NAME", help="run this part; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="list the names that --only accepts")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
