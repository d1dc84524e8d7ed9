"""`orchestration prometheus-rules`: print the table of alerts as rules for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import typer
import yaml

from orchestration_server.cli.options import with_settings
from orchestration_server.cli.preflight import check_rules
from orchestration_server.config.settings import Settings
from orchestration_server.rules import alerts
from orchestration_server.rules.alerts import AlertRule

HEAD = "# Made by `orchestration prometheus-rules` from the table that the ledger itself evaluates.\n"


@with_settings("alerts_file")
def prometheus_rules(settings: Settings) -> None:
    """Print the alerts as rules for Prometheus, with the thresholds of --alerts-file."""
    check_rules(settings)
    typer.echo(render_rules(alerts.load(settings.alerts_file)), nl=False)


def render_rules(rules: Sequence[AlertRule]) -> str:
    """Return the text of the file of rules."""
    groups = [{"name": "orchestration", "rules": [_rule(rule) for rule in rules]}]
    return HEAD + yaml.safe_dump({"groups": groups}, sort_keys=False, width=100)


def prometheus_name(rule: AlertRule) -> str:
    """Return the name of an alert in Prometheus: OrchestrationEventQueueDepth for event_queue_depth."""
    return "Orchestration" + "".join(part.capitalize() for part in rule.name.split("_"))


def _rule(rule: AlertRule) -> dict[str, Any]:
    # %g would write a million as 1e+06.
    threshold = f"{rule.threshold:.0f}" if rule.threshold.is_integer() else f"{rule.threshold:g}"
    condition = f"{rule.expression} > {threshold}"
    return {
        "alert": prometheus_name(rule),
        "expr": f"{condition} and {rule.guard}" if rule.guard else condition,
        "for": _duration(rule.hold),
        "labels": {"severity": rule.severity.name.lower(), "alert": rule.name},
        "annotations": {"summary": rule.message, "action": rule.action},
    }


def _duration(hold: timedelta) -> str:
    seconds = int(hold.total_seconds())
    return f"{seconds // 60}m" if seconds and not seconds % 60 else f"{seconds}s"
