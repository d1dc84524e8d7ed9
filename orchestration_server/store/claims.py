"""The SQL of claims: the statement that gives leases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from orchestration_server.db.arrays import BigintArray, ByteaArray, TextArray
from orchestration_server.db.connection import Connection
from orchestration_server.model import Request
from orchestration_server.store import leases, tasks
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
