"""The rates at which one stream stores events and one stream reads them."""

import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from queue import SimpleQueue

import grpc
import psycopg
from psycopg import sql

from benchmarks.gate import Measurement
from benchmarks.requests import request_id
from benchmarks.seed import EVENT_BATCH, Seeded, new_events
from benchmarks.target import CHANNEL_OPTIONS, RunningServer, resident_mb
from orchestration.v1 import event_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub

EMIT = "/orchestration.v1.EventService/EmitEvents"
ROUND_EVENTS = 20_000
UNANSWERED = 8  # messages in flight at once
MADE_BY_DATABASE = ("xid", "seq")


def measure_emit(started: RunningServer, seeded: Seeded, rounds: int) -> Measurement:
    """Measure in turn the durable events a second of one stream, and of COPY.

    The events are of now, as agents emit them. COPY inserts the rows that they became into the same table,
    with all columns and indexes, in one transaction.
    """
    rows = new_events(range(ROUND_EVENTS), seeded.tasks, seeded.sprints, None)
    emitted, copied = [], []
    options = [*CHANNEL_OPTIONS, ("grpc.max_send_message_length", 64 * 1024 * 1024)]
    with (
        grpc.insecure_channel(started.address, options) as channel,
        psycopg.connect(started.database_url, autocommit=True) as conn,
    ):
        emit(channel, rows)
        copy = _Copy(conn)
        for _ in range(rounds):
            emitted.append(emit(channel, rows))
            copied.append(copy.run())
    shares = [one / other for one, other in zip(emitted, copied, strict=True)]
    figures = {
        "events_per_s": statistics.median(emitted),
        "copy_rows_per_s": statistics.median(copied),
        "share_of_copy": statistics.median(shares),
    }
    return Measurement("emit", "throughput", figures, {})


def emit(channel: grpc.Channel, rows: list[event_pb2.NewEvent]) -> float:
    """Return the events a second from the first message to the last answer.

    Raises RuntimeError if an event is not stored.
    """
    messages = [
        event_pb2.EmitEventsRequest(
            request_id=request_id(), events=rows[at : at + EVENT_BATCH]
        ).SerializeToString()
        for at in range(0, len(rows), EVENT_BATCH)
    ]
    room = threading.Semaphore(UNANSWERED)

    def sent() -> Iterator[bytes]:
        for message in messages:
            room.acquire()
            yield message

    call: grpc.StreamStreamMultiCallable[bytes, event_pb2.EmitEventsResponse]
    call = channel.stream_stream(
        EMIT,
        request_serializer=None,
        response_deserializer=event_pb2.EmitEventsResponse.FromString,
    )
    stored = 0
    began = time.monotonic()
    for answer in call(sent()):
        room.release()
        if answer.HasField("error"):
            raise RuntimeError(f"EmitEvents: {answer.error.reason} {answer.error.message}")
        stored += answer.stored
    took = time.monotonic() - began
    if stored != len(rows):
        raise RuntimeError(f"EmitEvents stored {stored} of {len(rows)} events")
    return stored / took


class _Copy:
    """COPY of events into their own table, under another project."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn
        names = [
            row[0]
            for row in conn.execute(
                "select attname from pg_attribute where attrelid = 'events'::regclass"
                " and attnum > 0 and not attisdropped order by attnum"
            )
            if row[0] not in MADE_BY_DATABASE
        ]
        self._columns = sql.SQL(", ").join(map(sql.Identifier, names))
        values = sql.SQL(", ").join(
            sql.Literal("benchmark-copy") if name == "project" else sql.Identifier(name) for name in names
        )
        read = sql.SQL(
            "copy (select {} from events where project = 'default' order by epoch desc, xid desc, seq desc"
            " limit {}) to stdout (format binary)"
        )
        with conn.cursor() as cursor, cursor.copy(read.format(values, ROUND_EVENTS)) as out:
            self._rows = [bytes(chunk) for chunk in out]

    def run(self) -> float:
        """Copy the rows, and return the rate a second."""
        write = sql.SQL("copy events ({}) from stdin (format binary)").format(self._columns)
        with self._conn.cursor() as cursor:
            began = time.monotonic()
            with cursor.copy(write) as into:
                for chunk in self._rows:
                    into.write(chunk)
            took = time.monotonic() - began
            if cursor.rowcount != ROUND_EVENTS:
                raise RuntimeError(f"COPY took {cursor.rowcount} rows")
        return ROUND_EVENTS / took


def measure_timeline(started: RunningServer, seeded: Seeded, rounds: int) -> Measurement:
    """Measure the events a second of one stream that reads all history, and the memory it costs.

    This process parses the messages. The growth is the server's peak memory minus its memory before the first
    round.
    """
    before = resident_mb(started.pid)
    memory: SimpleQueue[float] = SimpleQueue()
    ending = threading.Event()

    def watch() -> None:
        while not ending.wait(0.1):
            memory.put(resident_mb(started.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    reasons: Counter[str] = Counter()
    try:
        rates = [_read_all(started, seeded, reasons) for _ in range(rounds)]
    finally:
        ending.set()
        watcher.join()
    seen = [memory.get() for _ in range(memory.qsize())]
    figures = {
        "events_per_s": statistics.median(rates),
        "rss_before_mb": before,
        "rss_after_mb": resident_mb(started.pid),
        "rss_growth_mb": max([*seen, before]) - before,
    }
    return Measurement("timeline", "throughput", figures, dict(reasons))


def _read_all(started: RunningServer, seeded: Seeded, reasons: Counter[str]) -> float:
    seen = 0
    with grpc.insecure_channel(started.address, CHANNEL_OPTIONS) as channel:
        began = time.monotonic()
        for answer in EventServiceStub(channel).StreamTimeline(event_pb2.StreamTimelineRequest()):
            seen += len(answer.events.events)
        took = time.monotonic() - began
    if seen < seeded.events:
        reasons["events missing"] += seeded.events - seen
    return seen / took
