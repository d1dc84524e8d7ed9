"""Text of callers in a Markdown context. Only this module decides how it is written.

The server's headings and lines start a line of the document. Text of callers never does: it is put on a line
that the server has begun, or, if it has several lines, into a fence that is longer than any fence within. So
it can form neither a heading nor an item. Values in the middle of a line are quoted unless they are words.
"""

from __future__ import annotations

import json
import re
from typing import Any

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""What may end a line or is invisible in it."""
_PLAIN = re.compile(r"[\w.@/+:#-]+")
_LOOKS_TYPED = re.compile(r"-?[0-9.]+(e[+-]?[0-9]+)?|true|false|null|none", re.IGNORECASE)
_UNSEEN = (
    r"(?:[^\S\n]|[>\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u180e\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff])*"
)
"""Spaces, marks of quotes and invisible characters, which may stand before a mark."""
_STRUCTURE = re.compile(rf"^{_UNSEEN}(?:#|`{{3}}|~{{3}}|<|=+[ \t]*$|-+[ \t]*$|…)", re.MULTILINE)
"""The beginning of a line that Markdown, or this document, could take for structure."""
_MARK = re.compile(rf"{_UNSEEN}(?:[#<=…|]|`{{3}}|~{{3}}|[-+*] )|>")
"""The beginning of a text that could be taken for structure within an item."""
_TABS_AND_LINES = {ord("\t"): " ", ord("\n"): " "}
_TICKS = re.compile(r"`+")


def one_line(text: str) -> str:
    """Return a text on one line, for the end of a line that the server has begun."""
    found = _BREAKS.sub(" ", text).strip()
    return "\\" + found if _MARK.match(found) else found


def word(text: str) -> str:
    """Return a name or another short value for the middle of a line: quoted unless it is one plain word."""
    return text if _PLAIN.fullmatch(text) else quoted(text)


def quoted(value: Any) -> str:
    """Return a value as JSON on one line, without quotation marks or breaks that could end it early."""
    found = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return _BREAKS.sub(lambda match: "".join(f"\\u{ord(c):04x}" for c in match.group()), found)


def scalar(value: Any) -> str:
    """Return a JSON value for the middle of a line. Strings that look like another value are quoted."""
    if value is None:
        return "none"
    if isinstance(value, str) and not _LOOKS_TYPED.fullmatch(value):
        return word(value)
    return quoted(value)


def has_lines(text: str) -> bool:
    """Return whether a text has several lines."""
    return len(text.splitlines()) > 1


def needs_fence(text: str) -> bool:
    """Return whether a line of the text could be taken for structure, or has characters that end a line."""
    plain = text.replace("\r\n", "\n")
    return bool(_BREAKS.search(plain.translate(_TABS_AND_LINES)) or _STRUCTURE.search(plain))


def fence(text: str) -> str:
    """Return a fence that no run of backticks in the text closes."""
    return "`" * max(3, 1 + max(map(len, _TICKS.findall(text)), default=0))


def lines(text: str) -> str:
    """Return a text of several lines with the line breaks of this document."""
    return text.replace("\r\n", "\n").rstrip()
