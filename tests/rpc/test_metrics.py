"""/metrics: what Prometheus reads after known calls, of one process and of several."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestration.v1 import task_pb2
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.embedded import Engines
from tests import factories
from tests.conftest import open_channel

SECONDS = 30
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scraped:
    """A server in processes of its own, and what it exposes."""

    def __init__(self, process: subprocess.Popen[bytes], ready: Path) -> None:
        self.process = process
        end = monotonic() + SECONDS
        while not ready.exists():
            assert process.poll() is None
            assert monotonic() < end
        told = json.loads(ready.read_text())
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

    def value(self, name: str, **labels: str) -> float:
        return self.read().get((f"orchestration_{name}", frozenset(labels.items())), 0.0)

    def until(self, wanted: float, name: str, **labels: str) -> None:
        """Waits for a value: an end is counted a moment after its caller knows of it."""
        end = monotonic() + SECONDS
        while (found := self.value(name, **labels)) != wanted:
            assert monotonic() < end, (name, labels, found)


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


def test_the_calls_of_all_processes_are_summed(serve: Callable[..., Scraped]) -> None:
    scraped = serve("--workers", "2")
    for number in range(24):
        with open_channel(scraped.address) as channel:
            tasks = TaskServiceStub(channel)
            tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(f"t{number}")), timeout=SECONDS)
            with pytest.raises(grpc.RpcError):
                tasks.GetTask(task_pb2.GetTaskRequest(task_code="none"), timeout=SECONDS)
    assert scraped.value("rpc_calls_total", rpc="TaskService/CreateTask", code="OK") == 24
    assert scraped.value("rpc_calls_total", rpc="TaskService/GetTask", code="NOT_FOUND") == 24
    assert scraped.value("rpc_seconds_count", rpc="TaskService/CreateTask") == 24
    assert scraped.value("rpc_seconds_bucket", rpc="TaskService/GetTask", le="+Inf") == 24
    assert scraped.value("rpc_in_flight") == 0
