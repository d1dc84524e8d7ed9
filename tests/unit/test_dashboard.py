"""The Prometheus rules and the Grafana dashboard use existing metrics and match their tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from monitoring import dashboard
from orchestration_server.__main__ import cli
from orchestration_server.cli.prometheus_rules import prometheus_name, render_rules
from orchestration_server.rules.alerts import BUILT_IN, WINDOW
from orchestration_server.telemetry import metrics

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
UNSEEN = {
    "orchestration_measured_timestamp_seconds": "says how old the sizes are, for whoever doubts them",
}
"""Metrics without a panel, and the reasons."""


def families() -> Iterator[tuple[str, str]]:
    for family in metrics.REGISTRY.collect():
        yield family.name, family.type


def samples() -> set[str]:
    """Return the names of metrics as Prometheus knows them."""
    return {name + suffix for name, type_ in families() for suffix in SUFFIXES[type_]}


def named(expression: str) -> set[str]:
    return set(re.findall(r"\borchestration_\w+", expression))


def queries() -> Iterator[tuple[str, str]]:
    for row in dashboard.ROWS:
        for panel in row.panels:
            for query in panel.queries:
                yield panel.title, query.expression


@pytest.mark.parametrize("rule", BUILT_IN, ids=lambda rule: rule.name)
def test_alert_rules_use_existing_metrics(rule: Any) -> None:
    assert named(rule.expression)
    assert named(f"{rule.expression} {rule.guard}") <= samples()


def test_panels_use_existing_metrics() -> None:
    for title, expression in queries():
        assert named(expression), title
        assert named(expression) <= samples(), title


def test_every_metric_is_shown() -> None:
    shown = set().union(*(named(expression) for _, expression in queries()))
    for name, type_ in families():
        if name not in UNSEEN:
            assert any(name + suffix in shown for suffix in SUFFIXES[type_]), name


def test_panels_have_distinct_titles() -> None:
    panels = dashboard.dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    titles = [panel["title"] for panel in panels]
    assert len(set(titles)) == len(titles)
    places = [tuple(panel["gridPos"].values()) for panel in panels]
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= dashboard.COLUMNS for panel in panels)


def test_the_dashboard_is_generated_from_its_table() -> None:
    text = dashboard.PATH.read_text()
    assert text == dashboard.render(), "run: python -m monitoring.dashboard"
    assert json.loads(text)["title"] == "Orchestration"


def test_the_prometheus_rules_are_those_of_the_ledger() -> None:
    path = DEPLOY / "prometheus" / "rules.yml"
    assert path.read_text() == render_rules(BUILT_IN), (
        "run: orchestration prometheus-rules > deploy/prometheus/rules.yml"
    )
    [group] = yaml.safe_load(path.read_text())["groups"]
    assert len(group["rules"]) == len(BUILT_IN)
    for rule, written in zip(BUILT_IN, group["rules"], strict=True):
        assert written["labels"] == {"alert": rule.name, "severity": rule.severity.name.lower()}
        assert written["annotations"] == {"summary": rule.message, "action": rule.action}
        assert f"> {rule.threshold:.0f}" in written["expr"]
        seconds = int(written["for"][:-1]) * {"s": 1, "m": 60}[written["for"][-1]]
        assert seconds == rule.hold.total_seconds()
        assert set(re.findall(r"\[(\w+)\]", written["expr"])) <= {f"{WINDOW.seconds // 60}m"}


def test_each_rule_fires_and_clears_in_its_test() -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus" / "rules_test.yml").read_text())["tests"]
    looks: dict[str, list[bool]] = {}
    for test in tests:
        for look in sorted(test["alert_rule_test"], key=lambda one: float(_seconds(one["eval_time"]))):
            looks.setdefault(look["alertname"], []).append(bool(look.get("exp_alerts")))
    assert set(looks) == {prometheus_name(rule) for rule in BUILT_IN}
    for name, fires in looks.items():
        assert True in fires[1:-1], name
        assert not fires[0], name
        assert not fires[-1], name


def _seconds(text: str) -> int:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


def test_the_command_prints_the_thresholds_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(
        "alerts:\n  - {name: error_rate, threshold: 2.5, for: 45}\n  - {name: event_count, enabled: false}"
    )
    printed = CliRunner().invoke(cli, ["prometheus-rules", "--alerts-file", str(path)])
    assert printed.exit_code == 0
    [group] = yaml.safe_load(printed.stdout)["groups"]
    rules = {rule["alert"]: rule for rule in group["rules"]}
    assert len(rules) == len(BUILT_IN) - 1
    assert " > 2.5 and " in rules["OrchestrationErrorRate"]["expr"]
    assert rules["OrchestrationErrorRate"]["for"] == "45s"
    assert "2.5%" in rules["OrchestrationErrorRate"]["annotations"]["summary"]
    path.write_text("alerts: [{name: nothing}]")
    refused = CliRunner().invoke(cli, ["prometheus-rules", "--alerts-file", str(path)])
    assert refused.exit_code == 2
