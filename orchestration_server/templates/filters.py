"""The filters and tests of templates. Each pays for its work before it begins."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, cast

import orjson
from jinja2 import pass_context
from jinja2.runtime import Undefined

from orchestration.structs import whole
from orchestration_server.codec import slugs
from orchestration_server.templates.budget import Budget, Fault, NoText

MAX_INDENT = 16
SLUG_LENGTH = 48
SLUG_SOURCE = 16 * SLUG_LENGTH
"""The characters of a text that a slug is made from."""


def text(value: Any) -> str:
    """Return the printed text of a scalar. Raises NoText for a list or an object."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(whole(value))
    if isinstance(value, Undefined):
        return str(value)  # raises an error that names the missing value
    raise NoText("a list or an object has no text of its own: use join, tojson or a loop")


def _budget(context: Any) -> Budget:
    return cast(Budget, context.budget)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else text(value)


def _by_text(change: Callable[[str], str]) -> Callable[[Any, Any], str]:
    @pass_context
    def apply(context: Any, value: Any) -> str:
        found = _string(value)
        _budget(context).read(4 * len(found))
        _budget(context).make(len(found))
        return change(found)

    return apply


@pass_context
def _replace(context: Any, value: Any, old: Any, new: Any) -> str:
    found, instead = _string(value), _string(new)
    if not isinstance(old, str) or not old:
        raise Fault("replace needs a text to replace")
    _budget(context).read(len(found) * 4)
    _budget(context).make(len(found) + found.count(old) * len(instead))
    return found.replace(old, instead)


@pass_context
def _truncate(context: Any, value: Any, length: int = 80, end: str = "…") -> str:
    found = _string(value)
    if type(length) is not int or length < 0:
        raise Fault("truncate takes a length from 0")
    if len(found) <= length:
        return found
    _budget(context).make(length)
    return found[: max(0, length - len(end))] + end


@pass_context
def _indent(context: Any, value: Any, width: int = 4, first: bool = False) -> str:
    found = _string(value)
    if type(width) is not int or not 0 <= width <= MAX_INDENT:
        raise Fault(f"indent takes a width of 0 to {MAX_INDENT}")
    breaks = found.count("\n")
    _budget(context).spend(breaks)
    _budget(context).make(len(found) + (breaks + 1) * width)
    pad = " " * width
    lines = found.split("\n")
    kept = lines[:1] if not first else [pad + lines[0] if lines[0] else ""]
    return "\n".join(kept + [pad + line if line else "" for line in lines[1:]])


@pass_context
def _join(context: Any, value: Any, separator: str = "") -> str:
    budget = _budget(context)
    parts = []
    for item in _list(value):
        part = text(item)
        budget.spend(4)
        budget.make(len(part) + len(separator))
        parts.append(part)
    return separator.join(parts)


@pass_context
def _wrap(context: Any, value: Any, before: Any = "", after: Any = "") -> Any:
    ahead, behind, budget = _string(before), _string(after), _budget(context)

    def wrap(item: Any) -> str:
        inner = _string(item)
        budget.spend(6)
        budget.make(len(ahead) + len(inner) + len(behind))
        return ahead + inner + behind

    return [wrap(item) for item in value] if isinstance(value, list) else wrap(value)


@pass_context
def _slug(context: Any, value: Any) -> Any:
    budget = _budget(context)

    def slug(item: Any) -> str:
        found = _string(item)[:SLUG_SOURCE]
        budget.spend(8)
        budget.read(32 * len(found))
        return slugs.slug(found, SLUG_LENGTH)

    return [slug(item) for item in value] if isinstance(value, list) else slug(value)


@pass_context
def _length(context: Any, value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise Fault("length takes a text, a list or an object")
    return len(value)


@pass_context
def _first(context: Any, value: Any) -> Any:
    return _end(context, value, 0)


@pass_context
def _last(context: Any, value: Any) -> Any:
    return _end(context, value, -1)


def _end(context: Any, value: Any, index: int) -> Any:
    found = _list(value)
    return found[index] if found else context.environment.undefined("the list is empty")


@pass_context
def _default(context: Any, value: Any, instead: Any = "", boolean: bool = False) -> Any:
    if isinstance(value, Undefined) or value is None or (boolean and not value):
        return instead
    return value


@pass_context
def _tojson(context: Any, value: Any) -> str:
    if isinstance(value, Undefined):
        text(value)
    budget = _budget(context)
    # A character takes up to 6 characters in JSON.
    budget.make(budget.weigh(value))
    made = orjson.dumps(whole(value)).decode()
    budget.make(len(made))
    return made


@pass_context
def _items(context: Any, value: Any) -> list[list[Any]]:
    if not isinstance(value, dict):
        raise Fault("items takes an object")
    _budget(context).spend(2 * len(value))
    return [[key, item] for key, item in value.items()]


@pass_context
def _numbers(context: Any, value: Any) -> list[str]:
    found = _list(value)
    _budget(context).spend(2 * len(found))
    return [str(number) for number in range(1, len(found) + 1)]


FILTERS: dict[str, Callable[..., Any]] = {
    "capitalize": _by_text(str.capitalize),
    "default": _default,
    "first": _first,
    "indent": _indent,
    "items": _items,
    "join": _join,
    "last": _last,
    "length": _length,
    "lower": _by_text(str.lower),
    "numbers": _numbers,
    "replace": _replace,
    "slug": _slug,
    "title": _by_text(str.title),
    "tojson": _tojson,
    "trim": _by_text(str.strip),
    "truncate": _truncate,
    "upper": _by_text(str.upper),
    "wrap": _wrap,
}

# Tests such as even are left out: on a text, their "%" formats it, and the sandbox does not see that.
TESTS: dict[str, Callable[[Any], bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "defined": lambda value: not isinstance(value, Undefined),
    "list": lambda value: isinstance(value, list),
    "none": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "string": lambda value: isinstance(value, str),
    "undefined": lambda value: isinstance(value, Undefined),
}

# Filters that the rewriter of the syntax tree inserts. No template can write their names.

EACH, CONCAT, COMPARE = "(each)", "(concat)", "(compare)"


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, Undefined):
        text(value)
    raise Fault("only a list can be gone through; of an object, its items")


@pass_context
def _each(context: Any, value: Any, turn: int) -> Iterator[Any]:
    spend = _budget(context).spend
    for item in _list(value):
        spend(turn)
        yield item


@pass_context
def _concat(context: Any, parts: list[Any]) -> str:
    found = [_string(part) for part in parts]
    _budget(context).make(sum([len(part) for part in found]))
    return "".join(found)


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gteq": operator.ge,
    "lt": operator.lt,
    "lteq": operator.le,
}


@pass_context
def _compare(context: Any, left: Any, how: str, right: Any) -> bool:
    budget = _budget(context)
    for value in (left, right):
        if isinstance(value, Undefined):
            text(value)
    if isinstance(left, list | dict):
        raise Fault("texts, numbers and booleans can be compared, lists and objects cannot")
    if isinstance(left, str):
        budget.read(len(left))
    if how in ("in", "notin"):
        if isinstance(right, list):
            # Texts of equal length may be compared to their ends.
            budget.spend(len(right))
            budget.read(sum([len(part) for part in right if isinstance(part, str)]))
        elif isinstance(right, str) and isinstance(left, str):
            budget.read(4 * len(right))
        elif not isinstance(right, dict):
            raise Fault("in takes a list, an object's names, or a text within a text")
        return (left in right) == (how == "in")
    if isinstance(right, list | dict):
        raise Fault("texts, numbers and booleans can be compared, lists and objects cannot")
    return _ORDER[how](left, right)


INTERNAL: dict[str, Callable[..., Any]] = {EACH: _each, CONCAT: _concat, COMPARE: _compare}
