"""The table of alerts: changes by a file, and the states of an alert over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration_server.config.yaml_reader import FileError
from orchestration_server.jobs.alerts import decide
from orchestration_server.model import AlertSeverity, AlertState
from orchestration_server.rules import alerts
from orchestration_server.rules.alerts import BUILT_IN, AlertRule, Measure
from orchestration_server.store.alerts import Alert, AlertSubject

BY_NAME = {rule.name: rule for rule in BUILT_IN}
START = datetime(2030, 1, 1, tzinfo=UTC)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "alerts.yaml"
    path.write_text(text)
    return path


def test_the_built_in_alerts_have_their_documented_thresholds() -> None:
    assert {rule.name: (rule.threshold, rule.unit, rule.limit) for rule in BUILT_IN} == {
        "event_queue_depth": (1_000, "events", "1,000 events"),
        "context_p95": (2_000, "ms", "2,000 ms"),
        "event_count": (1_000_000, "events", "1,000,000 events"),
        "error_rate": (5, "%", "5%"),
        "agent_event_rate": (1_000, "events/min", "1,000 events a minute"),
        "session_inactive": (14_400, "s", "4 hours"),
        "horizon_age": (30, "s", "30 seconds"),
    }
    assert {rule.measure for rule in BUILT_IN} == set(Measure)
    assert all("{" not in rule.message + rule.action for rule in BUILT_IN)
    assert all(rule.limit in rule.message for rule in BUILT_IN)


def test_a_file_changes_the_alerts_that_it_names(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
alerts:
  - {name: context_p95, threshold: 1500.5, for: 0, severity: critical}
  - {name: event_count, enabled: false}
  - name: session_inactive
    threshold: 1800
""",
    )
    changed = {rule.name: rule for rule in alerts.load(path)}
    assert changed == {name: rule for name, rule in BY_NAME.items() if name != "event_count"} | {
        "context_p95": replace(
            BY_NAME["context_p95"], threshold=1500.5, hold=timedelta(), severity=AlertSeverity.CRITICAL
        ),
        "session_inactive": replace(BY_NAME["session_inactive"], threshold=1800.0),
    }
    assert changed["context_p95"].limit == "1500.5 ms"
    assert alerts.load(None) == tuple(BUILT_IN)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{threshold: 1}", "must have name"),
        ("{name: nothing}", "names no alert"),
        ("{name: error_rate, enabled: false}\n  - {name: error_rate}", "names no alert"),
        ("{name: error_rate, threshold: 101}", "must be at most 100"),
        ("{name: error_rate, threshold: -1}", "must be a number from 0 on"),
        ("{name: error_rate, threshold: true}", "must be a number from 0 on"),
        ("{name: error_rate, threshold: .nan}", "must be a"),
        ("{name: error_rate, for: 1.5}", "whole number of seconds"),
        ("{name: error_rate, for: 86401}", "whole number of seconds"),
        ("{name: error_rate, severity: page}", "must be one of critical, warning"),
        ("{name: error_rate, action: none}", "is not known"),
    ],
)
def test_an_error_in_a_file_of_alerts_is_reported_with_its_line(
    tmp_path: Path, entry: str, said: str
) -> None:
    path = written(tmp_path, f"alerts:\n  - {entry}\n")
    with pytest.raises(FileError, match=said) as refused:
        alerts.load(path)
    assert str(refused.value).startswith(f"{path}:")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        alerts.load(tmp_path / "none.yaml")


# The states of alerts are those that a plain reading of each subject's history gives.

HOLD = 60
RULE = replace(BY_NAME["agent_event_rate"], threshold=10.0, hold=timedelta(seconds=HOLD))
Step = tuple[int, dict[str, float]]
"""Seconds since the step before, and the measured value of each subject."""
STEPS = st.lists(
    st.tuples(
        st.sampled_from([10, 15, 30, 59, 60, 61]),
        st.dictionaries(st.sampled_from("ab"), st.sampled_from([0.0, 10.0, 10.5, 11.0, 20.0])),
    ),
    max_size=30,
)


class Told:
    """The stored alerts, and the events logged about them."""

    def __init__(self, rule: AlertRule) -> None:
        self.rule = rule
        self.active: dict[str, Alert] = {}
        self.told: list[tuple[int, str, str]] = []

    def step(self, at: int, values: dict[str, float]) -> None:
        now = START + timedelta(seconds=at)
        readings = {self.rule.measure: [AlertSubject("p", name, value) for name, value in values.items()]}
        verdict = decide([self.rule], readings, list(self.active.values()), now)
        for alert in [*verdict.raised, *verdict.noted]:
            assert alert.value > self.rule.threshold
            self.active[alert.subject] = alert
        self.told += [(at, "raised", alert.subject) for alert in verdict.raised]
        self.told += [(at, "cleared", alert.subject) for alert in verdict.cleared]
        gone = [alert.id for alert in verdict.cleared] + verdict.dropped
        self.active = {name: alert for name, alert in self.active.items() if alert.id not in gone}
        assert all(alert.state == AlertState.RESOLVED for alert in verdict.cleared)


def expected(steps: list[Step]) -> Iterator[tuple[int, str, str]]:
    for name in "ab":
        at, since, fires = 0, -1, False
        for seconds, values in steps:
            at += seconds
            if values.get(name, 0.0) <= RULE.threshold:
                if fires:
                    yield at, "cleared", name
                since, fires = -1, False
                continue
            since = at if since < 0 else since
            if not fires and at - since >= HOLD:
                fires = True
                yield at, "raised", name


@given(STEPS)
def test_an_alert_is_logged_once_if_it_holds_long_enough(steps: list[Step]) -> None:
    ledger = Told(RULE)
    at = 0
    for seconds, values in steps:
        at += seconds
        ledger.step(at, values)
        assert set(ledger.active) == {name for name, value in values.items() if value > RULE.threshold}
    assert sorted(ledger.told) == sorted(expected(steps))


def test_a_value_is_written_again_when_it_has_changed_enough() -> None:
    begun = decide([RULE], {RULE.measure: [AlertSubject("p", "a", 100.0)]}, [], START).noted
    for value, moved in ((104.0, False), (96.0, False), (106.0, True), (94.0, True)):
        found = decide([RULE], {RULE.measure: [AlertSubject("p", "a", value)]}, begun, START)
        assert [alert.value for alert in found.noted] == ([value] if moved else [])
        assert found.raised == found.cleared == found.dropped == []
