"""Conversion of Structs to plain Python values.

The numbers of a Struct are doubles, so protobuf returns 40 as 40.0. Everything that people and files see of a
Struct goes through this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, Struct, Value

_WHOLE_BELOW = 2**53
"""From this number on, two whole numbers may be the same double, and RFC 8785 has no integers."""


def plain(value: Struct) -> dict[str, Any]:
    """Return a Struct as a dict of JSON values, in which whole numbers are ints.

    Whole numbers from 2^53 on stay floats, because it is unknown which of several numbers the writer meant.
    """
    # Python's own items() of a map of messages takes twice as long.
    fields = value.fields
    return {key: plain_value(fields[key]) for key in fields}


def plain_value(value: Value) -> Any:
    """Return one value of a Struct as `plain` does."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        number = value.number_value
        whole_number = int(number) if -_WHOLE_BELOW < number < _WHOLE_BELOW else number
        return whole_number if whole_number == number else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return plain(value.struct_value)
    if kind == "list_value":
        return [plain_value(item) for item in value.list_value.values]
    return None


def whole(value: Any) -> Any:
    """Return a JSON value in which floats that are whole numbers below 2^53 are ints."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _WHOLE_BELOW else value
    if isinstance(value, Mapping):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [whole(item) for item in value]
    return value


def struct(name: str, value: Mapping[str, Any]) -> Struct:
    """Return the Struct of a dict of JSON values.

    Raises ValueError, with the path of the value, for what a Struct cannot hold: numbers that are no doubles,
    and types that JSON does not have.
    """
    found = Struct()
    for key, item in value.items():
        _fill(found.fields[key], item, name, key)
    return found


def _fill(target: Value, value: Any, path: str, key: object) -> None:
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = _double(value, f"{path}[{key!r}]")
    elif value is None:
        target.null_value = NULL_VALUE
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()
        for inner, item in value.items():
            _fill(target.struct_value.fields[inner], item, f"{path}[{key!r}]", inner)
    elif isinstance(value, list | tuple):
        target.list_value.SetInParent()
        for index, item in enumerate(value):
            _fill(target.list_value.values.add(), item, f"{path}[{key!r}]", index)
    else:
        raise ValueError(
            f"{path}[{key!r}] is {type(value).__name__}, which JSON does not have: use a str, number, bool,"
            " None, list or dict"
        )


def _double(value: float, path: str) -> float:
    if isinstance(value, int) and abs(value) >= _WHOLE_BELOW:
        raise ValueError(f"{path} is {value}, which a double does not hold exactly: use a str")
    if not math.isfinite(value):
        raise ValueError(f"{path} is {value}, which JSON does not have: use None or a str")
    return float(value)
