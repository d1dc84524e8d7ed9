"""The driver process of a language: one JSON object a line in each direction."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

CLIENTS = Path(__file__).resolve().parents[1]
FAULT = "CONFORMANCE_FAULT"
"""The variable that breaks a driver on purpose."""
PYTHON = "{python}"
LAST_LINES = 30
END_SECONDS = 10.0
START_SECONDS = 90.0


@dataclass(frozen=True)
class Language:
    """A client: the name of its directory, and the commands of its driver and of its example agent."""

    name: str
    command: tuple[str, ...]
    example: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        """The directory of the client, in which its driver runs."""
        return CLIENTS / self.name


def languages() -> list[Language]:
    """Return the clients that have a driver: those with a driver.json."""
    found = []
    for file in sorted(CLIENTS.glob("*/driver.json")):
        fields = json.loads(file.read_text())
        command, example = (_command(fields.get(name, ()), file.parent) for name in ("command", "example"))
        found.append(Language(file.parent.name, command, example))
    return found


def _command(parts: Sequence[str], directory: Path) -> tuple[str, ...]:
    found = [sys.executable if part == PYTHON else part for part in parts]
    if found and found[0].startswith("."):
        found[0] = str(directory / found[0])
    return tuple(found)


def own_environment() -> dict[str, str]:
    """Return the environment without settings of a ledger, which a client would use."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATION_")}


_starting = threading.Semaphore(2)
"""Runtimes that start at the same time take the time of the cases that run."""


def start_driver(language: Language, env: Mapping[str, str]) -> Driver:
    """Start a driver, one of two at a time, and return it when it answers."""
    with _starting:
        driver = Driver(language, env)
        try:
            driver.wait_ready()
        except BaseException:
            driver.close()
            raise
        return driver


class DriverEnded(Exception):
    """Raised for a command if the driver's process has ended."""


class Driver:
    """A running driver. Any thread may send commands."""

    def __init__(self, language: Language, env: Mapping[str, str] | None = None) -> None:
        self.language = language
        self._process = subprocess.Popen(
            language.command,
            cwd=language.directory,
            env=own_environment() | dict(env or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._lock = threading.Lock()
        self._last = 0
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._ended = False
        self._log: deque[str] = deque(maxlen=LAST_LINES)
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._read, self._read_log)]
        for thread in self._threads:
            thread.start()

    @property
    def log(self) -> str:
        """The last lines of the driver's log."""
        return "\n".join(self._log)

    @property
    def ended(self) -> bool:
        """True if the process has ended, or does not answer any more."""
        return self._ended or self._process.poll() is not None

    def send(self, command: Mapping[str, Any]) -> Future[dict[str, Any]]:
        """Send a command, and return its answer when it comes. It raises DriverEnded if it cannot come."""
        answer: Future[dict[str, Any]] = Future()
        with self._lock:
            self._last += 1
            if self._ended:
                answer.set_exception(DriverEnded(self._end_text()))
                return answer
            self._waiting[self._last] = answer
            line = json.dumps({"id": self._last, **command}).encode() + b"\n"
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):  # the reader notices the end
                self._process.stdin.write(line)
                self._process.stdin.flush()
        return answer

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                answer = json.loads(line)
                number = answer["id"]
            except (ValueError, KeyError, TypeError):
                self._log.append(f"not an answer: {line[:200]!r}")
                continue
            with self._lock:
                waiting = self._waiting.pop(number, None)
            if waiting is not None:
                waiting.set_result(answer)
        with self._lock:
            self._ended = True
            left, self._waiting = list(self._waiting.values()), {}
        for waiting in left:
            waiting.set_exception(DriverEnded(self._end_text()))

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._log.append(line.decode(errors="replace").rstrip())

    def _end_text(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2)
        return f"the driver ended with {self._process.returncode}:\n{self.log}"

    def wait_ready(self) -> None:
        """Wait until the driver answers, which takes a runtime some seconds on a busy machine."""
        self.send({"op": "close", "client": "none"}).result(timeout=START_SECONDS)

    def close(self) -> None:
        """End standard input, and wait for the end of the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(timeout=2)

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
