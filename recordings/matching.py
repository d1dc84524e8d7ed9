"""Comparison of two runs of one session, without times, ids and numbers of processes."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_SAME = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\b(?:\d{4}-)?\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|\+00:00)?\b"), "TIME"),
    (re.compile(r"\b\d\d:\d\d(?::\d\d)?\b"), "TIME"),
    (re.compile(r"\b(?:\d{4}-)?\d\d-\d\d\b"), "DAY"),
    # Events of one minute are told together, and a new minute may begin between any two.
    (re.compile(r"; TIME "), ", "),
    (re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:ms|[smhdw])\b"), "SPAN"),
    (re.compile(r"^\[(\d)\] \d+$", re.MULTILINE), r"[\1] PROCESS"),
    (re.compile(r"\bdemo-[0-9a-f]{4}\b"), "demo-CODE"),
    # A column is as wide as its widest time.
    (re.compile(r"(?<=\S) {2,}"), "  "),
)


def plain(text: str) -> str:
    """Return what a terminal shows, without colours and other escapes."""
    return _ESCAPES.sub("", text).replace("\r", "")


def same(text: str) -> str:
    """Return a text with a word in place of each time, id and other value of a single run."""
    for pattern, put in _SAME:
        text = pattern.sub(put, text)
    return text


def pattern(lines: Sequence[str], *, begins: bool = False) -> re.Pattern[str]:
    """Return the pattern of the output that the lines of a page stand for.

    If ``begins``, the output may go on after them.
    """
    found = ""
    for line in lines:
        if line == "…":
            found += r"(?:[^\n]*\n)*?"
        else:
            found += re.escape(same(line)).replace("…", "[^\n]*") + "\n"
    return re.compile(found + (".*" if begins else ""), re.DOTALL)


def matches(lines: Sequence[str], output: str, *, begins: bool = False) -> bool:
    """Return True if the output of a terminal is what the lines of a page stand for."""
    shown = same("\n".join(line.rstrip() for line in plain(output).splitlines()))
    return bool(pattern(lines, begins=begins).fullmatch(shown + "\n" if shown else ""))
