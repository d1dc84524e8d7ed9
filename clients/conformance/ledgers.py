"""The real ledger behind the fronts: servers, keys and certificates."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc

from benchmarks.processes import ServerProcess, environment, when_ready
from clients.conformance.certificates import Certificates
from clients.conformance.front import open_upstream
from orchestration.v1 import admin_pb2, admin_pb2_grpc, event_pb2, event_pb2_grpc

START_SECONDS = 90.0
STOP_SECONDS = 30.0
FEW = ("--threads", "8")
"""Options of the further servers, which share the connections of one Postgres."""
ARCHIVED = "archived"
"""A project whose oldest events are archived."""


class Ledgers:
    """A ledger with its own database, which is deleted at the end, and what cases need beside it.

    Servers and keys that only some cases need are made when the first of them asks.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._lock = threading.RLock()
        self._keys: dict[str, str] = {}
        self._keys_server: ServerProcess | None = None
        self._archived_cursor = ""
        self.address = self.database_url = ""
        self.directory = Path()

    def __enter__(self) -> Ledgers:
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="conformance-")))
        self.certificates = Certificates(self.directory)
        ready, log = self.directory / "ready.json", self.directory / "server.log"
        command = [sys.executable, "-m", "orchestration_server", "serve", "--ephemeral", "--auth", "open"]
        command += ["--address", "127.0.0.1:0", "--ready-file", str(ready)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment())
        self._stack.callback(_stop, process)
        try:
            found = when_ready(process, ready, log, START_SECONDS)
        except RuntimeError:
            self._stack.close()
            raise
        self.address, self.database_url = found["address"], found["database_url"]
        self.upstream = self._stack.enter_context(open_upstream(self.address))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def prepare(self, texts: str) -> None:
        """Make what cases use, by the names of its variables in their text, before their time begins."""
        for name, value in self.variables().items():
            if f"${{{name}}}" in texts:
                value()
        if "agent_key" in texts:
            self.keys_upstream().close()

    def keys_upstream(self) -> grpc.Channel:
        """Return a new channel to a server of the same ledger that requires keys."""
        with self._lock:
            if self._keys_server is None:
                self._keys_server = self.new_server(auth="required")
                self._stack.callback(self._keys_server.stop)
        return open_upstream(self._keys_server.address)

    def new_server(self, *options: str, address: str = "127.0.0.1:0", auth: str = "open") -> ServerProcess:
        """Start one more server process of the ledger."""
        return ServerProcess(self.database_url, *FEW, "--auth", auth, *options, address=address)

    def key(self, role: str) -> str:
        """Return a key of all projects with a role."""
        with self._lock:
            if role not in self._keys:
                command = [sys.executable, "-m", "orchestration_server", "keys", "create"]
                command += [f"conformance-{role}", "--role", role, "--project", "*"]
                made = subprocess.run(
                    command,
                    env=environment() | {"DATABASE_URL": self.database_url},
                    capture_output=True,
                    text=True,
                    check=True,
                )
                self._keys[role] = made.stdout.strip()
            return self._keys[role]

    def archived_cursor(self) -> str:
        """Return the cursor of an event before archived ones, in the project ARCHIVED."""
        with self._lock:
            self._archived_cursor = self._archived_cursor or self._archive()
            return self._archived_cursor

    def _archive(self) -> str:
        from tests.support.archive import OldLog

        old = OldLog(self.database_url)
        try:
            for back in (5, 4):
                old.add_month(back)
                old.fill(back, 20, project=ARCHIVED)
            old.counted()
        finally:
            old.close()
        metadata = (("orchestration-project", ARCHIVED),)
        admin, events = (
            admin_pb2_grpc.AdminServiceStub(self.upstream),
            event_pb2_grpc.EventServiceStub(self.upstream),
        )
        oldest = event_pb2.ListEventsRequest(order=event_pb2.EVENT_ORDER_OLDEST_FIRST, include_archived=True)
        cursor = events.ListEvents(oldest, metadata=metadata).events[0].cursor
        request = admin_pb2.ArchiveEventsRequest()
        request.older_than.FromTimedelta(timedelta(days=60))
        answer = admin.ArchiveEvents(request, timeout=60, metadata=metadata)
        if not answer.parts:
            raise RuntimeError(f"nothing was archived: {answer}")
        return cursor

    def variables(self) -> dict[str, Callable[[], Any]]:
        """Return the variables that a case may use, each with the function of its value."""
        files = self.certificates
        return {
            "ca": lambda: str(files.ca),
            "other_ca": lambda: str(files.other_ca),
            "cert": lambda: str(files.client_cert),
            "key": lambda: str(files.client_key),
            "agent_key": lambda: self.key("agent"),
            "reader_key": lambda: self.key("reader"),
            "archived_cursor": self.archived_cursor,
            "archived_project": lambda: ARCHIVED,
            "now": lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "directory": lambda: str(self.directory),
            "hostname": lambda: os.uname().nodename,
        }


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
