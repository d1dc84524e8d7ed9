"""Front matter: the fields at the head of a markdown file, in YAML between `---` or in TOML between `+++`.

People write front matter that no parser accepts: `title: Auth: part 2`, a missing fence, a repeated key. Such
a block is read field by field, and a field that cannot be parsed is used as it is written.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

from orchestration_server.cli.importing.jsonl_format import BadRow
from orchestration_server.cli.importing.values import number
from orchestration_server.cli.importing.yaml_text import join_surrogates, read_yaml, spelled_yaml

_START = re.compile(r"(?:[ \t]*\r?\n)*(---|\+\+\+)[ \t]*\r?\n")
_END = {
    "---": re.compile(r"^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.MULTILINE),
    "+++": re.compile(r"^\+\+\+[ \t]*(?:\r?\n|\Z)", re.MULTILINE),
}
_KEY = {
    "---": re.compile(r"""("[^"\n]{1,80}"|'[^'\n]{1,80}'|[^\W\d][^:#\n]{0,80}?)[ \t]*:(?:[ \t]+(.*)|)"""),
    "+++": re.compile(r"""("[^"\n]{1,80}"|[\w.-]{1,80})[ \t]*=[ \t]*(.*)"""),
}


_MOST_PARSED = 1_000
"""The number of fields of an invalid block that are parsed one by one; further ones are read as text."""
_MOST_VALUES = 20


class _RepeatedValues(list[Any]):
    """The values of a repeated key."""


@dataclass
class FrontMatter:
    """The fields of a file's front matter, and the text that follows it."""

    body: str
    values: dict[str, Any] = field(default_factory=dict)
    """The values as JSON has them."""
    spelled: dict[str, Any] = field(default_factory=dict)
    """The values with each scalar as it is written, because a code `2.10` is no number."""
    warnings: list[str] = field(default_factory=list)


def split(text: str) -> FrontMatter:
    """Return the front matter of a text, which has no fields if the text does not begin with a fence."""
    start = _START.match(text)
    if start is None:
        return FrontMatter(text)
    fence, rest = start[1], text[start.end() :]
    end = _END[fence].search(rest)
    if end is None:
        return _unclosed(text, fence, rest)
    block, body = rest[: end.start()], rest[end.end() :]
    found = FrontMatter(body)
    try:
        found.values, found.spelled = _parsed(fence, block)
    except BadRow as error:
        return _by_field(text, fence, block, body, str(error))
    return found


def _parsed(fence: str, block: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if fence == "+++":
        return _toml(block)
    values = read_yaml(block)
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise BadRow("is not a mapping")
    return values, spelled_yaml(block)


def _toml(block: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        spelled = tomllib.loads(block, parse_float=str)
        values = tomllib.loads(block, parse_float=lambda text: number(text.replace("_", "")))
    except (ValueError, RecursionError) as error:
        raise BadRow(f"not TOML: {str(error).splitlines()[0]}") from None
    return _plain(values), _plain(spelled, spelled=True)


def _plain(value: Any, *, spelled: bool = False) -> Any:
    """Return a TOML value as JSON has it: times become text."""
    if isinstance(value, dict):
        return {join_surrogates(key): _plain(item, spelled=spelled) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, spelled=spelled) for item in value]
    if isinstance(value, str | float):
        return value
    if isinstance(value, bool):
        return str(value).lower() if spelled else value
    if isinstance(value, int):
        return str(value) if spelled else number(str(value))
    return value.isoformat()


def _unclosed(text: str, fence: str, rest: str) -> FrontMatter:
    """Read fields up to the first line that is none. Without any field the fence is a horizontal rule."""
    lines = rest.splitlines(keepends=True)
    count = _field_lines(lines, _KEY[fence])
    if not count:
        return FrontMatter(text)
    found = FrontMatter("".join(lines[count:]))
    found.warnings.append(f"the front matter has no closing {fence}: read up to line {count + 1}")
    _read_fields(fence, lines[:count], found)
    return found


def _field_lines(lines: list[str], key: re.Pattern[str]) -> int:
    """Return the number of leading lines that belong to fields."""
    count, last = 0, 0
    for place, line in enumerate(lines, 1):
        bare = line.rstrip("\r\n")
        if not bare.strip():
            continue
        if key.fullmatch(bare) or (count and bare[0] in " \t-" and place == last + 1):
            count = place
        else:
            break
        last = place
    return count


def _by_field(text: str, fence: str, block: str, body: str, reason: str) -> FrontMatter:
    """Read an invalid block field by field. Lines that are no field belong to the text."""
    lines = block.splitlines(keepends=True)
    key = _KEY[fence]
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    if not key.fullmatch(first.rstrip("\r\n")):
        if not first:
            return FrontMatter(body)
        found = FrontMatter(text)
        found.warnings.append(f"front matter: {reason}: taken as text")
        return found
    # If a fence was never closed, a horizontal rule far below looks like its end.
    if _leaves_fields(lines, key):
        return _unclosed(text, fence, text[text.index(block) :])
    found = FrontMatter(body)
    found.warnings.append(f"front matter: {reason}: read field by field")
    _read_fields(fence, lines, found)
    return found


def _leaves_fields(lines: list[str], key: re.Pattern[str]) -> bool:
    """Return True if the first line after a blank one begins at the margin and is no field."""
    blank = False
    for line in lines:
        bare = line.rstrip("\r\n")
        if not bare.strip():
            blank = True
        elif blank:
            return not bare[0].isspace() and not key.match(bare)
    return False


def _read_fields(fence: str, lines: list[str], found: FrontMatter) -> None:
    key = _KEY[fence]
    fields: list[tuple[str, str, list[str]]] = []
    stray: list[str] = []
    for line in lines:
        bare = line.rstrip("\r\n")
        match = key.fullmatch(bare)
        if match is not None:
            fields.append((match[1].strip("\"'").strip(), (match[2] or "").strip(), [line]))
        elif fields and bare[:1] in (" ", "\t", "-"):
            fields[-1][2].append(line)
        elif bare.strip() and not bare.startswith("#"):
            stray.append(line)
    for place, (name, rest, written) in enumerate(fields):
        try:
            if place >= _MOST_PARSED:
                raise BadRow("too many fields")
            values, spelled = _parsed(fence, "".join(written))
        except BadRow:
            more = [line.strip() for line in written[1:]]
            values = {name: join_surrogates("\n".join([rest, *more]).strip())}
            spelled = values
        for one, value in values.items():
            _put(found.values, one, value)
            _put(found.spelled, one, spelled.get(one))
    # Lines that are no field were part of the text.
    found.body = "".join(stray) + found.body


def _put(into: dict[str, Any], name: str, value: Any) -> None:
    """Set a field. If it has a different value already, keep both: it is unknown which one is meant."""
    if name not in into:
        into[name] = value
        return
    before = into[name]
    if before != value and not (isinstance(before, _RepeatedValues) and len(before) >= _MOST_VALUES):
        into[name] = _RepeatedValues(
            [*before, value] if isinstance(before, _RepeatedValues) else [before, value]
        )
