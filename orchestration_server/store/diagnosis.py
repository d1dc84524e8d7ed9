"""The SQL that examines a database on behalf of `orchestration doctor`. It reads, and changes nothing.

It runs on plain connections of psycopg that prepare nothing: what is examined may stand behind a pooler that
loses what was prepared.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from orchestration_server.db import connect as connecting
from orchestration_server.db.connection import APPLICATION_NAME
from orchestration_server.store.monitoring import PENDING_CHANGES, Backlog

Connection = psycopg.Connection[tuple[Any, ...]]
DOCTOR_APPLICATION_NAME = "orchestration-doctor"

_ABOUT: LiteralString = """
select current_setting('server_version_num')::integer / 10000, current_setting('server_version'),
    current_setting('server_encoding'), pg_is_in_recovery(), current_user::text, current_database()::text,
    coalesce(current_schema()::text, ''), current_setting('fsync')::boolean,
    current_setting('full_page_writes')::boolean, current_setting('synchronous_commit') <> 'off',
    current_setting('autovacuum')::boolean and current_setting('track_counts')::boolean,
    (select age(datfrozenxid) from pg_database where datname = current_database())
"""
_ROLE: LiteralString = """
select coalesce(has_schema_privilege(current_schema(), 'create'), false),
    pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
    has_function_privilege('pg_control_system()', 'execute'),
    array(
        select c.relname::text from pg_class c
        where c.oid in (to_regclass('migrations'), to_regclass('events'), to_regclass('events_rest'),
            to_regclass('tasks')) and not pg_has_role(c.relowner, 'usage')
        order by 1)
"""
_CONNECTIONS: LiteralString = """
select current_setting('max_connections')::integer, current_setting('superuser_reserved_connections')::integer
        + coalesce(current_setting('reserved_connections', true), '0')::integer,
    (select rolconnlimit from pg_roles where rolname = current_user),
    (select datconnlimit from pg_database where datname = current_database()),
    count(*) filter (where backend_type = 'client backend' and pid <> pg_backend_pid()),
    count(*) filter (where datname = current_database() and application_name = %s),
    count(distinct client_addr) filter (where datname = current_database() and application_name = %s)
from pg_stat_activity
"""
# A transaction with an id holds the horizon, but for those that horizon.py leaves out; a prepared one does so
# until somebody ends it.
_WRITING: LiteralString = """
select a.pid, coalesce(nullif(a.application_name, ''), a.usename::text), coalesce(a.state, ''),
    extract(epoch from clock_timestamp() - a.xact_start)::float8
from pg_stat_activity a
where (a.datname = current_database() or a.datname is null) and a.backend_xid is not null
    and a.pid <> pg_backend_pid() and a.backend_type is distinct from 'autovacuum worker'
    and a.application_name is distinct from 'orchestration archive'
order by a.xact_start
"""
_PREPARED: LiteralString = """
select gid, owner::text, extract(epoch from clock_timestamp() - prepared)::float8
from pg_prepared_xacts where database = current_database() order by prepared
"""
_IDLE: LiteralString = """
select a.pid, coalesce(nullif(a.application_name, ''), a.usename::text), a.state,
    extract(epoch from clock_timestamp() - a.state_change)::float8
from pg_stat_activity a
where a.datname = current_database() and a.state like 'idle in transaction%%' and a.pid <> pg_backend_pid()
    and a.state_change < clock_timestamp() - make_interval(secs => %s)
order by a.state_change
"""
# Those without a database are standbys that report what they read.
_SEEING: LiteralString = """
select a.pid, coalesce(nullif(a.application_name, ''), a.usename::text, a.backend_type),
    coalesce(a.state, ''), extract(epoch from clock_timestamp() - a.xact_start)::float8
from pg_stat_activity a
where a.backend_xmin is not null and a.pid <> pg_backend_pid()
    and (a.datname = current_database() or a.datid is null)
    and a.xact_start < clock_timestamp() - make_interval(secs => %s)
order by age(a.backend_xmin) desc
"""
_SLOTS: LiteralString = """
select slot_name::text, active, coalesce(greatest(age(xmin), age(catalog_xmin)), 0),
    coalesce(pg_wal_lsn_diff(
        case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,
        restart_lsn), 0)::bigint
from pg_replication_slots order by 1
"""
_MIGRATIONS: LiteralString = "select name from migrations order by name"
_IS_THERE: LiteralString = "select to_regclass(%s) is not null"
_KEYS: LiteralString = """
select count(*), count(*) filter (
    where revoke_time is null and (expire_time is null or expire_time > clock_timestamp()))
from api_keys
"""
_PARTITIONS: LiteralString = """
select c.relname::text, pg_get_expr(c.relpartbound, c.oid), pg_relation_size(c.oid)
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent in ('events'::regclass, 'events_rest'::regclass)
order by 1
"""
_STRAY: LiteralString = """
select c.relname::text from pg_class c
where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and not c.relispartition
    and c.relname ~ '^events_.*[0-9]{4}_[0-9]{2}'
order by 1
"""
_INVALID: LiteralString = """
select x.indexrelid::regclass::text from pg_index x join pg_class c on c.oid = x.indrelid
where c.relnamespace = current_schema()::regnamespace and not x.indisvalid
order by 1
"""
_SIZES: LiteralString = """
select pg_database_size(current_database()), array(
    select format('%%s %%s', t.name, pg_size_pretty(t.bytes)) from (
        select coalesce(pg_partition_root(c.oid), c.oid)::regclass::text as name,
            sum(pg_total_relation_size(c.oid)) as bytes
        from pg_class c
        where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
        group by 1 order by 2 desc limit %s
    ) t order by t.bytes desc)
"""
_DEAD: LiteralString = """
select relname::text, n_live_tup, n_dead_tup from pg_stat_user_tables
where schemaname = current_schema() and n_dead_tup > %s and n_dead_tup > %s * n_live_tup
order by n_dead_tup desc
"""
_NOT_VISIBLE: LiteralString = """
select c.relname::text, p.pages, c.relallvisible
from pg_class c
cross join lateral (
    select pg_relation_size(c.oid) / current_setting('block_size')::bigint as pages
) p
where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and c.relispartition
    and c.relname like 'events%%' and p.pages > %s and c.relallvisible < %s * p.pages
order by 1
"""
_AUTOVACUUM_OFF: LiteralString = """
select c.relname::text from pg_class c
where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
    and 'autovacuum_enabled=false' = any(c.reloptions)
order by 1
"""
_OLDEST_REQUEST: LiteralString = """
select /* doctor */ extract(epoch from clock_timestamp() - min(create_time))::float8 from requests
"""
_OUTBOX: LiteralString = """
select /* doctor */ count(*), extract(epoch from clock_timestamp() - min(queue_time))::float8,
    count(*) filter (where attempts > 0), coalesce(max(last_error), '')
from file_outbox
"""
_EXTENSION: LiteralString = """
select n.nspname::text from pg_extension x join pg_namespace n on n.oid = x.extnamespace
where x.extname = 'pg_stat_statements'
"""
# The texts have $1 in the place of each value; those that are not about rows may hold some, and stay out.
_STATEMENTS: LiteralString = """
select s.queryid, regexp_replace(s.query, '\\s+', ' ', 'g'), s.calls, s.mean_exec_time
from {}.pg_stat_statements s
where s.dbid = (select oid from pg_database where datname = current_database())
    and s.query ~* '^\\s*(select|with|insert|update|delete)\\M'
    and s.query ~ '\\m(events|tasks|sprints|sessions|requests|log_state|dependencies|file_outbox)\\M'
    and s.query !~ '/\\* doctor|\\m(pg_class|pg_inherits|pg_stat_statements)\\M'
order by s.mean_exec_time desc limit %s
"""


class PostgresFacts(NamedTuple):
    """What a Postgres is."""

    major: int
    version: str
    encoding: str
    replica: bool
    user: str
    database: str
    schema: str
    fsync: bool
    full_page_writes: bool
    waits_for_disk: bool
    autovacuum: bool
    frozen_age: int


class RoleRights(NamedTuple):
    """What the role may do."""

    creates: bool
    sees_sessions: bool
    reads_control: bool
    not_owned: list[str]


class Connections(NamedTuple):
    """How many connections Postgres takes, and who has them. A limit of -1 is none."""

    most: int
    reserved: int
    of_role: int
    of_database: int
    open: int
    of_servers: int
    hosts: int


class BackendSession(NamedTuple):
    """A session and how long it has been so, in seconds; None where the role may not know."""

    pid: int
    name: str
    state: str
    seconds: float | None


class PreparedTransaction(NamedTuple):
    """A transaction that waits for its second phase."""

    gid: str
    owner: str
    seconds: float


class ReplicationSlot(NamedTuple):
    """A replication slot: how many transactions and how many bytes of log it holds back."""

    name: str
    active: bool
    age: int
    bytes: int


class LivePartition(NamedTuple):
    """A partition of the live events."""

    name: str
    bounds: str
    bytes: int


class SlowStatement(NamedTuple):
    """A statement of pg_stat_statements; milliseconds."""

    queryid: int
    text: str
    calls: int
    mean: float


class OutboxState(NamedTuple):
    """Files that are to be written."""

    rows: int
    seconds: float | None
    failing: int
    error: str


def connect(url: str) -> Connection:
    """Open a connection for what is below, to a standby too. What is wrong with it is for checks to say."""
    return connecting.connect(
        url,
        psycopg.Connection,
        application=DOCTOR_APPLICATION_NAME,
        allow_standby=True,
        checked=False,
        prepare_threshold=None,
    )


def begin(conn: Connection) -> None:
    """Makes this transaction a short one that reads. The settings end with it, also behind a pooler."""
    conn.execute("set transaction read only")
    conn.execute("set local statement_timeout = '10s'")
    conn.execute("set local timezone = 'UTC'")
    conn.execute("set local datestyle = 'ISO, MDY'")


def clock(conn: Connection) -> datetime:
    """The database's clock."""
    now: datetime = _row(conn.execute("select clock_timestamp()"))[0]
    return now


def postgres_facts(conn: Connection) -> PostgresFacts:
    """What this Postgres is."""
    return PostgresFacts(*_row(conn.execute(_ABOUT)))


def role_rights(conn: Connection) -> RoleRights:
    """What this role may do."""
    return RoleRights(*_row(conn.execute(_ROLE)))


def connections(conn: Connection) -> Connections:
    """Who has how many connections."""
    return Connections(*_row(conn.execute(_CONNECTIONS, (APPLICATION_NAME, APPLICATION_NAME))))


def sessions_holding_horizon(conn: Connection) -> list[BackendSession]:
    """The sessions of this database that hold the horizon, the oldest first."""
    return [BackendSession(*row) for row in conn.execute(_WRITING)]


def prepared_transactions(conn: Connection) -> list[PreparedTransaction]:
    """The prepared transactions of this database, the oldest first."""
    return [PreparedTransaction(*row) for row in conn.execute(_PREPARED)]


def idle_transactions(conn: Connection, *, seconds: float) -> list[BackendSession]:
    """The sessions that have done nothing in a transaction for longer than this."""
    return [BackendSession(*row) for row in conn.execute(_IDLE, (seconds,))]


def sessions_holding_vacuum(conn: Connection, *, seconds: float) -> list[BackendSession]:
    """The sessions whose old view keeps dead rows from being cleaned away."""
    return [BackendSession(*row) for row in conn.execute(_SEEING, (seconds,))]


def slots(conn: Connection) -> list[ReplicationSlot]:
    """All replication slots."""
    return [ReplicationSlot(*row) for row in conn.execute(_SLOTS)]


def applied_migrations(conn: Connection) -> list[str] | None:
    """The names of the migrations that this database has had; None where it is no ledger."""
    if not _row(conn.execute(_IS_THERE, ("migrations",)))[0]:
        return None
    return [name for (name,) in conn.execute(_MIGRATIONS)]


def partitions(conn: Connection) -> list[LivePartition]:
    """The partitions of the live events."""
    return [LivePartition(*row) for row in conn.execute(_PARTITIONS)]


def keys(conn: Connection) -> tuple[int, int]:
    """How many keys were ever made, and how many of them are good."""
    made, good = _row(conn.execute(_KEYS))
    return made, good


def stray_partitions(conn: Connection) -> list[str]:
    """Tables of events that are attached to nothing."""
    return [name for (name,) in conn.execute(_STRAY)]


def invalid_indexes(conn: Connection) -> list[str]:
    """Indexes that are kept up to date and used by no query."""
    return [name for (name,) in conn.execute(_INVALID)]


def sizes(conn: Connection, *, limit: int) -> tuple[int, list[str]]:
    """The database's bytes, and its largest tables as text; partitions count as their parent."""
    row = _row(conn.execute(_SIZES, (limit,)))
    return row[0], row[1]


def dead_rows(conn: Connection, *, least: int, share: float) -> list[tuple[str, int, int]]:
    """Tables with many dead rows: name, live, dead."""
    return [(row[0], row[1], row[2]) for row in conn.execute(_DEAD, (least, share))]


def not_visible(conn: Connection, *, pages: int, share: float) -> list[tuple[str, int, int]]:
    """Event partitions of more than so many pages of which less than a share is marked visible to all."""
    return [(row[0], row[1], row[2]) for row in conn.execute(_NOT_VISIBLE, (pages, share))]


def autovacuum_off(conn: Connection) -> list[str]:
    """Tables that autovacuum is told to leave alone."""
    return [name for (name,) in conn.execute(_AUTOVACUUM_OFF)]


def oldest_request(conn: Connection) -> float | None:
    """How old the oldest remembered answer is, in seconds."""
    seconds: float | None = _row(conn.execute(_OLDEST_REQUEST))[0]
    return seconds


def pending_changes(conn: Connection) -> Backlog:
    """Changes that no event tells of yet; of the oldest, for how long it should have been told."""
    return Backlog(*_row(conn.execute(PENDING_CHANGES)))


def outbox(conn: Connection) -> OutboxState:
    """What waits to be written to the workspace."""
    return OutboxState(*_row(conn.execute(_OUTBOX)))


def slowest(conn: Connection, *, limit: int) -> list[SlowStatement] | None:
    """The ledger's slowest statements; None where pg_stat_statements is not there."""
    extension = conn.execute(_EXTENSION).fetchone()
    if extension is None:
        return None
    query = sql.SQL(_STATEMENTS).format(sql.Identifier(extension[0]))
    return [SlowStatement(*row) for row in conn.execute(query, (limit,))]


def _row(cursor: psycopg.Cursor[tuple[Any, ...]]) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return row
