"""Conversion of JSON and YAML values to a Struct of the ledger, without silent loss.

A Struct has doubles, no NUL, no lone surrogate, 16 levels and 64 KiB. A number that a double would change
becomes the text that was written. So do other values that do not fit, each with a note.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from math import isfinite
from typing import Any

import orjson
from google.protobuf.struct_pb2 import Struct

from orchestration_server.cli.importing.row_notes import NOT_READY, RowNotes
from orchestration_server.validation.constraints import STRUCT_BYTES, STRUCT_DEPTH

LARGEST = 2**53 - 1
"""The largest whole number that a double represents exactly, as RFC 8785 requires of integers in JSON."""
# The loader may later add the reason why a task is not ready.
REASON_BYTES = 1500
_FIT_BYTES = STRUCT_BYTES - REASON_BYTES - 500
# Values that orjson would change or refuse: long numbers, exponents, minus zero, escapes of surrogates, NaN.
_CAREFUL = re.compile(rb"[0-9.]{16}|[0-9][eE]|-0|\\u[dD][89a-fA-F]|NaN|Infinity")
_BAD_CHARACTERS = re.compile("[\0\ud800-\udfff]")


class NumberText(str):
    """The text of a number that the ledger would change if it stored it as a number."""

    __slots__ = ()


def number(text: str) -> int | float | NumberText:
    """Return the number that `text` denotes, or the text if no double has exactly this value.

    Whole numbers from 2^53 on stay text, because readers that use doubles could not distinguish them.
    """
    if re.fullmatch(r"[-+]?[0-9]+", text):
        if len(text) > 17 or abs(whole := int(text)) > LARGEST:
            return NumberText(text)
        return -0.0 if whole == 0 and text[0] == "-" else whole
    try:
        value = float(text)
    except ValueError:
        return NumberText(text)
    if not isfinite(value):
        return NumberText(text)
    if value == 0:
        return NumberText(text) if re.search(r"^[^eE]*[1-9]", text) else value
    return value if Decimal(text) == Decimal(repr(value)) else NumberText(text)


def parse_json(data: bytes) -> Any:
    """Return a JSON value in which each number that a double would change is text. Raises ValueError.

    NaN and control characters inside texts are accepted, because programs write them. A byte that is not
    UTF-8 becomes a lone surrogate, which `storable` writes as an escape.
    """
    if not _CAREFUL.search(data):
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
    text = data.decode("utf-8", errors="surrogateescape")
    try:
        return json.loads(text, strict=False, parse_int=number, parse_float=number, parse_constant=NumberText)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def text_of(value: str, name: str, notes: RowNotes) -> str:
    """Return a text with NUL and lone surrogates written as escapes, with a note if there were any."""
    if not _BAD_CHARACTERS.search(value):
        return str(value)
    notes.warnings.append(f"{name}: NUL and halves of characters are written as escapes, such as \\u0000")
    return escaped(value)


def escaped(text: str) -> str:
    """Return a text with NUL, lone surrogates and bytes that are not UTF-8 written as escapes."""
    return _BAD_CHARACTERS.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    # A byte that is not UTF-8.
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


class _StorableWalk:
    """A pass over a value that converts it and collects the places of all changes."""

    def __init__(self) -> None:
        self.numbers: list[str] = []
        self.escaped: list[str] = []
        self.deep: list[str] = []

    def value(self, value: Any, path: str, depth: int) -> Any:
        if isinstance(value, str):
            if isinstance(value, NumberText):
                self.numbers.append(path)
                return str(value)
            return self._text(value, path)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            if isfinite(value) if isinstance(value, float) else abs(value) <= LARGEST:
                return value
            self.numbers.append(path)
            return _digits(value)
        if isinstance(value, dict | list) and depth > STRUCT_DEPTH:
            self.deep.append(path)
            return _json_text(value)
        if isinstance(value, dict):
            return self._object(value, path, depth)
        if isinstance(value, list | tuple):
            return [self.value(item, f"{path}[{n}]", depth + 1) for n, item in enumerate(value)]
        return self._text(str(value), path)

    def _object(self, value: dict[Any, Any], path: str, depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, item in value.items():
            name = self._text(str(key), path)
            while name in kept:
                name += "_"
            kept[name] = self.value(item, f"{path}.{name}" if path else name, depth + 1)
        return kept

    def _text(self, text: str, path: str) -> str:
        if not _BAD_CHARACTERS.search(text):
            return text
        self.escaped.append(path)
        return escaped(text)


def _digits(value: float) -> str:
    try:
        return str(value)
    except ValueError:
        # The integer has more digits than Python converts to decimal.
        return hex(int(value))


def _json_text(value: Any) -> str:
    try:
        return escaped(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return "nested too deeply"


def storable(value: Any, name: str, notes: RowNotes) -> Any:
    """Return a value that fits into a Struct, with a warning for each kind of change.

    `name` is the path of the value in the row; it is empty for the row itself.
    """
    walk = _StorableWalk()
    kept = walk.value(value, name, 1)
    if walk.numbers:
        text = "kept as text: the ledger's numbers are doubles"
        notes.warnings.append(f"{_places(walk.numbers)}: {text}")
    if walk.escaped:
        text = "NUL and halves of characters are written as escapes, such as \\u0000"
        notes.warnings.append(f"{_places(walk.escaped)}: {text}")
    if walk.deep:
        notes.warnings.append(f"{_places(walk.deep)}: below {STRUCT_DEPTH} levels, kept as JSON in a text")
    return kept


def _places(paths: Sequence[str]) -> str:
    paths = [escaped(path) or "a name" for path in dict.fromkeys(paths)]
    shown = ", ".join(path if len(path) <= 60 else path[:57] + "..." for path in paths[:5])
    return f"{shown} and {len(paths) - 5:,} more" if len(paths) > 5 else shown


def struct(value: dict[str, Any], name: str, notes: RowNotes, *, most: int = _FIT_BYTES) -> Struct:
    """Return an object as a Struct of at most `most` bytes of JSON. Each cut is noted as a change."""
    kept = storable(value, "", notes)
    if _size(kept) > most:
        kept = _fitted(kept, name, most, notes)
    made = Struct()
    made.update(kept)
    return made


def fits(value: dict[str, Any]) -> bool:
    """Return True if an object fits into a Struct of the ledger."""
    return _size(storable(value, "", RowNotes())) <= STRUCT_BYTES


def _size(value: Any) -> int:
    return len(orjson.dumps(value))


def _fitted(value: dict[str, Any], name: str, most: int, notes: RowNotes) -> dict[str, Any]:
    """Cut the largest values of an object to one common size, so that it has at most `most` bytes."""
    names = {key: _size(key) + 2 for key in value}
    sizes = {key: _size(item) for key, item in value.items()}
    room = most - 2 - sum(names.values())
    if room < 8 * len(value):
        return _fewer(value, name, most, notes)
    share = _share(sorted(sizes.values()), room)
    kept: dict[str, Any] = {}
    for key, item in value.items():
        if sizes[key] <= share or key == NOT_READY:
            kept[key] = item
            continue
        kept[key] = _cut(item, share)
        left = _size(kept[key])
        notes.changes.append(f"{_places([key])}: cut to {left:,} of {sizes[key]:,} bytes, {name} is full")
    return kept


def _share(sizes: list[int], room: int) -> int:
    """Return the size to which values must be cut so that together they fit into `room`."""
    for place, size in enumerate(sizes):
        share = room // (len(sizes) - place)
        if size > share:
            return share
        room -= size
    return room


def _fewer(value: dict[str, Any], name: str, most: int, notes: RowNotes) -> dict[str, Any]:
    """Keep the first entries of an object that has too many, each of at most a quarter of the space."""
    kept: dict[str, Any] = {}
    size = 2
    for key, item in value.items():
        part = _cut(item, most // 4)
        size += _size(key) + _size(part) + 2
        if size > most:
            break
        kept[key] = part
    notes.changes.append(f"{name} has {len(value):,} fields: {len(kept):,} of them fit and are kept")
    return kept


def _cut(value: Any, most: int) -> Any:
    """Return the beginning of a value, at most `most` bytes of JSON."""
    if _size(value) <= most:
        return value
    if isinstance(value, list):
        items: list[Any] = []
        size = 2
        for item in value:
            size += _size(item) + 1
            if size > most:
                break
            items.append(item)
        return items or _cut(_json_text(value), most)
    if isinstance(value, dict):
        return _cut(_json_text(value), most)
    text = str(value)[: max(most, 0)]
    while text and _size(text) > most - 3:
        text = text[: min(len(text) - 1, len(text) * most // (_size(text) + 1))]
    return text + "…"
