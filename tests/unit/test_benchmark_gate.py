"""The gate of the benchmarks: a run that passes, and each way to miss a threshold."""

import math
from pathlib import Path

import pytest

from benchmarks.gate import BadThresholds, GateName, Limits, Measurement, load, misses

LIMITS: Limits = {
    "every": {"errors": {"max": 0}},
    "crud": {"p95_ms": {"max": 20}, "rate_share": {"min": 0.95}},
    "live": {"p95_ms": {"max": 50}},
}


def measured(
    name: str = "GetTask",
    group: str = "crud",
    p95: float = 5.0,
    rate: float = 1.0,
    errors: int = 0,
) -> Measurement:
    reasons = {"UNAVAILABLE": errors} if errors else {}
    return Measurement(name, group, {"p95_ms": p95, "rate_share": rate}, reasons)


def verdict(*measurements: Measurement, whole: bool = True) -> list[str]:
    return misses(measurements, LIMITS, required=["GetTask", "live"], whole=whole)


LIVE = measured("live", "live")


def test_all_good_passes() -> None:
    assert verdict(measured(p95=20.0, rate=0.95), LIVE) == []


def test_a_missed_p95_fails() -> None:
    assert verdict(measured(p95=20.1), LIVE) == ["GetTask: p95_ms is 20.1, at most 20"]


def test_a_missed_rate_fails() -> None:
    assert verdict(measured(rate=0.9), LIVE) == ["GetTask: rate_share is 0.9, at least 0.95"]


def test_one_error_fails() -> None:
    assert verdict(measured(errors=1), LIVE) == ["GetTask: errors is 1, at most 0"]


def test_nan_fails() -> None:
    assert verdict(measured(p95=math.nan), LIVE) == ["GetTask: p95_ms is nan, at most 20"]


def test_a_missing_scenario_fails() -> None:
    assert verdict(measured()) == [
        "live: was not measured",
        "live: nothing was measured that it limits",
    ]


def test_a_missing_figure_fails() -> None:
    bare = Measurement("live", "live", {}, {})
    assert verdict(measured(), bare) == ["live: p95_ms was not measured"]


def test_a_part_on_purpose_may_leave_sections_out() -> None:
    assert misses([measured()], LIMITS, required=["GetTask"], whole=False) == []


@pytest.mark.parametrize("gate", ["outer", "inner"])
def test_the_thresholds_are_well_formed(gate: GateName) -> None:
    limits = load(gate)
    assert limits["every"]["errors"]["max"] == 0
    assert {"crud", "event_query", "s18_create_sprint"} <= limits.keys()
    assert {"context_cold", "context_cached", "template", "report"} <= limits.keys()


def test_the_inner_gate_is_the_tighter_one() -> None:
    outer, inner = load("outer"), load("inner")
    for section, figures in outer.items():
        for figure, bounds in figures.items():
            assert inner[section][figure].get("max", 0) <= bounds.get("max", 0)
            assert inner[section][figure].get("min", 0) >= bounds.get("min", 0)


def test_a_limit_that_limits_nothing_is_refused(tmp_path: Path) -> None:
    thresholds = tmp_path / "thresholds.toml"
    thresholds.write_text("[outer.crud]\np95_ms = { maximum = 20 }\n")
    with pytest.raises(BadThresholds, match="takes max, min or both"):
        load("outer", thresholds)
