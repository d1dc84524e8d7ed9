"""Valid rows of other trackers, with any JSON value in their optional fields."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from orchestration_server.cli.importing.jsonl_format import Line

OPTIONAL = (
    "description", "status", "priority", "assignee", "labels", "created_at", "depends_on", "dependencies",
    "sprint_code", "phase", "objectives", "deliverables", "acceptance_criteria", "agent_config", "metadata",
    "capabilities", "not_before", "due_time", "retry_policy", "completed_by_children", "comments",
    "original_status", "import_not_ready", "",
)  # fmt: skip
VALID: dict[str, Any] = {
    "description": "tok-d a description",
    "status": "open",
    "priority": "P1",
    "assignee": "tok-a",
    "labels": ["tok-l"],
    "created_at": "2026-01-02T03:04:05Z",
    "depends_on": [],
    "phase": "tok-p",
    "objectives": ["tok-o"],
    "agent_config": {"model": "tok-m"},
    "metadata": {"due": "tok-due"},
    "capabilities": ["tok-c"],
    "not_before": "2026-01-02T03:04:05Z",
    "due_time": "2999-01-02T03:04:05+01:00",
    "retry_policy": {"max_attempts": 3, "backoff_seconds": 10},
    "completed_by_children": True,
}

# Each text begins with a unique token, which survives if the text is cut. "*150" stands for 150 letters and
# "#90" for 90 items, because hypothesis draws small values.
_tokens = st.integers(100_000, 999_999).map(lambda n: f"tok{n}")
_tails = st.sampled_from(
    ["", " done", "\0", "\ud83d", "é\U0001f600", ",x", "\n- [ ] y", "*150", "*3000", "*120000"]
)
_texts = st.builds(str.__add__, _tokens, _tails)
_words = st.sampled_from(["Done", "in-progress", "wontfix", "✅ closed", "H", "p0", "", " ", "@me", "none"])
_numbers = (
    st.integers(-(10**6), 10**6)
    | st.integers(2**53, 10**30)
    | st.just(int("7" * 310))
    | st.floats(allow_nan=True, allow_infinity=True)
)
_leaves = st.none() | st.booleans() | _texts | _words | _numbers


def _deep(value: Any) -> Any:
    for _ in range(20):
        value = {"in": [value]}
    return value


values = st.recursive(
    _leaves | _leaves.map(_deep),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_tokens | st.sampled_from(["code", "kind", "name", "a\0"]), inner, max_size=4)
        | _tokens.map(lambda token: token + "#90")
    ),
    max_leaves=12,
)
mutations = st.dictionaries(st.sampled_from(OPTIONAL), values, min_size=1, max_size=5)
titles = _texts | st.integers(0, 99)


_ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, 7, -1, 0.5, 2**53 + 1, int("7" * 310), float("nan"), float("inf"), "", " ",
    "open", "To Do", "Done", "in-progress", "humming", "high", "a,b", "x\0y", "\ud83d", "*150", "*3000",
    "*120000", "#90", [], {}, [[]], ["ann", "bob"], [""], [None], {"name": "x"}, [{"name": "x"}], {"": ""},
    _deep("x"), "2026-01-02T03:04:05Z", "0001-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "soon",
)  # fmt: skip


def drawn(draw: random.Random, codes: list[str]) -> dict[str, Any]:
    """Return values for optional fields, without hypothesis, which cannot draw beside a server's threads."""
    links: list[Any] = [draw.choice(codes), {"code": draw.choice(codes), "kind": "waits-for"}, "nowhere", 3]
    odd = [*_ODD, draw.sample(links, 2)]
    return {name: draw.choice(odd) for name in draw.sample(OPTIONAL, draw.randrange(1, 6))}


def row_of(code: str, title: str | int, changed: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = expanded({"code": code, "title": title} | VALID | changed)
    return row


def expanded(value: Any) -> Any:
    """Return a value with its stand-ins for long texts and lists replaced by these."""
    if isinstance(value, dict):
        return {key: expanded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [expanded(item) for item in value]
    if isinstance(value, str) and "*" in value:
        token, _, count = value.partition("*")
        return token + "x" * int(count)
    if isinstance(value, str) and "#" in value:
        token, _, count = value.partition("#")
        return [f"{token}-{n}" for n in range(int(count))]
    return value


def line_of(row: dict[str, Any], number: int = 1) -> Line:
    return Line(number, json.dumps(row).encode(), 0)


def atoms(value: Any) -> Iterator[str]:
    """Yield the tokens and numbers of a value, each of which must be found again."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key.startswith("tok"):
                yield key
            yield from atoms(item)
    elif isinstance(value, list):
        for item in value:
            yield from atoms(item)
    elif isinstance(value, str):
        if value.startswith("tok"):
            yield value[:9].rstrip("\0")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield json.dumps(value)
