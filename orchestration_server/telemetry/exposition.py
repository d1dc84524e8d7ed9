"""/metrics: one small HTTP server a command, also where the command is several processes.

Each process counts for itself, in memory (telemetry/metrics.py). Where there are several, the one that
started them answers: it asks each of them over a socket for all it has, and adds that up. What the others
count costs nobody a lock that is shared, and a scrape is whole or fails: a process that does not answer is
never left out of a sum, which would look as if the counters had begun anew.
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
"""How long a process may take to tell what it has."""
REQUEST_SECONDS = 1.0
"""How long a client may take to ask, from the connection to the whole request."""
CLIENT_SECONDS = 10.0
"""How long a scrape may take, from the request to the last byte taken."""
_ASK = b"?"
_PIECE = 256 * 1024


class Exposition:
    """Serves a registry over HTTP until it is closed."""

    def __init__(self, address: str, registry: CollectorRegistry) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]") or "127.0.0.1"
        self._server = _Server((host, int(port)), registry)
        self.address = f"{f'[{host}]' if ':' in host else host}:{self._server.server_port}"
        """Where it answers."""
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answers nobody any more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(HTTPServer):
    """One request at a time: whoever is slow is cut off, and never holds a thread."""

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry) -> None:
        self.registry = registry
        self._cut = threading.Timer(0, _cut)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the resolver for a name that nobody needs.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_port = self.socket.getsockname()[1]

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answers one request, or gives it up: who asks nothing keeps the next one waiting for a second."""
        self.cut_after(REQUEST_SECONDS, request)
        try:
            super().finish_request(request, client_address)
        finally:
            self._cut.cancel()

    def cut_after(self, seconds: float, request: socket.socket) -> None:
        """Cuts the connection in so many seconds from now, and no sooner."""
        self._cut.cancel()
        self._cut = threading.Timer(seconds, _cut, (request,))
        self._cut.daemon = True
        self._cut.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: that a client went away is no news."""


def _cut(request: socket.socket) -> None:
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "orchestration"
    sys_version = ""

    def do_GET(self) -> None:
        self.server.cut_after(CLIENT_SECONDS, self.connection)
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND, f"there is only {PATH}")
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

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name it has above
        """Scrapes are not logged."""


# Several processes


def serve_worker(asked: socket.socket) -> None:
    """Tells the process at the other end what this one has, each time that it asks; until it is gone."""
    threading.Thread(target=_answer, args=(asked,), name="metrics", daemon=True).start()


def _answer(asked: socket.socket) -> None:
    while True:
        # Each question brings the socket to answer it on: one that was given up leaves nothing behind.
        question, ways, *_ = socket.recv_fds(asked, len(_ASK), 1)
        if not question:
            return
        for number in ways:
            with socket.socket(fileno=number) as way:
                way.settimeout(ANSWER_SECONDS)
                try:
                    way.sendall(dumped(metrics.REGISTRY))
                except Exception as error:
                    log.warning("metrics not told", error=error)


def dumped(registry: CollectorRegistry) -> bytes:
    """All that a registry has now."""
    return orjson.dumps(
        [
            (family.name, family.documentation, family.type,
             [(sample.name, sample.labels, sample.value) for sample in family.samples])
            for family in registry.collect()
        ]
    )  # fmt: skip


class MultiProcessCollector(Collector):
    """What several processes have together: sums, but of gauges that tell of the ledger the largest."""

    def __init__(self, processes: Sequence[socket.socket]) -> None:
        self._processes = processes

    def describe(self) -> list[Metric]:
        """Nothing: to register it is not to ask."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Asks all at once. OSError where one does not answer in time."""
        deadline = time.monotonic() + ANSWER_SECONDS
        with ExitStack() as stack:
            ways = [stack.enter_context(_asked(process)) for process in self._processes]
            dumps = [orjson.loads(_received(way, deadline)) for way in ways]
        yield from added(dumps)


def _asked(process: socket.socket) -> socket.socket:
    """Where a process will answer."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process.settimeout(ANSWER_SECONDS)
            socket.send_fds(process, [_ASK], [theirs.fileno()])
        except OSError:
            ours.close()
            raise
    return ours


def _received(way: socket.socket, deadline: float) -> bytes:
    """All that comes, to its end."""
    parts = bytearray()
    while True:
        way.settimeout(max(deadline - time.monotonic(), 0.001))
        part = way.recv(_PIECE)
        if not part:
            return bytes(parts)
        parts += part


def added(dumps: Sequence[list[Any]]) -> Iterator[Metric]:
    """The families of several processes as one of each."""
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
