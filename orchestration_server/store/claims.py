"""The SQL of claims: the statement that gives leases, and the queue of tasks that may be ready."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray, ByteaArray, TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import Request
from orchestration_server.store import aging, leases, tasks
from orchestration_server.store.aging import PRIORITIES, Aging
from orchestration_server.store.prepared import EntityRow, Prepared, prepared
from orchestration_server.store.writes import AttemptEnd


class Claimer(NamedTuple):
    """The agent that claims, with its session, provider and capabilities."""

    agent: str
    session_key: str = ""
    provider: str = ""
    capabilities: Sequence[str] = ()


class TaskFilter(NamedTuple):
    """The tasks that a claim may take. An empty field takes any value."""

    sprint_code: str = ""
    labels: Sequence[str] = ()
    priorities: Sequence[int] = ()


class Candidate(NamedTuple):
    """A task of the queue."""

    task_code: str
    generation: int
    """-1 if the task is not in the queue: its lease has expired."""
    priority: int
    create_time: datetime
    in_order: bool
    """False for a task whose time has come or whose lease has expired, which every first page has."""
    unready: int
    """The reasons for which the task is not ready, as bits (model.Unready)."""
    doubted: bool
    """True if an earlier look found the task not ready, and all transactions of that time have ended."""


class ClaimFacts(NamedTuple):
    """The facts of one task that a claim reads beside its row."""

    fence: int
    """The fence of the new lease."""
    last_number: int
    """The number of the last attempt; 0 if there was none."""
    unready: int
    session_closed: bool
    """True if the session of the claimer is closed."""
    spent: str
    """The amounts that all earlier attempts used, as an array of SQL; empty if the task has no budget."""


class NewLease(NamedTuple):
    """A lease and its attempt, as a claim stores them."""

    fence: int
    labels: str
    """The labels of the task as a JSON array."""
    number: int
    attempt: bytes
    spent: str
    """The amounts that earlier attempts used, as an array of SQL; empty if the task has no budget."""
    seen: str
    """The amounts of the expired lease when it was read, in the same form."""


class Terms(NamedTuple):
    """The terms of the leases of one claim."""

    seconds: float
    expire_time: datetime
    deadline: datetime | None


_PREPARE: LiteralString = (
    """
select clock_timestamp(), r.fingerprint, r.response, t.code, t.revision, t.delete_time is not null, t.body,
    case when t.code is not null then nextval('fences') end,
    coalesce((select max(a.number) from attempts a where a.project = t.project and a.task_code = t.code), 0),
    case when t.code is not null then ledger_unready(%(project)s, t.code, %(agent)s, %(able)s::text[],
        %(provider)s) end,
    exists (select from sessions s
        where s.project = %(project)s and s.key = %(session)s and s.key <> '' and s.status = 3),
    case when t.budget is not null then ledger_used(%(project)s, t.code)::text else '' end,
    """
    + leases.COLUMNS
    + """
from (values (1)) one
left join requests r on r.project = %(project)s and r.rpc = %(rpc)s and r.request_id = %(request_id)s
left join tasks t on r.request_id is null and t.project = %(project)s and t.code = any(%(codes)s::text[])
left join leases l on l.project = t.project and l.task_code = t.code
"""
)

# ``claimable`` is read before the tasks change, since ledger_unready sees what this statement has changed.
# The close of the session waits for the claim, and then ends its leases.
# An expired lease is looked at again under its row lock: a heartbeat may commit after ``claimable`` was read.
# So is its usage, which the lapsed attempt keeps: the row is inserted with the one that was read.
CLAIM: LiteralString = (
    """seated as materialized (
    select count(*) filter (where s.status = 3) as closed from (
        select s.status from locked, sessions s
        where s.project = %(project)s and s.key = %(k_session)s and s.key <> ''
        for share of s
    ) s
), turn as materialized (
    select ledger_take_turn(%(project)s, %(c_code)s::text[], %(k_agent)s, %(k_provider)s, locked.n) as n
    from locked
), claimable as materialized (
    select count(*) filter (where ledger_unready(%(project)s, k.code, %(k_agent)s, %(k_able)s::text[],
        %(k_provider)s, k.ordinal - 1) = 0 and seated.closed = 0) as n
    from turn, seated, unnest(%(c_code)s::text[]) with ordinality as k (code, ordinal)
    group by turn.n
), leased as (
    insert into leases (project, task_code, fence, agent, session_key, provider, labels, seconds, expire_time,
        deadline, budget, spent, used)
    select %(project)s, k.code, k.fence, %(k_agent)s, %(k_session)s, %(k_provider)s,
        array(select jsonb_array_elements_text(k.labels::jsonb)), %(k_seconds)s::double precision,
        %(k_expire)s::timestamptz, nullif(%(k_deadline)s, '')::timestamptz, nullif(k.budget, '')::bigint[],
        nullif(k.spent, '')::bigint[], nullif(k.seen, '')::bigint[]
    from claimable, unnest(%(c_code)s::text[], %(k_fence)s::bigint[], %(c_labels)s::text[],
        %(c_budget)s::text[], %(k_spent)s::text[], %(k_seen)s::text[])
        as k (code, fence, labels, budget, spent, seen)
    order by k.code
    on conflict (project, task_code) do update set fence = excluded.fence, agent = excluded.agent,
        session_key = excluded.session_key, provider = excluded.provider, labels = excluded.labels,
        seconds = excluded.seconds, expire_time = excluded.expire_time, deadline = excluded.deadline,
        budget = excluded.budget, spent = excluded.spent, used = null, usage = null
    where not ledger_lease_valid(leases.expire_time, leases.seconds, leases.deadline)
        and leases.used is not distinct from excluded.used
    returning 1
), tried as (
    insert into attempts (project, task_code, number, fence, body)
    select %(project)s, k.code, k.number, k.fence, k.body
    from claimable, unnest(%(c_code)s::text[], %(k_number)s::integer[], %(k_fence)s::bigint[],
        %(k_body)s::bytea[])
        as k (code, number, fence, body)
    returning 1
), lapsed as (
    update attempts a set outcome = k.outcome, body = k.body, used = nullif(k.used, '')::bigint[]
    from claimable, unnest(%(k_lapsed)s::bigint[], %(k_outcome)s::smallint[], %(k_ended)s::bytea[],
        %(k_used)s::text[]) as k (fence, outcome, body, used)
    where a.fence = k.fence and a.outcome = 0
    returning 1
), """
    + tasks.update_cte("updated", "claimable")
    + """, changed as (
    select 1 from updated
  union all
    select 1 from leased
  union all
    select 1 from tried
  union all
    select 1 from lapsed
  union all
    select 1 from generate_series(1, (select n from claimable))
)"""
)
ROWS_PER_CLAIM = 4
"""The rows of ``changed`` for each claimed task, beside one for each expired lease."""


def prepare(
    conn: Connection, *, project: str, request: Request, codes: Sequence[str], claimer: Claimer
) -> Prepared[dict[str, ClaimFacts]]:
    """Read tasks for a claim, each with a new fence and its readiness for the claimer."""
    rows = conn.execute(
        _PREPARE,
        {
            "project": project,
            "rpc": request.rpc,
            "request_id": request.request_id,
            "codes": TextArray(codes),
            "agent": claimer.agent,
            "able": TextArray(claimer.capabilities),
            "provider": claimer.provider,
            "session": claimer.session_key,
        },
        name="claims.prepare",
    ).fetchall()
    found = {
        r[3]: EntityRow(revision=r[4], deleted=r[5], body=r[6], lease=leases.lease_row(r[12:]))
        for r in rows
        if r[3] is not None
    }
    return prepared(rows[0], found, {r[3]: ClaimFacts(*r[7:12]) for r in rows if r[3] is not None})


def claim_params(
    columns: dict[str, Any],
    *,
    claimer: Claimer,
    terms: Terms,
    new: Sequence[NewLease],
    lapsed: Sequence[AttemptEnd],
) -> dict[str, Any]:
    """Return the parameters of CLAIM. ``columns`` are those of the tasks, in the order of ``new``."""
    return columns | {
        "k_agent": claimer.agent,
        "k_session": claimer.session_key,
        "k_provider": claimer.provider,
        "k_able": TextArray(claimer.capabilities),
        "k_seconds": str(terms.seconds),
        "k_expire": terms.expire_time,
        "k_deadline": "" if terms.deadline is None else terms.deadline.isoformat(),
        "k_fence": BigintArray(n.fence for n in new),
        "k_number": BigintArray(n.number for n in new),
        "k_body": ByteaArray(n.attempt for n in new),
        "k_spent": TextArray(n.spent for n in new),
        "k_seen": TextArray(n.seen for n in new),
        "k_lapsed": BigintArray(e.fence for e in lapsed),
        "k_outcome": BigintArray(e.outcome for e in lapsed),
        "k_ended": ByteaArray(e.body for e in lapsed),
        "k_used": TextArray(e.used for e in lapsed),
    }


_FILTER: LiteralString = """
        and q.priority = any(%(priorities)s::smallint[]) and q.capabilities <@ %(able)s::text[]
        and not q.labels && o.closed_labels and q.sprint_code <> all(o.closed_sprints)"""
_OF_SPRINT: LiteralString = " and q.sprint_code = %(sprint)s and q.sprint_code <> ''"
_WITH_LABELS: LiteralString = " and q.labels @> %(labels)s::text[] and q.labels <> '{}'"
# The queue is read by one scan for each priority.
_HEAD: LiteralString = """
select q.task_code, q.generation, q.priority, q.create_time, q.in_order,
    case when q.task_code is not null
        then ledger_unready(%(project)s, q.task_code, %(agent)s, %(able)s::text[], %(provider)s) end,
    coalesce(q.doubt <= pg_snapshot_xmin(pg_current_snapshot()), false), o.by_claimer, o.room
from ledger_openings(%(project)s, %(agent)s, %(provider)s) o
left join lateral (
    (
        select q.task_code, q.generation, q.priority, q.create_time, true as in_order, q.doubt
        from unnest(%(priorities)s::smallint[], %(starts)s::text[]::timestamptz[]) as p (priority, start)
        cross join lateral (
            select q.task_code, q.generation, q.priority, q.create_time, q.doubt from ready_queue q
            where q.project = %(project)s and q.wake_time is null and q.priority = p.priority
                and (q.create_time, q.task_code) > (p.start, %(after_code)s)"""
_FIRST_PRIORITIES: LiteralString = (
    """
            order by q.create_time, q.task_code limit %(limit)s::bigint
        ) q
        where o.room > 0 """
    + aging.ORDER
    + " limit %(limit)s::bigint"
)
# The first page also has the tasks whose time has come, and those whose lease has expired. Only open attempts
# have a row in leases, so it takes little to look at all of them.
_WOKEN: LiteralString = """
    )
  union all
    (
        select q.task_code, q.generation, q.priority, q.create_time, false, q.doubt from ready_queue q
        where o.room > 0 and q.project = %(project)s and q.wake_time <= clock_timestamp()"""
_EXPIRED: LiteralString = """ limit %(limit)s::bigint
    )
  union all
    (
        select q.code, -1, q.priority, q.create_time, false, null from leases l
        join tasks q on q.project = l.project and q.code = l.task_code
        where o.room > 0 and l.project = %(project)s
            and not ledger_lease_valid(l.expire_time, l.seconds, l.deadline)"""
_LIMIT: LiteralString = " limit %(limit)s::bigint"
_END: LiteralString = (
    """
    )
) q on true """
    + aging.ORDER
)

# Rows that another session has locked are changing: they are left to the next look.
_DOUBT: LiteralString = """
update ready_queue q set doubt = pg_snapshot_xmax(pg_current_snapshot()) where (q.project, q.task_code) in (
    select q.project, q.task_code
    from unnest(%(codes)s::text[], %(generations)s::bigint[]) as d (code, generation)
    join ready_queue q on q.project = %(project)s and q.task_code = d.code and q.generation = d.generation
    where q.doubt is null
    for update of q skip locked)
"""
_DEQUEUE: LiteralString = """
delete from ready_queue q where (q.project, q.task_code) in (
    select q.project, q.task_code
    from unnest(%(codes)s::text[], %(generations)s::bigint[]) as d (code, generation)
    join ready_queue q on q.project = %(project)s and q.task_code = d.code and q.generation = d.generation
    for update of q skip locked)
"""


class CandidatePage(NamedTuple):
    """Tasks of the queue in the order of claims."""

    rows: list[Candidate]
    by_claimer: bool
    """True if the project has limits or pauses of agents: then other claimers may get other tasks."""
    room: int
    """The most leases that the claimer may take now."""


def candidates(
    conn: Connection,
    *,
    project: str,
    claimer: Claimer,
    tasks: TaskFilter,
    order: Aging,
    after: Candidate | None,
    limit: int,
) -> CandidatePage:
    """Return a page of tasks that may be ready.

    Only the first page has those whose time has come and those whose lease has expired. It is empty if the
    claimer may take no task now.
    """
    wanted = _FILTER
    if tasks.sprint_code:
        wanted += _OF_SPRINT
    if tasks.labels:
        wanted += _WITH_LABELS
    query = _HEAD + wanted + _FIRST_PRIORITIES
    if after is None:
        query += _WOKEN + wanted + _EXPIRED + wanted + _LIMIT
    priorities = tasks.priorities or PRIORITIES
    position = None if after is None else (after.priority, after.create_time)
    rows = conn.execute(
        query + _END,
        {
            "project": project,
            "agent": claimer.agent,
            "able": TextArray(claimer.capabilities),
            "provider": claimer.provider,
            "sprint": tasks.sprint_code,
            "labels": TextArray(tasks.labels),
            "priorities": BigintArray(priorities),
            "starts": TextArray(order.starts(position, priorities)),
            "step": order.step,
            "after_code": "" if after is None else after.task_code,
            "limit": limit,
        },
        name="claims.candidates",
    ).fetchall()
    found = [Candidate(*row[:7]) for row in rows if row[0] is not None]
    return CandidatePage(found, rows[0][7], max(0, rows[0][8]))


def dequeue(conn: Connection, *, project: str, rows: Sequence[Candidate]) -> None:
    """Take tasks out of the queue that two looks found not ready, and mark those that one look found so."""
    for query, doubted in ((_DEQUEUE, True), (_DOUBT, False)):
        chosen = [row for row in rows if row.doubted is doubted]
        if chosen:
            params = {
                "project": project,
                "codes": TextArray(row.task_code for row in chosen),
                "generations": BigintArray(row.generation for row in chosen),
            }
            conn.execute(query, params, name="claims.dequeue")


_WAKE: LiteralString = """
update ready_queue set wake_time = null where (project, task_code) in (
    select project, task_code from ready_queue where wake_time <= clock_timestamp()
    order by project, task_code limit %(limit)s::bigint for update skip locked)
"""


def wake_due(conn: Connection, *, limit: int) -> int:
    """Put tasks whose time has come into the order of the queue. Return their number."""
    return conn.execute(_WAKE, {"limit": limit}, name="claims.wake_due").rowcount


_QUEUE_FREED: LiteralString = """
select ledger_queue_freed(f.project, %(limit)s::bigint) from (
    select f.project from freed_dependents f where f.project = %(project)s or %(project)s::text is null
    order by f.create_time, f.blocker limit 1) f
"""


def queue_freed(conn: Connection, *, project: str | None, limit: int) -> bool:
    """Put dependents of an ended blocker into the queue that its end left to later transactions.

    Return False if no dependents are left. ``project`` None means any project.
    """
    return bool(
        conn.execute(_QUEUE_FREED, {"project": project, "limit": limit}, name="claims.queue_freed").fetchall()
    )
