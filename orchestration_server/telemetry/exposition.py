"""The HTTP server of /metrics: one for each command, even if the command runs several processes.

Each process counts in its own memory (telemetry/metrics.py). If there are several, the process that started
them answers: it asks each of them over a socket for its metrics and adds them up. So counting needs no shared
lock. A scrape is complete or it fails: without one process, sums would shrink as if the counters had started
anew.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import orjson
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from orchestration_server.telemetry import metrics

log = structlog.get_logger()

PATH = "/metrics"
ANSWER_SECONDS = 5.0
"""The longest time that a process may take to send its metrics."""
REQUEST_SECONDS = 1.0
"""The longest time that a client may take to send its request, from the connection on."""
CLIENT_SECONDS = 10.0
"""The longest time that a scrape may take, from the request to the last byte of the answer."""
_ASK = b"?"
_PIECE = 256 * 1024


class Exposition:
    """An HTTP server of a registry."""

    def __init__(self, address: str, registry: CollectorRegistry) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]") or "127.0.0.1"
        self._server = _Server((host, int(port)), registry)
        self.address = f"{f'[{host}]' if ':' in host else host}:{self._server.server_port}"
        """The HOST:PORT that it listens on."""
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the server."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _Server(HTTPServer):
    """A server of one request at a time. It closes the connection of a slow client, which holds no thread."""

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry) -> None:
        self.registry = registry
        self._timer = threading.Timer(0, _close_connection)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own method resolves a host name that the server does not need.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_port = self.socket.getsockname()[1]

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer one request, or close its connection. A silent client delays the next one by a second."""
        self.close_after(REQUEST_SECONDS, request)
        try:
            super().finish_request(request, client_address)
        finally:
            self._timer.cancel()

    def close_after(self, seconds: float, request: socket.socket) -> None:
        """Close the connection in ``seconds`` from now; an earlier limit no longer counts."""
        self._timer.cancel()
        self._timer = threading.Timer(seconds, _close_connection, (request,))
        self._timer.daemon = True
        self._timer.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing when a client has left."""


def _close_connection(request: socket.socket) -> None:
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "orchestration"
    sys_version = ""

    def do_GET(self) -> None:
        self.server.close_after(CLIENT_SECONDS, self.connection)
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND, f"the only page is {PATH}")
            return
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        try:
            body = encode(self.server.registry)
        except Exception as error:
            log.warning("metrics not collected", error=error)
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "not all processes answered; try again")
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name in the base class
        """Log no scrapes."""


# Several processes


def serve_worker(asked: socket.socket) -> None:
    """Send this process's metrics to the process at the other end whenever it asks, until it exits."""
    threading.Thread(target=_answer, args=(asked,), name="metrics", daemon=True).start()


def _answer(asked: socket.socket) -> None:
    while True:
        # Each request brings the socket for its answer, so an abandoned request leaves nothing behind.
        request, sockets, *_ = socket.recv_fds(asked, len(_ASK), 1)
        if not request:
            return
        for number in sockets:
            with socket.socket(fileno=number) as reply:
                reply.settimeout(ANSWER_SECONDS)
                try:
                    reply.sendall(dumped(metrics.REGISTRY))
                except Exception as error:
                    log.warning("metrics not sent", error=error)


def dumped(registry: CollectorRegistry) -> bytes:
    """Return the present values of a registry as JSON."""
    return orjson.dumps(
        [
            (family.name, family.documentation, family.type,
             [(sample.name, sample.labels, sample.value) for sample in family.samples])
            for family in registry.collect()
        ]
    )  # fmt: skip


class MultiProcessCollector(Collector):
    """The metrics of several processes: sums, except the largest value of gauges about the ledger."""

    def __init__(self, processes: Sequence[socket.socket]) -> None:
        self._processes = processes

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering it asks no process."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Ask all processes at once. Raises OSError if one does not answer in time."""
        deadline = time.monotonic() + ANSWER_SECONDS
        with ExitStack() as stack:
            replies = [stack.enter_context(_request(process)) for process in self._processes]
            dumps = [orjson.loads(_receive(reply, deadline)) for reply in replies]
        yield from added(dumps)


def _request(process: socket.socket) -> socket.socket:
    """Ask a process for its metrics and return the socket of its answer."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process.settimeout(ANSWER_SECONDS)
            socket.send_fds(process, [_ASK], [theirs.fileno()])
        except OSError:
            ours.close()
            raise
    return ours


def _receive(reply: socket.socket, deadline: float) -> bytes:
    """Return all bytes until the end of the stream."""
    parts = bytearray()
    while True:
        reply.settimeout(max(deadline - time.monotonic(), 0.001))
        part = reply.recv(_PIECE)
        if not part:
            return bytes(parts)
        parts += part


def added(dumps: Sequence[list[Any]]) -> Iterator[Metric]:
    """Yield the metric families of several processes, merged."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for dump in dumps:
        for name, documentation, kind, samples in dump:
            families.setdefault(name, Metric(name, documentation, kind))
            found = values.setdefault(name, {})
            largest = name in metrics.LARGEST
            for sample, labels, value in samples:
                key = (sample, tuple(labels.items()))
                if key not in found:
                    found[key] = value
                elif largest:
                    found[key] = max(found[key], value)
                else:
                    found[key] += value
    for name, family in families.items():
        for (sample, pairs), value in values[name].items():
            family.add_sample(sample, dict(pairs), value)
        yield family
