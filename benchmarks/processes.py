"""Server processes on an existing database."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

START_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0
MODULE = ("-m", "orchestration_server", "serve")


def environment() -> dict[str, str]:
    """Return the environment without settings that would lead a server to another database."""
    ours = ("ORCHESTRATION_", "DATABASE_URL", "REDIS_URL")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def when_ready(process: subprocess.Popen[bytes], ready: Path, log: Path, seconds: float) -> dict[str, Any]:
    """Wait for a server's ready file and return its content. Raises RuntimeError if the server ends first."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ready.exists():
            found: dict[str, Any] = json.loads(ready.read_text())
            return found
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        break
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")


class ServerProcess:
    """A server process, which answers on ``address`` when the constructor returns."""

    def __init__(
        self,
        database_url: str,
        *arguments: str,
        address: str = "127.0.0.1:0",
        program: Sequence[str] = MODULE,
        redis_url: str = "",
    ) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="server-")
        self._ready, self._log = Path(self._directory.name, "ready"), Path(self._directory.name, "log")
        command = [
            sys.executable,
            *program,
            "--address",
            address,
            "--ready-file",
            str(self._ready),
            *arguments,
        ]
        overrides = {"DATABASE_URL": database_url, "ORCHESTRATION_BACKGROUND": "false"}
        if redis_url:
            overrides["REDIS_URL"] = redis_url
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment() | overrides
            )
        self.address = self._wait()

    def _wait(self) -> str:
        try:
            address: str = when_ready(self._process, self._ready, self._log, START_TIMEOUT)["address"]
        except RuntimeError:
            self.stop()
            raise
        return address

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> float:
        """Stop the server with SIGTERM, and return the seconds that it took."""
        began = time.monotonic()
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._directory.cleanup()
        return time.monotonic() - began

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        self._process.kill()
        self._process.wait()
        self._directory.cleanup()

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self.stop()
