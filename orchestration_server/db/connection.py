"""A connection on which a statement is one call of libpq.

psycopg drives each statement from Python step by step: it sends, waits for the socket, takes in what came.
Every step lets go of the interpreter's lock, which wakes a thread that waits for it, mostly in vain. Here a
statement is prepared once on each connection and from then on is a single blocking call, so the lock is let
go once. Parameters are encoded here and in arrays.py, and transactions are begun and ended by such calls too.
psycopg still reads the values of rows, and does the rest: the pool, COPY, cancelling, its errors
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
from prometheus_client import Histogram
from psycopg import abc, errors
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format
from psycopg.pq.abc import PGresult

from orchestration_server.db.arrays import Array, encode_time
from orchestration_server.telemetry import metrics

log = structlog.get_logger()

APPLICATION_NAME = "orchestration"
"""What servers and workers call themselves in pg_stat_activity."""
MAX_PREPARED_STATEMENTS = 300
"""Statements that a connection keeps prepared; of more, those that were used last."""
_MAX_CACHED_QUERIES = 1_000
_DONE = frozenset((ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY))
"""An empty statement is what the pool looks with whether a connection is alive."""
_PLACEHOLDER = re.compile(r"%(?:%|\((\w+)\)[sb])")
_Encoder = Callable[[Any], bytes | None]


class _ScalarEncoders(dict[type, tuple[int, Format, _Encoder]]):
    """By type: the one that Postgres is told, the format, and what encodes a value."""

    def __missing__(self, kind: type) -> tuple[int, Format, _Encoder]:
        for base in kind.__mro__:
            if base in self:
                return self.setdefault(kind, self[base])
        raise TypeError(f"a value of type {kind.__name__} cannot be bound")


def _text(value: str) -> bytes:
    """A text as libpq takes it, which reads up to the first NUL: what holds one would be cut."""
    if "\0" in value:
        raise errors.DataError("a text with NUL cannot be bound")
    return value.encode()


# A text has no type of its own: it is read as what stands in its place. Numbers have one type whatever their
# size, so a statement is prepared once.
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
    """What runs statements, in metrics, logs and traces: the store's function, or the part of it."""

    name: str
    timing: Histogram


def _statement(name: str) -> _Statement:
    return _Statement(name, metrics.SQL_SECONDS.labels(name))


_BY_NAME: dict[str, _Statement] = {name: _statement(name) for name in ("begin", "commit", "rollback")}


def _statement_named(name: str) -> _Statement:
    return _BY_NAME.get(name) or _BY_NAME.setdefault(name, _statement(name))


@lru_cache(_MAX_CACHED_QUERIES)
def _to_libpq(text: str) -> tuple[bytes, tuple[str, ...]]:
    """A statement as Postgres takes it, and what its parameters are called, in its order."""
    found: dict[str, int] = {}

    def place(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        return f"${found.setdefault(match[1], len(found) + 1)}"

    return _PLACEHOLDER.sub(place, text).encode(), tuple(found)


class Rows:
    """What a statement answered."""

    __slots__ = ("_adapt", "_result")

    def __init__(self, adapt: abc.Transformer, result: PGresult) -> None:
        self._adapt = adapt
        self._result = result

    def fetchone(self) -> tuple[Any, ...] | None:
        """The first row; None where there is none."""
        return self._adapt.load_row(0, tuple) if self._result.ntuples else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows."""
        return self._adapt.load_rows(0, self._result.ntuples, tuple)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())

    @property
    def rowcount(self) -> int:
        """How many rows it changed or found."""
        return self._result.command_tuples or 0


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """Runs statements with ``%(name)s`` parameters, one thread at a time. It has to be in autocommit mode:
    transactions are begun with ``transaction()`` alone."""

    slow_seconds = 1.0
    """From here on a statement is logged."""
    on_statement: Callable[[str, float, bool], None] | None = None
    """Is told of each statement that has ended: its name, how many seconds it took, and whether it failed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.opened = time.monotonic()
        """What was read before may have been of a Postgres that crashed since; what is read on it is not."""
        self.node = ""
        """The server that it is connected to, by ``connecting.check``."""
        self._named: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._count = 0
        self._after_commit: list[Callable[[], None]] | None = None
        """What is to be called when the open transaction has committed; None if none is open."""

    def execute(  # type: ignore[override]  # what is not needed here is left out
        self, query: LiteralString, params: Mapping[str, Any] | None = None, *, name: str = "other"
    ) -> Rows:
        """Runs one statement to its end. Raises the driver's errors, which db/database.py translates.

        It is timed under ``name``: ``tasks.get`` for the store's function, of which there may be few.
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
        """Times what the block does on this connection as a statement."""
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
            # As Postgres got it, for an explain: the values stand elsewhere.
            log.warning("slow statement", statement=statement.name, seconds=round(took, 3), sql=text.decode())
        if self.on_statement is not None:
            self.on_statement(statement.name, took, failed)

    @contextmanager
    def transaction(self) -> Iterator[None]:  # type: ignore[override]  # there are none in others
        """Makes one transaction of the block, which is undone where the block raises."""
        with self._between(b"begin"):
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Have all statements of the block read as of one moment, and write nothing."""
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
                # A connection that was lost has nothing to undo.
                with suppress(psycopg.Error):
                    self._control(b"rollback")
                raise
            self._control(b"commit")
        finally:
            self._after_commit = None
        for call in after:
            call()

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call a function once what was written is committed: at once if no transaction is open.

        A transaction that is undone drops it.
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
            # A commit of what has failed is a rollback.
            raise errors.InFailedSqlTransaction("the transaction had failed before its end")

    def _name(self, text: bytes, types: tuple[int, ...]) -> bytes:
        """What the statement is called on this connection, where it is prepared if it was not."""
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
        # Of a socket that broke, libpq may say so in words alone and take the connection for good.
        if self.pgconn.status == ConnStatus.BAD or not result.error_field(DiagnosticField.SQLSTATE):
            self.close()
            return errors.OperationalError("the connection was lost")
        return errors.error_from_result(result, encoding=self.info.encoding)
