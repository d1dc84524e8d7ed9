"""Which index serves a filtered read of the events: decided here, not by the planner.

A generic plan knows neither how many events a session has nor where in the log they stand, so it may walk
a million events to find fifty. Here the narrowest field of a filter leads, and the read is written so that
the index of that field alone can serve it, in the order that is asked for. Several types are read each
for itself and merged, which costs a page of each at the most.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray, TextArray
from orchestration_server.model import KEPT_PRIORITIES, EventFilter, Position
from orchestration_server.names import split_types

IN_LOG: LiteralString = " order by epoch, xid, seq"
BACK_IN_LOG: LiteralString = " order by epoch desc, xid desc, seq desc"
MAX_BRANCHES = 20
"""Exact types that are read each for itself; above that the project's own index is walked."""

# The hash leads. The texts are asked for inside a case: in the open, the project would let its own index in,
# and the planner would take each equality for a further narrowing and expect next to nothing.
LEADS: dict[str, LiteralString] = {
    "task_code": """hashtextextended(project || '/' || entity_type || '/' || entity_code, 0)
            = hashtextextended(%(project)s || '/2/' || %(f_task)s, 0) and entity_type <> 0
        and case when project = %(project)s and entity_type = 2 and entity_code = %(f_task)s then true end""",
    "session_key": """hashtextextended(project || '/' || session_key, 0)
            = hashtextextended(%(project)s || '/' || %(f_session)s, 0) and session_key <> ''
        and case when project = %(project)s and session_key = %(f_session)s then true end""",
    "correlation_id": """hashtextextended(project || '/' || correlation_id, 0)
            = hashtextextended(%(project)s || '/' || %(f_correlation)s, 0)
        and case when project = %(project)s and correlation_id = %(f_correlation)s then true end""",
    "sprint_code": """hashtextextended(project || '/' || sprint_code, 0)
            = hashtextextended(%(project)s || '/' || %(f_sprint)s, 0) and sprint_code <> ''
        and case when project = %(project)s and sprint_code = %(f_sprint)s then true end""",
}
_PROJECT: LiteralString = "project = %(project)s"
_CONDITIONS: dict[str, tuple[str, LiteralString]] = {
    "task_code": ("f_task", " and entity_type = 2 and entity_code = %(f_task)s"),
    "session_key": ("f_session", " and session_key = %(f_session)s"),
    "correlation_id": ("f_correlation", " and correlation_id = %(f_correlation)s"),
    "sprint_code": ("f_sprint", " and sprint_code = %(f_sprint)s"),
    "priorities": ("f_priorities", " and priority = any(%(f_priorities)s::smallint[])"),
}
_ABOUT: tuple[tuple[int, LiteralString], ...] = (
    (101, " limit 101"),
    (2_001, " limit 2001"),
    (20_001, " limit 20001"),
    (sys.maxsize, ""),
)
_EXACT: LiteralString = " and type = any(%(f_types)s::text[])"
_MIXED: LiteralString = " and (type = any(%(f_types)s::text[]) or type like any(%(f_prefixes)s::text[]))"
# What is kept for ever is a partition of its own, by priority: the others need no look.
_KEPT: LiteralString = " and kept"
_NOT_KEPT: LiteralString = " and not kept"


_Source = tuple[LiteralString, LiteralString]
"""What stands before the table's name, and the conditions behind it."""


class Selection(NamedTuple):
    """Conditions, of which an event meets exactly one, and the parameters that they take."""

    branches: list[LiteralString]
    params: dict[str, Any]
    sparse: bool = False
    """Led by a field that has few events a key and no index by occur_time: they are read and sorted."""
    rest: LiteralString = ""
    """The conditions beside the leading field and the types."""
    end: LiteralString = ""
    """One more branch, of the last events of the log: read in its order, and sorted if another is wanted."""

    def in_log(
        self,
        columns: LiteralString,
        bounds: LiteralString,
        order: LiteralString,
        limit: int,
        *,
        archived: bool = False,
    ) -> LiteralString:
        """The query in an order of the log, cut at ``%(limit)s``.

        With ``archived`` it reads the archive too: in one statement, which finds an event that is moved
        meanwhile in one place, and one alone. A last column, archive_time, says which.
        """
        branches = [*self.branches, self.end] if self.end else self.branches
        sources: list[_Source] = [("", " where " + branch + bounds) for branch in branches]
        return _merged(columns, sources, order, limit, archived)

    def by_time(
        self,
        columns: LiteralString,
        bounds: LiteralString,
        order: LiteralString,
        limit: int,
        *,
        archived: bool = False,
    ) -> LiteralString:
        """The query in an order of occur_time, cut at ``%(limit)s``; ``archived`` is as of in_log."""
        walked = () if self.sparse else self.branches
        sorted_ = self.branches if self.sparse else (self.end,) if self.end else ()
        sources: list[_Source] = [("", " where " + branch + bounds) for branch in walked]
        # With the bounds in its sight the planner would skip through the project's index by time.
        sources += [
            ("(select * from ", " where " + branch + " offset 0) few where true" + bounds)
            for branch in sorted_
        ]
        return _merged(columns, sources, order, limit, archived)


def _merged(
    columns: LiteralString,
    sources: list[_Source],
    order: LiteralString,
    limit: int,
    archived: bool,
) -> LiteralString:
    # A limit that is a parameter tells the planner nothing, and it would read and sort all there is.
    about = next(text for most, text in _ABOUT if limit <= most)
    parents: list[tuple[LiteralString, LiteralString]] = [(columns, "events")]
    if archived:
        parents = [
            (columns + ", null::timestamptz as archive_time", "events"),
            (columns + ", archive_time", "archived_events"),
        ]
    parts: list[LiteralString] = [
        "(select " + shown + " from " + opening + parent + source + order + about + ")"
        for shown, parent in parents
        for opening, source in sources
    ]
    all_parts: LiteralString = " union all ".join(parts)
    return "select * from (" + all_parts + ") merged" + order + " limit %(limit)s::bigint"


def select(project: str, event_filter: EventFilter) -> Selection:
    """What reads the events of a filter."""
    params: dict[str, Any] = {"project": project}
    lead: LiteralString = ""
    rest: LiteralString = ""
    for name, (param, condition) in _CONDITIONS.items():
        value = getattr(event_filter, name)
        if value:
            params[param] = BigintArray(value) if name == "priorities" else value
            if lead or name not in LEADS:
                rest += condition
            else:
                lead = LEADS[name]
    kept = KEPT_PRIORITIES.intersection(event_filter.priorities)
    if event_filter.priorities and kept == set(event_filter.priorities):
        rest += _KEPT
    elif event_filter.priorities and not kept:
        rest += _NOT_KEPT
    exact, found = split_types(event_filter.types)
    prefixes = [_like(prefix) for prefix in found]
    if exact and not (lead or prefixes) and len(exact) <= MAX_BRANCHES:
        params |= {f"f_type{n}": type_ for n, type_ in enumerate(exact)}
        return Selection([_of_type(n) + rest for n in range(len(exact))], params)
    of_types: LiteralString = ""
    if prefixes:
        params |= {"f_types": TextArray(exact), "f_prefixes": TextArray(prefixes)}
        of_types = _MIXED
    elif exact:
        params["f_types"] = TextArray(exact)
        of_types = _EXACT
    sparse = bool(lead) and lead != LEADS["sprint_code"]
    return Selection([(lead or _PROJECT) + rest + of_types], params, sparse=sparse, rest=rest)


def select_types(plain: Selection, types: Sequence[str], upto: Position) -> Selection:
    """Return what reads the same events by their types, if up to a position there are these alone."""
    params = plain.params | {f"f_type{n}": type_ for n, type_ in enumerate(types)}
    params |= {"f_epoch": upto.epoch, "f_xid": str(upto.xid), "f_seq": upto.seq}
    branches = [_of_type(n) + _UPTO + plain.rest for n in range(len(types))]
    return Selection(branches, params, end=_PROJECT + _BEYOND + plain.rest + _MIXED)


# Inside a case: the index of the type alone is to serve the read.
_UPTO: LiteralString = """
    and case when (epoch, xid, seq) <= (%(f_epoch)s::integer, %(f_xid)s::text::xid8, %(f_seq)s::bigint)
        then true end"""
_BEYOND: LiteralString = """
    and (epoch, xid, seq) > (%(f_epoch)s::integer, %(f_xid)s::text::xid8, %(f_seq)s::bigint)"""
_NUMBERS: tuple[LiteralString, ...] = (
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9",
    "10", "11", "12", "13", "14", "15", "16", "17", "18", "19",
)  # fmt: skip


def _of_type(n: int) -> LiteralString:
    param: LiteralString = "%(f_type" + _NUMBERS[n] + ")s"
    return (
        "hashtextextended(project || '/' || type, 0) = hashtextextended(%(project)s || '/' || "
        + param
        + ", 0) and case when project = %(project)s and type = "
        + param
        + " then true end"
    )


def _like(prefix: str) -> str:
    return prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
