"""Which index serves a filtered read of the events: decided here, not by the planner.

A generic plan knows neither how many events a session has nor where in the log they stand, so it may walk
a million events to find fifty. Here the narrowest field of a filter leads, and the read is written so that
the index of that field alone can serve it, in the order that is asked for. Several types are read each
for itself and merged, which costs a page of each at the most.
"""

from __future__ import annotations

from typing import Any, LiteralString, NamedTuple

from orchestration_server.model import KEPT_PRIORITIES, EventFilter
from orchestration_server.store.arrays import Texts

MOST_BRANCHES = 20
"""Exact types that are read each for itself; above that the project's own index is walked."""

# The hash leads and the text is asked for as well. A bare project would let the project's own index in.
_LEADS: dict[str, LiteralString] = {
    "task_code": """hashtextextended(project || '/' || entity_type || '/' || entity_code, 0)
            = hashtextextended(%(project)s || '/2/' || %(f_task)s, 0)
        and project || '' = %(project)s and entity_type <> 0""",
    "session_key": """hashtextextended(project || '/' || session_key, 0)
            = hashtextextended(%(project)s || '/' || %(f_session)s, 0)
        and project || '' = %(project)s and session_key <> ''""",
    "correlation_id": """hashtextextended(project || '/' || correlation_id, 0)
            = hashtextextended(%(project)s || '/' || %(f_correlation)s, 0)
        and project || '' = %(project)s""",
    "sprint_code": """hashtextextended(project || '/' || sprint_code, 0)
            = hashtextextended(%(project)s || '/' || %(f_sprint)s, 0)
        and project || '' = %(project)s and sprint_code <> ''""",
}
_PROJECT: LiteralString = "project = %(project)s"
_CONDITIONS: dict[str, tuple[str, LiteralString]] = {
    "task_code": ("f_task", " and entity_type = 2 and entity_code = %(f_task)s"),
    "session_key": ("f_session", " and session_key = %(f_session)s"),
    "correlation_id": ("f_correlation", " and correlation_id = %(f_correlation)s"),
    "sprint_code": ("f_sprint", " and sprint_code = %(f_sprint)s"),
    "priorities": ("f_priorities", " and priority = any(%(f_priorities)s::smallint[])"),
}
_EXACT: LiteralString = " and type = any(%(f_types)s::text[])"
_MIXED: LiteralString = " and (type = any(%(f_types)s::text[]) or type like any(%(f_prefixes)s::text[]))"
# What is kept for ever is a partition of its own, by priority: the others need no look.
_KEPT: LiteralString = " and kept"
_NOT_KEPT: LiteralString = " and not kept"


class Selection(NamedTuple):
    """Conditions, of which an event meets exactly one, and the parameters that they take."""

    branches: list[LiteralString]
    params: dict[str, Any]

    def ordered(self, columns: LiteralString, bounds: LiteralString, order: LiteralString) -> LiteralString:
        """The query of all branches in one order, each of them cut at ``%(limit)s``."""
        parts: list[LiteralString] = [
            "select " + columns + " from events where " + branch + bounds + order + " limit %(limit)s::bigint"
            for branch in self.branches
        ]
        if len(parts) == 1:
            return parts[0]
        merged: LiteralString = "(" + ") union all (".join(parts) + ")"
        return "select * from (" + merged + ") merged" + order + " limit %(limit)s::bigint"


def select(project: str, chosen: EventFilter) -> Selection:
    """What reads the events of a filter."""
    params: dict[str, Any] = {"project": project}
    lead: LiteralString = ""
    rest: LiteralString = ""
    for name, (param, condition) in _CONDITIONS.items():
        value = getattr(chosen, name)
        if value:
            params[param] = value
            rest += condition
            lead = lead or _LEADS.get(name, "")
    kept = KEPT_PRIORITIES.intersection(chosen.priorities)
    if chosen.priorities and kept == set(chosen.priorities):
        rest += _KEPT
    elif chosen.priorities and not kept:
        rest += _NOT_KEPT
    exact = list(dict.fromkeys(t for t in chosen.types if not t.endswith(".*")))
    prefixes = [_like(t[:-1]) for t in chosen.types if t.endswith(".*")]
    if exact and not (lead or prefixes) and len(exact) <= MOST_BRANCHES:
        params |= {f"f_type{n}": type_ for n, type_ in enumerate(exact)}
        return Selection([_of_type(n) + rest for n in range(len(exact))], params)
    if prefixes:
        params |= {"f_types": Texts(exact), "f_prefixes": Texts(prefixes)}
        rest += _MIXED
    elif exact:
        params["f_types"] = Texts(exact)
        rest += _EXACT
    return Selection([(lead or _PROJECT) + rest], params)


_NUMBERS: tuple[LiteralString, ...] = (
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9",
    "10", "11", "12", "13", "14", "15", "16", "17", "18", "19",
)  # fmt: skip


def _of_type(n: int) -> LiteralString:
    param: LiteralString = "%(f_type" + _NUMBERS[n] + ")s"
    return (
        "hashtextextended(project || '/' || type, 0) = hashtextextended(%(project)s || '/' || "
        + param
        + ", 0) and project || '' = %(project)s and type = "
        + param
    )


def _like(prefix: str) -> str:
    return prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
