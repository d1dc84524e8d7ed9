"""The metrics that Prometheus reads after known calls, from one process and from several."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import grpc
import pytest
import typer
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from orchestration.v1 import task_pb2
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import BACKGROUND_CONNECTIONS
from orchestration_server.cli.metrics_server import serve_metrics
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import Engines
from orchestration_server.telemetry import metrics
from orchestration_server.telemetry.exposition import Exposition, MultiProcessCollector, added, serve_worker
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.waits import read_ready, turns

SECONDS = 30
PROMISED = """
    rpc_calls_total rpc_seconds rpc_in_flight rpc_refused_total streams_open fanout_seconds slow_readers_total
    horizon_age_seconds pool_connections pool_wait_seconds pool_exhausted_total sql_seconds
    cache_requests_total emit_queue_events emit_queue_bytes events_emitted_total events_debounced_total
    events_sampled_out_total events_accepted_queue events_accepted_lost_total job_batches_total job_rows_total
    job_seconds job_failing job_queue_rows job_oldest_seconds file_sync_slow_total file_sync_seconds
    event_rows event_bytes events_week workspace_files workspace_bytes workspace_large_files alert_firing
    agent_events_minute_max
"""
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scraped:
    """A server in other processes, with its metrics."""

    def __init__(self, process: subprocess.Popen[bytes], ready: Path) -> None:
        self.process = process
        told = read_ready(process, ready, SECONDS)
        self.address: str = told["address"]
        self.url = f"http://{told['metrics_address']}/metrics"

    def read(self) -> Samples:
        with urllib.request.urlopen(self.url, timeout=SECONDS) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            text = answer.read().decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def serve(engines: Engines, database_url: str, tmp_path: Path) -> Iterator[Callable[..., Scraped]]:
    with ExitStack() as stack:

        def start(*arguments: str) -> Scraped:
            ready = tmp_path / "ready"
            log = stack.enter_context((tmp_path / "log").open("wb"))
            process = subprocess.Popen(
                [Path(sys.executable).with_name("orchestration"), "serve", "--address", "127.0.0.1:0",
                 "--metrics-address", "127.0.0.1:0", "--ready-file", ready, *arguments],
                env={"DATABASE_URL": database_url, "REDIS_URL": engines.redis_url or "",
                     "ORCHESTRATION_BACKGROUND": "false"},
                stdout=log,
                stderr=log,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return Scraped(process, ready)

        yield start


@pytest.fixture
def exposition() -> Iterator[Exposition]:
    found = Exposition("127.0.0.1:0", metrics.REGISTRY)
    found.start()
    yield found
    found.close()


def get(address: str, path: str = "/metrics", accept: str = "text/plain") -> tuple[int, str, bytes]:
    """Return the status, the content type and the body of an answer."""
    request = urllib.request.Request(f"http://{address}{path}", headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answered:
            return answered.status, answered.headers["Content-Type"], answered.read()
    except HTTPError as refused:
        with refused:
            return refused.code, refused.headers["Content-Type"], refused.read()


def test_the_calls_of_all_processes_are_summed(serve: Callable[..., Scraped]) -> None:
    scraped = serve("--workers", "2", "--threads", "4")
    for number in range(8):
        with open_channel(scraped.address) as channel:
            tasks = TaskServiceStub(channel)
            tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(f"t{number}")), timeout=SECONDS)
            with pytest.raises(grpc.RpcError):
                tasks.GetTask(task_pb2.GetTaskRequest(task_code="none"), timeout=SECONDS)
    found = scraped.read()

    def value(name: str, **labels: str) -> float:
        return found[f"orchestration_{name}", frozenset(labels.items())]

    assert value("rpc_calls_total", rpc="TaskService/CreateTask", code="OK") == 8
    assert value("rpc_calls_total", rpc="TaskService/GetTask", code="NOT_FOUND") == 8
    assert value("rpc_seconds_count", rpc="TaskService/CreateTask") == 8
    assert value("rpc_seconds_bucket", rpc="TaskService/GetTask", le="+Inf") == 8
    assert value("rpc_seconds_sum", rpc="TaskService/GetTask") > 0
    assert value("rpc_in_flight", rpc="TaskService/CreateTask") == 0
    assert value("sql_seconds_count", statement="writes.apply insert tasks") == 8
    assert value("events_emitted_total") == 8
    assert value("pool_connections", state="size") == 2 * (4 + BACKGROUND_CONNECTIONS)


def test_a_worker_exposes_its_own_metrics(
    engines: Engines, server: Server, database_url: str, tasks: TaskServiceStub, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with ExitStack() as stack:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("orchestration"), "worker", "--metrics-address", "127.0.0.1:0",
             "--workspace", tmp_path],
            env={"DATABASE_URL": database_url, "REDIS_URL": engines.redis_url or ""},
            stderr=stack.enter_context(log.open("wb")),
        )  # fmt: skip
        stack.callback(process.wait)
        stack.callback(process.terminate)
        request = task_pb2.CreateTaskRequest(task=factories.task("t"), sync_to_file=True)
        tasks.CreateTask(request)
        for _ in turns(SECONDS):
            if told := [json.loads(line) for line in log.read_text().splitlines()]:
                break
        address = next(line["address"] for line in told if line["event"] == "metrics")
        for _ in turns(SECONDS):
            if b'orchestration_files_total{result="written"} 2.0' in get(address)[2]:
                break


def test_a_taken_address_ends_the_command(exposition: Exposition) -> None:
    settings = Settings(metrics_address=exposition.address)
    with pytest.raises(typer.Exit), serve_metrics(settings, CollectorRegistry()):
        pass
    with serve_metrics(Settings(), CollectorRegistry()) as off:
        assert off == ""


# One server, in this process


# The HTTP server


def test_the_only_page_is_metrics(exposition: Exposition) -> None:
    assert get(exposition.address, "/")[0] == 404
    status, kind, body = get(exposition.address, accept="application/openmetrics-text")
    assert status == 200
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_without_a_host_metrics_are_served_on_loopback() -> None:
    found = Exposition(":0", CollectorRegistry())
    assert found.address.startswith("127.0.0.1:")
    found.close()


def test_a_client_that_sends_no_request_is_disconnected(
    exposition: Exposition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration_server.telemetry.exposition.REQUEST_SECONDS", 0.1)
    host, port = exposition.address.split(":")
    with socket.create_connection((host, int(port))) as silent:
        silent.sendall(b"GET /met")
        assert get(exposition.address)[0] == 200
        assert silent.recv(1) == b""


def test_a_scrape_is_complete_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration_server.telemetry.exposition.ANSWER_SECONDS", 0.1)
    pairs = [socket.socketpair() for _ in range(2)]
    serve_worker(pairs[0][1])
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MultiProcessCollector([ours for ours, _ in pairs]))
    found = Exposition("127.0.0.1:0", registry)
    found.start()
    assert get(found.address)[0] == 503
    # Once the other process answers, earlier requests to it do not matter.
    serve_worker(pairs[1][1])
    monkeypatch.setattr("orchestration_server.telemetry.exposition.ANSWER_SECONDS", SECONDS)
    status, _, whole = get(found.address)
    assert status == 200
    assert b"orchestration_rpc_in_flight" in whole
    found.close()
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def test_counters_are_added_and_gauges_about_the_ledger_take_the_largest() -> None:
    def dump(calls: float, age: float) -> list[Any]:
        name, gauge = "orchestration_events_emitted", "orchestration_horizon_age_seconds"
        return [
            [name, "h", "counter", [[f"{name}_total", {}, calls]]],
            [gauge, "h", "gauge", [[gauge, {}, age]]],
        ]

    families = {family.name: family.samples[0].value for family in added([dump(2, 5.0), dump(3, 4.0)])}
    assert families == {"orchestration_events_emitted": 5, "orchestration_horizon_age_seconds": 5.0}


# The documentation


def documented() -> set[str]:
    text = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
    text = text[text.index("## Metrics") : text.index("## How large")]
    return set(re.findall(r"^\| `(\w+)", text, re.MULTILINE))


def exposed_names() -> set[str]:
    """Return the names as queries use them, without the suffixes of histograms."""
    return {
        family.name.removeprefix("orchestration_") + ("_total" if family.type == "counter" else "")
        for family in metrics.REGISTRY.collect()
    }


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    assert documented() == exposed_names()


def test_the_metrics_of_alerts_and_dashboards_exist() -> None:
    assert exposed_names() >= set(PROMISED.split())
