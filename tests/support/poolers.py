"""Stand-ins for connection poolers before Postgres, each of which breaks a part of the protocol."""

from __future__ import annotations

import secrets
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_LENGTH = struct.Struct("!i")
_ENDS_BATCH = frozenset(b"QSX")
"""Query, Sync and Terminate: the server answers what came before."""
_SSL, _GSS, _CANCEL = 80877103, 80877104, 80877102


class Mode(Enum):
    """The behaviour of a pooler."""

    REFUSES = auto()
    """It refuses settings at the start of a session, as pgbouncer does."""
    DROPS = auto()
    """It drops settings silently, as pgbouncer does with ignore_startup_parameters."""
    TRANSACTION = auto()
    """It passes settings on, and lends a connection for each transaction."""
    SESSION = auto()
    """It passes settings on, and lends a connection until the client leaves."""


class Pooler:
    """A pooler on a local TCP port, before a Postgres on a Unix socket."""

    def __init__(self, database_url: str, mode: Mode) -> None:
        with psycopg.connect(database_url) as conn:
            self._to = f"{conn.info.host}/.s.PGSQL.5432"
        self._mode = mode
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._free: dict[bytes, list[_Link]] = {}
        self._welcome: dict[bytes, bytes] = {}
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, database_url: str) -> str:
        """Return the URL of a database behind the pooler."""
        given = {k: v for k, v in conninfo_to_dict(database_url).items() if k != "host"}
        port = self._listener.getsockname()[1]
        return make_conninfo("", **given, host="127.0.0.1", port=port, sslmode="disable")

    def close(self) -> None:
        self._listener.close()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._open.append(near)
                threading.Thread(target=self._serve, args=(_Link(near),), daemon=True).start()

    def _serve(self, client: _Link) -> None:
        with suppress(OSError, ConnectionError):
            startup = client.startup()
            while startup[:4] in (_LENGTH.pack(_SSL), _LENGTH.pack(_GSS)):
                client.send(b"N")
                startup = client.startup()
            if startup[:4] == _LENGTH.pack(_CANCEL):
                return
            parts = startup[4:].split(b"\0")
            given = dict(zip(parts[::2], parts[1::2], strict=False))
            if b"options" in given and self._mode is Mode.REFUSES:
                client.send(_error("08P01", "unsupported startup parameter: options"))
                return
            if self._mode is Mode.DROPS:
                given.pop(b"options", None)
            startup = startup[:4] + b"".join(k + b"\0" + v + b"\0" for k, v in given.items() if k) + b"\0"
            self._lend(client, startup, given[b"user"] + b"/" + given[b"database"])

    def _lend(self, client: _Link, startup: bytes, key: bytes) -> None:
        link: _Link | None = None
        if self._mode is not Mode.TRANSACTION or key not in self._welcome:
            link = self._connect(startup, key)
        if link is not None and self._mode is Mode.TRANSACTION:
            self._free.setdefault(key, []).append(link)
            link = None
        client.send(self._welcome[key])
        while True:
            batch = client.batch()
            if link is None:
                free = self._free.setdefault(key, [])
                link = free.pop() if free else self._connect(startup, key)
            link.send(batch)
            answer = link.answer()
            if self._mode is Mode.TRANSACTION and not link.busy:
                self._free[key].append(link)
                link = None
            client.send(answer)

    def _connect(self, startup: bytes, key: bytes) -> _Link:
        far = socket.socket(socket.AF_UNIX)
        far.connect(self._to)
        self._open.append(far)
        link = _Link(far)
        link.send(_LENGTH.pack(len(startup) + 4) + startup)
        self._welcome[key] = link.answer(welcome=True)
        return link


class _Link:
    """A connection, message by message."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.busy = False
        """Return whether the connection is in a transaction."""

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def startup(self) -> bytes:
        return self._read(_LENGTH.unpack(self._read(4))[0] - 4)

    def batch(self) -> bytes:
        """Return the client's messages up to one that is answered."""
        found = b""
        while True:
            kind, body = self._message()
            if kind == b"X":
                raise ConnectionError
            found += kind + _LENGTH.pack(len(body) + 4) + body
            if kind[0] in _ENDS_BATCH:
                return found

    def answer(self, *, welcome: bool = False) -> bytes:
        """Return the server's messages until it is ready, without its pid: poolers send their own."""
        found = b""
        while True:
            kind, body = self._message()
            if kind == b"K" and welcome:
                body = secrets.token_bytes(4) + body[4:]
            found += kind + _LENGTH.pack(len(body) + 4) + body
            if kind == b"Z":
                self.busy = body != b"I"
                return found
            if kind == b"E" and welcome:
                return found

    def _message(self) -> tuple[bytes, bytes]:
        kind = self._read(1)
        return kind, self._read(_LENGTH.unpack(self._read(4))[0] - 4)

    def _read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self._sock.recv(count - len(found))
            if not part:
                raise ConnectionError
            found += part
        return found


def _error(state: str, text: str) -> bytes:
    body = f"SFATAL\0VFATAL\0C{state}\0M{text}\0\0".encode()
    return b"E" + _LENGTH.pack(len(body) + 4) + body


@contextmanager
def behind(database_url: str, mode: Mode) -> Iterator[str]:
    """Return the URL of a database behind a pooler, which runs for the block."""
    pooler = Pooler(database_url, mode)
    try:
        yield pooler.url(database_url)
    finally:
        pooler.close()
