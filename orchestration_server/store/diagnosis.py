"""The SQL with which `orchestration doctor` examines a database. It changes nothing.

It prepares no statements on its connections, since a pooler in between may lose them.
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
# A transaction with an id holds the horizon back, except those that horizon.py leaves out. A prepared one
# does so until an operator ends it.
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
# Sessions without a database are standbys that report their snapshots.
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
# The texts have $1 for each value. Utility statements may contain values, so they are left out.
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
    """The version and the settings of a Postgres."""

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
    """The rights of the role."""

    creates: bool
    sees_sessions: bool
    reads_control: bool
    not_owned: list[str]


class Connections(NamedTuple):
    """The limits of connections, -1 for none, and the numbers of open ones."""

    most: int
    reserved: int
    of_role: int
    of_database: int
    open: int
    of_servers: int
    hosts: int


class BackendSession(NamedTuple):
    """A session with the seconds since it has its state. None if the role may not see them."""

    pid: int
    name: str
    state: str
    seconds: float | None


class PreparedTransaction(NamedTuple):
    """A prepared transaction."""

    gid: str
    owner: str
    seconds: float


class ReplicationSlot(NamedTuple):
    """A replication slot with the transactions and the bytes of WAL that it retains."""

    name: str
    active: bool
    age: int
    bytes: int


class LivePartition(NamedTuple):
    """A partition of the live log."""

    name: str
    bounds: str
    bytes: int


class SlowStatement(NamedTuple):
    """A statement of pg_stat_statements. The mean time is in milliseconds."""

    queryid: int
    text: str
    calls: int
    mean: float


class OutboxState(NamedTuple):
    """The state of the file outbox."""

    rows: int
    seconds: float | None
    failing: int
    error: str


def connect(url: str) -> Connection:
    """Open an unchecked connection for the functions of this module, also to a standby."""
    return connecting.connect(
        url,
        psycopg.Connection,
        application=DOCTOR_APPLICATION_NAME,
        allow_standby=True,
        checked=False,
        prepare_threshold=None,
    )


def begin(conn: Connection) -> None:
    """Make the transaction read-only and short. The settings end with it, even behind a pooler."""
    conn.execute("set transaction read only")
    conn.execute("set local statement_timeout = '10s'")
    conn.execute("set local timezone = 'UTC'")
    conn.execute("set local datestyle = 'ISO, MDY'")


def clock(conn: Connection) -> datetime:
    """Return the database's clock."""
    now: datetime = _row(conn.execute("select clock_timestamp()"))[0]
    return now


def postgres_facts(conn: Connection) -> PostgresFacts:
    """Return the version and the settings of this Postgres."""
    return PostgresFacts(*_row(conn.execute(_ABOUT)))


def role_rights(conn: Connection) -> RoleRights:
    """Return the rights of this role."""
    return RoleRights(*_row(conn.execute(_ROLE)))


def connections(conn: Connection) -> Connections:
    """Return the limits and the numbers of connections."""
    return Connections(*_row(conn.execute(_CONNECTIONS, (APPLICATION_NAME, APPLICATION_NAME))))


def sessions_holding_horizon(conn: Connection) -> list[BackendSession]:
    """Return the sessions of this database that hold the horizon back, oldest first."""
    return [BackendSession(*row) for row in conn.execute(_WRITING)]


def prepared_transactions(conn: Connection) -> list[PreparedTransaction]:
    """Return the prepared transactions of this database, oldest first."""
    return [PreparedTransaction(*row) for row in conn.execute(_PREPARED)]


def idle_transactions(conn: Connection, *, seconds: float) -> list[BackendSession]:
    """Return the sessions that have been idle in a transaction for longer than ``seconds``."""
    return [BackendSession(*row) for row in conn.execute(_IDLE, (seconds,))]


def sessions_holding_vacuum(conn: Connection, *, seconds: float) -> list[BackendSession]:
    """Return the sessions whose old snapshot keeps VACUUM from removing dead rows."""
    return [BackendSession(*row) for row in conn.execute(_SEEING, (seconds,))]


def slots(conn: Connection) -> list[ReplicationSlot]:
    """Return all replication slots."""
    return [ReplicationSlot(*row) for row in conn.execute(_SLOTS)]


def applied_migrations(conn: Connection) -> list[str] | None:
    """Return the names of the applied migrations, or None if the database has no ledger."""
    if not _row(conn.execute(_IS_THERE, ("migrations",)))[0]:
        return None
    return [name for (name,) in conn.execute("select name from migrations order by name")]


def partitions(conn: Connection) -> list[LivePartition]:
    """Return the partitions of the live log."""
    return [LivePartition(*row) for row in conn.execute(_PARTITIONS)]


def keys(conn: Connection) -> tuple[int, int]:
    """Return the numbers of all keys and of valid keys."""
    made, good = _row(conn.execute(_KEYS))
    return made, good


def stray_partitions(conn: Connection) -> list[str]:
    """Return tables of events that are not attached as partitions."""
    return [name for (name,) in conn.execute(_STRAY)]


def invalid_indexes(conn: Connection) -> list[str]:
    """Return invalid indexes, which writes update and no query uses."""
    return [name for (name,) in conn.execute(_INVALID)]


def sizes(conn: Connection, *, limit: int) -> tuple[int, list[str]]:
    """Return the database's bytes and its largest tables as text. Partitions count as their parent."""
    row = _row(conn.execute(_SIZES, (limit,)))
    return row[0], row[1]


def dead_rows(conn: Connection, *, least: int, share: float) -> list[tuple[str, int, int]]:
    """Return tables with many dead rows: name, live rows, dead rows."""
    return [(row[0], row[1], row[2]) for row in conn.execute(_DEAD, (least, share))]


def not_visible(conn: Connection, *, pages: int, share: float) -> list[tuple[str, int, int]]:
    """Return event partitions with more than ``pages`` pages, of which less than ``share`` is all-visible."""
    return [(row[0], row[1], row[2]) for row in conn.execute(_NOT_VISIBLE, (pages, share))]


def autovacuum_off(conn: Connection) -> list[str]:
    """Return tables with autovacuum disabled."""
    return [name for (name,) in conn.execute(_AUTOVACUUM_OFF)]


def oldest_request(conn: Connection) -> float | None:
    """Return the age of the oldest stored response in seconds, or None."""
    seconds: float | None = _row(conn.execute(_OLDEST_REQUEST))[0]
    return seconds


def pending_changes(conn: Connection) -> Backlog:
    """Return the number of pending changes, and for how many seconds the oldest has been due."""
    return Backlog(*_row(conn.execute(PENDING_CHANGES)))


def outbox(conn: Connection) -> OutboxState:
    """Return the state of the file outbox."""
    return OutboxState(*_row(conn.execute(_OUTBOX)))


def slowest(conn: Connection, *, limit: int) -> list[SlowStatement] | None:
    """Return the ledger's slowest statements, or None without pg_stat_statements."""
    extension = conn.execute(_EXTENSION).fetchone()
    if extension is None:
        return None
    query = sql.SQL(_STATEMENTS).format(sql.Identifier(extension[0]))
    return [SlowStatement(*row) for row in conn.execute(query, (limit,))]


def _row(cursor: psycopg.Cursor[tuple[Any, ...]]) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return row
