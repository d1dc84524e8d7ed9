"""The SQL of pending changes, which a later event will log. Their table is ``held_changes``.

A pending change is written under the advisory lock of its entity, and is deleted under it with the event that
logs it. So the holder of the lock sees all of them, and they stay.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray, TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import Entity, EventRow, PendingChange
from orchestration_server.store import writes
from orchestration_server.store.writes import Change

MAX_PENDING = 100
"""The number of pending changes from which those of an entity are logged at once."""

_NOW: LiteralString = "select clock_timestamp(), exists (select from held_changes)"
_DUE: LiteralString = """
select project, entity_type, entity_code,
    min(latest_time) <= coalesce(%(now)s::timestamptz, clock_timestamp())
from held_changes
group by project, entity_type, entity_code
having least(max(stable_time), min(latest_time)) <= coalesce(%(now)s::timestamptz, clock_timestamp())
    or count(*) >= %(steps)s::bigint
order by min(latest_time)
limit %(limit)s::bigint
"""
# The scalar subquery is a probe of the primary key.
_ANY: LiteralString = """
select e.project, e.entity_type, e.entity_code
from unnest(%(projects)s::text[], %(types)s::smallint[], %(codes)s::text[])
    as e (project, entity_type, entity_code)
where (select true from held_changes h where h.project = e.project and h.entity_type = e.entity_type
    and h.entity_code = e.entity_code limit 1)
"""
_STEPS: LiteralString = """
select h.project, h.entity_type, h.entity_code, h.revision, h.stable_time, h.latest_time, h.correlation_id,
    h.body, h.scopes
from unnest(%(projects)s::text[], %(types)s::smallint[], %(codes)s::text[])
    as e (project, entity_type, entity_code)
cross join lateral (
    select * from held_changes h where h.project = e.project and h.entity_type = e.entity_type
        and h.entity_code = e.entity_code
    offset 0
) h
order by h.project, h.entity_type, h.entity_code, h.revision
"""
_OF_CHAIN: LiteralString = """
select h.project, h.entity_type, h.entity_code, h.revision, h.stable_time, h.latest_time, h.correlation_id,
    h.body, h.scopes
from (
    select distinct on (entity_type, entity_code) entity_type, entity_code, correlation_id
    from held_changes where project = %(project)s
    order by entity_type, entity_code, revision desc
) l join held_changes h on h.project = %(project)s and h.entity_type = l.entity_type
    and h.entity_code = l.entity_code
where l.correlation_id = %(correlation)s
order by h.entity_type, h.entity_code, h.revision
limit %(limit)s::bigint
"""
_TAKE: LiteralString = """changed as (
    delete from held_changes h using (
        select e.project, e.entity_type, e.entity_code, e.revision from locked,
            unnest(%(h_project)s::text[], %(h_type)s::smallint[], %(h_code)s::text[],
                %(h_revision)s::bigint[])
            as e (project, entity_type, entity_code, revision)
    ) e
    where h.project = e.project and h.entity_type = e.entity_type and h.entity_code = e.entity_code
        and h.revision = e.revision
    returning 1
)"""


class _EntityArrays(NamedTuple):
    """The parameters that name entities."""

    projects: TextArray
    types: BigintArray
    codes: TextArray

    @staticmethod
    def of(entities: Collection[Entity]) -> _EntityArrays:
        """Return entities as one array a column."""
        return _EntityArrays(
            TextArray(e.project for e in entities),
            BigintArray(e.entity_type for e in entities),
            TextArray(e.code for e in entities),
        )


def now_and_any(conn: Connection) -> tuple[datetime, bool]:
    """Return the database's clock, and whether there are any pending changes."""
    row = conn.execute(_NOW, name="held.now").fetchone()
    assert row is not None
    return row[0], row[1]


class DueEntity(NamedTuple):
    """An entity whose changes are due. It is ``late`` if the first has waited for its longest time."""

    entity: Entity
    late: bool


def list_due(conn: Connection, *, now: datetime | None, limit: int) -> list[DueEntity]:
    """Return due entities, the longest waiting first. Without ``now`` the database's clock decides."""
    rows = conn.execute(_DUE, {"now": now, "steps": MAX_PENDING, "limit": limit}, name="held.due").fetchall()
    return [DueEntity(Entity(*row[:3]), row[3]) for row in rows]


def with_pending(conn: Connection, entities: Collection[Entity]) -> list[Entity]:
    """Return those entities that have pending changes."""
    if not entities:
        return []
    return [
        Entity(*row) for row in conn.execute(_ANY, _EntityArrays.of(entities)._asdict(), name="held.held")
    ]


def list_by_entity(conn: Connection, entities: Collection[Entity]) -> dict[Entity, list[PendingChange]]:
    """Return the pending changes of each entity that has some, in the order of revisions."""
    return _by_entity(
        conn.execute(_STEPS, _EntityArrays.of(entities)._asdict(), name="held.steps").fetchall()
    )


def list_by_correlation(
    conn: Connection, *, project: str, correlation_id: str, limit: int
) -> dict[Entity, list[PendingChange]]:
    """Return the pending changes of entities whose next event will have this correlation id."""
    params = {"project": project, "correlation": correlation_id, "limit": limit}
    return _by_entity(conn.execute(_OF_CHAIN, params, name="held.of_chain").fetchall())


def replace_with_events(
    conn: Connection, *, rows: Sequence[PendingChange], events: Sequence[EventRow]
) -> None:
    """Delete pending changes and log their events. Fails with OL001 if one of them is gone."""
    change = Change(
        b"",
        sql=_TAKE,
        params={
            "h_project": TextArray(r.entity.project for r in rows),
            "h_type": BigintArray(r.entity.entity_type for r in rows),
            "h_code": TextArray(r.entity.code for r in rows),
            "h_revision": BigintArray(r.revision for r in rows),
        },
        expected=len(rows),
        events=events,
        flushes_pending=True,
    )
    writes.apply(conn, change, project="", locks=(), requests=())


def _by_entity(rows: Sequence[tuple[object, ...]]) -> dict[Entity, list[PendingChange]]:
    found: dict[Entity, list[PendingChange]] = {}
    for project, entity_type, code, *rest in rows:
        entity = Entity(project, entity_type, code)  # type: ignore[arg-type]  # as the columns are
        found.setdefault(entity, []).append(PendingChange(entity, *rest))  # type: ignore[arg-type]  # the same
    return found
