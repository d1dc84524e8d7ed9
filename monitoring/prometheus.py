"""A temporary Prometheus that scrapes one server."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

INTERVAL = "2s"
RATE_INTERVAL = "10s"
"""The value for Grafana's $__rate_interval: four scrapes and the one before."""
START_SECONDS = 30.0
HINT = "needs Prometheus: apt-get install prometheus"
CONFIG = """
global: {{scrape_interval: {interval}, evaluation_interval: {interval}}}
rule_files: [{rules}]
scrape_configs:
  - job_name: orchestration
    static_configs: [{{targets: ["{target}"]}}]
"""


class PrometheusMissing(RuntimeError):
    """Raised if Prometheus is not installed. The message says how to install it."""


class Series:
    """A series of a query's result."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.labels: Mapping[str, str] = found["metric"]
        self.value = float(found["value"][1])


class Prometheus:
    """A Prometheus that runs for the duration of a block. Raises PrometheusMissing if it is not installed."""

    def __init__(self, directory: Path, *, target: str, rules: str) -> None:
        program = shutil.which("prometheus")
        if program is None:
            raise PrometheusMissing(HINT)
        directory.mkdir()
        (directory / "rules.yml").write_text(rules)
        config = directory / "prometheus.yml"
        config.write_text(
            CONFIG.format(interval=INTERVAL, rules=directory / "rules.yml", target=target), encoding="utf-8"
        )
        data = directory / "data"
        self._command = [
            program, f"--config.file={config}", f"--storage.tsdb.path={data}", "--log.level=warn",
        ]  # fmt: skip
        self._log = directory / "prometheus.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Prometheus:
        address = f"127.0.0.1:{_free_port()}"
        self.url = f"http://{address}"
        with self._log.open("wb") as output:
            command = [*self._command, f"--web.listen-address={address}"]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urlopen(f"{self.url}/-/ready", timeout=1):
                    return self
            except (HTTPError, URLError, OSError):
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"Prometheus did not start:\n{self._log.read_text()[-3000:]}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop Prometheus."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)

    def query(self, expression: str) -> list[Series]:
        """Return the current result of a panel's query, without series that are NaN.

        Raises ValueError if the query is not valid.
        """
        asked = expression.replace("$__rate_interval", RATE_INTERVAL).replace("$instance", ".*")
        found = self._get("query", query=asked)
        return [one for one in map(Series, found["result"]) if not math.isnan(one.value)]

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules, each with its health and state."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, what: str, **asked: str) -> Any:
        try:
            with urlopen(f"{self.url}/api/v1/{what}?{urlencode(asked)}", timeout=10) as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            raise ValueError(json.load(error).get("error", str(error))) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
