"""The hand-made parts that need no server: the library's way beside ours in one process, by turns."""

from __future__ import annotations

import importlib
import importlib.util
import random
import socket
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any

import rfc8785
from google.protobuf.timestamp_pb2 import Timestamp
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from psycopg.adapt import Transformer
from psycopg.types.array import ListBinaryDumper

from benchmarks import attacks, raw_http2_client
from benchmarks.seed import new_task
from orchestration.v1 import task_pb2
from orchestration_server.codec.content import content_hash, task_content
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.codec.wire import embed, embed_all
from orchestration_server.db.arrays import TextArray
from orchestration_server.templates.budget import Budget
from orchestration_server.templates.sandbox import Program, Run

SECONDS = 0.15
"""The seconds that one side of a round takes, roughly."""
STREAMS, MESSAGES, MESSAGE_BYTES = 50, 40, 400
TEMPLATE = """# {{ title }}
{% for item in items %}
{% if item.done %}
- [x] {{ item.name | upper }}
{% else %}
- [ ] {{ item.name | trim }}
{% endif %}
{% endfor %}
"""
VALUES: dict[str, Any] = {
    "title": "Release",
    "items": [{"name": f"step {number}", "done": number % 2 == 0} for number in range(20)],
}
Work = Callable[[], object]


def row(part: str, measured: str, ours: Sequence[float], library: Sequence[float]) -> str:
    """Return a row of the table: both medians, and the median of the rounds' ratios with its bounds."""
    ratios = [other / one for one, other in zip(ours, library, strict=True)]
    return (
        f"| {part} | {measured} | {statistics.median(ours):.2f} | {statistics.median(library):.2f} |"
        f" {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
    )


def _compare(part: str, measured: str, ours: Work, library: Work, rounds: int) -> str:
    """Return the row of two ways to do one thing, in microseconds of the processor a time."""
    found: tuple[list[float], list[float]] = ([], [])
    times = [_times(ours), _times(library)]
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            work, count = (ours, library)[side], times[side]
            began = time.thread_time()
            for _ in range(count):
                work()
            found[side].append(1e6 * (time.thread_time() - began) / count)
    line = row(part, measured, *found)
    print(line, flush=True)
    return line


def _times(work: Work) -> int:
    """Return how often the work fits into a side of a round."""
    count, took = 1, 0.0
    while took < SECONDS / 10:
        count *= 2
        began = time.thread_time()
        for _ in range(count):
            work()
        took = time.thread_time() - began
    return max(1, int(count * SECONDS / took))


def _timestamps(rounds: int) -> list[str]:
    now = datetime.now(UTC)

    def from_datetime() -> Timestamp:
        found = Timestamp()
        found.FromDatetime(now)
        return found

    return [_compare("to_timestamp", "a time", lambda: to_timestamp(now), from_datetime, rounds)]


def _arrays(rounds: int) -> list[str]:
    """Encode arrays of texts by ours, and by a dumper of psycopg's that knows its type and is made once."""
    told = {"oid": TextArray.oid, "element_oid": TextArray.element_oid}
    dumper = type("TextsDumper", (ListBinaryDumper,), told)(list, Transformer())
    return [
        _compare("arrays", f"{count} texts", TextArray(texts).encoded, partial(dumper.dump, texts), rounds)
        for count in (1, 10)
        for texts in [["seed-task-000001"] * count]
    ]


def _content_hash(rounds: int) -> list[str]:
    values = task_content(new_task("seed-task-000001", "sprint", random.Random(1)))

    def library() -> str:
        return sha256(rfc8785.dumps(values)).hexdigest()

    return [_compare("content_hash", "a task", lambda: content_hash(values), library, rounds)]


def _wire(rounds: int) -> list[str]:
    """Answer with the bytes of a stored task, or of 50, and with messages that are parsed of them."""
    body = new_task("seed-task-000001", "sprint", random.Random(1)).SerializeToString()
    page = [body] * 50

    def message() -> bytes:
        return task_pb2.GetTaskResponse(task=task_pb2.Task.FromString(body)).SerializeToString()

    def messages() -> bytes:
        found = [task_pb2.Task.FromString(one) for one in page]
        return task_pb2.ListTasksResponse(tasks=found).SerializeToString()

    return [
        _compare("wire", "a task", lambda: embed(1, body), message, rounds),
        _compare("wire", "a page of 50 tasks", lambda: embed_all(1, page), messages, rounds),
    ]


def _sandbox(rounds: int) -> list[str]:
    program = Program(TEMPLATE, frozenset(VALUES))
    alone = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True).from_string(TEMPLATE)
    return [
        _compare(
            "sandbox", "a rendering of 20 turns", lambda: program.run(Run(Budget(), VALUES)),
            lambda: alone.render(VALUES), rounds,
        )
    ]  # fmt: skip


def _http2(rounds: int) -> list[str]:
    """Read the same bytes of a server, and begin and reset the same calls, with and without h2."""
    if importlib.util.find_spec("h2") is None:
        print("http2 is left out: pip install h2", flush=True)
        return []
    address, path = "127.0.0.1:1", "/orchestration.v1.EventService/StreamTimeline"
    h2 = _H2(address, path)
    sent = h2.answers()
    count = STREAMS * MESSAGES
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = threading.Thread(target=_drain, args=(listening,), daemon=True)
        taken.start()
        host, port = listening.getsockname()[:2]

        def ours() -> None:
            connection = raw_http2_client._Connection(f"{host}:{port}", path, b"", STREAMS)  # noqa: SLF001  # what reads
            found = [message for part in sent for message in connection.take(part)]
            connection.socket.close()
            assert len(found) == count

        return [
            _compare("http2 reader", f"{count} messages", ours, lambda: h2.read(sent), rounds),
            _compare(
                "http2 resets",
                f"{attacks.RESETS_A_WRITE} calls",
                lambda: attacks._send_resets(_Unsent(), address, whole=False),  # type: ignore[arg-type]  # noqa: SLF001
                h2.resets,
                rounds,
            ),
        ]


def _drain(listening: socket.socket) -> None:
    """Take whatever is sent, of one connection after the other."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            while connection.recv(1 << 16):
                pass


class _Unsent:
    """A connection of which nothing is sent."""

    def __init__(self) -> None:
        self._next = -1

    def stream(self) -> int:
        self._next += 2
        return self._next

    def send(self, data: bytes) -> None:
        """Send nothing."""


class _H2:
    """The package h2, which is none of this project's: it is imported by name."""

    def __init__(self, address: str, path: str) -> None:
        self._connection = importlib.import_module("h2.connection").H2Connection
        self._config = importlib.import_module("h2.config").H2Configuration
        self._events = importlib.import_module("h2.events")
        self._headers = [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", address),
            ("content-type", "application/grpc"), ("te", "trailers"),
        ]  # fmt: skip

    def _client(self) -> Any:
        client = self._connection(self._config(client_side=True, validate_inbound_headers=False))
        client.initiate_connection()
        client.increment_flow_control_window(raw_http2_client.WINDOW - 65535)
        client.update_settings({raw_http2_client.INITIAL_WINDOW: raw_http2_client.WINDOW})
        for stream in range(1, 2 * STREAMS, 2):
            client.send_headers(stream, self._headers)
            client.send_data(stream, bytes(5), end_stream=True)
        return client

    def answers(self) -> list[bytes]:
        """Return what a server sends to STREAMS calls, in the pieces in which it is read."""
        server = self._connection(self._config(client_side=False))
        server.initiate_connection()
        server.receive_data(self._client().data_to_send())
        streams = range(1, 2 * STREAMS, 2)
        message = b"\0" + MESSAGE_BYTES.to_bytes(4) + bytes(MESSAGE_BYTES)
        for stream in streams:
            server.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        for _ in range(MESSAGES):
            for stream in streams:
                server.send_data(stream, message)
        for stream in streams:
            server.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        sent: bytes = server.data_to_send()
        return [
            sent[at : at + raw_http2_client.RECEIVE] for at in range(0, len(sent), raw_http2_client.RECEIVE)
        ]

    def read(self, sent: Sequence[bytes]) -> None:
        client = self._client()
        pending: dict[int, bytes] = {}
        found = 0
        for part in sent:
            for event in client.receive_data(part):
                if isinstance(event, self._events.DataReceived):
                    client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    data = pending.pop(event.stream_id, b"") + event.data
                    while len(data) >= 5 and len(data) >= (end := 5 + int.from_bytes(data[1:5])):
                        found += 1
                        data = data[end:]
                    if data:
                        pending[event.stream_id] = data
        assert found == STREAMS * MESSAGES

    def resets(self) -> None:
        client = self._connection(self._config(client_side=True))
        client.initiate_connection()
        # As many as a peer allows at once; each is over before the next begins.
        for number in range(attacks.RESETS_A_WRITE):
            stream = 1 + 2 * number
            client.send_headers(stream, self._headers)
            client.reset_stream(stream, error_code=8)
        client.data_to_send()


PARTS: Mapping[str, Callable[[int], list[str]]] = {
    "arrays of texts": _arrays,
    "hash of a task": _content_hash,
    "messages of tasks": _wire,
    "timestamps": _timestamps,
    "sandbox": _sandbox,
    "http2": _http2,
}
