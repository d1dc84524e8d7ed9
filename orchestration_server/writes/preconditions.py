"""Conditions of writes that several services check before they decide."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration_server.errors import NotFound, StaleRevision
from orchestration_server.store.prepared import EntityRow, Prepared


def present(found: Prepared[object], kind: str, code: str) -> EntityRow:
    """Return the row of an entity. Raises NotFound if it does not exist or is deleted."""
    row = found.rows.get(code)
    if row is None or row.deleted:
        raise NotFound(kind, code)
    return row


def check_revision(subject: str, expected: int, current: int) -> None:
    """Raise StaleRevision if the caller expects another revision than the current one."""
    if expected and expected != current:
        raise StaleRevision(subject, expected=expected, current=current)


def need_sprints(found: Prepared[object], sprints: Sequence[str]) -> None:
    """Raise NotFound if one of the sprints does not exist."""
    for code in sprints:
        if code not in found.sprints:
            raise NotFound("sprint", code)
