"""Structs as plain values: 40 stays 40."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from orchestration import plain
from orchestration.structs import whole

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=4))
def test_a_struct_round_trips(value: dict[str, Any]) -> None:
    struct = Struct()
    struct.update(value)
    back = plain(struct)
    assert back == value
    assert _alike(back, value)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return all(map(_alike, one, other))
    return type(one) is type(other)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (40.0, "40"),
        (-0.0, "0"),
        (0.5, "0.5"),
        (1e300, "1e+300"),
        (2.0**53, "9007199254740992.0"),
        (True, "True"),
    ],
)
def test_whole_numbers(value: Any, text: str) -> None:
    assert str(whole(value)) == text
    assert str(whole({"a": [value]})["a"][0]) == text
