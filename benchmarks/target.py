"""The server under test, with its own engines, and stubs to call it."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import grpc

from benchmarks.processes import environment, when_ready
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.report_pb2_grpc import ReportServiceStub
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration.v1.template_pb2_grpc import TemplateServiceStub

SERVER_LOG = Path(__file__).with_name("reports") / "server.log"
START_TIMEOUT = 90.0  # seconds; the first start creates a database
STOP_TIMEOUT = 60.0
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.use_local_subchannel_pool", 1),
]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class RunningServer:
    """The addresses and files of a running server."""

    address: str
    database_url: str
    pid: int
    database_log: Path


class BenchmarkServer:
    """A server with its own database, durable as in production, which is deleted at the end."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="benchmark-")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RunningServer:
        directory = Path(self._directory.name)
        ready, log = directory / "ready.json", directory / "server.log"
        command = [sys.executable, "-m", "orchestration_server", "serve"]
        command += ["--address", "127.0.0.1:0", "--ready-file", str(ready)]
        command += ["--data-dir", str(directory / "data")]
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, env=environment())
        try:
            found = when_ready(self._process, ready, log, START_TIMEOUT)
        except RuntimeError:
            self.stop()
            raise
        database_log = directory / "data" / "logs" / "postgres.log"
        return RunningServer(found["address"], found["database_url"], found["pid"], database_log)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        log = Path(self._directory.name, "server.log")
        if log.exists():
            shutil.copyfile(log, SERVER_LOG)
        self._directory.cleanup()

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class LedgerStubs:
    """The stubs of a server on one channel."""

    def __init__(self, address: str, channel: grpc.Channel | None = None) -> None:
        self.address = address
        self.channel = channel or grpc.insecure_channel(address, CHANNEL_OPTIONS)
        self.sprints = SprintServiceStub(self.channel)
        self.tasks = TaskServiceStub(self.channel)
        self.events = EventServiceStub(self.channel)
        self.sessions = SessionServiceStub(self.channel)
        self.contexts = ContextServiceStub(self.channel)
        self.coordination = CoordinationServiceStub(self.channel)
        self.templates = TemplateServiceStub(self.channel)
        self.reports = ReportServiceStub(self.channel)

    def close(self) -> None:
        self.channel.close()


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 8) -> list[Result]:
    """Return the results of `work` in the order of the items. Raises the first error."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, items))


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in megabytes."""
    return _memory_mb(pid, "VmRSS")


def peak_mb(pid: int) -> float:
    """Return the peak of a process's resident memory since `reset_peak`, in megabytes."""
    return _memory_mb(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    """Start a new measurement of a process's peak memory."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _memory_mb(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has ended")
