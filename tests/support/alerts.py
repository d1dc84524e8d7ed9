"""A ledger whose alerts are evaluated at the time that the test chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import grpc
import psycopg
from uuid_utils import uuid4

from orchestration.v1 import admin_pb2, event_pb2
from orchestration.v1.admin_pb2_grpc import AdminServiceStub
from orchestration_server.codec.content import plain
from orchestration_server.db.database import Connection, Database
from orchestration_server.jobs.alerts import Alerts
from orchestration_server.maintenance import storage_stats
from orchestration_server.rules import alerts
from orchestration_server.rules.alerts import AlertRule
from orchestration_server.store import alerts as alert_store
from orchestration_server.store import events as event_store
from orchestration_server.store.alerts import Figures
from tests.conftest import Server
from tests.support.ledger import Ledger

RAISED, CLEARED = "orchestration.alert.raised", "orchestration.alert.cleared"
FIRING, PENDING, RESOLVED = 1, 2, 3


class Alerting:
    """Start a clock that is ``ahead`` of the database's."""

    def __init__(self, server: Server, channel: grpc.Channel) -> None:
        assert server.app is not None
        self.database_url = server.database_url
        self.db: Database = server.app.db
        self.ledger = Ledger(channel)
        self.admin = AdminServiceStub(channel)
        self.ahead = timedelta()
        self.woken = 0
        self.servers = [str(uuid4()) for _ in range(2)]
        self.alerts = self.evaluator()

    def evaluator(self, rules: Sequence[AlertRule] = alerts.BUILT_IN, kind: type[Alerts] = Alerts) -> Alerts:
        return kind(self.db, rules, self._wake, self.clock)

    def _wake(self) -> None:
        self.woken += 1

    def clock(self, conn: Connection) -> datetime:
        return event_store.now(conn) + self.ahead

    def evaluate(self, **passed: float) -> None:
        """Evaluate after the time has passed, which is long enough for an evaluation to be due."""
        self.ahead += timedelta(**passed) if passed else timedelta(seconds=15)
        self.alerts.run_once()

    def publish(self, *figures: Figures) -> None:
        """Store the statistics that each server reports now."""
        with self.db.connection() as conn:
            for server, said in zip(self.servers, figures, strict=False):
                alert_store.publish(conn, server=server, now=self.clock(conn), figures=said)

    def sql(self, query: str) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as conn:
            conn.execute(query.encode())

    def recorded_later(self, by: timedelta) -> None:
        """Move the times of all recorded events forward."""
        self.sql(f"update events set emit_time = emit_time + interval '{by.total_seconds()} s'")

    def measure(self) -> None:
        """Measure how large the ledger is, even if that was just done."""
        self.sql("delete from measurements")
        storage_stats.storage(self.db)

    def listed(self, *, resolved: bool = False, **asked: str) -> list[admin_pb2.Alert]:
        request = admin_pb2.ListAlertsRequest(include_resolved=resolved, page_size=500, **asked)
        return list(self.admin.ListAlerts(request).alerts)

    def states(self, *, resolved: bool = True) -> dict[str, int]:
        """Return the state of each alert by its name."""
        return {alert.alert: alert.state for alert in self.listed(resolved=resolved)}

    def told(self, type_: str = RAISED) -> list[event_pb2.Event]:
        """Return the events of the project `default`, newest first."""
        return self.ledger.log(type_)


Cause = Callable[[Alerting], None]


def payload(event: event_pb2.Event) -> dict[str, object]:
    return plain(event.payload)
