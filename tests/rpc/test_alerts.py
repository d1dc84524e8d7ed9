"""Alerts: each built-in rule fires, is logged and listed, and clears. The test moves the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, timedelta
from time import monotonic

import grpc
import psycopg
import pytest

from orchestration.v1 import admin_pb2, common_pb2, event_pb2, session_pb2
from orchestration_server.jobs.server_stats import NO_BOUND, ServerStats
from orchestration_server.model import IMPORT_AGENT
from orchestration_server.rules import alerts
from orchestration_server.rules.alerts import AlertRule
from orchestration_server.store.alerts import Figures
from orchestration_server.telemetry import metrics
from tests.conftest import Server
from tests.support import factories
from tests.support.alerts import CLEARED, FIRING, PENDING, RAISED, RESOLVED, Alerting, payload

BY_NAME = {rule.name: rule for rule in alerts.BUILT_IN}
FEW = {"event_count": 50.0, "horizon_age": 0.0}
"""Thresholds that a test can exceed. The others are the built-in ones."""
RULES = [replace(rule, threshold=FEW.get(rule.name, rule.threshold)) for rule in alerts.BUILT_IN]
BOUNDS = [1_000_000, 2_000_000, 5_000_000, NO_BOUND]

Condition = Callable[[Alerting], AbstractContextManager[Callable[[], None]]]
"""Brings a rule's condition about. Returns a function that the test calls while the condition lasts."""


@pytest.fixture
def alerting(server: Server, channel: grpc.Channel) -> Alerting:
    found = Alerting(server, channel)
    found.alerts = found.evaluator(RULES)
    return found


def reported(*figures: Figures) -> Condition:
    """Return a condition of servers that publish these figures, and healthy ones afterwards."""

    @contextmanager
    def condition(alerting: Alerting) -> Iterator[Callable[[], None]]:
        yield lambda: alerting.publish(*figures)
        alerting.publish(Figures(calls=1_000), Figures(calls=1_000))

    return condition


@contextmanager
def many_events(alerting: Alerting) -> Iterator[Callable[[], None]]:
    for _ in range(51):
        alerting.ledger.emit()
    alerting.measure()
    yield lambda: None
    alerting.sql("delete from events where type = 'agents.note.taken'")
    alerting.measure()


def emit(alerting: Alerting, agent: str, count: int, project: str = "default") -> None:
    requests = [
        event_pb2.EmitEventsRequest(
            # The alert is about the agent that calls, whatever actor its events name.
            request_id=f"{agent}-{at}",
            events=[factories.event(actor=f"{agent}'s tool {at + n}") for n in range(min(500, count - at))],
        )
        for at in range(0, count, 500)
    ]
    who = (("orchestration-agent", agent), ("orchestration-project", project))
    answers = alerting.ledger.events.EmitEvents(iter(requests), metadata=who)
    assert sum(answer.stored for answer in answers) == count


@contextmanager
def a_busy_agent(alerting: Alerting) -> Iterator[Callable[[], None]]:
    emit(alerting, "busy", 1_001)
    emit(alerting, "calm", 1_000)
    emit(alerting, "busy", 500, "another")
    seen = timedelta()

    def still() -> None:
        nonlocal seen
        alerting.recorded_later(alerting.ahead - seen)
        seen = alerting.ahead

    yield still


@contextmanager
def an_idle_session(alerting: Alerting) -> Iterator[Callable[[], None]]:
    for key in ("busy", "paused", "k"):
        alerting.ledger.task(key)
        alerting.ledger.session(key, task_code=key)
    alerting.ledger.sessions.PauseSession(session_pb2.PauseSessionRequest(session_key="paused"))
    alerting.sql(
        "update sessions set last_activity_time = last_activity_time + interval '1 hour' where key = 'busy'"
    )
    alerting.ahead += timedelta(hours=4, seconds=-1)
    alerting.evaluate(seconds=0)
    assert alerting.listed() == []
    alerting.ahead += timedelta(seconds=20)
    yield lambda: None
    alerting.ledger.sessions.CloseSession(session_pb2.CloseSessionRequest(session_key="k"))


@contextmanager
def an_open_transaction(alerting: Alerting) -> Iterator[Callable[[], None]]:
    with psycopg.connect(alerting.database_url) as conn:
        conn.execute("select pg_current_xact_id()")
        # It holds back the horizon.
        alerting.ledger.emit()
        yield lambda: None


CONDITIONS: dict[str, Condition] = {
    "event_queue_depth": reported(Figures(queue_events=600), Figures(queue_events=401)),
    "context_p95": reported(
        Figures(context_bounds=BOUNDS, context_counts=[90, 0, 4, 0]),
        Figures(context_bounds=BOUNDS, context_counts=[3, 0, 3, 0]),
    ),
    "event_count": many_events,
    "error_rate": reported(Figures(calls=100, errors=0), Figures(calls=100, errors=11)),
    "agent_event_rate": a_busy_agent,
    "session_inactive": an_idle_session,
    "horizon_age": an_open_transaction,
}
ABOUT = {"agent_event_rate": "busy", "session_inactive": "k"}


def test_every_rule_has_a_condition() -> None:
    assert set(CONDITIONS) == set(BY_NAME)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_fires_and_clears(alerting: Alerting, rule: AlertRule) -> None:
    with CONDITIONS[rule.name](alerting) as still:
        still()
        alerting.evaluate()
        if rule.hold:
            assert alerting.states() == {rule.name: PENDING}
            assert alerting.told() == []
            alerting.ahead += rule.hold - timedelta(seconds=15)
            still()
            alerting.evaluate()
        [alert] = alerting.listed()
        check_firing(alert, rule)
        [raised] = alerting.told()
        assert payload(raised) == payload(raised) | {
            "kind": rule.name, "alert_id": alert.id, "message": rule.message, "action": rule.action,
            "threshold": rule.threshold, "value": alert.value,
            "severity": "critical" if alert.severity == 1 else "warning",
        }  # fmt: skip
        check_about(raised, rule)
        # It is logged once.
        still()
        alerting.evaluate(seconds=15)
        assert len(alerting.told()) == alerting.woken == 1
    alerting.evaluate(seconds=15)
    if rule.name == "agent_event_rate":
        alerting.evaluate(seconds=60)
    assert alerting.listed() == []
    [alert] = alerting.listed(resolved=True)
    assert alert.state == RESOLVED
    assert alert.resolve_time.ToDatetime(UTC) > alert.fire_time.ToDatetime(UTC)
    [cleared] = alerting.told(CLEARED)
    assert payload(cleared)["alert_id"] == alert.id
    assert payload(cleared)["seconds"] == pytest.approx(
        (alert.resolve_time.ToDatetime() - alert.fire_time.ToDatetime()).total_seconds()
    )
    assert alerting.woken == 2
    # A resolved alert stays in the list for a day.
    alerting.evaluate(days=1, seconds=1)
    assert alert.id not in [left.id for left in alerting.listed(resolved=True)]


def check_firing(alert: admin_pb2.Alert, rule: AlertRule) -> None:
    assert alert == admin_pb2.Alert(
        id=alert.id, alert=rule.name, project="default", subject=ABOUT.get(rule.name, ""), state=FIRING,  # type: ignore[arg-type]
        severity=rule.severity, value=alert.value, threshold=rule.threshold, unit=rule.unit,  # type: ignore[arg-type]
        summary=rule.message, action=rule.action, begin_time=alert.begin_time, fire_time=alert.fire_time,
    )  # fmt: skip
    assert alert.value > alert.threshold
    held = alert.fire_time.ToDatetime() - alert.begin_time.ToDatetime()
    assert rule.hold <= held <= rule.hold + timedelta(seconds=30)


def check_about(event: event_pb2.Event, rule: AlertRule) -> None:
    """The event of a session's alert is among the session's events. That of an agent's names the agent."""
    session = rule.name == "session_inactive"
    assert event.entity_type == (common_pb2.ENTITY_TYPE_SESSION if session else 0)
    assert event.entity_code == event.session_key == ("k" if session else "")
    assert bool(event.entity_uid) == session
    assert payload(event).get("agent") == ("busy" if rule.name == "agent_event_rate" else None)
    assert payload(event).get("session") == ("k" if session else None)
    assert event.agent == "orchestration.alerts"
    assert event.priority == (2 if rule.severity == 1 else 3)


def test_a_condition_that_is_too_short_is_not_logged(alerting: Alerting) -> None:
    deep = Figures(queue_events=2_000)
    for _ in range(5):
        for _ in range(3):
            alerting.publish(deep)
            alerting.evaluate(seconds=15)
            assert alerting.states() == {"event_queue_depth": PENDING}
        alerting.publish(Figures())
        alerting.evaluate(seconds=15)
        assert alerting.states() == {}
    assert alerting.told() == alerting.told(CLEARED) == []


def test_a_server_that_stops_publishing_is_left_out(alerting: Alerting) -> None:
    alerting.publish(Figures(queue_events=2_000))
    alerting.evaluate(seconds=15)
    assert alerting.states() == {"event_queue_depth": PENDING}
    alerting.evaluate(seconds=20)
    assert alerting.states() == {}


def test_a_few_calls_have_no_share_of_errors(alerting: Alerting) -> None:
    alerting.publish(Figures(calls=10, errors=10), Figures(calls=9, errors=9))
    alerting.evaluate()
    assert alerting.states() == {}
    alerting.publish(Figures(calls=10, errors=10), Figures(calls=10, errors=9))
    alerting.evaluate()
    assert alerting.states() == {"error_rate": PENDING}


def test_the_same_alert_fires_again_under_a_new_id(alerting: Alerting) -> None:
    alerting.alerts = alerting.evaluator([replace(BY_NAME["event_queue_depth"], hold=timedelta())])
    for round_ in range(1, 4):
        alerting.publish(Figures(queue_events=2_000))
        alerting.evaluate()
        alerting.publish(Figures())
        alerting.evaluate()
        listed = alerting.listed(resolved=True)
        assert len({alert.id for alert in listed}) == len(listed) == round_
        assert len(alerting.told()) == len(alerting.told(CLEARED)) == round_


def test_an_alert_of_a_deleted_rule_is_resolved(alerting: Alerting) -> None:
    alerting.alerts = alerting.evaluator([replace(BY_NAME["event_queue_depth"], hold=timedelta())])
    alerting.publish(Figures(queue_events=2_000))
    alerting.evaluate()
    assert alerting.states() == {"event_queue_depth": FIRING}
    alerting.alerts = alerting.evaluator([])
    alerting.evaluate()
    assert alerting.states() == {"event_queue_depth": RESOLVED}


def test_alerts_of_agents_and_sessions_are_logged_in_their_projects(alerting: Alerting) -> None:
    rule = replace(BY_NAME["agent_event_rate"], threshold=3.0, hold=timedelta())
    alerting.alerts = alerting.evaluator([rule])
    for project in ("one", "two"):
        emit(alerting, "agent", 4, project)
    with pytest.raises(grpc.RpcError) as refused:
        emit(alerting, "orchestration.file-sync", 4, "one")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    alerting.evaluate(seconds=1)
    assert sorted((a.project, a.subject, a.value) for a in alerting.listed()) == [
        ("one", "agent", 4.0), ("two", "agent", 4.0),
    ]  # fmt: skip
    assert alerting.told() == []
    request = event_pb2.ListEventsRequest(filter=event_pb2.EventFilter(types=[RAISED]))
    for project in ("one", "two"):
        answer = alerting.ledger.events.ListEvents(request, metadata=(("orchestration-project", project),))
        assert len(answer.events) == 1


def test_an_import_is_not_taken_for_an_agent_that_loops(alerting: Alerting) -> None:
    rule = replace(BY_NAME["agent_event_rate"], threshold=3.0, hold=timedelta())
    alerting.alerts = alerting.evaluator([rule])
    emit(alerting, IMPORT_AGENT, 9, "one")
    emit(alerting, "orchestration-importer", 4, "one")
    alerting.evaluate(seconds=1)
    assert [(a.subject, a.value) for a in alerting.listed()] == [("orchestration-importer", 4.0)]


def test_a_sessions_alert_leaves_its_history_whole(alerting: Alerting) -> None:
    with an_idle_session(alerting):
        alerting.evaluate(seconds=1)
    alerting.evaluate()
    session = alerting.ledger.sessions.GetSession(session_pb2.GetSessionRequest(session_key="k")).session
    asked = event_pb2.ReconstructStateRequest(entity_type=common_pb2.ENTITY_TYPE_SESSION, entity_code="k")
    state = alerting.ledger.events.ReconstructState(asked)
    assert state.revision == session.revision
    filter_ = event_pb2.EventFilter(session_key="k", types=["orchestration.alert.*"])
    listed = alerting.ledger.events.ListEvents(event_pb2.ListEventsRequest(filter=filter_)).events
    assert [event.type for event in listed] == [CLEARED, RAISED]
    assert {event.correlation_id for event in listed} == {session.correlation_id}
    # An alert does not count as an activity of the session.
    idle = listed[1].emit_time.ToDatetime() - session.last_activity_time.ToDatetime()
    assert idle > timedelta(hours=3)
    replayed = alerting.ledger.events.ReplayEvents(
        event_pb2.ReplayEventsRequest(correlation_id=session.correlation_id, dry_run=True)
    )
    assert replayed.consistent, replayed.findings


def test_servers_export_the_alerts_that_fire(alerting: Alerting) -> None:
    def shown(name: str, **labels: str) -> float | None:
        return metrics.REGISTRY.get_sample_value(f"orchestration_{name}", labels)

    figures = ServerStats(alerting.db, RULES, clock=alerting.clock)
    with an_idle_session(alerting):
        alerting.evaluate(seconds=15)
        figures.run_once()
        assert shown("alert_firing", alert="session_inactive") == 1
        assert shown("alert_firing", alert="horizon_age") == 0
        assert shown("session_idle_seconds_max") == pytest.approx(4 * 3600 + 35, abs=10)
    alerting.evaluate(minutes=2)
    figures.run_once()
    assert shown("alert_firing", alert="session_inactive") == 0
    assert shown("session_idle_seconds_max") == pytest.approx(3 * 3600 + 155, abs=10)


def test_a_server_counts_its_own_calls(alerting: Alerting) -> None:
    figures = ServerStats(alerting.db, RULES)
    alerting.ledger.task("t")
    before = figures._figures()
    for _ in range(3):
        alerting.ledger.ask(task_code="t")
    for _ in range(2):
        with pytest.raises(grpc.RpcError):
            alerting.ledger.ask(task_code="there-is-none")
    # A call is counted at its end, and its caller may have the response before.
    end = monotonic() + 20
    while (after := figures._figures()).calls < before.calls + 5:
        assert monotonic() < end
    assert after.calls == before.calls + 5
    assert after.errors == before.errors
    assert sum(after.context_counts) == sum(before.context_counts) + 5
    assert after.context_bounds[-1] == NO_BOUND
    assert set(alerts.ERROR_CODES) <= {code.name for code in grpc.StatusCode}


def test_pages_list_all_alerts_in_order(alerting: Alerting) -> None:
    agents = replace(BY_NAME["agent_event_rate"], threshold=0.0, hold=timedelta())
    alerting.alerts = alerting.evaluator([agents])
    for agent in "abc":
        emit(alerting, agent, 1)
    alerting.evaluate(seconds=1)
    # These are resolved, three others fire, and one is pending.
    alerting.evaluate(minutes=2)
    alerting.sql("delete from events where type = 'agents.note.taken'")
    for agent in "def":
        emit(alerting, agent, 1)
    alerting.recorded_later(timedelta(minutes=2))
    alerting.alerts = alerting.evaluator([agents, BY_NAME["event_queue_depth"]])
    alerting.ahead += timedelta(seconds=15)
    alerting.publish(Figures(queue_events=2_000))
    alerting.evaluate(seconds=1)
    whole = alerting.listed(resolved=True)
    assert [alert.state for alert in whole] == [FIRING] * 3 + [PENDING] + [RESOLVED] * 3
    assert {alert.subject for alert in whole[4:]} == set("abc")
    for size in range(1, 8):
        request = admin_pb2.ListAlertsRequest(include_resolved=True, page_size=size)
        found: list[admin_pb2.Alert] = []
        while True:
            page = alerting.admin.ListAlerts(request)
            assert len(page.alerts) <= size
            found += page.alerts
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        assert found == whole
    assert alerting.listed() == whole[:4]
    assert alerting.listed(alert="event_queue_depth", resolved=True) == [whole[3]]
    token = alerting.admin.ListAlerts(admin_pb2.ListAlertsRequest(page_size=1)).next_page_token
    with pytest.raises(grpc.RpcError) as refused:
        alerting.admin.ListAlerts(admin_pb2.ListAlertsRequest(alert="x", page_token=token))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
