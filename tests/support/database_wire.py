"""A proxy before Postgres that can be pointed elsewhere and can lose its connections."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import psycopg


class Wire:
    """A local TCP port before a Postgres on a Unix socket."""

    def __init__(self, database_url: str) -> None:
        self.lead(database_url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._silent: set[socket.socket] = set()
        self._open: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def lead(self, database_url: str) -> None:
        """Send new connections to another socket; open ones stay."""
        with psycopg.connect(database_url) as conn:
            self._to, self._name, self._user = conn.info.host, conn.info.dbname, conn.info.user

    @property
    def url(self) -> str:
        port = self._listener.getsockname()[1]
        return f"postgresql://{self._user}@127.0.0.1:{port}/{self._name}?sslmode=disable"

    def forget(self) -> None:
        """Drop everything that is sent on the connections opened so far."""
        for pair in self._open:
            self._silent |= set(pair)

    def close(self) -> None:
        self._listener.close()
        for one, other in self._open:
            one.close()
            other.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                try:
                    far.connect(f"{self._to}/.s.PGSQL.5432")
                except OSError:
                    near.close()
                    far.close()
                    continue
                self._open.append((near, far))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if source not in self._silent:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
