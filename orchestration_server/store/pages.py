"""Pages that end at a number of bytes. Postgres cuts them before it reads the bodies after the cut.

The pointer to a body that is stored out of line has its size, so a row that is left out costs only its other
columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, LiteralString, NamedTuple, TypeVar

from orchestration_server.db.connection import Connection

PAGE_BYTES = 4 * 1024 * 1024
"""The most bytes of bodies in a page, unless the first body alone is larger."""

SMALL_PAGE_ROWS = 100
"""The most rows of a page of a list for which no cut is expected."""

Row = TypeVar("Row")
Cut = Callable[[LiteralString, LiteralString], LiteralString]
"""A function that makes the query of a page from its columns and an ordered query."""

_BODY: LiteralString = "octet_length(body)"


class Page(NamedTuple, Generic[Row]):
    """Rows in the requested order, and whether there are more."""

    rows: list[Row]
    more: bool


def cut(columns: LiteralString, query: LiteralString, *, size: LiteralString = _BODY) -> LiteralString:
    """Return the query of the first rows of an ordered query, up to ``%(bytes)s`` and at least one.

    ``size`` is the size of a row. The last column, further, says whether the ordered query has another row.
    """
    return (
        "select "
        + columns
        + ", further from (select page.*, "
        + size
        + " as size, sum("
        + size
        + ") over seen as size_upto, lead(true, 1, false) over seen as further from ("
        + query
        + ") page window seen as (rows unbounded preceding)) sized"
        + " where size_upto <= %(bytes)s::bigint or size_upto = size"
    )


def whole(columns: LiteralString, query: LiteralString) -> LiteralString:
    """Return the query of all rows of an ordered query. ``read`` runs it first if it expects no cut.

    A body that is larger than its share of ``%(bytes)s`` is null, and then further is true.
    """
    fits: LiteralString = _BODY + " <= %(bytes)s::bigint / %(limit)s::bigint"
    shown = columns.replace("body", "case when " + fits + " then body end as body")
    return "select " + shown + ", not (" + fits + ") as further from (" + query + ") page"


def read(
    conn: Connection,
    name: str,
    statement: Callable[[Cut], LiteralString],
    params: dict[str, Any],
    *,
    large: bool,
) -> tuple[list[tuple[Any, ...]], bool]:
    """Return the rows of a statement that contains a page, and whether it was run with ``cut``.

    The statement's last column is further. Unless ``large`` bodies are expected, it runs with ``whole``
    first: Postgres needs 80 µs to add up the sizes of 51 tasks, and 200 µs to read them.
    """
    if not large:
        rows = conn.execute(statement(whole), params, name=name).fetchall()
        if not any(row[-1] for row in rows):
            return rows, False
    return conn.execute(statement(cut), params, name=name).fetchall(), True


def listed(
    conn: Connection,
    name: str,
    columns: LiteralString,
    query: LiteralString,
    params: dict[str, Any],
    make: Callable[..., Row],
) -> Page[Row]:
    """Return a page of a list. ``params`` includes those of ``limits``."""
    limit = params["limit"] - 1
    rows, _ = read(conn, name, lambda cut: cut(columns, query), params, large=limit > SMALL_PAGE_ROWS)
    return page(rows, limit, make)


def bounded(columns: LiteralString, query: LiteralString) -> LiteralString:
    """Return the query of all rows of an ordered query, whose bodies are null after ``%(bytes)s``."""
    return (
        "select "
        + columns
        + ", case when size_upto <= %(bytes)s::bigint then body end as body from (select page.*, sum("
        + _BODY
        + ") over (rows unbounded preceding) as size_upto from ("
        + query
        + ") page) sized"
    )


def limits(limit: int) -> dict[str, Any]:
    """Return the parameters of a page of ``limit`` rows. The query reads one row more."""
    return {"limit": limit + 1, "bytes": PAGE_BYTES}


def page(rows: Sequence[tuple[Any, ...]], limit: int, make: Callable[..., Row]) -> Page[Row]:
    """Return the page of rows whose last column is further."""
    shown = rows[:limit]
    return Page([make(*row[:-1]) for row in shown], len(rows) > limit or (bool(shown) and shown[-1][-1]))
