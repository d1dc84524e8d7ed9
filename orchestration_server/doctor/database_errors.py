"""Explanations of database errors for operators, with fixes.

They show neither the URL, which may contain a password, nor statements or rows.
"""

from __future__ import annotations

import psycopg
from psycopg import conninfo, errors

from orchestration_server.db.connect import DIRECT_CONNECTION_FIX
from orchestration_server.doctor.findings import Finding, Installation, failed
from orchestration_server.errors import LedgerError, UnfitDatabase

DOCTOR = "orchestration doctor"
_NO_LEDGER = (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction)
_OF_OTHERS = (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)
"""A prepared statement is missing or exists already: a pooler gave the connection to another client."""
_RIGHTS = (errors.InsufficientPrivilege, errors.InvalidSchemaName)


def explain(installation: Installation, error: Exception) -> Finding:
    """Return what an error of the driver or the ledger means, with a fix."""
    if isinstance(error, UnfitDatabase):
        return failed(error.message, error.fix)
    if isinstance(error, LedgerError):
        return failed(error.message, DOCTOR)
    assert isinstance(error, psycopg.Error)
    text = first_line(error)
    if isinstance(error, _RIGHTS):
        what = "the role of DATABASE_URL lacks rights, or its search_path names no existing schema"
        return failed(f"{what}: {text}; run: {DOCTOR}")
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return failed(f"the database is read-only: {text}", "DATABASE_URL must name the primary")
    if isinstance(error, _NO_LEDGER):
        return failed(
            f"the database has no ledger of this release in a schema of the search_path: {text}",
            "orchestration migrate",
        )
    if isinstance(error, _OF_OTHERS):
        return failed(
            f"a pooler in transaction mode is between server and database: {text}", DIRECT_CONNECTION_FIX
        )
    if error.sqlstate is None:
        return explain_unreachable(installation, error)
    return failed(f"the database refused a statement: {text} (SQLSTATE {error.sqlstate})", DOCTOR)


def explain_unreachable(installation: Installation, error: psycopg.Error) -> Finding:
    """Return why no connection can be opened, with a fix."""
    if not is_database_url(installation.database_url):
        return failed(
            "DATABASE_URL is not valid", "export DATABASE_URL=postgresql://USER:PASSWORD@HOST:5432/NAME"
        )
    text = first_line(error)
    given = {key: str(value) for key, value in conninfo.conninfo_to_dict(installation.database_url).items()}
    place = "".join(f" -{flag} {given[key]}" for flag, key in (("h", "host"), ("p", "port")) if key in given)
    user, database = given.get("user", "orchestration"), given.get("dbname", "orchestration")
    fix = ""
    if "too many connections for role" in text:
        fix = f'psql{place} -c "alter role {user} connection limit -1"    # as a superuser; or a number'
    elif "too many connections for database" in text:
        fix = f'psql{place} -c "alter database {database} connection limit -1"    # as a superuser'
    elif "too many clients" in text or "connection slots" in text:
        fix = f'psql{place} -c "alter system set max_connections = 300"    # as a superuser; then restart it'
    elif "startup parameter" in text or "command-line options" in text:
        text, fix = (
            f"a pooler between server and database refuses session settings: {text}",
            DIRECT_CONNECTION_FIX,
        )
    elif "hot standby" in text or "not in hot standby" in text or "read-only" in text:
        text, fix = f"a read replica answers, not the primary: {text}", "DATABASE_URL must name the primary"
    elif "does not exist" in text and "database" in text:
        fix = f"createdb{place} {database}"
    elif "does not exist" in text and "role" in text:
        # psql must not prompt for the password, because nobody answers in a script.
        fix = f"psql{place} -c \"create role {user} login password 'PASSWORD'\"    # as a superuser"
    elif "password" in text or "pg_hba" in text:
        fix = 'psql "$DATABASE_URL" -c "select 1"    # with another user or password'
    return failed(text, fix or f"pg_isready{place}")


def is_database_url(text: str) -> bool:
    """Return True if libpq accepts the URL and errors cannot reveal its password.

    If an @ in the password is not written as %40, libpq takes a part of the password for the host or port,
    which errors name.
    """
    try:
        given = conninfo.conninfo_to_dict(text)
    except psycopg.Error:
        return False
    ports = [port for port in str(given.get("port", "")).split(",") if port]
    return "@" not in str(given.get("host", "")) and all(port.isdecimal() for port in ports)


def first_line(error: psycopg.Error) -> str:
    """Return the driver's message without the statement."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
