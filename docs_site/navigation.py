"""The navigation of the site, read from the tables of docs/README.md, so that no page is listed twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_ROW = re.compile(r"^\| \[(?P<title>[^\]]+)\]\((?P<target>[^)]+)\) \|")
_HEAD = re.compile(r"^\| *(?P<group>[^|]*?) *\|.*\|$")


@dataclass(slots=True)
class Group:
    """Links of one table: the titles and targets of its rows."""

    title: str
    links: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Section:
    """The tables below one heading of level 2."""

    title: str
    groups: list[Group] = field(default_factory=list)


def sections(text: str) -> list[Section]:
    """Return the sections of an index whose tables have a link at the beginning of each row."""
    found = list[Section]()
    previous = ""
    for line in text.splitlines():
        if line.startswith("## "):
            found.append(Section(line[3:].strip()))
        elif line.startswith("|---") and found:
            head = _HEAD.match(previous)
            found[-1].groups.append(Group(head["group"] if head else ""))
        elif (row := _ROW.match(line)) and found and found[-1].groups:
            found[-1].groups[-1].links.append((row["title"], row["target"]))
        previous = line
    return [section for section in found if section.groups]


Entry = tuple[str, "str | list[Entry]"]
"""A title with a page or with entries. An empty title is that of the page."""


def toml(entries: list[Entry], indent: str = "") -> Iterator[str]:
    """Yield the lines of the array of the entries as TOML."""
    inner = indent + "  "
    yield "["
    for title, content in entries:
        if isinstance(content, str):
            yield (
                f"{inner}{{ {_quoted(title)} = {_quoted(content)} }},"
                if title
                else f"{inner}{_quoted(content)},"
            )
        else:
            head, *rest = toml(content, inner)
            yield f"{inner}{{ {_quoted(title)} = {head}"
            yield from rest[:-1]
            yield f"{rest[-1]} }},"
    yield f"{indent}]"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
