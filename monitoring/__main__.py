"""The command `python -m monitoring`: run each panel's query on a Prometheus that scrapes a loaded server.

It fails if a query fails or returns nothing, if a rule does not load, or if an alert does not fire and clear
in both Prometheus and the ledger.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from monitoring.dashboard import ROWS, Query
from monitoring.load import SESSION, MixedLoad
from monitoring.prometheus import Prometheus, PrometheusMissing
from orchestration import Client
from orchestration.v1 import admin_pb2, session_pb2
from orchestration_server.cli.prometheus_rules import prometheus_name
from orchestration_server.rules.alerts import BUILT_IN, SESSION_INACTIVE

START_SECONDS = 90.0
WARM_SECONDS = 75.0
"""The time after which each background service has run, so that its panels have data."""
DATA_SECONDS = 60.0
ALERT_SECONDS = 90.0
ALERTS = f"alerts:\n  - {{name: {SESSION_INACTIVE}, threshold: 3}}\n"
[ALERT] = [prometheus_name(rule) for rule in BUILT_IN if rule.name == SESSION_INACTIVE]
FAILED, MISSING = 1, 2


def main() -> int:
    """Run everything, and return 0 if all is well."""
    parser = argparse.ArgumentParser(prog="python -m monitoring", description=__doc__)
    parser.add_argument("--workers", default="1", help="the number of server processes (default: 1)")
    workers = parser.parse_args().workers
    with tempfile.TemporaryDirectory(prefix="monitoring-") as name:
        directory = Path(name)
        alerts = directory / "alerts.yaml"
        alerts.write_text(ALERTS)
        try:
            return _run(directory, alerts, workers)
        except PrometheusMissing as error:
            print(error, file=sys.stderr)
            return MISSING


def _run(directory: Path, alerts: Path, workers: str) -> int:
    rules = subprocess.run(
        [sys.executable, "-m", "orchestration_server", "prometheus-rules", "--alerts-file", alerts],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    with _server(directory, alerts, workers) as ready:
        address = ready["address"]
        prometheus = Prometheus(directory / "prometheus", target=ready["metrics_address"], rules=rules)
        with prometheus, MixedLoad(address, ready["database_url"]) as load:
            time.sleep(WARM_SECONDS)
            faults = _check_panels(prometheus)
            faults += _check_rules(prometheus)
            faults += _check_alert(prometheus, address)
            if load.failure is not None:
                faults.append(f"the load failed: {load.failure!r}")
    for fault in faults:
        print(f"FAILED  {fault}")
    print("all is well" if not faults else f"{len(faults)} faults")
    return FAILED if faults else 0


@contextmanager
def _server(directory: Path, alerts: Path, workers: str) -> Iterator[dict[str, str]]:
    """Start a server with built-in engines, and yield the content of its ready file."""
    ready, workspace = directory / "ready.json", directory / "workspace"
    workspace.mkdir()
    command = [sys.executable, "-m", "orchestration_server", "serve", "--ephemeral"]
    command += ["--address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0", "--workers", workers]
    command += ["--emit-streams", "1", "--workspace", str(workspace)]
    command += ["--alerts-file", str(alerts), "--ready-file", str(ready)]
    log = directory / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait_until(START_SECONDS, lambda: ready.exists() or process.poll() is not None)
        if not ready.exists():
            raise RuntimeError(f"the server did not start:\n{log.read_text()[-3000:]}")
        yield json.loads(ready.read_text())
    finally:
        process.terminate()
        process.wait(timeout=60)


def _check_panels(prometheus: Prometheus) -> list[str]:
    """Run each panel's queries after everything has data, and print the results."""
    _wait_until(DATA_SECONDS, lambda: all(_ask(prometheus, query)[0] for _, _, query in _queries()))
    faults: list[str] = []
    titles = ["", ""]
    for row, panel, query in _queries():
        found, said = _ask(prometheus, query)
        if titles != [row, panel]:
            print(f"\n{row}: {panel}")
        titles = [row, panel]
        print(f"  {query.legend:12}  {query.expression}\n{'':16}{said}")
        if not found:
            faults.append(f"{panel}: {said}: {query.expression}")
    return faults


def _queries() -> Iterator[tuple[str, str, Query]]:
    for row in ROWS:
        for panel in row.panels:
            for query in panel.queries:
                yield row.title, panel.title, query


def _ask(prometheus: Prometheus, query: Query) -> tuple[bool, str]:
    """Run a query. Return True if it has data with all labels of its legend, and describe the result."""
    try:
        found = prometheus.query(query.expression)
    except ValueError as error:
        return False, f"error: {error}"
    if not found:
        return False, "no data"
    named = re.findall(r"{{(\w+)}}", query.legend)
    if not all(one.labels.get(label) for one in found for label in named):
        return False, f"series without {' or '.join(named)}"
    largest = max(found, key=lambda one: one.value)
    of = " ".join(str(largest.labels[label]) for label in named)
    return True, f"{len(found)} series, the largest {largest.value:.4g} {of}".rstrip()


def _check_rules(prometheus: Prometheus) -> list[str]:
    rules = prometheus.rules()
    print("\nRules")
    for rule in rules:
        print(f"  {rule['name']}: {rule['health']}, {rule['state']}")
    faults = [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"]
    if len(rules) != len(BUILT_IN):
        faults.append(f"{len(rules)} rules instead of {len(BUILT_IN)}")
    return faults


def _check_alert(prometheus: Prometheus, address: str) -> list[str]:
    """Check the alert about an inactive session: it fires, and it clears after the session is closed."""
    print("\nAlert")
    faults = []
    with Client(address) as client:

        def states() -> tuple[str, list[int]]:
            [state] = [rule["state"] for rule in prometheus.rules() if rule["name"] == ALERT]
            request = admin_pb2.ListAlertsRequest(alert=SESSION_INACTIVE, include_resolved=True)
            listed = client.admin.ListAlerts(request).alerts
            return state, [alert.state for alert in listed if alert.subject == SESSION]

        for wanted in (("firing", [1]), ("inactive", [3])):
            began = time.monotonic()
            if not _wait_until(ALERT_SECONDS, lambda wanted=wanted: states() == wanted):  # type: ignore[misc]
                faults.append(f"{ALERT} is {states()}, not {wanted}")
            print(f"  {ALERT}: {states()} after {time.monotonic() - began:.0f} s")
            if wanted[0] == "firing":
                client.sessions.CloseSession(session_pb2.CloseSessionRequest(session_key=SESSION))
    return faults


def _wait_until(seconds: float, holds: Callable[[], bool]) -> bool:
    """Wait until the condition holds. Return False if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(1.0)
    return True


if __name__ == "__main__":
    sys.exit(main())
