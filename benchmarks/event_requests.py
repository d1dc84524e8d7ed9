"""Requests of the scenarios of EventService, in the form of benchmarks.requests."""

import random
from datetime import timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from benchmarks.requests import BATCH, Requests, request_id
from benchmarks.seed import TYPES, Seeded, new_events
from benchmarks.target import LedgerStubs
from orchestration.v1 import common_pb2, event_pb2

# A stream of one message. ghz fills in the request_id.
EMIT_EVENTS = '{"request_id": "{{newUUID}}", "events": [%s]}'
ONE_EVENT = (
    '{"type": "bench.emitted", "entity_type": 2, "entity_code": "seed-task-%06d",'
    ' "payload": {"step": %d, "note": "measured"}}'
)
DASHBOARD_REQUESTS = 20
GROUPINGS = [value for value in event_pb2.EventGrouping.values() if value]


def emit_event(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    events = new_events(range(count), seeded.tasks, seeded.sprints, seeded.since)
    return [event_pb2.EmitEventRequest(event=event, request_id=request_id()) for event in events]


def emit_events(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    return EMIT_EVENTS % ", ".join(ONE_EVENT % (n, n) for n in range(BATCH))


def get_event(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    return [event_pb2.GetEventRequest(event_id=event_id) for event_id in seeded.event_ids]


def list_events(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    return [
        event_pb2.ListEventsRequest(filter=wanted, start_time=start, end_time=end)
        for wanted, start, end in (
            (_filter(seeded, n, rng), *_days(seeded, rng.uniform(0, 50), 10))
            for n in range(count)
            for rng in [random.Random(n)]
        )
    ]


def timeline(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    return [
        event_pb2.StreamTimelineRequest(filter=_filter(seeded, n, random.Random(n)), last=50)
        for n in range(count)
    ]


def stats_dashboard(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    """Return a few requests to repeat, as a dashboard does."""
    return _stats(seeded, min(count, DASHBOARD_REQUESTS))


def stats_distinct(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    """Return requests that all differ, so that no cache helps."""
    return _stats(seeded, count)


def _stats(seeded: Seeded, count: int) -> list[event_pb2.GetEventStatsRequest]:
    found = []
    for n in range(count):
        rng = random.Random(f"stats-{count}-{n}")
        start, end = _days(seeded, rng.uniform(0, 50), 7)
        found.append(
            event_pb2.GetEventStatsRequest(
                group_by=GROUPINGS[n % len(GROUPINGS)],
                start_time=start,
                end_time=end,
                sprint_code=rng.choice(seeded.sprints) if n % 3 == 0 else "",
            )
        )
    return found


def _days(seeded: Seeded, first: float, length: float) -> tuple[Timestamp, Timestamp]:
    start, end = Timestamp(), Timestamp()
    start.FromDatetime(seeded.since + timedelta(days=first))
    end.FromDatetime(seeded.since + timedelta(days=first + length))
    return start, end


def _filter(seeded: Seeded, n: int, rng: random.Random) -> event_pb2.EventFilter:
    """Return a filter of each kind in turn."""
    match n % 6:
        case 0:
            return event_pb2.EventFilter(task_code=rng.choice(seeded.tasks))
        case 1:
            return event_pb2.EventFilter(sprint_code=rng.choice(seeded.sprints))
        case 2:
            return event_pb2.EventFilter(session_key=rng.choice(seeded.sessions))
        case 3:
            return event_pb2.EventFilter(correlation_id=rng.choice(seeded.correlations))
        case 4:
            return event_pb2.EventFilter(types=rng.sample(TYPES, 2))
        case _:
            return event_pb2.EventFilter(priorities=[common_pb2.PRIORITY_P0])
