"""A TCP layer between a client and a server, which can cut, silence, delay and refuse connections."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PING, ACK = 6, 1
_CHUNK = 65_536


class Loop:
    """An event loop on a thread, for the wires of all cases."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wires", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    def close(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._loop.close()


class FrameCounter:
    """A counter of the PING frames in one direction of an HTTP/2 connection without TLS."""

    def __init__(self, on_ping: Callable[[], None]) -> None:
        self._on_ping = on_ping
        self._buffer = b""
        self._skip = len(PREFACE)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the connection."""
        self._buffer += data
        while self._buffer:
            if self._skip:
                taken = min(self._skip, len(self._buffer))
                self._skip -= taken
                self._buffer = self._buffer[taken:]
                continue
            if len(self._buffer) < 9:
                return
            if self._buffer[3] == PING and not self._buffer[4] & ACK:
                self._on_ping()
            self._skip = 9 + int.from_bytes(self._buffer[:3], "big")


class _Connection:
    """One connection of a client, and that to the server which belongs to it."""

    def __init__(self) -> None:
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.writers: list[asyncio.StreamWriter] = []

    def cut(self) -> None:
        self.flowing.set()
        for writer in self.writers:
            writer.transport.abort()

    def close(self) -> None:
        """Close both ends after what was written."""
        for writer in self.writers:
            writer.close()


class Wire:
    """A port that forwards connections to a server, until the case does something to them."""

    def __init__(self, loop: Loop, target: str) -> None:
        self._loop, self._target = loop, _split(target)
        self._connections: set[_Connection] = set()
        self._refusing = self._silent = False
        self._delay = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        """The number of connections that clients opened."""
        self.pings: list[float] = []
        """The times of the PING frames of clients, by the monotonic clock."""
        self._server = loop.run(self._listen())
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    def retarget(self, target: str) -> None:
        """Forward new connections to another server."""
        self._target = _split(target)

    def cut(self) -> None:
        """Reset all connections. New ones are possible."""
        self._loop.run(self._cut())

    def refuse(self) -> None:
        """Reset all connections, and each new one, until ``restore``."""
        self._refusing = True
        self.cut()

    def silence(self, *, new: bool = False) -> None:
        """Forward nothing more on the present connections, and with ``new`` on later ones. All stay open."""
        self._silent = new
        self._loop.run(self._silence())

    def delay(self, seconds: float) -> None:
        """Forward everything later by some seconds."""
        self._delay = seconds

    def restore(self) -> None:
        """Accept new connections, and forward what was held back."""
        self._refusing = self._silent = False
        self._delay = 0.0
        self._loop.run(self._restore())

    def close(self) -> None:
        """Close the port and all connections."""
        self._loop.run(self._close())

    async def _cut(self) -> None:
        for connection in self._connections:
            connection.cut()

    async def _silence(self) -> None:
        for connection in self._connections:
            connection.flowing.clear()

    async def _restore(self) -> None:
        for connection in self._connections:
            connection.flowing.set()

    async def _close(self) -> None:
        self._server.close()
        await self._cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        if self._refusing:
            writer.transport.abort()
            return
        connection = _Connection()
        connection.writers.append(writer)
        self._connections.add(connection)
        if self._silent:
            connection.flowing.clear()
        try:
            await self._relay(connection, reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            connection.close()
            self._connections.discard(connection)

    async def _relay(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        connection.writers.append(up_writer)
        counter = FrameCounter(lambda: self.pings.append(time.monotonic()))
        directions = [
            asyncio.ensure_future(self._pump(connection, reader, up_writer, counter)),
            asyncio.ensure_future(self._pump(connection, up_reader, writer, None)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        counter: FrameCounter | None,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if counter is not None:
                    counter.feed(data)
                if self._delay:
                    await asyncio.sleep(self._delay)
                await connection.flowing.wait()
                writer.write(data)
                await writer.drain()


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
