"""The short words of enum values: `in_progress` for TASK_STATUS_IN_PROGRESS, `P1` for PRIORITY_P1."""

from __future__ import annotations

from typing import Any

from orchestration.cli.exit_codes import USAGE
from orchestration.cli.refusal import Refusal


def word_of(enum: Any, number: int) -> str:
    """Return the short word of a value, or its number if this release does not know it.

    ``enum`` is the descriptor of the enum.
    """
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    short = str(value.name).removeprefix(_prefix(enum))
    return short if enum.name == "Priority" and number else short.lower()


def number_of(enum: Any, word: str) -> Any:
    """Return the value of a word, in any case, with or without the enum's name. Raises Refusal."""
    wanted = word.strip().upper().replace("-", "_").removeprefix(_prefix(enum))
    for value in enum.values:
        if value.number and value.name.removeprefix(_prefix(enum)) == wanted:
            return value.number
    known = ", ".join(words(enum))
    raise Refusal(f"{word!r} is no {_noun(enum)}", fix=f"use one of {known}", code=USAGE)


def words(enum: Any) -> list[str]:
    """Return the words of an enum, without that of the unset value."""
    return [word_of(enum, value.number) for value in enum.values if value.number]


def _prefix(enum: Any) -> str:
    return str(enum.values_by_number[0].name).removesuffix("UNSPECIFIED")


def _noun(enum: Any) -> str:
    return "".join(f" {one.lower()}" if one.isupper() else one for one in enum.name).strip()
