"""Connections to Postgres whose settings are known.

A session gets settings from its role, its database, the server's files, the URL and the environment. An
isolation level, a DateStyle or an encoding can change the meaning of a statement. So every connection is
opened here, requests its settings at its start, and is checked before it is used (docs/decisions/0014).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString, NamedTuple, TypeVar

import psycopg
from psycopg import conninfo, errors
from psycopg.pq import Conninfo, DiagnosticField, ExecStatus, PGconn
from psycopg.pq.abc import PGresult

from orchestration_server.db.connection import APPLICATION_NAME, Connection
from orchestration_server.errors import LedgerError, UnfitDatabase

PlainConnection = psycopg.Connection[tuple[Any, ...]]
CONNECT_ERRORS = (psycopg.Error, LedgerError, UnfitDatabase)
"""The errors of a database that cannot be reached, is unfit, or fails."""
_Kind = TypeVar("_Kind", bound=psycopg.Connection[Any])

STARTUP_SETTINGS: Mapping[str, str] = {
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    # If a policy hides rows, a statement fails, instead of returning fewer rows.
    "row_security": "off",
    # Above 0 the index of labels returns only a part of the rows.
    "gin_fuzzy_search_limit": "0",
    "exit_on_error": "off",
    # The pool keeps idle connections.
    "idle_session_timeout": "0",
    # Planning for six partitions takes longer than most statements run.
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "constraint_exclusion": "partition",
    "enable_partition_pruning": "on",
    "enable_indexscan": "on",
    "enable_indexonlyscan": "on",
    "enable_bitmapscan": "on",
    "enable_nestloop": "on",
    "enable_hashjoin": "on",
    "enable_sort": "on",
}
"""The settings that each session requests at its start, as Postgres shows them. They override those of the
role, the database and the server's files."""
_SETTINGS_AFTER_START: Mapping[str, tuple[str, frozenset[str]]] = {
    "client_encoding": ("UTF8", frozenset()),
    # An operator may choose a stronger value.
    "synchronous_commit": ("on", frozenset(("local", "remote_write", "remote_apply"))),
    # Only a superuser may set it. With another value, the triggers that protect the archive do not fire.
    "session_replication_role": ("origin", frozenset()),
    # New in Postgres 17.
    "transaction_timeout": ("0", frozenset(("",))),
}
"""The settings that cannot be requested at the start: the value to set, and other accepted values."""
_SENT_FROM_ENVIRONMENT = frozenset(("DateStyle", "TimeZone", "client_encoding"))
"""The settings that libpq sends if PGDATESTYLE, PGTZ or PGCLIENTENCODING is set. They override the requested
ones."""
_CHECKED_SETTINGS = (*STARTUP_SETTINGS, *_SETTINGS_AFTER_START)
_SERVER_COLUMNS: LiteralString = (
    ", pg_backend_pid(), extract(epoch from pg_postmaster_start_time()),"
    " coalesce(current_schema()::text, ''), current_setting('server_encoding'), current_user::text,"
    " current_database()::text"
)
_SETTING_SOURCES: LiteralString = (
    "select name, source from pg_settings where name = any(string_to_array($1, ','))"
)
_DEFAULT_PARAMETERS: Mapping[str, int] = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""The parameters that the URL and the environment leave open. With them a database that silently disappears,
for example behind a firewall, is noticed after seconds. The kernel's own limit is above 15 minutes."""
_PRIMARY_ATTRS = frozenset(("primary", "read-write"))
DIRECT_CONNECTION_FIX = (
    "point DATABASE_URL straight at Postgres, or at a pooler in session mode that passes `options` on; each"
    " server has a pool of its own"
)


class ServerSession(NamedTuple):
    """The server and the schema of a checked connection."""

    node: str
    """The start time of the Postgres, which tells servers and restarts apart."""
    schema: str
    """The schema of new tables. Empty if the search_path names no schema that the role may use."""
    pooled: bool
    """True if a pooler between this process and Postgres lends its own connections."""


def connection_parameters(
    url: str,
    *,
    statement_seconds: float | None = None,
    application: str = APPLICATION_NAME,
    allow_standby: bool = False,
) -> dict[str, Any]:
    """Return the parameters of a connection: those of the URL, merged with the ledger's own.

    The ledger's override the URL's if the meaning of statements depends on them. Without
    ``statement_seconds`` statements and locks have no timeout. ``allow_standby`` also accepts a standby.
    """
    given: dict[str, Any] = dict(conninfo.conninfo_to_dict(url))
    effective = _environment(str(given.get("service", ""))) | given
    given |= {name: value for name, value in _DEFAULT_PARAMETERS.items() if not effective.get(name)}
    requested = str(effective.get("target_session_attrs") or "")
    if requested not in _PRIMARY_ATTRS:
        requested = "primary"
    given["target_session_attrs"] = "any" if allow_standby else requested
    given["application_name"] = application
    given["client_encoding"] = "UTF8"
    # Of two values Postgres uses the last.
    given["options"] = f"{effective.get('options') or ''} {_options(statement_seconds)}".strip()
    return given


def connect(
    url: str,
    kind: type[_Kind],
    *,
    statement_seconds: float | None = None,
    application: str = APPLICATION_NAME,
    allow_standby: bool = False,
    checked: bool = True,
    connect_seconds: int | None = None,
    **arguments: Any,
) -> _Kind:
    """Open a connection in autocommit mode, and check it.

    Raises the driver's errors if the connection fails, and UnfitDatabase if its settings are wrong and cannot
    be changed. Without ``checked`` the caller has to check it. ``connect_seconds`` overrides the URL's
    ``connect_timeout``.
    """
    given = connection_parameters(
        url, statement_seconds=statement_seconds, application=application, allow_standby=allow_standby
    )
    if connect_seconds is not None:
        given["connect_timeout"] = connect_seconds
    conn = kind.connect(autocommit=True, **given, **arguments)
    if checked:
        try:
            check(conn)
        except BaseException:
            conn.close()
            raise
    return conn


def open_connection(url: str, *, application: str, statement_seconds: float | None = 30.0) -> Connection:
    """Open one connection of the ledger's class, for a command."""
    return connect(url, Connection, statement_seconds=statement_seconds, application=application)


def check(conn: psycopg.Connection[Any]) -> ServerSession:
    """Set the settings that could not be requested at the start, and return the server of the connection.

    Takes one round trip if all settings are right. Raises UnfitDatabase if one is wrong and cannot be
    changed, or if the database's encoding is not UTF8.
    """
    found = _read_settings(conn)
    _check_encoding(found)
    wrong = _differing(found)
    lost = sorted(name for name in wrong if name in STARTUP_SETTINGS and name not in _SENT_FROM_ENVIRONMENT)
    if lost:
        raise UnfitDatabase(
            f"the settings that a session asks for do not arrive ({_listed(found, lost)}): a pooler in"
            " between drops them, or a login trigger changes them",
            DIRECT_CONNECTION_FIX,
        )
    if wrong:
        _set_settings(conn, found, wrong)
        found = _read_settings(conn)
        if wrong := _differing(found):
            raise _cannot_set(conn, found, wrong)
    return ServerSession(
        node=found["node"], schema=found["schema"], pooled=int(found["pid"]) != conn.info.backend_pid
    )


def check_lasting(url: str, conn: psycopg.Connection[Any]) -> None:
    """Raise UnfitDatabase if a pooler lends another connection for each transaction.

    Other sessions would then meet the settings, prepared statements and locks of this one.
    """
    seen, others = {_read_settings(conn)["pid"]}, set()
    with connect(url, psycopg.Connection, application="orchestration probe", prepare_threshold=None) as other:
        for _ in range(2):
            others.add(_read_settings(other)["pid"])
            seen.add(_read_settings(conn)["pid"])
        with other.transaction():
            # The transaction has the connection that such a pooler would lend next.
            other.execute("select pg_backend_pid()")
            seen.add(_read_settings(conn)["pid"])
    if len(seen) > 1 or len(others) > 1 or seen & others:
        raise UnfitDatabase("a pooler in transaction mode is in between", DIRECT_CONNECTION_FIX)


def _options(statement_seconds: float | None) -> str:
    limit = 0 if statement_seconds is None else int(statement_seconds * 1000)
    limits = {
        "statement_timeout": f"{limit}",
        "lock_timeout": "0" if statement_seconds is None else "10s",
        "idle_in_transaction_session_timeout": "60s" if statement_seconds is None else "10s",
    }
    requested = {name: value.replace(" ", "\\ ") for name, value in STARTUP_SETTINGS.items()}
    return " ".join(f"-c {name}={value}" for name, value in (requested | limits).items())


def _environment(service: str) -> dict[str, str]:
    """Return the parameters that libpq takes from the environment, and from the service if one is named."""
    if service:
        # Only a connection reads the service file. This one has no server to reach.
        pgconn = PGconn.connect_start(conninfo.make_conninfo("", service=service, host="/none").encode())
        found = pgconn.info
        pgconn.finish()
    else:
        found = Conninfo.get_defaults()
    return {one.keyword.decode(): one.val.decode(errors="replace") for one in found if one.val}


def _read_settings(conn: psycopg.Connection[Any]) -> dict[str, str]:
    """Return the settings of a session and the columns that describe its server."""
    text = (
        "select "
        + ", ".join(f"current_setting('{name}', true)" for name in _CHECKED_SETTINGS)
        + _SERVER_COLUMNS
    )
    # A simple query needs no prepared statement, which a pooler could lose.
    result = conn.pgconn.exec_(text.encode())
    if result.status != ExecStatus.TUPLES_OK:
        raise _error(result)
    names = (*_CHECKED_SETTINGS, "pid", "node", "schema", "encoding", "user", "database")
    return {name: (result.get_value(0, n) or b"").decode(errors="replace") for n, name in enumerate(names)}


def _error(result: PGresult) -> psycopg.Error:
    if not result.error_field(DiagnosticField.SQLSTATE):
        return errors.OperationalError("the connection was lost as soon as it was made")
    return errors.error_from_result(result)


def _differing(found: Mapping[str, str]) -> list[str]:
    wrong = [name for name, value in STARTUP_SETTINGS.items() if found[name] != value]
    for name, (value, others) in _SETTINGS_AFTER_START.items():
        if found[name] != value and found[name] not in others:
            wrong.append(name)
    return wrong


def _listed(found: Mapping[str, str], names: list[str]) -> str:
    return ", ".join(f"{name} is {found[name]!r}" for name in names[:3])


def _set_settings(conn: psycopg.Connection[Any], found: Mapping[str, str], wrong: list[str]) -> None:
    for name in wrong:
        value = STARTUP_SETTINGS[name] if name in STARTUP_SETTINGS else _SETTINGS_AFTER_START[name][0]
        result = conn.pgconn.exec_(f"select set_config('{name}', '{value}', false)".encode())
        if result.status != ExecStatus.TUPLES_OK:
            error = _error(result)
            if not isinstance(error, errors.InsufficientPrivilege):
                raise error
            raise _cannot_set(conn, found, [name])


def _cannot_set(conn: psycopg.Connection[Any], found: Mapping[str, str], wrong: list[str]) -> UnfitDatabase:
    """Return the error for settings that cannot be changed, with their source and the fix."""
    names = ",".join(wrong).encode()
    result = conn.pgconn.exec_params(_SETTING_SOURCES.encode(), [names])
    sources = {
        (result.get_value(row, 0) or b"").decode(): (result.get_value(row, 1) or b"").decode()
        for row in range(result.ntuples)
    }
    name = wrong[0]
    user, database = found["user"], found["database"]
    fix = {
        "user": f"alter role {user} reset {name}",
        "database": f"alter database {database} reset {name}",
        "database user": f"alter role {user} in database {database} reset {name}",
    }.get(sources.get(name, ""), f"alter role {user} set {name} = '{_wanted_value(name)}'")
    return UnfitDatabase(
        f"a session of {user} has settings that the ledger cannot run with and may not change:"
        f" {_listed(found, wrong)}; needed is {_wanted_value(name)!r}",
        f"as a superuser: {fix}",
    )


def _wanted_value(name: str) -> str:
    return STARTUP_SETTINGS[name] if name in STARTUP_SETTINGS else _SETTINGS_AFTER_START[name][0]


def _check_encoding(found: Mapping[str, str]) -> None:
    if found["encoding"] != "UTF8":
        raise UnfitDatabase(
            f"the database's encoding is {found['encoding']}, which cannot hold what agents write",
            f"createdb --encoding=UTF8 --template=template0 {found['database']}_utf8"
            "    # then load a dump, if there is a ledger in it",
        )
