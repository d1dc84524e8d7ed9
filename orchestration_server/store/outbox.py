"""The SQL of the file outbox: the entities whose files are to be written, one row an entity.

A worker claims rows for a time, then reads the entities, and finishes those rows that were not requested
again meanwhile. No row stays locked while files are written, so writes never wait for a worker. Statements
that lock several rows do so in the order of the primary key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import LiteralString, NamedTuple

from uuid_utils import UUID

from orchestration_server.db.arrays import BigintArray, TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import EventRow, Request
from orchestration_server.store import writes
from orchestration_server.store.prepared import EntityRow, Prepared, prepared
from orchestration_server.store.writes import Change

# The change of a write that queues a sprint and all its tasks.
QUEUE_SPRINT: LiteralString = """changed as (
    insert into file_outbox as o (project, kind, code, correlation_id)
    select project, kind, code, %(c_correlation)s from (
        select s.project, 'sprint' as kind, s.code from locked, sprints s
        where s.project = %(project)s and s.code = %(c_code)s
      union all
        select t.project, 'task', t.code from locked, tasks t
        where t.project = %(project)s and t.sprint_code = %(c_code)s and t.sprint_code <> ''
            and t.delete_time is null
    ) q
    order by kind, code
    on conflict (project, kind, code) do update
        set generation = o.generation + 1, correlation_id = excluded.correlation_id
    returning 1
)"""
_PREPARE: LiteralString = """
select clock_timestamp(), r.fingerprint, r.response, s.code, s.revision, s.delete_time is not null, s.body, (
    select count(*) from tasks t where t.project = %(project)s and t.sprint_code = %(code)s
        and t.sprint_code <> '' and t.delete_time is null)
from (values (1)) one
left join requests r on r.project = %(project)s and r.rpc = %(rpc)s and r.request_id = %(request_id)s
left join sprints s on s.project = %(project)s and s.code = %(code)s
"""

_CLAIM: LiteralString = """
with due as materialized (
    select project, kind, code from file_outbox where next_attempt_time <= now()
    order by next_attempt_time limit %(limit)s::bigint
    for update skip locked
)
update file_outbox o set claim = %(claim)s::uuid,
    next_attempt_time = now() + %(seconds)s::bigint * interval '1 second'
from due
where o.project = due.project and o.kind = due.kind and o.code = due.code
returning o.project, o.kind, o.code, o.correlation_id, o.generation, o.attempts
"""
_WANTED: LiteralString = """
from unnest(%(projects)s::text[], %(codes)s::text[]) as w (project, code)
join """
_BY_CODE: LiteralString = " e on e.project = w.project and e.code = w.code"
_NO_LINKS: LiteralString = ", '{}'::text[], '{}'::smallint[]"
_ENTITY: LiteralString = "select e.project, e.code, e.body, e.delete_time is not null"
# One statement reads the links in the snapshot of the body. A link to a deleted task blocks nothing, and the
# files have no such task, so it is left out. Each link is a probe of a primary key.
_LINKS: LiteralString = """, l.codes, l.kinds"""
_OF_TASK: LiteralString = """
cross join lateral (
    select coalesce(array_agg(d.depends_on_code order by d.kind, d.depends_on_code), '{}') as codes,
        coalesce(array_agg(d.kind order by d.kind, d.depends_on_code), '{}') as kinds
    from dependencies d
    where d.project = e.project and d.task_code = e.code and (
        select o.delete_time is null from tasks o where o.project = d.project and o.code = d.depends_on_code)
) l"""
_ANY: LiteralString = "select e.project, e.code, e.body, false"
_ENTITIES: dict[str, LiteralString] = {
    "sprint": _ENTITY + _NO_LINKS + _WANTED + "sprints" + _BY_CODE,
    "task": _ENTITY + _LINKS + _WANTED + "tasks" + _BY_CODE + _OF_TASK,
    "adr": _ANY + _NO_LINKS + _WANTED + "adrs" + _BY_CODE,
    "bug_report": _ANY + _NO_LINKS + _WANTED + "bug_reports" + _BY_CODE,
}

# A row that is done is deleted, or is due at once if it was requested again. A row that failed is due after
# its pause. A lost claim changes nothing.
_FINISH: LiteralString = """claimed as materialized (
    select o.project, o.kind, o.code, o.generation > w.generation as again, w.pause, w.error
    from locked, unnest(%(f_project)s::text[], %(f_kind)s::text[], %(f_code)s::text[],
            %(f_generation)s::bigint[], %(f_pause)s::bigint[], %(f_error)s::text[])
            as w (project, kind, code, generation, pause, error)
    join file_outbox o on o.project = w.project and o.kind = w.kind and o.code = w.code
    where o.claim = %(f_claim)s::uuid
    order by o.project, o.kind, o.code
    for update of o
), done as (
    delete from file_outbox o using claimed h
    where h.error = '' and not h.again and o.project = h.project and o.kind = h.kind and o.code = h.code
), waiting as (
    update file_outbox o set claim = null,
        attempts = case when h.error = '' then 0 else o.attempts + 1 end,
        last_error = h.error,
        next_attempt_time = now() + h.pause * interval '1 millisecond'
    from claimed h
    where (h.error <> '' or h.again) and o.project = h.project and o.kind = h.kind and o.code = h.code
), changed as (select 1 from locked where false)"""


class ClaimedRow(NamedTuple):
    """An outbox row that a worker has claimed."""

    project: str
    kind: str
    code: str
    correlation_id: str
    generation: int
    attempts: int
    """The number of failures in succession so far."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Return the primary key of the row."""
        return self.project, self.kind, self.code


class SerializedEntity(NamedTuple):
    """A serialized entity. A task also has its links: the other task's code and the kind."""

    body: bytes
    deleted: bool = False
    links: tuple[tuple[str, int], ...] = ()


class FinishedRow(NamedTuple):
    """The result of a row: done if ``error`` is empty, else to be retried after ``pause`` milliseconds."""

    row: ClaimedRow
    error: str = ""
    pause: int = 0


def prepare_sprint(conn: Connection, *, project: str, request: Request, code: str) -> Prepared[int]:
    """Read a sprint and the number of its tasks for SyncSprint."""
    row = conn.execute(
        _PREPARE,
        {"project": project, "rpc": request.rpc, "request_id": request.request_id, "code": code},
        name="outbox.prepare_sprint",
    ).fetchone()
    assert row is not None
    found = {} if row[3] is None else {row[3]: EntityRow(revision=row[4], deleted=row[5], body=row[6])}
    return prepared(row, found, int(row[7]))


def claim(conn: Connection, *, claim: UUID, limit: int, seconds: int) -> list[ClaimedRow]:
    """Claim due rows, the longest waiting first. After ``seconds`` other workers may claim them."""
    rows = conn.execute(
        _CLAIM, {"claim": str(claim), "limit": limit, "seconds": seconds}, name="outbox.claim"
    ).fetchall()
    return [ClaimedRow(*row) for row in rows]


def entities(conn: Connection, rows: Iterable[ClaimedRow]) -> dict[tuple[str, str, str], SerializedEntity]:
    """Return the existing entities of rows, in one statement a kind."""
    by_kind: dict[str, list[ClaimedRow]] = {}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row)
    found = {}
    for kind, wanted in by_kind.items():
        params = {
            "projects": TextArray(w.project for w in wanted),
            "codes": TextArray(w.code for w in wanted),
        }
        for project, code, body, deleted, codes, kinds in conn.execute(
            _ENTITIES[kind], params, name="outbox.entities"
        ):
            found[project, kind, code] = SerializedEntity(
                body, deleted, tuple(zip(codes, kinds, strict=True))
            )
    return found


def finish(conn: Connection, *, claim: UUID, rows: Sequence[FinishedRow], events: Sequence[EventRow]) -> None:
    """Finish rows, in one transaction with the events that report it."""
    change = Change(
        b"",
        sql=_FINISH,
        params={
            "f_claim": str(claim),
            "f_project": TextArray(f.row.project for f in rows),
            "f_kind": TextArray(f.row.kind for f in rows),
            "f_code": TextArray(f.row.code for f in rows),
            "f_generation": BigintArray(f.row.generation for f in rows),
            "f_pause": BigintArray(f.pause for f in rows),
            "f_error": TextArray(f.error for f in rows),
        },
        events=events,
    )
    writes.apply(conn, change, project="", locks=(), requests=())
