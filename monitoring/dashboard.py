"""The Grafana dashboard: a table of panels, and the JSON that Grafana imports.

`python -m monitoring.dashboard` writes deploy/grafana/dashboard.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration_server.rules.alerts import ERROR_CODES

PATH = Path(__file__).parent.parent / "deploy" / "grafana" / "dashboard.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
HEIGHT = 8

_HERE = 'instance=~"$instance"'
_FAULTS = 'code=~"' + "|".join(ERROR_CODES) + '"'
_HIT = 'result="hit"'
_SERVICE = "name"
_LEGEND = "{{name}}"


@dataclass(frozen=True, slots=True)
class Query:
    """A query of Prometheus, and the legend of its series."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph of the dashboard."""

    title: str
    unit: str
    queries: Sequence[Query]
    help: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of panels under one heading."""

    title: str
    panels: Sequence[Panel]


def _rate(name: str, *labels: str, by: str = "") -> str:
    """Return the expression for the rate of a counter a second."""
    summed = f"sum by ({by})" if by else "sum"
    return f"{summed} (rate(orchestration_{name}{{{','.join([*labels, _HERE])}}}[$__rate_interval]))"


def _gauge(name: str, by: str = "") -> str:
    """Return the expression for a gauge of servers, summed over all of them."""
    return f"{f'sum by ({by})' if by else 'sum'} (orchestration_{name}{{{_HERE}}})"


def _ledger(name: str, by: str = "") -> str:
    """Return the expression for a gauge of the ledger, which all servers report alike."""
    return f"{f'max by ({by})' if by else 'max'} (orchestration_{name})"


def _quantile(share: float, name: str, by: str = "") -> str:
    groups = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {_rate(f'{name}_bucket', by=groups)})"


def _quantiles(name: str) -> list[Query]:
    return [Query(_quantile(share, name), f"p{share * 100:.0f}") for share in (0.5, 0.95, 0.99)]


ROWS: Sequence[Row] = (
    Row(
        "Calls",
        (
            Panel("Calls by rpc", "reqps", [Query(_rate("rpc_calls_total", by="rpc"), "{{rpc}}")]),
            Panel(
                "Share of calls that end in a fault of the server's",
                "percent",
                [
                    Query(
                        f"100 * ({_rate('rpc_calls_total', _FAULTS)} or vector(0))"
                        f" / {_rate('rpc_calls_total')}",
                        "faults",
                    )
                ],
                "The alert error_rate: above 5%.",
            ),
            Panel(
                "Calls that fail, by code",
                "reqps",
                [Query(_rate("rpc_calls_total", 'code!="OK"', by="code"), "{{code}}")],
            ),
            Panel("p50 by rpc", "s", [Query(_quantile(0.5, "rpc_seconds", "rpc"), "{{rpc}}")]),
            Panel(
                "p95 by rpc",
                "s",
                [Query(_quantile(0.95, "rpc_seconds", "rpc"), "{{rpc}}")],
                "The alert context_p95: AssembleContext above 2 s.",
            ),
            Panel("p99 by rpc", "s", [Query(_quantile(0.99, "rpc_seconds", "rpc"), "{{rpc}}")]),
            Panel("Calls at work", "short", [Query(_gauge("rpc_in_flight", "rpc"), "{{rpc}}")]),
            Panel(
                "Calls refused at a limit",
                "reqps",
                [Query(_rate("rpc_refused_total", by="reason"), "{{reason}}")],
            ),
            Panel(
                "Lines that the log could not take", "ops", [Query(_rate("log_lines_dropped_total"), "lines")]
            ),
            Panel(
                "Alerts that fire",
                "short",
                [Query(_ledger("alert_firing", "alert"), "{{alert}}")],
                "AdminService.ListAlerts says of whom, and what to do.",
            ),
        ),
    ),
    Row(
        "Timeline",
        (
            Panel("Streams open", "short", [Query(_gauge("streams_open", "rpc"), "{{rpc}}")]),
            Panel("Claims that wait", "short", [Query(_gauge("claims_waiting"), "claims")]),
            Panel("From recorded to handed to the transport", "s", _quantiles("fanout_seconds")),
            Panel("Slow readers", "ops", [Query(_rate("slow_readers_total"), "slow readers")]),
            Panel(
                "Age of the horizon",
                "s",
                [Query(_ledger("horizon_age_seconds"), "age")],
                "The alert horizon_age: above 30 s.",
            ),
        ),
    ),
    Row(
        "Database and cache",
        (
            Panel(
                "Connections of the pools", "short", [Query(_gauge("pool_connections", "state"), "{{state}}")]
            ),
            Panel("Wait for a connection", "s", _quantiles("pool_wait_seconds")),
            Panel("Pool exhausted", "ops", [Query(_rate("pool_exhausted_total"), "exhausted")]),
            Panel(
                "Time in statements: seconds a second, the ten with the most",
                "short",
                [Query(f"topk(10, {_rate('sql_seconds_sum', by='statement')})", "{{statement}}")],
            ),
            Panel(
                "p95 by statement: the ten slowest",
                "s",
                [Query(f"topk(10, {_quantile(0.95, 'sql_seconds', 'statement')})", "{{statement}}")],
            ),
            Panel(
                "Statements over a second",
                "ops",
                [Query(_rate("sql_slow_total", by="statement"), "{{statement}}")],
                "The log has each of them.",
            ),
            Panel(
                "Cache: share of hits",
                "percent",
                [
                    Query(
                        f"100 * {_rate('cache_requests_total', _HIT, by='kind')}"
                        f" / {_rate('cache_requests_total', by='kind')}",
                        "{{kind}}",
                    )
                ],
            ),
            Panel(
                "Cache: requests by result",
                "reqps",
                [Query(_rate("cache_requests_total", by="result"), "{{result}}")],
            ),
            Panel(
                "Redis: failures by command",
                "ops",
                [Query(_rate("redis_errors_total", by="command, error"), "{{command}} {{error}}")],
                "READONLY, MOVED or NOPERM say that the address or the rights of the cache are wrong.",
            ),
        ),
    ),
    Row(
        "Events on their way in",
        (
            Panel("Events stored", "ops", [Query(_rate("events_emitted_total"), "events")]),
            Panel(
                "Events that wait",
                "short",
                [
                    Query(_gauge("emit_queue_events"), "to be stored"),
                    Query(_gauge("events_accepted_queue"), "accepted"),
                ],
                "The alert event_queue_depth: both together above 1,000.",
            ),
            Panel("Bytes that wait", "bytes", [Query(_gauge("emit_queue_bytes"), "to be stored")]),
            Panel(
                "Events left out",
                "ops",
                [
                    Query(_rate("events_debounced_total"), "debounced"),
                    Query(_rate("events_sampled_out_total"), "sampled out"),
                    Query(_rate("events_accepted_lost_total"), "accepted and lost"),
                ],
            ),
            Panel(
                "Busiest agent",
                "short",
                [Query(_ledger("agent_events_minute_max"), "events a minute")],
                "The alert agent_event_rate: above 1,000.",
            ),
            Panel(
                "Longest idle session",
                "s",
                [Query(_ledger("session_idle_seconds_max"), "idle")],
                "The alert session_inactive: above 4 hours.",
            ),
        ),
    ),
    Row(
        "Background services and files",
        (
            Panel(
                "Batches",
                "ops",
                [Query(_rate("job_batches_total", by=f"{_SERVICE}, result"), f"{_LEGEND} {{{{result}}}}")],
            ),
            Panel("Rows dealt with", "ops", [Query(_rate("job_rows_total", by=_SERVICE), _LEGEND)]),
            Panel("p95 of a batch", "s", [Query(_quantile(0.95, "job_seconds", _SERVICE), _LEGEND)]),
            Panel("Failures in a row", "short", [Query(_ledger("job_failing", _SERVICE), _LEGEND)]),
            Panel("Rows that wait", "short", [Query(_ledger("job_queue_rows", _SERVICE), _LEGEND)]),
            Panel("Age of the oldest", "s", [Query(_ledger("job_oldest_seconds", _SERVICE), _LEGEND)]),
            Panel("Files written", "ops", [Query(_rate("files_total", by="result"), "{{result}}")]),
            Panel("Time to write an entity's files", "s", _quantiles("file_sync_seconds")),
            Panel(
                "Files: slow and failed",
                "ops",
                [
                    Query(_rate("file_sync_slow_total"), "over 500 ms"),
                    Query(_rate("file_sync_failures_total"), "failed"),
                ],
            ),
        ),
    ),
    Row(
        "What there is",
        (
            Panel(
                "Events",
                "short",
                [Query(_ledger("event_rows", "state"), "{{state}}")],
                "The alert event_count: above 1,000,000 live ones.",
            ),
            Panel("Bytes of events", "bytes", [Query(_ledger("event_bytes", "state"), "{{state}}")]),
            Panel("Events of the last 7 days", "short", [Query(_ledger("events_week", "type"), "{{type}}")]),
            Panel(
                "Files under delegation/sprints",
                "short",
                [
                    Query(_ledger("workspace_files"), "files"),
                    Query(_ledger("workspace_markdown_files"), ".md"),
                    Query(_ledger("workspace_large_files"), "over 100 KB"),
                ],
            ),
            Panel("Their bytes", "bytes", [Query(_ledger("workspace_bytes"), "bytes")]),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """Return the dashboard in the form that Grafana imports."""
    return {
        "uid": "orchestration",
        "title": "Orchestration",
        "tags": ["orchestration"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_datasource(), _instances()]},
        "panels": list(_panels()),
    }


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _instances() -> dict[str, Any]:
    return {
        "name": "instance",
        "label": "Server",
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": "label_values(orchestration_rpc_in_flight, instance)", "refId": "instance"},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panels() -> Iterator[dict[str, Any]]:
    y, number = 0, 1
    for row in ROWS:
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y},
        }
        y, number = y + 1, number + 1
        width = COLUMNS // 3
        for place, panel in enumerate(row.panels):
            position = {"h": HEIGHT, "w": width, "x": place % 3 * width, "y": y + place // 3 * HEIGHT}
            yield _graph(panel, number, position)
            number += 1
        y += -(-len(row.panels) // 3) * HEIGHT


def _graph(panel: Panel, number: int, position: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.help,
        "datasource": DATASOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": DATASOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for place, query in enumerate(panel.queries)
        ],
    }


def render() -> str:
    """Return the text of the dashboard's file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    PATH.write_text(render())
