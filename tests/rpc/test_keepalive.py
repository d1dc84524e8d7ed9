"""Silent, noisy, dead and old connections, by a client that speaks as much HTTP/2 as that needs."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic

import grpc
import pytest

from benchmarks.raw_http2_client import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    headers_of,
)
from benchmarks.raw_http2_client import frame as frame_of
from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from tests.conftest import open_channel

SECONDS = 20
PINGS = 500
TIMELINE = "/orchestration.v1.EventService/StreamTimeline"
Frame = tuple[int, int, bytes]


class Peer:
    """One connection. It answers the server's settings, and its pings if it is alive."""

    def __init__(self, address: str, *, alive: bool = True) -> None:
        self._address = address
        self._alive = alive
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=SECONDS)
        self._file = self._socket.makefile("rb")
        self._send(PREFACE + frame_of(SETTINGS, 0, 0, b""))

    def open(self, path: str, request: bytes, *, stream: int = 1) -> None:
        body = b"\x00" + struct.pack(">I", len(request)) + request
        self._send(
            frame_of(HEADERS, END_HEADERS, stream, headers_of(self._address, path))
            + frame_of(DATA, END_STREAM, stream, body)
        )

    def ping(self, payload: bytes) -> None:
        self._send(frame_of(PING, 0, 0, payload))

    def frames(self) -> Iterator[Frame]:
        """Yield the frames of the server until it closes the connection."""
        while True:
            try:
                head = self._file.read(9)
            except ConnectionResetError:
                return
            if len(head) < 9:
                return
            payload = self._file.read(int.from_bytes(head[:3], "big"))
            kind, flags = head[3], head[4]
            if kind == SETTINGS and not flags & ACK:
                self._send(frame_of(SETTINGS, ACK, 0, b""))
            elif kind == PING and not flags & ACK and self._alive:
                self._send(frame_of(PING, ACK, 0, payload))
            yield kind, flags, payload

    def _send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def test_a_client_that_pings_often_without_a_call_is_not_disconnected(
    start_app: Callable[..., App], stack: ExitStack
) -> None:
    peer = Peer(start_app().address)
    stack.callback(peer.close)
    answered = 0
    peer.ping(struct.pack(">Q", answered))
    for kind, flags, payload in peer.frames():
        assert kind != GOAWAY, payload
        if kind == PING and flags & ACK:
            assert payload == struct.pack(">Q", answered)
            answered += 1
            if answered == PINGS:
                break
            peer.ping(struct.pack(">Q", answered))
    assert answered == PINGS
    # The server still answers it.
    peer.open(TIMELINE, event_pb2.StreamTimelineRequest(follow=True).SerializeToString())
    assert DATA in (kind for kind, _, _ in peer.frames())


def test_the_streams_of_a_peer_that_does_not_answer_pings_end(
    start_app: Callable[..., App], stack: ExitStack
) -> None:
    app = start_app(keepalive_seconds=0.1, keepalive_timeout_seconds=1)
    request = event_pb2.StreamTimelineRequest(follow=True).SerializeToString()
    living, dead = Peer(app.address), Peer(app.address, alive=False)
    for peer in (living, dead):
        stack.callback(peer.close)
        peer.open(TIMELINE, request)
    assert DATA in (kind for kind, _, _ in dead.frames())
    assert DATA in (kind for kind, _, _ in living.frames())

    # The loop ends when the server closes the connection.
    list(dead.frames())

    end = monotonic() + SECONDS
    while app.hub.open_subscriptions > 1:
        assert monotonic() < end, "the stream of a dead client is open"
    # The server pings the other one repeatedly, and keeps it.
    asked = 0
    for kind, flags, payload in living.frames():
        assert kind != GOAWAY, payload
        asked += kind == PING and not flags & ACK
        if asked == 3:
            break
    assert app.hub.open_subscriptions == 1


def test_an_old_connection_is_closed_without_loss(start_app: Callable[..., App], stack: ExitStack) -> None:
    app = start_app(connection_seconds=0.2)
    peer = Peer(app.address)
    stack.callback(peer.close)
    channel: grpc.Channel = stack.enter_context(open_channel(app.address))
    tasks = TaskServiceStub(channel)
    sent_away = False
    for kind, _, _ in peer.frames():
        sent_away = sent_away or kind == GOAWAY
        if not sent_away:
            peer.ping(b"waiting!")
        tasks.ListTasks(task_pb2.ListTasksRequest(), timeout=SECONDS)
    # The stream ends with its connection, which the server closes for its age.
    assert sent_away
