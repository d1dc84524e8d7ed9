"""The rules of alerts, in one table. The ledger evaluates it, and the Prometheus rules are generated from it.

docs/alerts.md says what to do about each alert, and how a file changes the thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from pathlib import Path

from orchestration_server import names
from orchestration_server.config.yaml_reader import YamlNode, read_file
from orchestration_server.model import AlertSeverity

SESSION_INACTIVE = "session_inactive"
"""The rule whose alerts are each about one session."""
WINDOW = timedelta(minutes=5)
"""The time that the figures of calls cover, here and in the ranges of the expressions below."""
MIN_CALLS = 20
"""Calls in that time below which the share of errors is not evaluated."""
ERROR_CODES = ("DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNKNOWN", "DATA_LOSS")
"""The codes that are the server's fault, or may be. All others refuse what the caller asked for."""
ASSEMBLE = "ContextService/AssembleContext"
MAX_HOLD_SECONDS = 24 * 3600


class Measure(Enum):
    """The value that a rule compares with its threshold."""

    QUEUE_EVENTS = "queue_events"
    CONTEXT_P95 = "context_p95"
    EVENTS = "events"
    ERROR_SHARE = "error_share"
    AGENT_EVENTS = "agent_events"
    SESSION_IDLE = "session_idle"
    HORIZON_AGE = "horizon_age"


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A rule that fires if a value has been above ``threshold`` for ``hold``."""

    name: str
    measure: Measure
    threshold: float
    unit: str
    hold: timedelta
    severity: AlertSeverity
    summary: str
    """The problem; ``{limit}`` stands for the threshold."""
    action: str
    """The remedy."""
    expression: str
    """The same value as a Prometheus expression. If it has no value, the alert does not fire."""
    guard: str = ""
    """A second condition of the Prometheus rule."""

    @property
    def limit(self) -> str:
        """Return the threshold with its unit, for people."""
        if self.unit == "s" and self.threshold >= 3600:
            return f"{self.threshold / 3600:g} hours"
        unit = {"%": "%", "s": " seconds", "events/min": " events a minute"}.get(self.unit, f" {self.unit}")
        number = f"{self.threshold:,.0f}" if self.threshold.is_integer() else f"{self.threshold:g}"
        return number + unit

    @property
    def message(self) -> str:
        """Return the summary with the threshold in it."""
        return self.summary.replace("{limit}", self.limit)


_MINUTES = f"{WINDOW.seconds // 60}m"
_CALLS = "orchestration_rpc_calls_total"
_FAULTS = _CALLS + '{code=~"' + "|".join(ERROR_CODES) + '"}'

BUILT_IN: Sequence[AlertRule] = (
    AlertRule(
        "event_queue_depth",
        Measure.QUEUE_EVENTS,
        1_000.0,
        "events",
        timedelta(minutes=1),
        AlertSeverity.CRITICAL,
        "More than {limit} wait in the servers' memory to be stored.",
        "Scale out: start another server, or more processes with --workers. If Postgres is slow, look at its"
        " disk and at the statements that take longest.",
        "sum(orchestration_emit_queue_events) + sum(orchestration_events_accepted_queue)",
    ),
    AlertRule(
        "context_p95",
        Measure.CONTEXT_P95,
        2_000.0,
        "ms",
        timedelta(minutes=2),
        AlertSeverity.WARNING,
        "One in twenty contexts takes longer than {limit} to assemble.",
        "Check the cache: its hit rate, its errors, whether Redis answers and has memory left. Then the"
        " slowest statements.",
        "1000 * histogram_quantile(0.95, sum by (le) "
        f'(rate(orchestration_rpc_seconds_bucket{{rpc="{ASSEMBLE}"}}[{_MINUTES}])))',
    ),
    AlertRule(
        "event_count",
        Measure.EVENTS,
        1_000_000.0,
        "events",
        timedelta(minutes=10),
        AlertSeverity.WARNING,
        "The live event log holds more than {limit}.",
        "Archive: orchestration archive --older-than 90d, and let a worker do it on its schedule. P0 and P1"
        " stay. If 90 days have that many events, raise the threshold.",
        'max(orchestration_event_rows{state="live"})',
    ),
    AlertRule(
        "error_rate",
        Measure.ERROR_SHARE,
        5.0,
        "%",
        timedelta(minutes=2),
        AlertSeverity.CRITICAL,
        "More than {limit} of all calls end in a fault of the server's.",
        "Read the servers' logs for the codes and rpcs that fail. If it began with a release, roll back.",
        f"100 * sum(rate({_FAULTS}[{_MINUTES}])) / sum(rate({_CALLS}[{_MINUTES}]))",
        f"sum(increase({_CALLS}[{_MINUTES}])) >= {MIN_CALLS}",
    ),
    AlertRule(
        "agent_event_rate",
        Measure.AGENT_EVENTS,
        1_000.0,
        "events/min",
        timedelta(minutes=1),
        AlertSeverity.WARNING,
        "One agent emits more than {limit}.",
        "See what the agent emits, in its timeline; a loop is stopped at the agent. Verbose types can be"
        " sampled.",
        "max(orchestration_agent_events_minute_max)",
    ),
    AlertRule(
        SESSION_INACTIVE,
        Measure.SESSION_IDLE,
        4 * 3600.0,
        "s",
        timedelta(0),
        AlertSeverity.WARNING,
        "An active session has seen no call for more than {limit}.",
        "Ask the operator of the agent. Close the session, or pause it if it is meant to wait.",
        "max(orchestration_session_idle_seconds_max)",
    ),
    AlertRule(
        "horizon_age",
        Measure.HORIZON_AGE,
        30.0,
        "s",
        timedelta(seconds=30),
        AlertSeverity.CRITICAL,
        "A transaction has held up every timeline for more than {limit}.",
        "Find it: orchestration doctor names it, as does pg_stat_activity by its oldest backend_xid (and"
        " pg_prepared_xacts). End it with pg_terminate_backend, or roll back what was prepared.",
        "max(orchestration_horizon_age_seconds)",
    ),
)

_BY_NAME: Mapping[str, AlertRule] = {rule.name: rule for rule in BUILT_IN}


def load(path: Path | None) -> Sequence[AlertRule]:
    """Return the rules with the changes of a file.

    Raises FileError, with file and line, if it is not valid.
    """
    changed = dict(_BY_NAME)
    for entry in [] if path is None else _entries(path):
        entry.keys("name", "threshold", "for", "severity", "enabled")
        name = entry["name"].text(names.ALERT, "the name of an alert")
        if name not in changed:
            raise entry["name"].error(f"names no alert that is left; there are {', '.join(_BY_NAME)}")
        rule = _changed(changed[name], entry)
        if entry.flag("enabled", default=True):
            changed[name] = rule
        else:
            del changed[name]
    return tuple(changed.values())


def _entries(path: Path) -> list[YamlNode]:
    document = read_file(path)
    document.keys("alerts")
    return document["alerts"].items(len(BUILT_IN))


def _changed(rule: AlertRule, entry: YamlNode) -> AlertRule:
    if "threshold" in entry:
        threshold = entry["threshold"].number(0)
        if threshold > 100 and rule.unit == "%":
            raise entry["threshold"].error("must be at most 100")
        rule = replace(rule, threshold=threshold)
    if "for" in entry:
        seconds = entry["for"].number(0)
        if seconds > MAX_HOLD_SECONDS or not seconds.is_integer():
            raise entry["for"].error(f"must be a whole number of seconds up to {MAX_HOLD_SECONDS}")
        rule = replace(rule, hold=timedelta(seconds=seconds))
    if "severity" in entry:
        severities = [severity.name.lower() for severity in AlertSeverity]
        rule = replace(rule, severity=AlertSeverity[entry["severity"].choice(severities).upper()])
    return rule
