"""The background service that evaluates the alerts, and logs an event when one fires and when it is over.

One process at a time evaluates. The event commits with the alert's state, so each firing is logged once even
if processes are killed. An alert whose value does not stay above its threshold for the time of its rule is
not logged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog
from uuid_utils import UUID, uuid7

from orchestration.v1 import common_pb2
from orchestration_server.codec.events import change_event
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import Unavailable
from orchestration_server.jobs.server_stats import quantile
from orchestration_server.maintenance import storage_stats
from orchestration_server.model import (
    PRIORITY_DEFAULT,
    PRIORITY_P1,
    AlertSeverity,
    AlertState,
    Call,
    EntityType,
    EventRow,
)
from orchestration_server.rules.alerts import MIN_CALLS, SESSION_INACTIVE, AlertRule, Measure
from orchestration_server.store import alerts as alert_store
from orchestration_server.store import events as event_store
from orchestration_server.store import monitoring as monitoring_store
from orchestration_server.store import writes
from orchestration_server.store.alerts import Alert, AlertSubject

log = structlog.get_logger()

APART = 10.0
"""The least seconds between two evaluations, for any number of processes."""
MOST_SUBJECTS = 1_000
"""Agents and sessions with alerts at once, at most: the busiest agents and the longest idle sessions."""
LEDGER_PROJECT = "default"
"""The project in which alerts about the whole ledger are logged."""
AGENT = "orchestration.alerts"
MIN_CHANGE = 0.05
"""A value is stored again if it has changed by this share."""

Readings = Mapping[Measure, Sequence[AlertSubject]]
"""The measured values; none for a measure without data."""


@dataclass(slots=True)
class Verdict:
    """The changes of an evaluation."""

    raised: list[Alert] = field(default_factory=list)
    cleared: list[Alert] = field(default_factory=list)
    noted: list[Alert] = field(default_factory=list)
    """Alerts that become pending, and alerts with another value."""
    dropped: list[UUID] = field(default_factory=list)
    """Pending alerts that ended before they fired."""


class Alerts:
    """The background service. Any number of processes may run it; one at a time evaluates."""

    name = "alerts"
    interval = 15.0

    def __init__(
        self,
        db: Database,
        rules: Sequence[AlertRule],
        wake: Callable[[], None],
        clock: Callable[[Connection], datetime] = event_store.now,
    ) -> None:
        """Make the service. It calls ``wake`` after each commit with events."""
        self._db = db
        self._rules = rules
        self._wake = wake
        self._clock = clock
        self._lock = writes.lock_key("", "job", self.name)

    def run_once(self) -> int:
        """Evaluate all rules, unless another process does or has just done so."""
        try:
            with self._db.connection() as conn, conn.transaction():
                logged = self._evaluate(conn)
        except Unavailable:
            # Alerts matter as soon as the database is back, so the pauses must not grow.
            return 0
        if logged:
            self._wake()
        return 0

    def _evaluate(self, conn: Connection) -> int:
        if not writes.try_lock(conn, self._lock):
            return 0
        now = self._clock(conn)
        if not alert_store.is_due(conn, now=now, apart=APART):
            return 0
        readings = measure(conn, now)
        verdict = decide(self._rules, readings, alert_store.active(conn), now)
        events = [*self._events(conn, verdict.raised, readings, now, "raised"),
                  *self._events(conn, verdict.cleared, readings, now, "cleared")]  # fmt: skip
        idle = readings[Measure.SESSION_IDLE]
        change = alert_store.evaluated(
            now=now, idle=idle[0].value if idle else 0.0, dropped=verdict.dropped,
            written=[*verdict.raised, *verdict.cleared, *verdict.noted],
        )  # fmt: skip
        writes.apply(conn, replace(change, events=events), project="", locks=(), requests=())
        for alert in verdict.raised:
            log.warning(
                "alert raised", alert=alert.alert, project=alert.project, subject=alert.subject,
                value=alert.value, action=alert.action,
            )  # fmt: skip
        return len(events)

    def _events(
        self, conn: Connection, alerts: Sequence[Alert], readings: Readings, now: datetime, change: str
    ) -> list[EventRow]:
        about = [(a.project, a.subject) for a in alerts if _is_of_session(a)]
        sessions = {
            key: common_pb2.Session.FromString(body)
            for key, body in alert_store.session_bodies(conn, about).items()
        }
        return [_event(alert, sessions.get((alert.project, alert.subject)), now, change) for alert in alerts]


def measure(conn: Connection, now: datetime) -> Readings:
    """Return the values that the rules evaluate."""
    servers = alert_store.servers(conn, now=now)
    calls = sum(figures.calls for figures in servers)
    errors = sum(figures.errors for figures in servers)
    found: dict[Measure, Sequence[AlertSubject]] = {
        Measure.HORIZON_AGE: [_whole(monitoring_store.horizon(conn).seconds or 0.0)],
        Measure.AGENT_EVENTS: alert_store.busiest_agents(conn, now=now, limit=MOST_SUBJECTS),
        Measure.SESSION_IDLE: alert_store.idle_sessions(conn, now=now, limit=MOST_SUBJECTS),
    }
    storage = storage_stats.last_storage(conn)
    if storage is not None:
        found[Measure.EVENTS] = [_whole(storage.live_events.rows)]
    if servers:
        found[Measure.QUEUE_EVENTS] = [_whole(sum(figures.queue_events for figures in servers))]
    if calls >= MIN_CALLS:
        found[Measure.ERROR_SHARE] = [_whole(100 * errors / calls)]
    took = quantile(0.95, servers)
    if took is not None:
        found[Measure.CONTEXT_P95] = [_whole(took / 1_000)]
    return found


def _whole(value: float) -> AlertSubject:
    return AlertSubject(LEDGER_PROJECT, "", float(value))


def decide(rules: Sequence[AlertRule], readings: Readings, active: Sequence[Alert], now: datetime) -> Verdict:
    """Return how the active alerts change, and which begin."""
    left = {(alert.alert, alert.project, alert.subject): alert for alert in active}
    verdict = Verdict()
    for rule in rules:
        for about in readings.get(rule.measure, ()):
            if about.value <= rule.threshold:
                continue
            known = left.pop((rule.name, about.project, about.name), None)
            alert = _alert(rule, about, known, now)
            if alert.state == AlertState.FIRING and (known is None or known.state == AlertState.PENDING):
                verdict.raised.append(alert)
            elif known is None or _has_changed(known, alert):
                verdict.noted.append(alert)
    for alert in left.values():
        if alert.state == AlertState.FIRING:
            verdict.cleared.append(replace(alert, state=AlertState.RESOLVED, resolve_time=now))
        else:
            verdict.dropped.append(alert.id)
    return verdict


def _alert(rule: AlertRule, about: AlertSubject, known: Alert | None, now: datetime) -> Alert:
    """Return the alert as it is now. ``known`` is the stored one, if any."""
    begin = now if known is None else known.begin_time
    fires = now - begin >= rule.hold or (known is not None and known.state == AlertState.FIRING)
    return Alert(
        id=uuid7() if known is None else known.id,
        alert=rule.name,
        project=about.project,
        subject=about.name,
        state=AlertState.FIRING if fires else AlertState.PENDING,
        severity=rule.severity,
        value=about.value,
        threshold=rule.threshold,
        unit=rule.unit,
        summary=rule.message,
        action=rule.action,
        begin_time=begin,
        fire_time=(known.fire_time if known is not None and known.fire_time else now) if fires else None,
    )


def _has_changed(known: Alert, alert: Alert) -> bool:
    return (
        abs(alert.value - known.value) > MIN_CHANGE * abs(known.value) or alert.threshold != known.threshold
    )


def _is_of_session(alert: Alert) -> bool:
    return alert.alert == SESSION_INACTIVE


def _event(alert: Alert, session: common_pb2.Session | None, now: datetime, change: str) -> EventRow:
    """Return the event of an alert. That of a session's alert is among the session's events."""
    call = Call(AGENT, alert.project, agent=AGENT)
    if session is not None:
        call = call._replace(correlation_id=session.correlation_id, session_key=session.key)
    payload: dict[str, Any] = {
        "kind": alert.alert,
        "alert_id": str(alert.id),
        "severity": alert.severity.name.lower(),
        "message": alert.summary,
        "action": alert.action,
        "value": alert.value,
        "threshold": alert.threshold,
        "unit": alert.unit,
        "begin_time": alert.begin_time.isoformat(),
    }
    if alert.subject:
        payload["session" if session is not None else "agent"] = alert.subject
    if change == "cleared":
        payload["seconds"] = (now - (alert.fire_time or now)).total_seconds()
    return change_event(
        call, f"alert.{change}", now,
        entity=EntityType.NONE if session is None else EntityType.SESSION,
        code="" if session is None else session.key,
        uid="" if session is None else session.uid,
        revision=0, payload=payload,
        priority=PRIORITY_P1 if alert.severity == AlertSeverity.CRITICAL else PRIORITY_DEFAULT,
    )  # fmt: skip
