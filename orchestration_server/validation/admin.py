"""The rules of admin.proto."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from orchestration.v1 import admin_pb2
from orchestration_server import names
from orchestration_server.validation.constraints import Check, Flag, Pattern, Rules, Span, Time
from orchestration_server.validation.fields import PAGE, one_of

DAY_SECONDS = 86_400
_ALERT = Pattern(names.ALERT, "must be up to 64 characters of [a-z0-9_]")

RULES: Rules = {
    admin_pb2.GetServerInfoRequest: {},
    admin_pb2.GetStorageStatsRequest: {},
    admin_pb2.ListAlertsRequest: {"alert": _ALERT, "include_resolved": Flag(), **PAGE},
    admin_pb2.ArchiveEventsRequest: {
        "older_than": Span(DAY_SECONDS, 36_500 * DAY_SECONDS),
        "cutoff": Time(),
        "exact": Flag(),
        "dry_run": Flag(),
    },
}
ACROSS: Mapping[type[Message], Check] = {
    admin_pb2.ArchiveEventsRequest: one_of(admin_pb2.ArchiveEventsRequest, "age"),
}
