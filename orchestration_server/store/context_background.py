"""The SQL of a context's background: hand-over notes, decisions, earlier sessions, attempts and outcomes.

Each part is a limited read of an index, and its version is a sum over the rows that it shows. Sessions and
decisions are never deleted, and their revisions only grow. Attempts need no version: each claim and each end
of an attempt raises the revision of the task.
"""

from __future__ import annotations

from typing import Any, LiteralString

NOTE = "handover"
DECISION = "decision"
ACTIVITY: LiteralString = "orchestration.activity.logged"
WINDOW = 500
"""The number of newest events that are searched for notes and decisions."""
NOTES = 20
"""The most activities that are read as notes and decisions."""
SESSIONS = 6
"""The most sessions. One of them may be the target."""
DECISIONS = 10
ATTEMPTS = 10
OUTCOMES = 50
"""The most linked tasks whose outcome is read."""

# The order begins with all columns of the index of sessions by target, and the code is written as a range.
# Else the planner may walk the project's sessions by age.
_SESSIONS: LiteralString = """
    select x.key, x.revision, x.body from sessions x
    where x.project = %(project)s
        and x.target_type = (select case when own_sprint is null then 2 else 1 end from target)
        and x.target_code >= (select coalesce(own_sprint, task_code) from target)
        and x.target_code <= (select coalesce(own_sprint, task_code) from target) and x.target_code <> ''
    order by x.target_code, x.create_time desc, x.key desc limit %(x_limit)s::bigint"""
_DECISIONS: LiteralString = """
    (select a.number, a.code, a.revision, a.body from adrs a
    where a.project = %(project)s and a.task_code = (select task_code from target) and a.task_code <> ''
    order by a.number desc limit %(a_limit)s::bigint)
    union
    (select a.number, a.code, a.revision, a.body from adrs a
    where a.project = %(project)s and a.sprint_code = (select sprint_code from target) and a.sprint_code <> ''
        and (a.task_code = '' or (select own_sprint from target) is not null)
    order by a.number desc limit %(a_limit)s::bigint)"""
# The blocking and parent tasks whose outcome is read.
_ENDED: LiteralString = """(
        select d.depends_on_code from dependencies d
        where d.project = %(project)s and d.task_code = (select task_code from target)
            and case when d.kind in (1, 2) then true end
        order by d.kind, d.depends_on_code limit %(o_limit)s::bigint
    ) d"""
# The last session of each of them, if that session is closed.
_OUTCOMES: LiteralString = (
    """
    select d.depends_on_code, x.key, x.revision, x.body
    from """
    + _ENDED
    + """
    cross join lateral (
        select x.key, x.revision, x.body, x.status from sessions x
        where x.project = %(project)s and x.target_type = 2 and x.target_code >= d.depends_on_code
            and x.target_code <= d.depends_on_code and x.target_code <> ''
        order by x.target_code, x.create_time desc, x.key desc limit 1
    ) x
    where case when x.status = 3 then true end"""
)
# The last attempt at each of them, if it completed the task. Its end has raised the revision of the task.
_COMPLETIONS: LiteralString = (
    """
    select d.depends_on_code, a.body
    from """
    + _ENDED
    + """
    cross join lateral (
        select a.body, a.outcome from attempts a
        where a.project = %(project)s and a.task_code = d.depends_on_code
        order by a.number desc limit 1
    ) a
    where case when a.outcome = 1 then true end"""
)

VERSION: LiteralString = (
    """, background as materialized (
    select coalesce((select sum(hashtextextended(x.key, x.revision)) from ("""
    + _SESSIONS
    + """) x), 0)::text || '/' || coalesce((select sum(hashtextextended(a.code, a.revision)) from ("""
    + _DECISIONS
    + """) a), 0)::text || '/' || coalesce((
        select sum(hashtextextended(o.depends_on_code || '/' || o.key, o.revision)) from ("""
    + _OUTCOMES
    + """) o), 0)::text as version
)"""
)
BODIES: LiteralString = (
    """
union all select 8, array[row_number() over ()], array[x.key], x.body from ("""
    + _SESSIONS
    + """) x
union all select 9, array[-a.number], null, a.body from ("""
    + _DECISIONS
    + """) a
union all select 10, null, array[o.depends_on_code], o.body from ("""
    + _OUTCOMES
    + """) o
union all select 12, array[-a.number], null, a.body from (
    select a.number, a.body from attempts a
    where a.project = %(project)s and a.task_code = (select task_code from target)
        and case when a.outcome <> 0 then true end
    order by a.number desc limit %(t_limit)s::bigint) a
union all select 13, null, array[c.depends_on_code], c.body from ("""
    + _COMPLETIONS
    + """) c
"""
)
_NOTES: LiteralString = """
union all select 11, array[n.epoch, n.xid::text::bigint, n.seq], null, n.body from (
    select * from ("""
_NOTES_END: LiteralString = (
    """) newest
    where case when newest.type = '"""
    + ACTIVITY
    + """' then position('handover'::bytea in newest.body) > 0
        or position('decision'::bytea in newest.body) > 0 end
    order by epoch desc, xid desc, seq desc limit %(n_limit)s::bigint
) n"""
)


def notes(newest: LiteralString) -> LiteralString:
    """Return the branch that filters notes and decisions from a query of the newest events."""
    return _NOTES + newest.replace("%(limit)s", "%(w_limit)s") + _NOTES_END


def params() -> dict[str, Any]:
    """Return the limits of these statements as parameters."""
    return {
        "x_limit": SESSIONS, "a_limit": DECISIONS, "o_limit": OUTCOMES, "n_limit": NOTES, "w_limit": WINDOW,
        "t_limit": ATTEMPTS,
    }  # fmt: skip
