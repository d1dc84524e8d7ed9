"""Lists: a part of the pages, and a word if there is more."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from orchestration.cli.documents import to_document
from orchestration.cli.output import Answer, Output, Table

if TYPE_CHECKING:
    from google.protobuf.message import Message

_PAGE = 500


def first(listed: Callable[[int], Any], limit: int) -> tuple[list[Any], bool]:
    """Return at most ``limit`` items of a list, and True if there are more.

    ``listed`` takes the size of a page.
    """
    found = list(islice(listed(min(limit + 1, _PAGE)), limit + 1))
    return found[:limit], len(found) > limit


def answer(
    out: Output,
    field: str,
    items: list[Message],
    more: bool,
    table: Table,
    *,
    names: list[str],
    empty: str,
    code: int = 0,
) -> Answer:
    """Return the answer of a list: ``{FIELD: [...], "more": false}``, or its table."""
    lines = out.table(table) if items else [empty]
    if more:
        lines.append(out.paint(f"these are the first {len(items)}; --limit lists more", "dim"))
    document = {field: [to_document(item) for item in items], "more": more}
    return Answer(document, lines, names, code)
