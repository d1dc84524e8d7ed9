"""The SQL of alerts, and of the measurements that they are evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString, NamedTuple

from uuid_utils import UUID

from orchestration_server.db.arrays import BigintArray, FloatArray, TextArray, UuidArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import IMPORT_AGENT, AlertSeverity, AlertState
from orchestration_server.store.log_positions import PROJECTS
from orchestration_server.store.writes import Change

MOST_PROJECTS = 5_000
"""The most projects whose last minute of events is counted."""
PROJECT_EVENTS = 50_000
MOST_EVENTS = 100_000
"""The most events of one minute that are counted. PROJECT_EVENTS is the limit of one project."""
FRESH_SECONDS = 30
"""The age of a server's figures from which the server counts as stopped."""
KEPT_SECONDS = 24 * 3600
"""The time for which a resolved alert is listed."""
FORGOTTEN = 1_000
"""The most rows of servers and of alerts that one evaluation deletes."""

_PUBLISH: LiteralString = """
with published as (
    insert into server_figures
        (server, update_time, queue_events, calls, errors, context_bounds, context_counts)
    values (%(server)s::uuid, %(now)s, %(queue_events)s, %(calls)s, %(errors)s,
        %(bounds)s::bigint[], %(counts)s::bigint[])
    on conflict (server) do update
        set update_time = excluded.update_time, queue_events = excluded.queue_events,
            calls = excluded.calls, errors = excluded.errors,
            context_bounds = excluded.context_bounds, context_counts = excluded.context_counts
)
select session_idle_seconds_max from alert_evaluation
"""
_FIRING: LiteralString = "select alert, count(*) from alerts where state = 1 group by alert"

_SERVERS: LiteralString = """
select queue_events, calls, errors, context_bounds, context_counts from server_figures
where update_time > %(now)s - %(fresh)s::bigint * interval '1 second'
"""
_AGENTS: LiteralString = (
    "with one as (select 1)"
    + PROJECTS
    + """
select project, agent, count(*) from (
    select n.project, e.agent
    from (select project from named limit %(projects)s::bigint) n,
        lateral (
            select agent from events
            where project = n.project and emit_time > %(now)s - interval '1 minute' and emit_time <= %(now)s
            limit %(each)s::bigint
        ) e
    limit %(most)s::bigint
) recent
where agent <> '' and agent <> %(import)s and not starts_with(agent, 'orchestration.')
group by project, agent order by 3 desc, project, agent limit %(limit)s::bigint
"""
)
# This reads all open sessions. An index of last_activity_time would slow down every call of a session.
_IDLE: LiteralString = """
select project, key, extract(epoch from %(now)s - last_activity_time)::float8 from sessions
where status < 3 and case when status = 1 then true end
order by last_activity_time, project, key limit %(limit)s::bigint
"""

_DUE: LiteralString = """
select evaluate_time <= %(now)s - %(apart)s::bigint * interval '1 millisecond' or evaluate_time > %(now)s
from alert_evaluation
"""
_COLUMNS: LiteralString = """
select id::text, alert, project, subject, state, severity, value, threshold, unit, summary, action,
    begin_time, fire_time, resolve_time
from alerts"""
_ACTIVE: LiteralString = _COLUMNS + " where state < 3"
_UIDS: LiteralString = """
select s.project, s.key, s.body from sessions s
join unnest(%(projects)s::text[], %(keys)s::text[]) as w (project, key)
    on s.project = w.project and s.key = w.key
"""
_EVALUATED: LiteralString = """
noted as (
    update alert_evaluation set evaluate_time = %(a_now)s, session_idle_seconds_max = %(a_idle)s::float8
    from locked
), forgotten as (
    delete from alerts where id in (
        select id from alerts
        where state = 3 and resolve_time <= %(a_now)s - %(a_kept)s::bigint * interval '1 second'
        order by resolve_time limit %(a_most)s::bigint)
), silent as (
    delete from server_figures where server in (
        select server from server_figures
        where update_time <= %(a_now)s - 10 * %(a_fresh)s::bigint * interval '1 second'
        limit %(a_most)s::bigint)
), dropped as (
    delete from alerts a using locked, unnest(%(a_dropped)s::uuid[]) as d (id)
    where a.id = d.id and a.state = 2
    returning 1
), written as (
    insert into alerts as a (id, alert, project, subject, state, severity, value, threshold, unit, summary,
        action, begin_time, fire_time, resolve_time)
    select w.id, w.alert, w.project, w.subject, w.state, w.severity, w.value, w.threshold, w.unit, w.summary,
        w.action, %(a_now)s, case when w.state = 1 then %(a_now)s::timestamptz end, null
    from locked, unnest(%(a_id)s::uuid[], %(a_alert)s::text[], %(a_project)s::text[], %(a_subject)s::text[],
        %(a_state)s::bigint[], %(a_severity)s::bigint[], %(a_value)s::float8[], %(a_threshold)s::float8[],
        %(a_unit)s::text[], %(a_summary)s::text[], %(a_action)s::text[]) as w
        (id, alert, project, subject, state, severity, value, threshold, unit, summary, action)
    on conflict (id) do update
        set state = excluded.state, value = excluded.value, threshold = excluded.threshold,
            severity = excluded.severity, summary = excluded.summary, action = excluded.action,
            fire_time = coalesce(a.fire_time, excluded.fire_time),
            resolve_time = case when excluded.state = 3 then excluded.begin_time end
        where a.state < 3
    returning 1
), changed as (select 1 from dropped union all select 1 from written)"""

_LIST: LiteralString = _COLUMNS + " where state <= %(most_state)s::smallint"
_LIST_OF: LiteralString = " and alert = %(alert)s"
_LIST_AFTER: LiteralString = """
    and (state > %(state)s::smallint
        or (state = %(state)s::smallint and (begin_time, id) < (%(time)s::timestamptz, %(id)s::uuid)))"""
_LIST_ORDER: LiteralString = " order by state, begin_time desc, id desc limit %(limit)s::bigint"


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures that a server publishes. Calls and latencies are of the last five minutes."""

    queue_events: int = 0
    calls: int = 0
    errors: int = 0
    context_bounds: Sequence[int] = ()
    """The upper bounds of the latency histogram in microseconds, ascending."""
    context_counts: Sequence[int] = ()


class AlertSubject(NamedTuple):
    """The subject of an alert and its measured value. Project and name are empty for the whole ledger."""

    project: str
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Alert:
    """A stored alert."""

    id: UUID
    alert: str
    project: str
    subject: str
    state: AlertState
    severity: AlertSeverity
    value: float
    threshold: float
    unit: str
    summary: str
    action: str
    begin_time: datetime
    fire_time: datetime | None = None
    resolve_time: datetime | None = None


# Measurements


def publish(conn: Connection, *, server: str, now: datetime, figures: Figures) -> float:
    """Store a server's figures. Return the longest idle seconds of a session at the last evaluation."""
    row = conn.execute(
        _PUBLISH,
        {
            "server": server,
            "now": now,
            "queue_events": figures.queue_events,
            "calls": figures.calls,
            "errors": figures.errors,
            "bounds": BigintArray(figures.context_bounds),
            "counts": BigintArray(figures.context_counts),
        },
        name="alerts.publish",
    ).fetchone()
    assert row is not None
    return float(row[0])


def count_firing(conn: Connection) -> dict[str, int]:
    """Return the number of firing alerts by name. Names without a firing alert are missing."""
    return dict(conn.execute(_FIRING, name="alerts.firing").fetchall())


def servers(conn: Connection, *, now: datetime) -> list[Figures]:
    """Return the figures of the running servers."""
    rows = conn.execute(_SERVERS, {"now": now, "fresh": FRESH_SECONDS}, name="alerts.servers").fetchall()
    return [Figures(*row) for row in rows]


def busiest_agents(conn: Connection, *, now: datetime, limit: int) -> list[AlertSubject]:
    """Return the agents with the most events of the last minute, most first.

    The server's own agents and the import are left out.
    """
    params = {
        "now": now, "after": "", "projects": MOST_PROJECTS, "each": PROJECT_EVENTS, "most": MOST_EVENTS,
        "limit": limit, "import": IMPORT_AGENT,
    }  # fmt: skip
    return [
        AlertSubject(*row) for row in conn.execute(_AGENTS, params, name="alerts.busiest_agents").fetchall()
    ]


def idle_sessions(conn: Connection, *, now: datetime, limit: int) -> list[AlertSubject]:
    """Return active sessions with the seconds since their last call, longest first."""
    return [
        AlertSubject(*row)
        for row in conn.execute(_IDLE, {"now": now, "limit": limit}, name="alerts.idle_sessions").fetchall()
    ]


# Alerts


def is_due(conn: Connection, *, now: datetime, apart: float) -> bool:
    """Return whether the last evaluation is at least ``apart`` seconds old."""
    row = conn.execute(_DUE, {"now": now, "apart": int(apart * 1_000)}, name="alerts.due").fetchone()
    assert row is not None
    return bool(row[0])


def active(conn: Connection) -> list[Alert]:
    """Return the firing and the pending alerts."""
    return [_alert(row) for row in conn.execute(_ACTIVE, name="alerts.active").fetchall()]


def session_bodies(conn: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """Return the serialized sessions by (project, key)."""
    if not keys:
        return {}
    params = {"projects": TextArray(key[0] for key in keys), "keys": TextArray(key[1] for key in keys)}
    return {(row[0], row[1]): row[2] for row in conn.execute(_UIDS, params, name="alerts.session_bodies")}


def evaluated(*, now: datetime, idle: float, written: Sequence[Alert], dropped: Sequence[UUID]) -> Change:
    """Return the change of an evaluation: it writes new and changed alerts, and drops pending ones.

    The times at which an alert fired or was resolved are those of the evaluation.
    """
    return Change(
        b"",
        sql=_EVALUATED,
        params={
            "a_now": now,
            "a_idle": str(idle),
            "a_kept": KEPT_SECONDS,
            "a_fresh": FRESH_SECONDS,
            "a_most": FORGOTTEN,
            "a_dropped": UuidArray(dropped),
            "a_id": UuidArray(one.id for one in written),
            "a_alert": TextArray(one.alert for one in written),
            "a_project": TextArray(one.project for one in written),
            "a_subject": TextArray(one.subject for one in written),
            "a_state": BigintArray(one.state for one in written),
            "a_severity": BigintArray(one.severity for one in written),
            "a_value": FloatArray(one.value for one in written),
            "a_threshold": FloatArray(one.threshold for one in written),
            "a_unit": TextArray(one.unit for one in written),
            "a_summary": TextArray(one.summary for one in written),
            "a_action": TextArray(one.action for one in written),
        },
        expected=len(written) + len(dropped),
    )


def list_page(
    conn: Connection,
    *,
    alert: str,
    resolved: bool,
    after: tuple[int, datetime, str] | None,
    limit: int,
) -> list[Alert]:
    """Return a page of alerts: firing, then pending, then resolved, the newest of each state first."""
    query = _LIST
    params: dict[str, object] = {
        "most_state": AlertState.RESOLVED if resolved else AlertState.PENDING,
        "limit": limit,
    }
    if alert:
        query += _LIST_OF
        params["alert"] = alert
    if after is not None:
        query += _LIST_AFTER
        params |= {"state": after[0], "time": after[1], "id": after[2]}
    return [
        _alert(row) for row in conn.execute(query + _LIST_ORDER, params, name="alerts.list_page").fetchall()
    ]


def _alert(row: tuple[object, ...]) -> Alert:
    id_, alert, project, subject, state, severity, *rest = row
    return Alert(UUID(id_), alert, project, subject, AlertState(state), AlertSeverity(severity), *rest)  # type: ignore[arg-type]  # as they were stored
