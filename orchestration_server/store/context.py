"""The SQL of contexts: one statement reads a context's version, and one reads all of it.

Both begin with the same row of versions, so the second result names its own version. All other parts follow
as rows of one shape, in the same snapshot. The lookups are scalar subqueries and laterals, which leave the
planner no other plan than the index, even on tables without statistics.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.connection import Connection
from orchestration_server.model import Cursor, EntityType, Position
from orchestration_server.store import context_background as background
from orchestration_server.store import context_lists as lists
from orchestration_server.store import cursors, pages
from orchestration_server.store.context_version import ContextVersion, read_version
from orchestration_server.store.event_queries import BACK_IN_LOG, Selection
from orchestration_server.store.horizon import HORIZON

LINKS = 500
"""The most links of a task of each sort: blocking links, and the others."""
BLOCKERS = 100
"""The most blocking links of a sprint's tasks."""
READY = 3
"""The most tasks of a sprint that are proposed to start next."""

ASSEMBLED: LiteralString = "orchestration.context.assembled"
"""The event that reports an assembled context. It is no part of a context, and no change."""

# The target of a context: a task, a sprint, or the target of a session. ``own_sprint`` is set if the target
# is a sprint. ``sprint_code`` is also set if it is a task of a sprint.
_TARGETS: dict[EntityType, LiteralString] = {
    EntityType.TASK: """, target as materialized (
    select null::text as session_key, null::bigint as session_revision, null::bytea as session_body,
        t.code as task_code, t.revision as task_revision, t.delete_time is not null as task_deleted,
        t.body as task_body, null::text as own_sprint, nullif(t.sprint_code, '') as sprint_code
    from tasks t where t.project = %(project)s and t.code = %(code)s
)""",
    EntityType.SPRINT: """, target as materialized (
    select null::text as session_key, null::bigint as session_revision, null::bytea as session_body,
        null::text as task_code, null::bigint as task_revision, false as task_deleted,
        null::bytea as task_body, p.code as own_sprint, p.code as sprint_code
    from sprints p where p.project = %(project)s and p.code = %(code)s
)""",
    EntityType.SESSION: """, target as materialized (
    select x.key as session_key, x.revision as session_revision, x.body as session_body,
        t.code as task_code, t.revision as task_revision, t.delete_time is not null as task_deleted,
        t.body as task_body, case when x.target_type = 1 then x.target_code end as own_sprint,
        case when x.target_type = 1 then x.target_code else nullif(t.sprint_code, '') end as sprint_code
    from sessions x
    left join tasks t on t.project = x.project
        and t.code = case when x.target_type = 2 then x.target_code end
    where x.project = %(project)s and x.key = %(code)s
)""",
}

# Three numbers, each of which only grows while those before it stay (growing_versions.sql): the versions of a
# sprint's tasks, of a task's links, and of the links of a sprint's open tasks.
_VERSION: LiteralString = """, sprint as materialized (
    select p.revision, p.delete_time is not null as deleted, p.body from sprints p
    where p.project = %(project)s and p.code = (select sprint_code from target)
), counts as materialized (
    select count(*) filter (where t.status = 1) as pending, count(*) filter (where t.status = 2) as going,
        count(*) filter (where t.status = 3) as blocked, count(*) filter (where t.status = 4) as done,
        count(*) filter (where t.status = 5) as dropped,
        case when (select own_sprint from target) is not null
            then (coalesce(sum(t.revision), 0) + coalesce((
                select sum(d.total) from departed_tasks d
                where d.project = %(project)s and d.sprint_code = (select own_sprint from target)
            ), 0))::text end as tasks
    from tasks t
    where t.project = %(project)s and t.sprint_code = (select sprint_code from target)
        and t.sprint_code <> '' and t.delete_time is null
), links as materialized (
    select (coalesce((
        select sum((select b.revision from tasks b
            where b.project = d.project and b.code = d.depends_on_code))
        from dependencies d
        where d.project = %(project)s and d.task_code = (select task_code from target)
    ), 0) + coalesce((
        select r.total from removed_links r
        where r.project = %(project)s and r.task_code = (select task_code from target)
    ), 0))::text || '/' || coalesce((
        select sum(case when t.status in (1, 2, 3) then coalesce((
            select sum(case when d.kind = 1 then (select b.revision from tasks b
                where b.project = d.project and b.code = d.depends_on_code) end)
            from dependencies d where d.project = t.project and d.task_code = t.code), 0) + coalesce((
            select r.total from removed_links r
            where r.project = t.project and r.task_code = t.code), 0) end)
        from tasks t
        where t.project = %(project)s and t.sprint_code = (select own_sprint from target)
            and t.sprint_code <> '' and t.delete_time is null
    ), 0)::text as version
)"""
_ROW: LiteralString = """
select 0::smallint as part, array[target.session_revision, target.task_revision,
        target.task_deleted::integer, sprint.revision, sprint.deleted::integer, counts.pending, counts.going,
        counts.blocked, counts.done, counts.dropped, latest.epoch, latest.xid::text::bigint, latest.seq,
        (select sum(a.moves) from archive_edges a where a.project = %(project)s), (
            select count(*) from (
                select from events where project = %(project)s and epoch = %(s_epoch)s::integer
                    and xid = %(s_xid)s::text::xid8 and seq = %(s_seq)s::bigint
                    and not exists (select from archive_edges a where a.project = %(project)s
                        and not a.deleted and (a.epoch, a.xid, a.seq)
                            > (%(s_epoch)s::integer, %(s_xid)s::text::xid8, %(s_seq)s::bigint))
                limit 1) known
        ), extract(epoch from clock_timestamp()) * 1000000]::bigint[] as numbers,
    array[target.task_code, target.own_sprint, target.sprint_code, counts.tasks, links.version,
        background.version] as texts,
    null::bytea as body
from target cross join counts cross join links cross join background left join sprint on true left join (
    select * from ("""
_ROW_END: LiteralString = ") newest limit 1) latest on true"

# As in event_queries.py, the hash leads and a case hides the texts. If the target has no such scope, the hash
# is null and the branch ends at once.
_OF_TASK: LiteralString = """hashtextextended(project || '/' || entity_type || '/' || entity_code, 0)
        = hashtextextended(%(project)s || '/2/' || (select task_code from target), 0) and entity_type <> 0
    and case when project = %(project)s and entity_type = 2 and entity_code = (select task_code from target)
        then true end"""
_OF_SPRINT: LiteralString = """hashtextextended(project || '/' || sprint_code, 0)
        = hashtextextended(%(project)s || '/' || (select own_sprint from target), 0) and sprint_code <> ''
    and case when project = %(project)s and sprint_code = (select own_sprint from target) then true end"""
_OF_SESSION: LiteralString = """hashtextextended(project || '/' || session_key, 0)
        = hashtextextended(%(project)s || '/' || (select session_key from target), 0) and session_key <> ''
    and case when project = %(project)s and session_key = (select session_key from target) then true end"""
_SCOPES: dict[EntityType, list[LiteralString]] = {
    EntityType.TASK: [_OF_TASK],
    EntityType.SPRINT: [_OF_SPRINT],
    EntityType.SESSION: [_OF_TASK, _OF_SPRINT, _OF_SESSION],
}
_COUNTED: LiteralString = (
    """
    and (epoch, xid) < ((select epoch from h), (select xid from h))
    and case when type <> '"""
    + ASSEMBLED
    + "' then true end"
)
_ENTITIES: LiteralString = """
union all select 1, null, null, target.session_body from target where target.session_body is not null
union all select 2, null, null, target.task_body from target where target.task_deleted is false
    and target.task_body is not null
union all select 3, null, null, sprint.body from sprint where not sprint.deleted
"""
_EVENT: LiteralString = "epoch, xid, seq, body"
_MOST: LiteralString = " limit %(e_limit)s::bigint"
_EVENTS: LiteralString = """
union all select 7, array[e.epoch, e.xid::text::bigint, e.seq], null, e.body from ("""
_EVENTS_END: LiteralString = ") e"

_BODIES: dict[EntityType, LiteralString] = {
    EntityType.TASK: _ENTITIES + lists.LINKS,
    EntityType.SPRINT: _ENTITIES + lists.TASKS + lists.BLOCKERS + lists.READY,
    EntityType.SESSION: _ENTITIES + lists.TASKS + lists.LINKS + lists.BLOCKERS + lists.READY,
}


class _Part(IntEnum):
    """The content of a row."""

    VERSION = 0
    SESSION = 1
    TASK = 2
    SPRINT = 3
    LISTED = 4
    LINK = 5
    READY = 6
    EVENT = 7
    EARLIER = 8
    DECISION = 9
    OUTCOME = 10
    NOTE = 11
    ATTEMPT = 12
    COMPLETION = 13


class ContextLink(NamedTuple):
    """A link of a task, with the task that it depends on."""

    task_code: str
    depends_on_code: str
    kind: int
    status: int | None
    """None if the task that it depends on is deleted."""
    body: bytes | None
    """None if that task is deleted, or after 4 MiB of bodies."""


@dataclass(slots=True)
class Contents:
    """All parts of a context, serialized as stored."""

    version: ContextVersion
    session: bytes | None = None
    task: bytes | None = None
    sprint: bytes | None = None
    listed: list[bytes] = field(default_factory=list)
    """A page of the sprint's tasks."""
    listed_more: bool = False
    """True if the sprint has more tasks after these."""
    links: list[ContextLink] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)
    events: list[tuple[Position, bytes]] = field(default_factory=list)
    """In the order of the log."""
    earlier: list[tuple[str, bytes]] = field(default_factory=list)
    """The newest sessions on the same target, with their keys, newest first."""
    decisions: list[bytes] = field(default_factory=list)
    """The newest decisions, newest first."""
    outcomes: dict[str, bytes] = field(default_factory=dict)
    """The last session of each linked task by its code, if that session is closed."""
    completions: dict[str, bytes] = field(default_factory=dict)
    """The last attempt at each linked task by its code, if that attempt completed the task."""
    attempts: list[bytes] = field(default_factory=list)
    """The newest attempts at the task that have ended, newest first."""
    notes: list[tuple[Position, bytes]] = field(default_factory=list)
    """Activities that may be notes or decisions, in the order of the log."""


class TaskPageRequest(NamedTuple):
    """A request for a page of a sprint's tasks: the position before it, and the number of tasks."""

    limit: int
    priority: int
    create_time: datetime
    code: str


def version(
    conn: Connection, *, project: str, kind: EntityType, code: str, since: Cursor
) -> ContextVersion | None:
    """Return the current version of a context, or None if its target never existed."""
    row = conn.execute(
        HORIZON + _head(kind),
        {"project": project, "code": code, "limit": 1, **background.params(), **cursors.params(since)},
        name="context.version",
    ).fetchone()
    return None if row is None else read_version(row[1], row[2])


def load(
    conn: Connection,
    *,
    project: str,
    kind: EntityType,
    code: str,
    since: Cursor,
    events: int,
    page: TaskPageRequest,
) -> Contents | None:
    """Return all of a context with its version, in one snapshot, or None if its target never existed.

    It has the last ``events`` events after ``since``. Events and tasks are cut at 4 MiB each.
    """
    # An event may be in two scopes of a session, so each scope is read to the limit.
    limit = events * len(_SCOPES[kind])
    newest = _newest(kind, _EVENT, _COUNTED + cursors.unseen(since), limit)
    once = "select distinct on (epoch, xid, seq) * from (" + newest + ") newest" + BACK_IN_LOG + _MOST
    window = background.WINDOW * len(_SCOPES[kind])
    noted = _newest(kind, "epoch, xid, seq, type, body", _COUNTED, window)
    rows = conn.execute(
        HORIZON
        + _head(kind)
        + _BODIES[kind]
        + background.BODIES
        + background.notes(noted)
        + _EVENTS
        + pages.cut(_EVENT, once)
        + _EVENTS_END,
        {
            "project": project,
            "code": code,
            "limit": max(limit, 1),
            "e_limit": events,
            "bytes": pages.PAGE_BYTES,
            "p_limit": page.limit and page.limit + 1,
            "p_priority": page.priority,
            "p_time": page.create_time,
            "p_code": page.code,
            "l_limit": 2 * LINKS,
            "b_limit": BLOCKERS,
            "r_limit": READY,
            **background.params(),
            **cursors.params(since),
        },
        name="context.load",
    ).fetchall()
    return _contents(rows, page.limit)


def _head(kind: EntityType) -> LiteralString:
    """Return the query of the row of versions."""
    newest = _newest(kind, "epoch, xid, seq", _COUNTED, 1)
    return _TARGETS[kind] + _VERSION + background.VERSION + _ROW + newest + _ROW_END


def _newest(kind: EntityType, columns: LiteralString, bounds: LiteralString, limit: int) -> LiteralString:
    """Return the query of the newest ``%(limit)s`` events of the target's scopes below the horizon."""
    return Selection(_SCOPES[kind], {}).in_log(columns, bounds, BACK_IN_LOG, limit)


def _add_once(events: list[tuple[Position, bytes]], position: Position, body: bytes) -> None:
    # An event may be in two scopes of a session.
    if not events or events[-1][0] != position:
        events.append((position, body))


def _contents(rows: list[tuple[Any, ...]], page_limit: int) -> Contents | None:
    found: Contents | None = None
    # Rows whose order matters begin with their position.
    for part, numbers, texts, body in sorted(rows, key=lambda row: (row[0], row[1] or ())):
        if part == _Part.VERSION:
            found = Contents(read_version(numbers, texts))
            continue
        assert found is not None
        if part == _Part.SESSION:
            found.session = body
        elif part == _Part.TASK:
            found.task = body
        elif part == _Part.SPRINT:
            found.sprint = body
        elif part == _Part.LISTED:
            if numbers[0] <= page_limit:
                found.listed.append(body)
                found.listed_more = bool(numbers[1])
        elif part == _Part.LINK:
            found.links.append(ContextLink(texts[0], texts[1], numbers[1], numbers[2], body))
        elif part == _Part.READY:
            found.ready.append(texts[0])
        elif part == _Part.EARLIER:
            found.earlier.append((texts[0], body))
        elif part == _Part.DECISION:
            found.decisions.append(body)
        elif part == _Part.ATTEMPT:
            found.attempts.append(body)
        elif part == _Part.OUTCOME:
            found.outcomes[texts[0]] = body
        elif part == _Part.COMPLETION:
            found.completions[texts[0]] = body
        else:
            _add_once(found.notes if part == _Part.NOTE else found.events, Position(*numbers), body)
    return found
