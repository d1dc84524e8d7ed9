"""Events emitted at chosen hours, and all pages of a list."""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import event_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from tests.support import factories

START = datetime(2024, 3, 1, tzinfo=UTC)


def at(hours: float) -> Timestamp:
    time = Timestamp()
    time.FromDatetime(START + timedelta(hours=hours))
    return time


def emit(events: EventServiceStub, **fields: Any) -> event_pb2.EmitEventResponse:
    return events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event(**fields)))


def listed(events: EventServiceStub, **fields: Any) -> list[event_pb2.Event]:
    """Return the events on all pages, by default oldest first."""
    found: list[event_pb2.Event] = []
    fields = {"order": event_pb2.EVENT_ORDER_OLDEST_FIRST} | fields
    token = ""
    while True:
        page = events.ListEvents(event_pb2.ListEventsRequest(page_token=token, **fields))
        found += page.events
        token = page.next_page_token
        if not token:
            return found
