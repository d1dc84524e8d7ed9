"""The choice of the index for a filtered read of events, which is not left to the planner.

A generic plan does not know how many events a session has or where they are in the log, so it may walk a
million events to find fifty. Here the narrowest field of a filter leads, and the query is written so that
only that field's index can serve it, in the requested order. Several types are read separately and merged,
which costs at most one page of each.
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
"""The most types that are read separately. With more, the index of the project is walked."""

# The hash leads. The texts are compared inside a case, which hides them from the planner. Otherwise it could
# use the index of the project, and would expect almost no rows after several equalities.
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
# Events that are kept for ever have a partition of their own, so the others need not be read.
_KEPT: LiteralString = " and kept"
_NOT_KEPT: LiteralString = " and not kept"


_Source = tuple[LiteralString, LiteralString]
"""The texts before and after the name of the table."""


class Selection(NamedTuple):
    """A read of filtered events: conditions of which an event meets exactly one, and their parameters."""

    branches: list[LiteralString]
    params: dict[str, Any]
    sparse: bool = False
    """True if the leading field has few events a key and no index by time. They are read and sorted."""
    rest: LiteralString = ""
    """The conditions without the leading field and the types."""
    end: LiteralString = ""
    """A further branch for the newest events, read in log order and sorted for another order."""

    def in_log(
        self,
        columns: LiteralString,
        bounds: LiteralString,
        order: LiteralString,
        limit: int,
        *,
        archived: bool = False,
    ) -> LiteralString:
        """Return the query in an order of the log, cut at ``%(limit)s``.

        ``archived`` includes the archive and adds the column archive_time. One statement reads both, so an
        event that is moved meanwhile appears exactly once.
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
        """Return the query in an order of occur_time. The limit and ``archived`` are as in ``in_log``."""
        walked = () if self.sparse else self.branches
        sorted_ = self.branches if self.sparse else (self.end,) if self.end else ()
        sources: list[_Source] = [("", " where " + branch + bounds) for branch in walked]
        # If the planner saw the bounds, it would use the project's index by time.
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
    # The planner does not know a limit that is a parameter, and would read and sort all rows.
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
    """Return the read of a filter's events."""
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
    """Return the same read by type, given all types that match up to a position."""
    params = plain.params | {f"f_type{n}": type_ for n, type_ in enumerate(types)}
    params |= {"f_epoch": upto.epoch, "f_xid": str(upto.xid), "f_seq": upto.seq}
    branches = [_of_type(n) + _UPTO + plain.rest for n in range(len(types))]
    return Selection(branches, params, end=_PROJECT + _BEYOND + plain.rest + _MIXED)


# The case hides this from the planner, which must use the index of the type.
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
