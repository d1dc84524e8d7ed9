"""The body of a markdown file that a person wrote: fields, lists and text, separated by headings.

A field is written as `**Status**: done`, `Status: done`, `## Status: done`, a heading with the value below
it, or a row of a table. Everything that is no field and no list stays in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_HEADING = re.compile(r"\s{0,3}(#{1,6})\s(.*)")
_UNDERLINE = re.compile(r"\s{0,3}(=+|-{3,})\s*")
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
_RULE = re.compile(r"\s{0,3}([-*_])(?:\s*\1){2,}\s*")
_MARKER = re.compile(r"\s*<!--\s*[\w:]+:(?:BEGIN|END)\s*-->\s*", re.IGNORECASE)
_COMMENT = re.compile(r"\s*<!--.*-->\s*")
_ITEM = re.compile(r"\s{0,3}(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?(.*)")
_TICKED = re.compile(r"\s{0,3}(?:[-*+]|\d+[.)])\s+\[[xX]\]\s.*")
_NUMBERED = re.compile(r"#\d+\s+(.*)", re.DOTALL)
_BOLD = re.compile(r"(?:\*\*|__)([^\W\d_][^*:]{0,40}?)\s*(?::\s*(?:\*\*|__)|(?:\*\*|__)\s*:)[ \t]*")
_PLAIN = re.compile(r"\s{0,3}(?:[-*>]\s+)?([^\W\d_][\w /-]{0,40}?)[ \t]*:(?:[ \t]+(.*))?")
_NAMED = re.compile(r"([^\W\d_][\w /-]{0,40}?)\s*[:：]\s*(.*)")
_STATUS_LINE = re.compile(
    r"[\s>*_|#+-]*(?:(?:task|sprint|current|overall)\s+)?(?:status|state)"
    r"[\s*_`]*(?:[:：=|]|\s[-–—]\s)[\s*_`|]*([^\s|*_`].*)",
    re.IGNORECASE,
)
_DELIMITER = re.compile(r"\s*(?:\|\s*)?:?-{2,}:?\s*(?:\|.*)?")

LISTS = {
    "objectives": "objectives", "objective": "objectives", "goals": "objectives",
    "deliverables": "deliverables", "acceptance criteria": "acceptance_criteria",
    "definition of done": "acceptance_criteria",
}  # fmt: skip
SHORT = frozenset((
    "status", "priority", "assignee", "assignees", "assigned_to", "owner", "labels", "tags", "sprint",
    "sprint_id", "sprint_code", "depends_on", "dependencies", "blocked_by", "state", "task_status",
))  # fmt: skip
"""Names of fields whose value may be in or below a heading."""
_IN_HEADING = SHORT | {"task_id", "task_code", "phase"}
_LINK_FIELDS = frozenset(("blocked_by", "depends_on", "blocks"))
_WAITS = frozenset(("dependencies", "depends_on", "blocked_by", "depends on", "blocked by"))


@dataclass
class MarkdownBody:
    """The parts of a body."""

    title: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    """The values by name, in lower case and with `_` for spaces."""
    lists: dict[str, list[str]] = field(default_factory=dict)
    text: str = ""
    waits: list[str] = field(default_factory=list)
    """Items below a heading such as Dependencies. They stay in the text too."""
    originals: dict[str, str] = field(default_factory=dict)
    """The source of each list whose items lose something, such as ticks or sub-headings."""
    grouped: list[str] = field(default_factory=list)
    """The names of lists with sub-headings."""
    status: str = ""
    """A status found somewhere in the text."""


def fold_name(name: str) -> str:
    """Return the name of a field as the tables of names have it: `task_id` for `Task ID` and `taskId`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s-]+", "_", spaced.lower())


def read_body(
    body: str, *, names: Mapping[str, str], lists: Sequence[str], text_headings: Sequence[str]
) -> MarkdownBody:
    """Parse a body.

    Args:
        body: The text.
        names: The names of fields.
        lists: The fields that are lists.
        text_headings: The headings of the main text.
    """
    reader = _BodyReader(names, lists, text_headings)
    lines = _with_atx(body.replace("\r\n", "\n").split("\n"), names)
    for number, line in enumerate(lines):
        reader.read(line, lines[number + 1 : number + 3])
    return reader.end()


def item_text(text: str) -> str:
    """Return an item as it was before the ledger wrote it as one line."""
    if text.startswith('"'):
        try:
            value = json.loads(text)
        except ValueError:
            return text
        if isinstance(value, str):
            return value
    return text


def plain_value(value: str) -> str:
    """Return a value without the markup around it."""
    value = value.strip().removesuffix("\\").strip()
    for pattern in (
        r"`{1,3}([^`]*)`{1,3}", r"\*\*([^*]*)\*\*", r"\*([^*]*)\*", r"_([^_]*)_",
        r"\[\[([^\]|]*)(?:\|[^\]]*)?\]\]", r"\[([^\]]+)\]\([^)]*\)",
    ):  # fmt: skip
        if match := re.fullmatch(pattern, value):
            value = match[1].strip()
    return value


def _with_atx(lines: list[str], names: Mapping[str, str]) -> list[str]:
    """Return the lines with underlined headings written as `# ` and `## `."""
    result: list[str] = []
    for line in lines:
        under = _UNDERLINE.fullmatch(line)
        above = result[-1].strip() if result else ""
        if under is not None and above and not _HEADING.fullmatch(above) and not above.startswith((">", "|")):
            if under[1][0] == "=":
                result[-1] = f"# {above}"
                continue
            name = above.rstrip(":").lower()
            if name in LISTS or fold_name(name) in names:
                result[-1] = f"## {above}"
                continue
        result.append(line)
    return result


class _BodyReader:
    """A parser that reads a body line by line."""

    def __init__(self, names: Mapping[str, str], lists: Sequence[str], text_headings: Sequence[str]) -> None:
        self._names = names
        self._lists = lists
        self._text_headings = text_headings
        self._found = MarkdownBody()
        self._text: list[str] = []
        self._into = ""
        self._level = 0
        self._raw: list[str] = []
        self._groups = 0
        self._asked = ""
        """The name of a heading whose value follows."""
        self._below: list[str] = []
        self._waiting = False
        self._head = True
        self._fence = ""
        self._comment = False

    def read(self, line: str, following: list[str]) -> None:
        """Read one line."""
        if self._in_code(line) or self._in_comment(line):
            self._keep(line)
            return
        heading = _HEADING.fullmatch(line)
        if heading is not None:
            self._heading(line, len(heading[1]), heading[2].strip().rstrip("#").rstrip())
            return
        if not self._found.status:
            self._status_line(line, following)
        if self._asked:
            if line.strip() and not _COMMENT.fullmatch(line):
                self._below.append(line)
                return
            if not self._below:
                return
            self._answer()
        if self._head and self._take_fields(line, following):
            return
        if _MARKER.fullmatch(line):
            return
        self._keep(line)

    def end(self) -> MarkdownBody:
        """Return the body after its last line."""
        self._answer()
        self._close_list()
        while self._text and (not self._text[-1].strip() or _RULE.fullmatch(self._text[-1])):
            self._text.pop()
        self._found.text = "\n".join(self._text).rstrip()
        return self._found

    def _in_code(self, line: str) -> bool:
        fence = _FENCE.match(line)
        if self._fence:
            if fence is not None and fence[1].startswith(self._fence) and line.strip() == fence[1]:
                self._fence = ""
            return True
        if fence is not None:
            self._answer()
            self._fence = fence[1]
        return fence is not None

    def _in_comment(self, line: str) -> bool:
        if self._comment:
            self._comment = "-->" not in line
            return True
        opened = line.rfind("<!--")
        self._comment = opened >= 0 and "-->" not in line[opened:]
        return self._comment and line[:opened].strip() == ""

    def _heading(self, line: str, level: int, text: str) -> None:
        self._answer()
        if level == 1 and self._head and not self._text and not self._found.title:
            self._found.title = text
            return
        named = _NAMED.fullmatch(plain_value(text))
        if named is not None and fold_name(named[1]) in _IN_HEADING and self._known(named[1]):
            if named[2].strip():
                self._set(named[1], named[2])
            else:
                self._asked = fold_name(named[1])
            self._close_list()
            self._into = ""
            return
        name = text.rstrip(":").strip().lower()
        if self._into and level > self._level:
            self._raw.append(line)
            self._groups += 1
            return
        self._head = False
        self._close_list()
        self._waiting = name in _WAITS
        self._into = LISTS[name] if LISTS.get(name) in self._lists else ""
        self._level = level
        if self._into:
            return
        if name in self._text_headings:
            while self._text and not self._text[-1].strip():
                self._text.pop()
            return
        if fold_name(name) in SHORT and self._known(name) and not self._waiting:
            self._asked = fold_name(name)
            return
        self._text.append(line)

    def _answer(self) -> None:
        """Store the lines below a heading that names a field as the field's value."""
        name, lines = self._asked, self._below
        self._asked, self._below = "", []
        if not name:
            return
        checked = [line for line in lines if re.match(r"\s*[-*+]\s+\[[xX]\]", line)]
        if len(lines) > 1 and len(checked) == 1:
            lines = checked
        items = [match[1] if (match := _ITEM.fullmatch(line)) else line for line in lines]
        value = " | ".join(plain_value(item) for item in items)
        if lines and (len(value) <= 200 or name in ("status", "state", "task_status")):
            self._set(name, value if len(items) == 1 or name != "labels" else value.replace(" | ", ", "))
        elif lines:
            self._text += [f"## {name.replace('_', ' ').capitalize()}", *lines]

    def _known(self, name: str) -> bool:
        return fold_name(name) in self._names

    def _set(self, name: str, value: str) -> None:
        self._found.fields.setdefault(fold_name(name), plain_value(value))

    def _take_fields(self, line: str, following: list[str]) -> bool:
        """Store the fields of a line above the first section. Return False if it has none."""
        bare = re.sub(r"^\s*(?:[-*>]\s+)?", "", line)
        places = list(_BOLD.finditer(bare))
        if places and places[0].start() == 0 and self._known(places[0][1]):
            for place, after in zip(places, [*places[1:], None], strict=True):
                value = bare[place.end() : after.start() if after else len(bare)]
                if self._known(place[1]):
                    self._set(place[1], re.sub(r"\s*[|·•,;]\s*$", "", value) if after else value)
                else:
                    self._text.append(bare[place.start() : after.start() if after else len(bare)])
            return True
        plain = _PLAIN.fullmatch(line)
        if plain is not None and plain[2] and not self._text and self._known(plain[1]):
            self._set(plain[1], plain[2])
            return True
        cells = [plain_value(cell).rstrip(":").strip() for cell in line.strip().strip("|").split("|")]
        if (
            line.lstrip().startswith("|")
            and len(cells) == 2
            and cells[1]
            and fold_name(cells[0]) in SHORT
            and self._known(cells[0])
            and not (following and _DELIMITER.fullmatch(following[0]))
        ):
            # The row stays in the text, because it is part of a table.
            self._set(*cells)
        return False

    def _status_line(self, line: str, following: list[str]) -> None:
        """Note a status if a line of the text reads as one."""
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            return
        value = match[1].strip().strip("*_` ")
        if line.lstrip().startswith("|"):
            value = value.rstrip("|").strip()
            if len(following) == 2 and _DELIMITER.fullmatch(following[0]):
                cells = following[1].strip().strip("|").split("|")
                # If the rows differ in length, it is unknown which cell has the status.
                value = cells[0] if len(cells) == line.strip().strip("|").count("|") + 1 else following[1]
        self._found.status = plain_value(value)

    def _keep(self, line: str) -> None:
        """Store a line that is no heading and no field."""
        if self._into:
            self._raw.append(line)
            if line.strip() and not (self._comment or self._fence) and _is_item(line):
                _add(self._found.lists.setdefault(self._into, []), line)
            elif line.strip() and self._fence:
                _add(self._found.lists.setdefault(self._into, []), "    " + line.strip())
            return
        if self._waiting and not (self._fence or self._comment):
            self._waits(line)
        if self._text or (line.strip() and not _RULE.fullmatch(line)):
            self._text.append(line)

    def _waits(self, line: str) -> None:
        """Note the tasks that a line below Dependencies names. The line stays in the text."""
        item = _ITEM.fullmatch(line)
        bare = (item[1] if item else line).strip()
        bold = _BOLD.match(bare)
        if bold is not None and fold_name(bold[1]) in _LINK_FIELDS and self._known(bold[1]):
            self._set(bold[1], bare[bold.end() :])
        elif item is not None:
            self._found.waits.append(plain_value(bare))

    def _close_list(self) -> None:
        if self._groups:
            self._found.grouped.append(self._into)
        if self._groups or any(map(_TICKED.fullmatch, self._raw)):
            before = self._found.originals.get(self._into, "")
            self._found.originals[self._into] = "\n".join([before, *self._raw]).strip("\n")
        self._raw, self._groups = [], 0


def _is_item(line: str) -> bool:
    """Return False for a rule, a marker or a comment between the items of a list."""
    ends_comment = "-->" in line and "<!--" not in line
    return not (_RULE.fullmatch(line) or _COMMENT.fullmatch(line) or ends_comment)


def _add(items: list[str], line: str) -> None:
    item = _ITEM.fullmatch(line)
    if item is not None:
        numbered = _NUMBERED.fullmatch(item[1])
        items.append(item_text(numbered[1] if numbered else item[1]))
    elif items and line[0] in " \t":
        items[-1] += "\n" + line.strip()
    else:
        items.append(line.strip())


def parts(body: MarkdownBody) -> dict[str, Any]:
    """Return a body's fields and lists in one mapping."""
    return {**body.fields, **body.lists}
