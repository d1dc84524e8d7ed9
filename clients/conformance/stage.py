"""The surroundings of one case: a wire, fronts behind it, and the calls that they saw."""

from __future__ import annotations

import threading
from types import TracebackType

from benchmarks.processes import ServerProcess
from clients.conformance.case_files import Case
from clients.conformance.faults import Fault, Faults
from clients.conformance.front import Front, open_upstream
from clients.conformance.ledgers import Ledgers
from clients.conformance.recording import Recorder
from clients.conformance.wire import Loop, Wire


class Stage:
    """A wire with a stable address, and behind it a front, or a server process for cases that replace one."""

    def __init__(self, case: Case, ledgers: Ledgers, loop: Loop) -> None:
        self._case, self._ledgers = case, ledgers
        self.faults, self.recorder = Faults(), Recorder()
        self._front: Front | None = None
        self._server: ServerProcess | None = None
        self._stopping: list[threading.Thread] = []
        self._upstream = None
        if case.server == "own":
            self._server = ledgers.new_server()
            target = self._server.address
        else:
            self._upstream = (
                ledgers.keys_upstream() if case.server == "keys" else open_upstream(ledgers.address)
            )
            self._front = self._new_front()
            target = self._front.address
        self.wire = Wire(loop, target)

    def _new_front(self) -> Front:
        assert self._upstream is not None
        credentials = None
        if self._case.server in {"tls", "mutual"}:
            mutual = self._case.server == "mutual"
            credentials = self._ledgers.certificates.server_credentials(mutual=mutual)
        return Front(self._upstream, self.faults, self.recorder, lambda: self.wire.cut(), credentials)

    def add_fault(self, fault: Fault) -> None:
        """Inject a fault from now on."""
        self.faults.add(fault)

    def goaway(self, grace: float) -> None:
        """Let another front take new connections, and send GOAWAY on those to the first one."""
        assert self._front is not None
        old, self._front = self._front, self._new_front()
        self.wire.retarget(self._front.address)
        old.stop(grace)

    def replace(self) -> None:
        """Start another server process of the ledger, and stop the first one with SIGTERM."""
        assert self._server is not None
        old, self._server = self._server, self._ledgers.new_server()
        self.wire.retarget(self._server.address)
        thread = threading.Thread(target=old.stop)
        thread.start()
        self._stopping.append(thread)

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wire.close()
        if self._front is not None:
            self._front.stop(0).wait(timeout=5)
        if self._upstream is not None:
            self._upstream.close()
        for thread in self._stopping:
            thread.join()
        if self._server is not None:
            self._server.stop()
