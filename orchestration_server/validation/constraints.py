"""The kinds of rules that a field may have.

``validation`` assigns a rule to each field; validation/compiler.py compiles the rules to functions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from math import isfinite
from typing import Any

import orjson
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message

from orchestration_server.codec.content import plain

Violations = dict[str, str]
"""Errors by the path below the value: "" for the value itself, "[3]", ".code"."""
Check = Callable[[Any], Violations | None]
Compiled = Callable[[type[Message]], Check]
"""Returns the check of a whole message. The paths of its violations have no leading dot."""

REQUIRED = "is required"
NO_NUL = "must not contain NUL"
STRUCT_BYTES = 64 * 1024
STRUCT_WIRE_BYTES = 16 * STRUCT_BYTES
"""The most bytes of a Struct whose JSON has STRUCT_BYTES: a number of one digit takes 11 bytes."""
MASK_NAMES = 100
"""The most field names in one mask, repeated ones included."""
STRUCT_DEPTH = 16
LAST_SECOND = 253_402_300_799
"""23:59:59 on 31 December 9999, in UTC."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def day(value: str) -> date | None:
    """Return the date of a text YYYY-MM-DD, or None if it is no date."""
    if not _DATE.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


class Rule:
    """A constraint on a field.

    ``check`` compiles it; None instead of a function, or as its result, means valid.
    """

    required = False

    def check(self, compiled: Compiled) -> Check | None:
        """Return the compiled rule."""
        return None


class Ignored(Rule):
    """A field that the server sets. Values from callers are ignored."""


class Flag(Rule):
    """A bool with either value."""


_UNSEEN = frozenset(("Cc", "Cf", "Me", "Mn", "Zl", "Zp", "Zs"))
"""Categories of characters that are invisible by themselves."""
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that are invisible: fillers of Hangul, the empty pattern of Braille."""


def is_blank(text: str) -> bool:
    """Return whether a text is invisible: blanks, zero-width characters, marks without a letter."""
    return all(unicodedata.category(char) in _UNSEEN or char in _FILLERS for char in text)


@dataclass(frozen=True)
class Text(Rule):
    """A text of ``low`` to ``high`` characters without NUL. ``seen`` requires one visible character."""

    low: int
    high: int
    seen: bool = False

    def check(self, compiled: Compiled) -> Check:
        low, high, seen = self.low, self.high, self.seen
        size = {"": f"must have {f'{low} to {high}' if low else f'at most {high}'} characters"}

        def check(value: str) -> Violations | None:
            if not low <= len(value) <= high:
                return size if value else {"": REQUIRED}
            if seen and is_blank(value):
                return {"": "must have a character that can be seen"}
            return {"": NO_NUL} if "\0" in value else None

        return check


@dataclass(frozen=True)
class Printable(Rule):
    """A text of at most ``high`` printable ASCII characters."""

    high: int
    required: bool = False

    def check(self, compiled: Compiled) -> Check:
        high, required = self.high, self.required

        def check(value: str) -> Violations | None:
            if len(value) > high or not value.isascii() or not value.isprintable():
                return {"": f"must have at most {high} printable ASCII characters"}
            return {"": REQUIRED} if required and not value else None

        return check


@dataclass(frozen=True)
class Unreserved(Rule):
    """A text by another rule that does not begin like the names of the ledger's own services."""

    rule: Rule

    def check(self, compiled: Compiled) -> Check:
        inner = self.rule.check(compiled)
        assert inner is not None
        wrong = {"": "must not begin with orchestration., as the ledger's own services do"}

        def check(value: str) -> Violations | None:
            return wrong if value.startswith("orchestration.") else inner(value)

        return check


@dataclass(frozen=True)
class Pattern(Rule):
    """A text that matches a pattern as a whole. ``text`` describes the pattern in an error."""

    pattern: re.Pattern[str]
    text: str
    high: int = 128
    required: bool = False

    def check(self, compiled: Compiled) -> Check:
        match, high, required = self.pattern.fullmatch, self.high, self.required
        wrong = {"": self.text}

        def check(value: str) -> Violations | None:
            if not value:
                return {"": REQUIRED} if required else None
            return wrong if len(value) > high or match(value) is None else None

        return check


@dataclass(frozen=True)
class Form(Rule):
    """A text of at most ``high`` characters in which a function finds no fault, or which is empty."""

    high: int
    fault: Callable[[str], str]
    required: bool = False

    def check(self, compiled: Compiled) -> Check:
        high, fault, required = self.high, self.fault, self.required

        def check(value: str) -> Violations | None:
            if not value:
                return {"": REQUIRED} if required else None
            if len(value) > high:
                return {"": f"must have at most {high} characters"}
            return {"": wrong} if (wrong := fault(value)) else None

        return check


class Date(Rule):
    """An existing day as YYYY-MM-DD, or an empty text."""

    def check(self, compiled: Compiled) -> Check:
        def check(value: str) -> Violations | None:
            return {"": "must be a date, as YYYY-MM-DD"} if value and day(value) is None else None

        return check


@dataclass(frozen=True)
class EnumValue(Rule):
    """A value of an enum: not the unspecified one if ``required``, and one of ``only`` if that is given."""

    enum: EnumDescriptor
    required: bool = False
    only: frozenset[int] | None = None

    def check(self, compiled: Compiled) -> Check:
        names = {value.number: value.name for value in self.enum.values}
        known = frozenset(number for number in names if number or not self.required)
        if self.only is not None:
            known &= self.only

        def check(value: int) -> Violations | None:
            if value in known:
                return None
            if value in names and value:
                return {"": f"{names[value]} is not for this rpc"}
            return {"": "is not a value of " + self.enum.name if value else REQUIRED}

        return check


@dataclass(frozen=True)
class Int(Rule):
    """A number from ``low`` to ``high``, or 0 if ``or_zero``."""

    low: int
    high: int
    or_zero: bool = False

    def check(self, compiled: Compiled) -> Check:
        low, high, or_zero = self.low, self.high, self.or_zero
        wrong = {"": f"must be {'0 or ' if or_zero else ''}from {low} to {high}"}

        def check(value: int) -> Violations | None:
            return None if low <= value <= high or (or_zero and not value) else wrong

        return check


@dataclass(frozen=True)
class Time(Rule):
    """A time in the years 1970 to 9999. Services compare it with the database's clock later."""

    def check(self, compiled: Compiled) -> Check:
        def check(value: Any) -> Violations | None:
            if not (0 <= value.seconds <= LAST_SECOND and 0 <= value.nanos < 1_000_000_000):
                return {"": "must be a time in the years 1970 to 9999"}
            return None

        return check


@dataclass(frozen=True)
class Span(Rule):
    """A duration from ``low`` to ``high`` seconds."""

    low: int
    high: int

    def check(self, compiled: Compiled) -> Check:
        low, high = self.low, self.high

        def check(value: Any) -> Violations | None:
            if abs(value.nanos) >= 1_000_000_000 or value.seconds * value.nanos < 0:
                return {"": "must have less than a second in nanos, and both parts of one sign"}
            seconds = value.seconds + value.nanos / 1e9
            return None if low <= seconds <= high else {"": f"must be from {low} to {high} seconds"}

        return check


class Json(Rule):
    """A Struct of at most 64 KiB as JSON and 16 levels, without NUL, NaN and unknown nulls."""

    def check(self, compiled: Compiled) -> Check:
        def check(value: Any) -> Violations | None:
            # JSON is at most 6 times as long as the wire format, because of control characters, and at least
            # a 16th.
            size = value.ByteSize()
            wrong = "large" if size > STRUCT_WIRE_BYTES else _struct_fault(value, 1)
            if not wrong and size > STRUCT_BYTES // 6 - 2:
                wrong = "large" if len(orjson.dumps(plain(value))) > STRUCT_BYTES else ""
            if wrong == "large":
                return {"": f"must have at most {STRUCT_BYTES} bytes as JSON"}
            return {"": wrong} if wrong else None

        return check


def _struct_fault(struct: Any, depth: int) -> str:
    """Return the first error of a Struct at a depth; empty if it has none."""
    for key, value in struct.fields.items():
        if "\0" in key:
            return NO_NUL
        if wrong := _value_fault(value, depth):
            return wrong
    return ""


def _value_fault(value: Any, depth: int) -> str:
    kind = value.WhichOneof("kind")
    if kind is None:
        return "must not contain a value of no kind"
    if kind == "string_value":
        return NO_NUL if "\0" in value.string_value else ""
    if kind == "number_value":
        return "" if isfinite(value.number_value) else "must not contain NaN or an infinite number"
    if kind == "null_value":
        return "must not contain an unknown null" if value.null_value else ""
    if kind in ("struct_value", "list_value"):
        if depth == STRUCT_DEPTH:
            return f"must be at most {STRUCT_DEPTH} levels deep"
        if kind == "struct_value":
            return _struct_fault(value.struct_value, depth + 1)
        for item in value.list_value.values:
            if wrong := _value_fault(item, depth + 1):
                return wrong
    return ""


@dataclass(frozen=True)
class Items(Rule):
    """A list of ``low`` to ``high`` items, each by ``rule``, without repeats if ``unique``."""

    high: int
    rule: Rule
    low: int = 0
    unique: bool = False

    def check(self, compiled: Compiled) -> Check:
        low, high, unique, one = self.low, self.high, self.unique, self.rule.check(compiled)
        assert one is not None
        wrong = {"": f"must have {f'{low} to {high}' if low else f'at most {high}'} items"}

        def check(values: Any) -> Violations | None:
            size = len(values)
            if not low <= size <= high:
                return wrong
            if not size:
                return None
            found: Violations = {}
            for index, value in enumerate(values):
                if bad := one(value):
                    found |= {f"[{index}]{path}": text for path, text in bad.items()}
            if unique and len(set(values)) < size:
                found.setdefault("", "must not have an item twice")
            return found or None

        return check


@dataclass(frozen=True)
class Sub(Rule):
    """A message with its own rules."""

    message: type[Message]
    required: bool = False

    def check(self, compiled: Compiled) -> Check:
        inner = compiled(self.message)

        def check(value: Any) -> Violations | None:
            bad = inner(value)
            return {"." + path: text for path, text in bad.items()} if bad else None

        return check


@dataclass(frozen=True)
class Mask(Rule):
    """A mask of 1 to MASK_NAMES field names, each one of ``allowed``."""

    allowed: frozenset[str]
    required: bool = True

    def check(self, compiled: Compiled) -> Check:
        names = ", ".join(sorted(self.allowed))

        def check(value: Any) -> Violations | None:
            if not value.paths:
                return {"": "must name at least one field"}
            if len(value.paths) > MASK_NAMES:
                return {"": f"must have at most {MASK_NAMES} names"}
            return None if self.allowed.issuperset(value.paths) else {"": f"may name {names} only"}

        return check


@dataclass(frozen=True)
class Masked(Rule):
    """A message of which only ``code`` and the fields named in update_mask are checked."""

    message: type[Message]
    stricter: tuple[tuple[str, Rule], ...]
    required: bool = True


Rules = Mapping[type[Message], Mapping[str, Rule]]
"""The rules of each message, by field name."""


# Compilation
