"""A server of which one hand-made part is replaced by its library.

python -m benchmarks.alternatives_server PART serve …: PART is `ours` or a key of SWAPS.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, LiteralString

import psycopg
import psycopg_pool
import rfc8785
from prometheus_client import Counter, Gauge, Histogram
from psycopg.adapt import Transformer
from psycopg.types.array import ListBinaryDumper
from psycopg.types.numeric import Int8BinaryDumper

from orchestration.v1 import task_pb2
from orchestration_server.__main__ import main
from orchestration_server.codec import entities
from orchestration_server.db import arrays, connection, database
from orchestration_server.rpc import executor, interceptor, pending_call, server
from orchestration_server.services import paging, tasks
from orchestration_server.telemetry import metrics
from orchestration_server.telemetry.call_counters import BOUNDS

SENDERS = 8
"""Threads that wait for clients, if grpcio's callback sends."""


def _replace(module: Any, name: str, value: object) -> None:
    """Put another object in the place of a module's own."""
    assert hasattr(module, name), f"{module.__name__} has no {name}"
    setattr(module, name, value)


class _LibraryThreads(ThreadPoolExecutor):
    """grpcio's own way: a thread takes each call and waits for its message."""

    def __init__(self, threads: int, *, name: str, **_: Any) -> None:
        super().__init__(threads, thread_name_prefix=name)

    def start(self) -> None:
        """Start nothing: the library starts a thread when it needs one."""


def _executor() -> None:
    _replace(server, "RequestExecutor", _LibraryThreads)


def _answer() -> None:
    """Answer unary calls by ``grpc._server._unary_response_in_pool``."""
    _replace(pending_call, "_unary_response_in_pool", None)


class _LibraryRpc:
    """The metrics of one rpc, with its name bound."""

    calls = Counter("rpc_calls", "Calls.", ("rpc", "code"), registry=None)
    seconds = Histogram("rpc_seconds", "Seconds.", ("rpc",), buckets=BOUNDS, registry=None)
    open = Gauge("rpc_in_flight", "Open calls.", ("rpc",), registry=None)

    def __init__(self, name: str, *, stream: bool = False, endless: bool = False) -> None:
        self.name, self.stream, self.endless = name, stream, endless
        self._codes: dict[str, Counter] = {}
        self._open, self._seconds = self.open.labels(name), self.seconds.labels(name)

    def begin(self) -> None:
        self._open.inc()

    def end(self, code: str, seconds: float) -> None:
        self._open.dec()
        self.never_began(code)
        self._seconds.observe(seconds)

    def never_began(self, code: str) -> None:
        calls = self._codes.get(code)
        if calls is None:
            calls = self._codes[code] = self.calls.labels(self.name, code)
        calls.inc()


def _call_counters() -> None:
    statements = Histogram("sql_seconds", "Seconds.", ("statement",), buckets=BOUNDS, registry=None)
    _replace(metrics.SQL_SECONDS, "get", statements.labels)
    _replace(metrics, "POOL_WAIT_SECONDS", Histogram("pool_wait", "Seconds.", buckets=BOUNDS, registry=None))
    _replace(metrics, "rpc", _LibraryRpc)


class _FirstInFirstOut:
    """Calls that wait, without regard to who sent them."""

    def __init__(self, contended_limit: int, alone_limit: int) -> None:
        self._waiting: deque[Any] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, item: Any) -> None:
        self._waiting.append(item)

    def pop(self) -> Any:
        if not self._waiting:
            return None
        item = self._waiting.popleft()
        item.started_at = time.monotonic()
        return item

    def finish(self, item: Any) -> None:
        """Count nothing."""

    def pop_older(self, moment: float) -> list[Any]:
        found = []
        while self._waiting and self._waiting[0].queued_at < moment:
            found.append(self._waiting.popleft())
        return found

    def other_has_more(self, share: object) -> bool:
        return False

    def drop_newest(self, share: object) -> None:
        return None


def _fair_queue() -> None:
    _replace(executor, "FairQueue", _FirstInFirstOut)


_sending = threading.local()
_senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="sender")


class _CallbackWriter:
    """grpcio's callback, which waits until the transport took the message; so it has threads."""

    def __init__(self, context: object) -> None:
        self._send: Callable[[object], None] = _sending.send

    def send(self, body: bytes, on_taken: Callable[[], None]) -> bool:
        def run() -> None:
            self._send(body)
            on_taken()

        _senders.submit(run)
        return True


def _stream_writer() -> None:
    _replace(interceptor, "StreamWriter", _CallbackWriter)
    timeline = interceptor.Interceptor.detached_stream

    def remembering(self: Any, rpc: str, behavior: Any, parse: Any) -> Callable[..., None]:
        inner = timeline(self, rpc, behavior, parse)

        def handle(body: bytes, context: object, send: Callable[[object], None]) -> None:
            _sending.send = send
            inner(body, context, send)

        vars(handle).update(vars(inner))
        return handle

    _replace(interceptor.Interceptor, "detached_stream", remembering)


class _ArrayDumper(psycopg.adapt.Dumper):
    """Arrays as they are now, so that only the way of the statement differs."""

    format = psycopg.pq.Format.BINARY

    def __init__(self, cls: type, context: Any = None) -> None:
        super().__init__(cls, context)
        self.oid = cls.oid  # type: ignore[attr-defined]  # it is registered for arrays alone

    def dump(self, obj: Any) -> bytes:
        encoded: bytes = obj.encoded()
        return encoded


class _LibraryConnection(connection.Connection):
    """psycopg's own `execute` and `transaction`."""

    def execute(  # type: ignore[override]  # as the one that it replaces
        self, query: LiteralString, params: Mapping[str, Any] | None = None, *, name: str = "other"
    ) -> Any:
        cursor = self.cursor(binary=True)
        with self.timed(name):
            return cursor.execute(query, params, prepare=True)

    @contextmanager
    def _between(self, begin: bytes) -> Iterator[None]:
        after: list[Callable[[], None]] = []
        self._after_commit = after
        try:
            with psycopg.Connection.transaction(self):
                if b"repeatable" in begin:
                    psycopg.Connection.execute(
                        self, "set transaction isolation level repeatable read read only"
                    )
                yield
        finally:
            self._after_commit = None
        for call in after:
            call()


def _connection() -> None:
    for kind in arrays.Array.__subclasses__():
        psycopg.adapters.register_dumper(kind, _ArrayDumper)
    psycopg.adapters.register_dumper(int, Int8BinaryDumper)
    _replace(database, "Connection", _LibraryConnection)


def _arrays() -> None:
    """Encode arrays by the list dumper of psycopg, one for each type of array, made once."""
    for kind in arrays.Array.__subclasses__():
        told = {"oid": kind.oid, "element_oid": kind.element_oid}
        dumper = type(f"{kind.__name__}Dumper", (ListBinaryDumper,), told)(list, Transformer())

        def encoded(self: arrays.Array, dump: Callable[[list[Any]], Any] = dumper.dump) -> bytes:
            return bytes(dump(self.items))

        _replace(kind, "encoded", encoded)


class _LibraryPool(psycopg_pool.ConnectionPool[connection.Connection]):
    """psycopg's own pool, whose connections take turns."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, open=True)

    def refill(self) -> None:
        """Open nothing again."""

    def has_live_primary(self, seconds: float) -> bool:
        return True


def _pool() -> None:
    _replace(database, "LifoPool", _LibraryPool)


def _wire() -> None:
    """Parse the tasks that were stored, and serialize a message of them."""

    def embed(field: int, body: bytes) -> bytes:
        whole: bytes = task_pb2.GetTaskResponse(task=task_pb2.Task.FromString(body)).SerializeToString()
        return whole

    def embed_all(field: int, bodies: Iterable[bytes]) -> bytes:
        found = [task_pb2.Task.FromString(body) for body in bodies]
        whole: bytes = task_pb2.ListTasksResponse(tasks=found).SerializeToString()
        return whole

    _replace(tasks, "embed", embed)
    _replace(paging, "embed_all", embed_all)


def _content_hash() -> None:
    def content_hash(values: dict[str, Any]) -> str:
        return sha256(rfc8785.dumps(values)).hexdigest()

    _replace(entities, "content_hash", content_hash)


SWAPS: Mapping[str, Callable[[], None]] = {
    "executor": _executor,
    "answer": _answer,
    "call_counters": _call_counters,
    "fair_queue": _fair_queue,
    "stream_writer": _stream_writer,
    "connection": _connection,
    "arrays": _arrays,
    "pool": _pool,
    "wire": _wire,
    "content_hash": _content_hash,
}
"""For each part, the function that puts the library in its place."""


if __name__ == "__main__":
    part = sys.argv.pop(1)
    if part != "ours":
        SWAPS[part]()
    main()
