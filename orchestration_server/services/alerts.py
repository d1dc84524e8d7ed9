"""The implementation of AdminService.ListAlerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from orchestration.v1 import admin_pb2
from orchestration_server.codec.cursors import CursorSigner, page_size
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.db.database import Database
from orchestration_server.model import Call
from orchestration_server.store import alerts as alert_store
from orchestration_server.store.alerts import Alert


def alerts_page(
    db: Database, cursors: CursorSigner, request: admin_pb2.ListAlertsRequest, call: Call
) -> admin_pb2.ListAlertsResponse:
    """Return a page of the alerts of all projects. Firing alerts come first."""
    scope: Sequence[Any] = ["alerts", request.alert, request.include_resolved]
    position = cursors.page_position(request.page_token, scope)
    after = None
    if position is not None:
        after = position[0], datetime.fromisoformat(position[1]), position[2]
    size = page_size(request.page_size)
    with db.connection(call) as conn:
        found = alert_store.list_page(
            conn, alert=request.alert, resolved=request.include_resolved, after=after, limit=size + 1
        )
    token = ""
    if len(found) > size:
        last = found[size - 1]
        token = cursors.page_token(scope, [last.state, last.begin_time.isoformat(), str(last.id)])
    return admin_pb2.ListAlertsResponse(
        alerts=[_message(alert) for alert in found[:size]], next_page_token=token
    )


def _message(alert: Alert) -> admin_pb2.Alert:
    return admin_pb2.Alert(
        id=str(alert.id),
        alert=alert.alert,
        project=alert.project,
        subject=alert.subject,
        state=alert.state,  # type: ignore[arg-type]  # the numbers are the same
        severity=alert.severity,  # type: ignore[arg-type]  # the numbers are the same
        value=alert.value,
        threshold=alert.threshold,
        unit=alert.unit,
        summary=alert.summary,
        action=alert.action,
        begin_time=to_timestamp(alert.begin_time),
        fire_time=None if alert.fire_time is None else to_timestamp(alert.fire_time),
        resolve_time=None if alert.resolve_time is None else to_timestamp(alert.resolve_time),
    )
