"""Background services of leases: the end of attempts whose lease was lost, and tasks whose time has come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import FailedPrecondition, NotFound
from orchestration_server.jobs.runner import Alone, Service
from orchestration_server.model import Call, Request
from orchestration_server.store import claims as claim_store
from orchestration_server.store import leases as lease_store
from orchestration_server.work.releases import ExpireLease
from orchestration_server.writes.gate import Gate

AGENT = "orchestration.leases"
BATCH = 200


def services(db: Database, gate: Gate, freed: Callable[[], None]) -> Sequence[Service]:
    """Return the services of this module. They call ``freed`` if a task may have become ready."""
    return (ExpireLeases(db, gate), Alone(db, "wake-tasks", 0.5, WakeTasks(freed).work))


class ExpireLeases:
    """The end of attempts whose lease has expired. Claims do not wait for it."""

    name = "expire-leases"
    interval = 0.5

    def __init__(self, db: Database, gate: Gate) -> None:
        self._db = db
        self._gate = gate

    def run_once(self) -> int:
        """End one batch. Return the number of leases in it."""
        with self._db.connection() as conn:
            found = lease_store.expired(conn, limit=BATCH)
        for project, code in found:
            call = Call("CoordinationService/ExpireLeases", project, agent=AGENT)
            try:
                self._gate.write(ExpireLease(call, Request(call.rpc, "", b""), code=code))
            except (NotFound, FailedPrecondition):
                continue
        return len(found)


class WakeTasks:
    """The way into the queue of tasks whose ``not_before``, or whose pause after a failure, has passed."""

    def __init__(self, freed: Callable[[], None]) -> None:
        self._freed = freed

    def work(self, conn: Connection) -> int:
        """Do one batch. Return the number of tasks in it."""
        woken = claim_store.wake_due(conn, limit=BATCH)
        if woken:
            self._freed()
        return woken
