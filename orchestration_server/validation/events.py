"""The rules of event.proto."""

from __future__ import annotations

import re
from collections.abc import Mapping

from google.protobuf.message import Message

from orchestration.v1 import common_pb2, event_pb2
from orchestration_server import names
from orchestration_server.validation.constraints import (
    Check,
    EnumValue,
    Flag,
    Int,
    Items,
    Json,
    Pattern,
    Printable,
    Rules,
    Sub,
    Text,
    Time,
    Violations,
)
from orchestration_server.validation.fields import (
    ACTOR,
    CODE,
    CODE_OR_NONE,
    CURSOR,
    EMITTED_POLICY,
    ENTITY_TYPE,
    NAME,
    OCCUR_TIME,
    PAGE,
    PRIORITY,
    REQUEST_ID,
    enum_of,
)

STATS_SECONDS = 366 * 86_400
EVENTS_IN_MESSAGE = 500

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TYPE_TEXT = "must be 3 to 128 characters: two or more parts of [a-z0-9_-] with dots between"
_REBUILT = frozenset(
    (common_pb2.ENTITY_TYPE_SPRINT, common_pb2.ENTITY_TYPE_TASK, common_pb2.ENTITY_TYPE_SESSION)
)


def _event_about(event: event_pb2.NewEvent) -> Violations | None:
    found: Violations = {}
    if event.type.startswith("orchestration."):
        found["type"] = "must not begin with orchestration., which is the ledger's own"
    if event.entity_type and not event.entity_code:
        found["entity_code"] = "is required with entity_type"
    if event.entity_code and not event.entity_type:
        found["entity_type"] = "is required with entity_code"
    return found or None


def _range(request: event_pb2.ListEventsRequest) -> Violations | None:
    if request.HasField("start_time") and request.HasField("end_time"):
        start, end = request.start_time, request.end_time
        if (end.seconds, end.nanos) <= (start.seconds, start.nanos):
            return {"end_time": "must be after start_time"}
    return None


def _stats_range(request: event_pb2.GetEventStatsRequest) -> Violations | None:
    if not request.HasField("start_time"):
        return None
    start = (request.start_time.seconds, request.start_time.nanos)
    if not request.HasField("end_time"):
        # The end is now then, by the database's clock, and the service checks it.
        return None
    end = (request.end_time.seconds, request.end_time.nanos)
    if end <= start:
        return {"end_time": "must be after start_time"}
    if end > (start[0] + STATS_SECONDS, start[1]):
        return {"end_time": "must be at most 366 days after start_time"}
    return None


def _rebuilt(request: event_pb2.ReconstructStateRequest) -> Violations | None:
    wrong = request.entity_type and request.entity_type not in _REBUILT
    return {"entity_type": "must be SPRINT, TASK or SESSION"} if wrong else None


def _dry(request: event_pb2.ReplayEventsRequest) -> Violations | None:
    return None if request.dry_run else {"dry_run": "must be true: replaying checks and writes nothing"}


RULES: Rules = {
    event_pb2.NewEvent: {
        "type": Pattern(names.EVENT_TYPE, _TYPE_TEXT, required=True),
        "entity_type": EnumValue(ENTITY_TYPE),
        "entity_code": CODE_OR_NONE,
        "sprint_code": CODE_OR_NONE,
        "priority": EnumValue(PRIORITY),
        "actor": ACTOR,
        "payload": Json(),
        "occur_time": OCCUR_TIME,
        "dedup_key": Printable(200),
    },
    event_pb2.EmitEventRequest: {
        "event": Sub(event_pb2.NewEvent, required=True),
        "request_id": REQUEST_ID,
        "emission_policy": EMITTED_POLICY,
        "durability": enum_of(event_pb2.EmitEventRequest, "durability"),
    },
    event_pb2.EmitEventsRequest: {
        "request_id": Printable(128, required=True),
        "events": Items(EVENTS_IN_MESSAGE, Sub(event_pb2.NewEvent), low=1),
        "emission_policy": EMITTED_POLICY,
        "durability": enum_of(event_pb2.EmitEventsRequest, "durability"),
    },
    event_pb2.GetEventRequest: {
        "event_id": Pattern(_UUID, "must be a UUID", required=True),
        "include_archived": Flag(),
    },
    event_pb2.EventFilter: {
        "sprint_code": CODE_OR_NONE,
        "task_code": CODE_OR_NONE,
        "session_key": NAME,
        "correlation_id": NAME,
        "types": Items(
            50, Pattern(names.EVENT_TYPE_FILTER, f"must be {names.EVENT_TYPE_FILTER_FORM}", required=True)
        ),
        "priorities": Items(5, EnumValue(PRIORITY, required=True)),
    },
    event_pb2.ListEventsRequest: {
        "filter": Sub(event_pb2.EventFilter),
        "start_time": Time(),
        "end_time": Time(),
        "order": enum_of(event_pb2.ListEventsRequest, "order"),
        "include_archived": Flag(),
        **PAGE,
    },
    event_pb2.StreamTimelineRequest: {
        "filter": Sub(event_pb2.EventFilter),
        "after_cursor": CURSOR,
        "from_time": Time(),
        "last": Int(1, 10_000),
        "follow": Flag(),
        "include_archived": Flag(),
        "batch_size": Int(0, 500),
    },
    event_pb2.GetEventStatsRequest: {
        "group_by": enum_of(event_pb2.GetEventStatsRequest, "group_by"),
        "start_time": Time(),
        "end_time": Time(),
        "sprint_code": CODE_OR_NONE,
        "limit": Int(0, 1_000),
    },
    event_pb2.GetEntityHistoryRequest: {
        "entity_type": EnumValue(ENTITY_TYPE, required=True),
        "entity_code": CODE,
        "order": enum_of(event_pb2.GetEntityHistoryRequest, "order"),
        "include_archived": Flag(),
        **PAGE,
    },
    event_pb2.ReconstructStateRequest: {
        "entity_type": EnumValue(ENTITY_TYPE, required=True),
        "entity_code": CODE,
        "time": Time(),
        "cursor": CURSOR,
        "revision": Int(1, 2**63 - 1),
        "verify": Flag(),
    },
    event_pb2.ReplayEventsRequest: {"correlation_id": Text(1, 200), "dry_run": Flag()},
}

ACROSS: Mapping[type[Message], Check] = {
    event_pb2.NewEvent: _event_about,
    event_pb2.ListEventsRequest: _range,
    event_pb2.GetEventStatsRequest: _stats_range,
    event_pb2.ReconstructStateRequest: _rebuilt,
    event_pb2.ReplayEventsRequest: _dry,
}
