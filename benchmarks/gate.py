"""The gate, which compares measurements with thresholds.toml."""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

GateName = Literal["outer", "inner", "proxy", "peers"]
Bound = Literal["max", "min"]
Limits = Mapping[str, Mapping[str, Mapping[Bound, float]]]
"""Bounds by section, which is a scenario, a group or "every", and by figure."""

THRESHOLDS = Path(__file__).with_name("thresholds.toml")
EVERY = "every"


@dataclass(frozen=True)
class Measurement:
    """The figures of one scenario. `reasons` has the number of failed calls by reason."""

    name: str
    group: str
    figures: Mapping[str, float]
    reasons: Mapping[str, int]

    @property
    def errors(self) -> int:
        return sum(self.reasons.values())

    def figure(self, name: str) -> float | None:
        return float(self.errors) if name == "errors" else self.figures.get(name)


class BadThresholds(ValueError):
    """Raised if the file of thresholds is not valid."""


def load(gate: GateName, path: Path = THRESHOLDS) -> Limits:
    """Return the limits of one gate. Raises BadThresholds if the file is not valid."""
    document = tomllib.loads(path.read_text())
    if gate not in document:
        raise BadThresholds(f"{path.name} has no gate {gate}")
    limits: Limits = document[gate]
    for section, figures in limits.items():
        for figure, bounds in figures.items():
            if not bounds or not bounds.keys() <= {"max", "min"}:
                raise BadThresholds(f"{gate}.{section}.{figure} takes max, min or both")
    return limits


def misses(
    measurements: Sequence[Measurement],
    limits: Limits,
    *,
    required: Collection[str],
    whole: bool = True,
) -> list[str]:
    """Return a line for each missed threshold; empty if none was missed.

    `required` names the scenarios that should have been measured. If `whole` is False, only a part was run,
    and a section without a measurement is no miss.
    """
    found = [f"{name}: was not measured" for name in required if name not in {m.name for m in measurements}]
    for section, figures in limits.items():
        limited = [m for m in measurements if section in (m.name, m.group, EVERY)]
        if not limited and whole:
            found.append(f"{section}: nothing was measured that it limits")
        for measurement in limited:
            for figure, bounds in figures.items():
                found += _check(measurement, figure, bounds)
    return found


def _check(measurement: Measurement, figure: str, bounds: Mapping[Bound, float]) -> list[str]:
    value = measurement.figure(figure)
    if value is None:
        return [f"{measurement.name}: {figure} was not measured"]
    # With this form of the conditions, NaN is a miss too.
    found = []
    if "max" in bounds and not value <= bounds["max"]:
        found.append(f"{measurement.name}: {figure} is {value:,.4g}, at most {bounds['max']:,g}")
    if "min" in bounds and not value >= bounds["min"]:
        found.append(f"{measurement.name}: {figure} is {value:,.4g}, at least {bounds['min']:,g}")
    return found
