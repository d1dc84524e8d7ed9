"""A connection that runs each statement in one call of libpq.

psycopg runs a statement in several steps: it sends, waits for the socket, and reads. Each step releases the
interpreter's lock and wakes a waiting thread, mostly in vain. Here a statement is prepared once on each
connection, and then runs as one blocking call that releases the lock once. This module and arrays.py encode
the parameters. psycopg still decodes rows, and does the pool, COPY, cancellation and errors
(docs/decisions/0007).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from struct import Struct
from types import NoneType
from typing import Any, LiteralString, NamedTuple, cast

import psycopg
import structlog
from psycopg import abc, errors
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format
from psycopg.pq.abc import PGresult

from orchestration_server.db.arrays import Array, encode_time
from orchestration_server.telemetry import metrics
from orchestration_server.telemetry.call_counters import Timing

log = structlog.get_logger()

APPLICATION_NAME = "orchestration"
"""The application name of servers and workers in pg_stat_activity."""
MAX_PREPARED_STATEMENTS = 300
"""The most statements that a connection keeps prepared: those that were used last."""
_MAX_CACHED_QUERIES = 1_000
_DONE = frozenset((ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY))
"""The statuses of success. The pool checks a connection with an empty query."""
_PLACEHOLDER = re.compile(r"%(?:%|\((\w+)\)[sb])")
_Encoder = Callable[[Any], bytes | None]


class _ScalarEncoders(dict[type, tuple[int, Format, _Encoder]]):
    """The Postgres type, the format and the encoder of each type of parameter."""

    def __missing__(self, kind: type) -> tuple[int, Format, _Encoder]:
        for base in kind.__mro__:
            if base in self:
                return self.setdefault(kind, self[base])
        raise TypeError(f"a value of type {kind.__name__} cannot be bound")


def _text(value: str) -> bytes:
    """Encode a text for libpq. Raises DataError if it contains NUL, since libpq would cut it."""
    if "\0" in value:
        raise errors.DataError("a text with NUL cannot be bound")
    return value.encode()


# A text is sent without a type, so Postgres takes the type from its place. Integers have one type whatever
# their size, so a statement is prepared once.
_SCALAR_ENCODERS = _ScalarEncoders(
    {
        str: (0, Format.TEXT, _text),
        int: (20, Format.BINARY, Struct("!q").pack),
        bool: (16, Format.BINARY, (b"\x00", b"\x01").__getitem__),
        bytes: (17, Format.BINARY, bytes),
        datetime: (1184, Format.BINARY, encode_time),
        NoneType: (0, Format.TEXT, lambda _: None),
    }
)


class _Statement(NamedTuple):
    """The name of a statement in metrics, logs and traces, with its timing."""

    name: str
    timing: Timing


def _statement(name: str) -> _Statement:
    return _Statement(name, metrics.SQL_SECONDS.get(name))


_BY_NAME: dict[str, _Statement] = {name: _statement(name) for name in ("begin", "commit", "rollback")}


def _statement_named(name: str) -> _Statement:
    return _BY_NAME.get(name) or _BY_NAME.setdefault(name, _statement(name))


@lru_cache(_MAX_CACHED_QUERIES)
def _to_libpq(text: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a statement with ``$n`` placeholders, and the names of its parameters in that order."""
    found: dict[str, int] = {}

    def place(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        return f"${found.setdefault(match[1], len(found) + 1)}"

    return _PLACEHOLDER.sub(place, text).encode(), tuple(found)


class Rows:
    """The result of a statement."""

    __slots__ = ("_adapt", "_result")

    def __init__(self, adapt: abc.Transformer, result: PGresult) -> None:
        self._adapt = adapt
        self._result = result

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the first row, or None if there are no rows."""
        return self._adapt.load_row(0, tuple) if self._result.ntuples else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows."""
        return self._adapt.load_rows(0, self._result.ntuples, tuple)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())

    @property
    def rowcount(self) -> int:
        """Return the number of rows that the statement changed or returned."""
        return self._result.command_tuples or 0


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that runs statements with ``%(name)s`` parameters, for one thread at a time.

    It must be in autocommit mode: only ``transaction()`` and ``snapshot()`` begin transactions.
    """

    slow_seconds = 1.0
    """Log statements that take longer than this."""
    on_statement: Callable[[str, float, bool], None] | None = None
    """An observer that gets the name, the seconds and the failure of each statement at its end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.opened = time.monotonic()
        """When the connection was opened. Earlier reads may be of a Postgres that has crashed since."""
        self.node = ""
        """The server of the connection, as ``connect.check`` returns it."""
        self.trust = 0
        """The number that the database had for its connections when this one was opened."""
        self._named: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._count = 0
        self._after_commit: list[Callable[[], None]] | None = None
        """The functions to call after the commit. None outside a transaction."""

    def execute(  # type: ignore[override]  # what is not needed here is left out
        self, query: LiteralString, params: Mapping[str, Any] | None = None, *, name: str = "other"
    ) -> Rows:
        """Run one statement. Raises the driver's errors, which db/driver_errors.py translates.

        ``name`` labels the statement in metrics: ``tasks.get`` for that function of the store. The number of
        names must stay small.
        """
        text, names = _to_libpq(query)
        given = params or {}
        values: list[bytes | None] = []
        oids: list[int] = []
        formats: list[int] = []
        for parameter in names:
            value = given[parameter]
            if isinstance(value, Array):
                values.append(value.encoded())
                oids.append(value.oid)
                formats.append(Format.BINARY)
            else:
                oid, format_, encode = _SCALAR_ENCODERS[type(value)]
                values.append(encode(value))
                oids.append(oid)
                formats.append(format_)
        statement = _statement_named(name)
        began = time.monotonic()
        prepared = self._name(text, tuple(oids))
        result = self.pgconn.exec_prepared(prepared, cast("list[bytes]", values), formats, Format.BINARY)
        failed = result.status not in _DONE
        self._ended(statement, text, began, failed)
        if failed:
            raise self._error(result)
        adapt = Transformer(self)
        adapt.set_pgresult(result, format=Format.BINARY)
        return Rows(adapt, result)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Measure the block on this connection as a statement with this name."""
        began = time.monotonic()
        failed = True
        try:
            yield
            failed = False
        finally:
            self._ended(_statement_named(name), b"", began, failed)

    def _ended(self, statement: _Statement, text: bytes, began: float, failed: bool) -> None:
        took = time.monotonic() - began
        statement.timing.observe(took)
        if took > self.slow_seconds:
            metrics.SQL_SLOW.labels(statement.name).inc()
            # The text with placeholders, ready for EXPLAIN. It contains no values.
            log.warning("slow statement", statement=statement.name, seconds=round(took, 3), sql=text.decode())
        if self.on_statement is not None:
            self.on_statement(statement.name, took, failed)

    @contextmanager
    def transaction(self) -> Iterator[None]:  # type: ignore[override]  # there are none in others
        """Run the block in a transaction. If the block raises, the transaction is rolled back."""
        with self._between(b"begin"):
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Run the block in a read-only transaction whose statements all see the same snapshot."""
        with self._between(b"begin isolation level repeatable read read only"):
            yield

    @contextmanager
    def _between(self, begin: bytes) -> Iterator[None]:
        self._control(begin)
        after: list[Callable[[], None]] = []
        self._after_commit = after
        try:
            try:
                yield
            except BaseException:
                # A lost connection has nothing to roll back.
                with suppress(psycopg.Error):
                    self._control(b"rollback")
                raise
            self._control(b"commit")
        finally:
            self._after_commit = None
        for call in after:
            call()

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call a function after the commit, or at once if no transaction is open.

        If the transaction is rolled back, the function is not called.
        """
        if self._after_commit is None:
            call()
        else:
            self._after_commit.append(call)

    def _control(self, command: bytes) -> None:
        began = time.monotonic()
        result = self.pgconn.exec_(command)
        failed = result.status != ExecStatus.COMMAND_OK
        word = command.partition(b" ")[0]
        self._ended(_statement_named(word.decode()), command, began, failed)
        if failed:
            raise self._error(result)
        if result.command_status != word.upper():
            # Postgres answers the commit of a failed transaction with ROLLBACK.
            raise errors.InFailedSqlTransaction("the transaction had failed before its end")

    def _name(self, text: bytes, types: tuple[int, ...]) -> bytes:
        """Return the name of a prepared statement. Prepare the statement if this connection has not yet."""
        key = (text, types)
        name = self._named.pop(key, None)
        if name is None:
            self._count += 1
            name = b"ledger_%d" % self._count
            result = self.pgconn.prepare(name, text, types)
            if result.status != ExecStatus.COMMAND_OK:
                raise self._error(result)
            if len(self._named) >= MAX_PREPARED_STATEMENTS:
                oldest = next(iter(self._named))
                self.pgconn.exec_(b"deallocate " + self._named.pop(oldest))
        self._named[key] = name
        return name

    def _error(self, result: PGresult) -> psycopg.Error:
        # If a socket breaks, libpq may report it without an SQLSTATE and keep the status OK.
        if self.pgconn.status == ConnStatus.BAD or not result.error_field(DiagnosticField.SQLSTATE):
            self.close()
            return errors.OperationalError("the connection was lost")
        return errors.error_from_result(result, encoding=self.info.encoding)
