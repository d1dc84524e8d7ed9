"""Comparison of what was seen with what a case expects: what it does not name may be anything."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

MISSING = object()


def mismatch(expected: Any, seen: Any, path: str = "") -> str | None:
    """Return how a value differs from what is expected, or None if it does not.

    A mapping has to contain the keys that are expected. A list has to have the same length. A mapping whose
    keys begin with $ is a condition: see `_CONDITIONS`.
    """
    where = path or "the value"
    if isinstance(expected, Mapping):
        if expected and all(str(key).startswith("$") for key in expected):
            return _unmet(expected, seen, where)
        if not isinstance(seen, Mapping):
            return f"{where} is {_shown(seen)}, not an object"
        for key, value in expected.items():
            found = seen.get(key, MISSING)
            if wrong := mismatch(value, found, f"{path}.{key}" if path else str(key)):
                return wrong
        return None
    if seen is MISSING:
        return f"{where} is missing, expected {_shown(expected)}"
    if isinstance(expected, list):
        if not isinstance(seen, list):
            return f"{where} is {_shown(seen)}, not a list"
        if len(expected) != len(seen):
            return f"{where} has {len(seen)} items, not {len(expected)}: {_shown(seen)}"
        for number, (one, other) in enumerate(zip(expected, seen, strict=True)):
            if wrong := mismatch(one, other, f"{path}[{number}]"):
                return wrong
        return None
    same = expected == seen and isinstance(expected, bool) == isinstance(seen, bool)
    return None if same else f"{where} is {_shown(seen)}, not {_shown(expected)}"


def _unmet(conditions: Mapping[str, Any], seen: Any, where: str) -> str | None:
    for name, wanted in conditions.items():
        if name not in _CONDITIONS:
            raise ValueError(f"no such condition: {name}")
        if seen is MISSING and name != "$absent":
            return f"{where} is missing, expected {name} {_shown(wanted)}"
        try:
            met = _CONDITIONS[name](wanted, seen)
        except (TypeError, ValueError):
            met = False
        if not met:
            return f"{where} is {_shown(seen)}, expected {name} {_shown(wanted)}"
    return None


def _has(wanted: Any, seen: Any) -> bool:
    wants = wanted if isinstance(wanted, list) else [wanted]
    return all(any(mismatch(want, one) is None for one in seen) for want in wants)


def _values(wanted: Any, seen: Any) -> bool:
    path, expected = wanted
    return mismatch(expected, [at_path(one, path) for one in seen]) is None


def _counts_up(wanted: Any, seen: Any) -> bool:
    start, end = wanted
    return [float(one) for one in seen] == [float(number) for number in range(start, end)]


_CONDITIONS: dict[str, Callable[[Any, Any], bool]] = {
    "$absent": lambda wanted, seen: (seen is MISSING) == wanted,
    "$at_least": lambda wanted, seen: float(seen) >= wanted,
    "$at_most": lambda wanted, seen: float(seen) <= wanted,
    "$between": lambda wanted, seen: wanted[0] <= float(seen) <= wanted[1],
    "$close": lambda wanted, seen: math.isclose(float(seen), wanted, rel_tol=0.01),
    "$matches": lambda wanted, seen: re.search(wanted, str(seen)) is not None,
    "$length": lambda wanted, seen: mismatch(wanted, len(seen)) is None,
    "$has": _has,
    "$has_no": lambda wanted, seen: not _has(wanted, seen),
    "$distinct": lambda wanted, seen: (len({str(one) for one in seen}) == len(seen)) == wanted,
    "$not": lambda wanted, seen: mismatch(wanted, seen) is not None,
    "$values": _values,
    "$counts_up": _counts_up,
    "$any_of": lambda wanted, seen: any(mismatch(one, seen) is None for one in wanted),
}


def _shown(value: Any) -> str:
    text = "missing" if value is MISSING else repr(value)
    return text if len(text) <= 400 else f"{text[:400]}…"


def at_path(value: Any, path: str) -> Any:
    """Return the value at a path such as response.events.0.cursor; MISSING if there is none."""
    for part in path.split(".") if path else []:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


_VARIABLE = re.compile(r"\$\{([^}]+)\}")


def substitute(value: Any, variables: Mapping[str, Any]) -> Any:
    """Return a value with each ${name} in its texts replaced; a text of one variable becomes its value.

    {$repeat: [text, count]} becomes the text repeated ``count`` times, and {$copies: [value, count]} a list.
    """
    if isinstance(value, Mapping):
        if set(value) == {"$repeat"}:
            text, count = value["$repeat"]
            return substitute(text, variables) * count
        if set(value) == {"$copies"}:
            one, count = value["$copies"]
            return [substitute(one, variables)] * count
        return {key: substitute(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [substitute(one, variables) for one in value]
    if not isinstance(value, str):
        return value
    if whole := _VARIABLE.fullmatch(value):
        return _lookup(whole[1], variables)
    return _VARIABLE.sub(lambda match: str(_lookup(match[1], variables)), value)


def _lookup(name: str, variables: Mapping[str, Any]) -> Any:
    if name not in variables:
        raise ValueError(f"the case has no variable {name}")
    return variables[name]
