"""Printing: tables and sentences for people, JSON and YAML for programs, codes for pipes."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from orchestration.cli.options import Common
from orchestration.cli.refusal import Refusal

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_GAP = 2


@dataclass(frozen=True)
class Answer:
    """What a verb found or did.

    ``document`` is printed as JSON or YAML, ``lines`` for people, and ``names`` for ``-o name``.
    """

    document: Any
    lines: Iterable[str]
    names: Sequence[str] = ()
    code: int = 0


@dataclass
class Table:
    """Rows for people. The last column takes the rest of the line, and is cut at the edge of a terminal."""

    head: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row."""
        self.rows.append([visible(cell) for cell in cells])


class Output:
    """The standard output and error of one command, with the formats and colours that its options ask for."""

    def __init__(self, common: Common) -> None:
        self.format = "json" if common.json else common.output or "table"
        self._when = common.color or "auto"

    @classmethod
    def plain(cls) -> Output:
        """Return an output without colours."""
        return cls(Common(color="never"))

    def print(self, answer: Answer) -> None:
        """Print an answer in the chosen format."""
        if self.format == "json":
            self.line(json.dumps(answer.document, indent=2, ensure_ascii=False))
        elif self.format == "yaml":
            self.line(to_yaml(answer.document).rstrip("\n"))
        else:
            for line in answer.names if self.format == "name" else answer.lines:
                self.line(line)

    def document(self, document: Any) -> None:
        """Print one of many documents: a line of JSON, or one document of a YAML stream."""
        if self.format == "yaml":
            self.line("---\n" + to_yaml(document).rstrip("\n"))
        else:
            self.line(json.dumps(document, ensure_ascii=False))

    def line(self, text: str = "") -> None:
        """Print a line at once, with the characters that the output cannot show replaced."""
        _write(sys.stdout, text)

    def note(self, text: str) -> None:
        """Print a line for people to standard error."""
        _write(sys.stderr, text)

    def refuse(self, refusal: Refusal) -> None:
        """Print an error to standard error, with its fix; as JSON if the output is JSON."""
        if self.format == "json":
            error = {
                "exit_code": refusal.code,
                "reason": refusal.reason,
                "message": refusal.message,
                "violations": dict(refusal.violations),
                "metadata": dict(refusal.metadata),
                "fix": refusal.fix,
            }
            self.note(json.dumps({"error": error}, ensure_ascii=False))
            return
        first, *rest = self.wrapped(f"error: {visible(refusal.message)}", "  ", sys.stderr)
        self.note(self.paint("error:", "red", sys.stderr) + first.removeprefix("error:"))
        for line in rest:
            self.note(line)
        for name, text in refusal.violations.items():
            if text not in refusal.message:
                self.note(f"  {visible(name)}: {visible(text)}")
        if refusal.fix:
            self.note(f"{self.paint('fix:', 'green', sys.stderr)} {visible(refusal.fix)}")

    def colored(self, stream: IO[str] | None = None) -> bool:
        """Return True if the stream, standard output by default, gets colours."""
        if self._when != "auto":
            return self._when == "always"
        stream = stream or sys.stdout
        return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()

    def paint(self, text: str, style: str, stream: IO[str] | None = None) -> str:
        """Return the text in a style, if the stream gets colours."""
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.colored(stream) else text

    def columns(self, stream: IO[str] | None = None) -> int:
        """Return the columns of the terminal; 0 if the stream, standard output by default, is none."""
        return shutil.get_terminal_size((80, 24)).columns if (stream or sys.stdout).isatty() else 0

    def wrapped(self, text: str, indent: str, stream: IO[str] | None = None) -> list[str]:
        """Return a sentence as lines that fit into the terminal; those after the first are indented."""
        columns = self.columns(stream)
        return wrap(text, columns, indent) if columns else [text]

    def table(self, table: Table) -> list[str]:
        """Return the lines of a table. In a terminal the last column ends at its edge."""
        if not table.rows:
            return []
        rows = [list(table.head), *table.rows]
        widths = [max(width(row[place]) for row in rows) for place in range(len(table.head))]
        edge = self.columns()
        lines = [_row(row, widths, edge) for row in rows]
        return [self.paint(lines[0], "dim"), *lines[1:]]


def _row(cells: Sequence[str], widths: Sequence[int], edge: int) -> str:
    padded = [cell + " " * (room - width(cell) + _GAP) for cell, room in zip(cells, widths, strict=True)]
    line = "".join(padded).rstrip()
    return cut(line, edge) if edge else line


def to_yaml(document: Any) -> str:
    """Return a document as YAML, its fields in their order."""
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def width(text: str) -> int:
    """Return the columns that a text takes in a terminal."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    return len(text) + wide - sum(bool(unicodedata.combining(one)) for one in text)


def cut(text: str, columns: int) -> str:
    """Return the text, or its beginning and an ellipsis, in at most ``columns`` columns."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[:-1]
    return text + "…"


def wrap(text: str, columns: int, indent: str) -> list[str]:
    """Return a text as lines of whole words; a word that is wider than the columns has a line for itself."""
    lines = [""]
    start = len(text) - len(text.lstrip(" "))
    for word in text[start:].split(" "):
        begun = lines[-1].strip(" ")
        if begun and width(lines[-1]) + 1 + width(word) > columns:
            lines.append(indent + word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if begun else text[:start] + word
    return lines


def visible(text: str) -> str:
    """Return a text of others with control characters shown, so that it cannot steer the terminal."""
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in text
    )


def one_line(text: str, columns: int = 0) -> str:
    """Return a text on one line, cut if ``columns`` are given."""
    line = visible(" ".join(text.split()))
    return cut(line, columns) if columns else line


def plural(count: int, noun: str) -> str:
    """Return a number with its noun: "1 task", "2 tasks"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _write(stream: IO[str], text: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()
