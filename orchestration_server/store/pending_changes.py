"""The SQL of held changes: steps of an entity that one event will tell of.

A step is written with its change, under the entity's advisory lock; so are they taken away, with the event
that tells of them. Whoever has the lock therefore sees all of them, and they stay.
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
"""So many steps of an entity are told of at once, however short the time."""

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
# Scalar subqueries, which are probes of the primary key and nothing else.
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
    """Parameters that name entities."""

    projects: TextArray
    types: BigintArray
    codes: TextArray

    @staticmethod
    def of(entities: Collection[Entity]) -> _EntityArrays:
        """As one array a column."""
        return _EntityArrays(
            TextArray(e.project for e in entities),
            BigintArray(e.entity_type for e in entities),
            TextArray(e.code for e in entities),
        )


def now_and_any(conn: Connection) -> tuple[datetime, bool]:
    """The database's clock, and whether anything is held at all."""
    row = conn.execute(_NOW, name="held.now").fetchone()
    assert row is not None
    return row[0], row[1]


class DueEntity(NamedTuple):
    """An entity whose steps are to be told of; ``late`` where the first has waited for as long as it may."""

    entity: Entity
    late: bool


def list_due(conn: Connection, *, now: datetime | None, limit: int) -> list[DueEntity]:
    """What is to be told of, the longest waiting first; None is the database's clock."""
    rows = conn.execute(_DUE, {"now": now, "steps": MAX_PENDING, "limit": limit}, name="held.due").fetchall()
    return [DueEntity(Entity(*row[:3]), row[3]) for row in rows]


def with_pending(conn: Connection, entities: Collection[Entity]) -> list[Entity]:
    """Those of the entities that have steps which nothing has told of."""
    if not entities:
        return []
    return [
        Entity(*row) for row in conn.execute(_ANY, _EntityArrays.of(entities)._asdict(), name="held.held")
    ]


def list_by_entity(conn: Connection, entities: Collection[Entity]) -> dict[Entity, list[PendingChange]]:
    """The steps of each of these entities that has some, in the order of revisions."""
    return _by_entity(
        conn.execute(_STEPS, _EntityArrays.of(entities)._asdict(), name="held.steps").fetchall()
    )


def list_by_correlation(
    conn: Connection, *, project: str, correlation_id: str, limit: int
) -> dict[Entity, list[PendingChange]]:
    """The steps of entities whose next event will be of this correlation."""
    params = {"project": project, "correlation": correlation_id, "limit": limit}
    return _by_entity(conn.execute(_OF_CHAIN, params, name="held.of_chain").fetchall())


def replace_with_events(
    conn: Connection, *, rows: Sequence[PendingChange], events: Sequence[EventRow]
) -> None:
    """Takes steps away with the events that tell of them, where all of them are there."""
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
