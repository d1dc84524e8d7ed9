"""A connection on which a statement is one call of libpq.

psycopg drives each statement from Python step by step: it sends, waits for the socket, takes in what came.
Every step lets go of the interpreter's lock, which wakes a thread that waits for it, mostly in vain. Here a
statement is prepared once on each connection and from then on is a single blocking call, so the lock is let
go once. psycopg still adapts the values and the rows, and does the rest: transactions, COPY, cancelling
(docs/decisions/0007).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import abc as types
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.types.numeric import Int8Dumper

from orchestration_server.store import arrays

PREPARED = 300
"""Statements that a connection keeps prepared; of more, those that were used last."""
_TEXTS = 1_000
_PLACEHOLDER = re.compile(r"%(?:%|\((\w+)\)([sb]))")
_FORMATS = {"s": PyFormat.AUTO, "b": PyFormat.BINARY}


class _Query(NamedTuple):
    """A text as Postgres takes it, and what its parameters are called, in its order."""

    text: bytes
    names: tuple[str, ...]
    formats: tuple[PyFormat, ...]


@lru_cache(_TEXTS)
def _query(text: str) -> _Query:
    found: dict[tuple[str, str], int] = {}

    def place(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        return f"${found.setdefault((match[1], match[2]), len(found) + 1)}"

    sent = _PLACEHOLDER.sub(place, text)
    return _Query(sent.encode(), tuple(n for n, _ in found), tuple(_FORMATS[f] for _, f in found))


class Rows:
    """What a statement answered."""

    __slots__ = ("_adapt", "_result")

    def __init__(self, adapt: types.Transformer, result: PGresult) -> None:
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        arrays.register(self)
        # Numbers have one type whatever their size, so a statement is prepared once.
        self.adapters.register_dumper(int, Int8Dumper)
        self._named: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._count = 0

    def execute(  # type: ignore[override]  # what is not needed here is left out
        self, query: LiteralString, params: Mapping[str, Any] | None = None
    ) -> Rows:
        """Runs one statement to its end. Raises the driver's errors, which db.py translates."""
        text, names, formats = _query(query)
        adapt = Transformer(self)
        values: Any = adapt.dump_sequence([params[name] for name in names], formats) if params else ()
        name = self._name(text, adapt.types or ())
        result = self.pgconn.exec_prepared(name, values, adapt.formats, Format.BINARY)
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise self._error(result)
        adapt.set_pgresult(result, format=Format.BINARY)
        return Rows(adapt, result)

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
            if len(self._named) >= PREPARED:
                oldest = next(iter(self._named))
                self.pgconn.exec_(b"deallocate " + self._named.pop(oldest))
        self._named[key] = name
        return name

    def _error(self, result: PGresult) -> psycopg.Error:
        if self.pgconn.status == ConnStatus.BAD:
            return errors.OperationalError("the connection was lost")
        return errors.error_from_result(result, encoding=self.info.encoding)
