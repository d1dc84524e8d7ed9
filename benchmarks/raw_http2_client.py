"""A client that reads many open streams of one method in one thread.

It costs as little as possible, so that measurements show the server. It implements only the part of HTTP/2
that calls with one request and many answers need.
"""

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW = 4  # the setting
WINDOW = 2**31 - 1
RECEIVE = 1 << 18

OnMessage = Callable[[bytes, int], None]
"""Takes a message and the time when it was read, by `time.monotonic_ns`."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _text(value: str) -> bytes:
    """Return an HPACK string without compression."""
    raw = value.encode()
    if len(raw) >= 127:
        raise ValueError("too long for this client")
    return bytes([len(raw)]) + raw


def headers_of(address: str, path: str) -> bytes:
    """Return the headers of a call: indexed if the static table has them, else literal without indexing."""
    fields = b"\x83\x86" + b"\x04" + _text(path) + b"\x01" + _text(address)
    return fields + b"\x0f\x10" + _text("application/grpc") + b"\x00" + _text("te") + _text("trailers")


class Watchers:
    """Calls of a method with one request, on connections that `add` opens.

    With `stop_after`, each connection is not read any more after that many bytes but stays open, like that of
    a client that hangs.
    """

    def __init__(
        self,
        address: str,
        path: str,
        request: bytes,
        *,
        on_message: OnMessage,
        stop_after: int | None = None,
    ) -> None:
        self._call = (address, path, request)
        self._on_message = on_message
        self._stop_after = stop_after
        self._selector = selectors.DefaultSelector()
        self._ending = threading.Event()
        self.ended_streams = 0
        """The number of streams that the server has ended."""
        self.stopped_reading = 0
        """The number of connections that are not read any more."""
        self._connections: list[_Connection] = []
        self._thread = threading.Thread(target=self._read, name="watchers", daemon=True)
        self._thread.start()

    def add(self, streams: int) -> None:
        """Open a connection with `streams` calls."""
        connection = _Connection(*self._call, streams)
        self._connections.append(connection)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        for connection in self._connections:
            connection.socket.close()
        self._selector.close()

    def _read(self) -> None:
        while not self._ending.is_set():
            for key, _ in self._selector.select(timeout=0.05):
                connection: _Connection = key.data
                try:
                    data = connection.socket.recv(RECEIVE)
                except OSError:
                    data = b""
                now = time.monotonic_ns()
                open_before = len(connection.open)
                for message in connection.take(data):
                    self._on_message(message, now)
                if not data:
                    connection.open.clear()
                self.ended_streams += open_before - len(connection.open)
                if not data or self._has_read_enough(connection):
                    self._selector.unregister(connection.socket)

    def _has_read_enough(self, connection: "_Connection") -> bool:
        if self._stop_after is None or connection.received < self._stop_after:
            return False
        self.stopped_reading += 1
        return True


class _Connection:
    """A connection that splits received bytes into frames, and DATA frames into messages."""

    def __init__(self, address: str, path: str, request: bytes, streams: int) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.open = set(range(1, 2 * streams, 2))
        self.received = 0
        self._pending = b""
        self._messages: dict[int, bytes] = {}
        settings = struct.pack(">HI", INITIAL_WINDOW, WINDOW)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
        self.socket.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - 65535)))
        headers = headers_of(address, path)
        body = b"\x00" + struct.pack(">I", len(request)) + request
        for stream in sorted(self.open):
            self.socket.sendall(
                frame(HEADERS, END_HEADERS, stream, headers) + frame(DATA, END_STREAM, stream, body)
            )

    def take(self, data: bytes) -> list[bytes]:
        """Process received bytes, and return the messages that are complete."""
        self.received += len(data)
        data = self._pending + data
        at, messages = 0, []
        while len(data) - at >= 9:
            size = int.from_bytes(data[at : at + 3])
            if len(data) - at < 9 + size:
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9]) & WINDOW
            payload = data[at + 9 : at + 9 + size]
            at += 9 + size
            if kind == DATA:
                messages += self._cut(stream, payload)
            else:
                self._answer(kind, flags, stream, payload)
        self._pending = data[at:]
        return messages

    def _cut(self, stream: int, payload: bytes) -> list[bytes]:
        data = self._messages.pop(stream, b"") + payload
        at, messages = 0, []
        while len(data) - at >= 5:
            size = int.from_bytes(data[at + 1 : at + 5])
            if len(data) - at < 5 + size:
                break
            messages.append(data[at + 5 : at + 5 + size])
            at += 5 + size
        if at < len(data):
            self._messages[stream] = data[at:]
        return messages

    def _answer(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        with contextlib.suppress(OSError):
            if kind == SETTINGS and not flags & ACK:
                self.socket.sendall(frame(SETTINGS, ACK, 0, b""))
            elif kind == PING and not flags & ACK:
                self.socket.sendall(frame(PING, ACK, 0, payload))
        if kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM):
            self.open.discard(stream)
        elif kind == GOAWAY:
            self.open.clear()
