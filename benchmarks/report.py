"""The report of a run, as JSON for programs and as Markdown tables for people."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.gate import GateName, Measurement

REPORTS = Path(__file__).with_name("reports")
LOAD_COLUMNS = ("calls", "offered_per_s", "calls_per_s", "p50_ms", "p95_ms", "p99_ms")


@dataclass(frozen=True)
class BenchmarkReport:
    """A run. `seconds` is its total duration."""

    gate: GateName
    when: datetime
    seconds: float
    setting: Mapping[str, object]
    measurements: Sequence[Measurement]
    misses: Sequence[str]

    def save(self) -> Path:
        """Write both forms and return the path of the Markdown file."""
        REPORTS.mkdir(exist_ok=True)
        stem = REPORTS / f"{self.when:%Y%m%dT%H%M%SZ}-{self.gate}"
        stem.with_suffix(".json").write_text(json.dumps(self._document(), indent=2) + "\n")
        table = stem.with_suffix(".md")
        table.write_text(self.markdown())
        return table

    def _document(self) -> dict[str, object]:
        return {
            "gate": self.gate,
            "when": self.when.isoformat(),
            "seconds": round(self.seconds, 1),
            "machine": machine(),
            "setting": dict(self.setting),
            "passed": not self.misses,
            "misses": list(self.misses),
            "measurements": [
                {
                    "name": m.name,
                    "group": m.group,
                    "errors": m.errors,
                    "reasons": dict(m.reasons),
                    "figures": {name: round(value, 4) for name, value in m.figures.items()},
                }
                for m in self.measurements
            ],
        }

    def markdown(self) -> str:
        setting = ", ".join(f"{name} {_short(value)}" for name, value in self.setting.items())
        lines = [
            f"# Benchmarks, {self.gate} gate: {'missed' if self.misses else 'passed'}",
            "",
            f"{self.when:%Y-%m-%d %H:%M} UTC, {self.seconds:.0f} s; {_describe(machine())}",
            "",
            setting,
            "",
        ]
        loads = [m for m in self.measurements if "offered_per_s" in m.figures]
        if loads:
            names = [name.removesuffix("_per_s").replace("_", " ") for name in LOAD_COLUMNS]
            names[1:3] = ["offered/s", "answered/s"]
            rows = [[m.name, *_cells(m, LOAD_COLUMNS), str(m.errors)] for m in loads]
            lines += [*_table(["scenario", *names, "errors"], rows), ""]
        for m in self.measurements:
            if m not in loads:
                lines += _table([m.name, "value"], _figure_rows(m))
                lines.append("")
        reasons = [
            f"- {m.name}: {count} × {reason}"
            for m in self.measurements
            for reason, count in m.reasons.items()
        ]
        if reasons:
            lines += ["Errors:", "", *reasons, ""]
        if self.misses:
            lines += ["Missed:", "", *(f"- {miss}" for miss in self.misses), ""]
        return "\n".join(lines)


def machine() -> dict[str, object]:
    """Return a description of the machine."""
    return {
        "cpus": os.cpu_count() or 0,
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def _describe(found: Mapping[str, object]) -> str:
    return f"{found['cpus']} cpus, {found['architecture']}, Python {found['python']}"


def _short(value: object) -> str:
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


def _cells(measurement: Measurement, columns: Sequence[str]) -> list[str]:
    return [_number(measurement.figures.get(column)) for column in columns]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:,.2f}"


def _figure_rows(measurement: Measurement) -> list[list[str]]:
    rows = [[name.replace("_", " "), _number(value)] for name, value in measurement.figures.items()]
    return [*rows, ["errors", str(measurement.errors)]]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(heads), f"| {' | '.join(rule)} |", *(line(row) for row in rows)]
