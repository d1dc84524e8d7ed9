"""Markdown as the repository has it, for GitHub, in the dialect of Python-Markdown, which builds the site."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape

_FENCE = re.compile(r"^( *)(`{3,}|~{3,})")
_ITEM = re.compile(r"^( *)([-*+]|\d+[.)])( +)(?=\S)")
_LINK_OR_CODE = re.compile(
    r"(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)|(?P<open>\]\()(?P<target>[^)\s]+)\)", re.DOTALL
)
_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)
_TABLE = re.compile(r"(?:^\|.*\n)(?:^\|[-:| ]+\n)(?:^\|.*(?:\n|\Z))*", re.MULTILINE)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_AFTER = re.compile(r"(?<=::)|(?<=[/_.,=])(?=\w)(?!py\b|md\b)")
_PIPE = re.compile(r"(?<!\\)\|")
_SPECIAL = frozenset("\\`*_[]<>{}|&")
BREAK = 16
"""Characters of code in a table that stay together."""
PROSE = 84
"""Characters of a row, on average, from which a table is one of prose."""
COLUMNS = 3
"""Columns from which a cell of a record says which it is."""
STEP = 4
"""Spaces by which Python-Markdown wants each level of a list indented, whatever its marker."""


def title(text: str) -> str:
    """Return the first heading of a page. Raises ValueError if it has none."""
    found = _HEADING.search(text)
    if found is None:
        raise ValueError("the page has no heading of level 1")
    return found[1].replace("`", "").strip()


def relinked(text: str, target: Callable[[str], str]) -> str:
    """Return a page in which each link outside code leads to what `target` returns for it."""

    def replaced(match: re.Match[str]) -> str:
        return match[0] if match["ticks"] else f"]({target(match['target'])})"

    return "".join(part if is_code else _LINK_OR_CODE.sub(replaced, part) for part, is_code in _parts(text))


def targets(text: str) -> Iterator[str]:
    """Yield the target of each link outside code."""
    for part, is_code in _parts(text):
        if not is_code:
            yield from (match["target"] for match in _LINK_OR_CODE.finditer(part) if match["target"])


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the page in parts, each with True if it is a fenced block."""
    part, fence = list[str](), ""
    for line in text.splitlines(keepends=True):
        found = _FENCE.match(line)
        if found and not fence:
            yield "".join(part), False
            part, fence = [line], found[2]
        elif found and line.strip() == found[2] and found[2].startswith(fence):
            yield "".join([*part, line]), True
            part, fence = [], ""
        else:
            part.append(line)
    yield "".join(part), bool(fence)


def with_tables(text: str) -> str:
    """Return a page whose tables fit: long code may break, and rows of prose are records on a phone."""
    return "".join(part if is_code else _TABLE.sub(_table, part) for part, is_code in _parts(text))


def _table(match: re.Match[str]) -> str:
    table = _CODE.sub(_breakable, match[0])
    rows = match[0].splitlines()[2:]
    if sum(map(len, rows)) < PROSE * len(rows):
        return table
    return f'<div class="records" markdown="1">\n\n{_labelled(table)}\n</div>\n'


def _labelled(table: str) -> str:
    """Return a table whose cells name their columns, for when they are shown below each other."""
    head, line, *rows = table.splitlines()
    names = [re.sub(r"[`*]|<[^>]*>|\[|\]\([^)]*\)", "", cell).strip() for cell in _cells(head)]
    if len(names) < COLUMNS:
        return table
    labels = [f'<span data-label="{escape(name)}"></span>' if name else "" for name in ["", *names[1:]]]
    labelled = (
        " | ".join(f"{label}{cell}" if cell else "" for label, cell in zip(labels, _cells(row), strict=True))
        for row in rows
    )
    return "\n".join([head, line, *(f"| {row} |" for row in labelled), ""])


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in _PIPE.split(row.strip())[1:-1]]


def _breakable(match: re.Match[str]) -> str:
    code = match[1].replace("\\|", "|")
    if len(code) <= BREAK and code == match[1]:
        return match[0]
    return f'<code class="long">{"<wbr>".join(map(_escaped, _AFTER.split(code)))}</code>'


def _escaped(text: str) -> str:
    return "".join(f"&#{ord(letter)};" if letter in _SPECIAL else letter for letter in text)


def with_lists(text: str) -> str:
    """Return a page whose lists Python-Markdown reads as GitHub does.

    GitHub lets a list follow a paragraph without a blank line, and indents by the width of the marker.
    """
    return "".join(_Lists().lines(text))


class _Lists:
    """A pass over the lines of a page, which knows the open list items by their columns."""

    def __init__(self) -> None:
        self._open = list[tuple[int, int]]()
        """The column of the marker and of the content of each open item, outermost first."""
        self._after_blank = True
        self._in_parts = False
        """True if the open item has several paragraphs: the next item then needs a blank line before it."""

    def lines(self, text: str) -> Iterator[str]:
        fence, column = "", 0
        for line in text.splitlines(keepends=True):
            found = _FENCE.match(line)
            if fence:
                yield self._indent() + _dedented(line, column)
                if found and line.strip() == found[2] and found[2].startswith(fence):
                    fence = ""
            elif found:
                self._close_below(len(found[1]))
                fence, column = found[2], self._column()
                self._in_parts = self._in_parts or self._after_blank
                yield self._indent() + _dedented(line, column)
                self._after_blank = False
            elif not line.strip():
                self._after_blank = True
                yield line
            else:
                yield from self._text(line)
                self._after_blank = False

    def _text(self, line: str) -> Iterator[str]:
        item = _ITEM.match(line)
        if item is None:
            if self._after_blank:
                self._close_below(len(line) - len(line.lstrip(" ")))
                self._in_parts = True
            yield self._indent() + (
                _dedented(line, self._column()) if self._after_blank else _stripped(line, self._open)
            )
            return
        column = len(item[1])
        if (self._in_parts or not self._open) and not self._after_blank:
            yield "\n"
        self._in_parts = False
        while self._open and column < self._open[-1][1]:
            self._open.pop()
        yield f"{self._indent()}{line[column:]}"
        self._open.append((column, item.end()))

    def _close_below(self, column: int) -> None:
        while self._open and column < self._open[-1][1]:
            self._open.pop()

    def _column(self) -> int:
        return self._open[-1][1] if self._open else 0

    def _indent(self) -> str:
        return " " * (STEP * len(self._open))


def _stripped(line: str, opened: list[tuple[int, int]]) -> str:
    return line.lstrip(" ") if opened else line


def _dedented(line: str, column: int) -> str:
    return line[column:] if not line[:column].strip() else line.lstrip(" ")
