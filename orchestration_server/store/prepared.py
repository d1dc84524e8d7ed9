"""The rows that a write reads before it decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

Extra_co = TypeVar("Extra_co", covariant=True)
Extra = TypeVar("Extra")


class LeaseRow(NamedTuple):
    """A lease as a write reads it."""

    fence: int
    agent: str
    session_key: str
    expire_time: datetime | None
    """None if the session of the lease was closed."""
    deadline: datetime | None
    valid: bool
    """True if the lease was valid at the read, by the database's clock."""
    attempt: bytes
    """The serialized attempt, which is open."""
    used: list[int] | None
    """The amounts of ``usage``; None if the holder reported none."""
    usage: bytes | None
    """The serialized usage that the holder reported last."""


@dataclass(frozen=True, slots=True)
class EntityRow:
    """The stored row of a sprint or a task."""

    revision: int
    deleted: bool
    body: bytes
    lease: LeaseRow | None = None
    """The lease of a task. It may have expired."""


@dataclass(frozen=True, slots=True)
class Prepared(Generic[Extra_co]):
    """The rows of one write, read in one statement."""

    now: datetime
    """The database's clock."""
    answer: tuple[bytes, bytes] | None
    """The fingerprint and the response that are stored for the ``request_id``, or None."""
    rows: Mapping[str, EntityRow]
    """The entities by code. A code that was never used is missing."""
    sprints: frozenset[str]
    """The codes of those sprints that exist."""
    extra: Extra_co
    """Further rows of this write."""


def prepared(
    first: tuple[Any, ...],
    rows: Mapping[str, EntityRow],
    extra: Extra,
    *,
    sprints: frozenset[str] = frozenset(),
) -> Prepared[Extra]:
    """Return what a statement read. Its first row begins with clock, fingerprint and response."""
    answer = None if first[1] is None else (first[1], first[2])
    return Prepared(first[0], answer, rows, sprints, extra)
