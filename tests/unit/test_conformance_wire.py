"""The TCP layer of the conformance suite does to connections what a case asks for."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from clients.conformance.wire import Loop, Wire

SECONDS = 10.0
"""The longest wait for what must come."""
SILENT = 0.3
"""The seconds in which nothing must come."""


class _Echo(socketserver.BaseRequestHandler):
    name = b""

    def handle(self) -> None:
        while data := self.request.recv(4096):
            self.request.sendall(self.name + data)


@contextmanager
def _echo(name: bytes) -> Iterator[str]:
    handler = type("Echo", (_Echo,), {"name": name})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def wire() -> Iterator[Wire]:
    loop = Loop()
    with _echo(b"one ") as address:
        made = Wire(loop, address)
        yield made
        made.close()
    loop.close()


@contextmanager
def _connected(wire: Wire) -> Iterator[socket.socket]:
    host, _, port = wire.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as found:
        yield found


def _answer(connection: socket.socket, text: bytes) -> bytes:
    connection.sendall(text)
    return connection.recv(100)


def _ends(connection: socket.socket) -> bool:
    """Return True if the connection ends, by a reset or without."""
    try:
        return connection.recv(100) == b""
    except ConnectionError:
        return True


def test_it_forwards_both_ways_and_counts(wire: Wire) -> None:
    with _connected(wire) as first, _connected(wire) as second:
        assert _answer(first, b"a") == b"one a"
        assert _answer(second, b"b") == b"one b"
    assert wire.accepted == 2


def test_a_cut_ends_what_is_there_and_nothing_later(wire: Wire) -> None:
    with _connected(wire) as first:
        assert _answer(first, b"a") == b"one a"
        wire.cut()
        assert _ends(first)
    with _connected(wire) as second:
        assert _answer(second, b"b") == b"one b"


def test_silence_keeps_connections_open_until_they_are_restored(wire: Wire) -> None:
    with _connected(wire) as first:
        assert _answer(first, b"a") == b"one a"
        wire.silence()
        first.settimeout(SILENT)
        with pytest.raises(TimeoutError):
            _answer(first, b"b")
        with _connected(wire) as second:
            assert _answer(second, b"c") == b"one c", "only what was there fell silent"
        wire.restore()
        first.settimeout(SECONDS)
        assert first.recv(100) == b"one b"


def test_silence_of_later_connections(wire: Wire) -> None:
    wire.silence(new=True)
    with _connected(wire) as first:
        first.settimeout(SILENT)
        with pytest.raises(TimeoutError):
            _answer(first, b"a")


def test_refused_connections_end_at_once(wire: Wire) -> None:
    wire.refuse()
    with _connected(wire) as first:
        assert _ends(first)
    wire.restore()
    with _connected(wire) as second:
        assert _answer(second, b"a") == b"one a"


def test_later_connections_go_to_another_server(wire: Wire) -> None:
    with _connected(wire) as first, _echo(b"two ") as other:
        assert _answer(first, b"a") == b"one a"
        wire.retarget(other)
        with _connected(wire) as second:
            assert _answer(second, b"b") == b"two b"
        assert _answer(first, b"c") == b"one c"


def test_a_delay_is_that_of_each_way(wire: Wire) -> None:
    with _connected(wire) as first:
        assert _answer(first, b"a") == b"one a"
        wire.delay(0.1)
        began = time.monotonic()
        assert _answer(first, b"b") == b"one b"
        assert time.monotonic() - began >= 0.2
