"""What a write knows before it decides: the database's clock, an earlier answer, the rows as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class EntityRow:
    """A sprint or a task as it is."""

    revision: int
    deleted: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """``answer`` is the fingerprint and the response that this request_id had before."""

    now: datetime
    answer: tuple[bytes, bytes] | None
    rows: Mapping[str, EntityRow]
    sprints: frozenset[str] = frozenset()
    extra: Any = None


def prepared(
    first: tuple[Any, ...],
    rows: Mapping[str, EntityRow],
    *,
    sprints: frozenset[str] = frozenset(),
    extra: Any = None,
) -> Prepared:
    """From a row that begins with clock, fingerprint, response."""
    answer = None if first[1] is None else (first[1], first[2])
    return Prepared(first[0], answer, rows, sprints, extra)
