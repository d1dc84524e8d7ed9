"""`orchestration keys`: create, list and revoke API keys in the ledger's database."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from orchestration_server import names
from orchestration_server.cli.options import err, refuse, with_settings
from orchestration_server.config.settings import Settings
from orchestration_server.db import connect
from orchestration_server.db.connection import Connection
from orchestration_server.model import ALL_PROJECTS, Role
from orchestration_server.store import diagnosis
from orchestration_server.store import keys as key_store
from orchestration_server.store import sessions as session_store
from orchestration_server.store import sprints as sprint_store

_DURATION = re.compile(r"([1-9][0-9]{0,4})([hd])")
_PIPE_WIDTH = 400
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}
_ROLES = {role.name.lower(): role for role in Role}

cli = typer.Typer(
    help="Create, list and revoke API keys.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@cli.command()
@with_settings("database_url", "data_dir")
def create(
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the key, unique in the project.")],
    project: Annotated[str, typer.Option(help="The project of the key; '*' means all projects.")] = "default",
    role: Annotated[str, typer.Option(help="reader, agent or admin.")] = "agent",
    session: Annotated[str, typer.Option(help="Scope the key to this session, by its session_key.")] = "",
    sprint: Annotated[str, typer.Option(help="Scope the key to this sprint, by its code.")] = "",
    per_minute: Annotated[
        int | None,
        typer.Option(min=1, max=10_000_000, help="Calls a minute, in place of the server's limit."),
    ] = None,
    events_per_minute: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000_000, help="Events a minute, in place of the server's limit."),
    ] = None,
    expires: Annotated[str, typer.Option(help="How long the key is valid, such as 12h or 90d.")] = "",
) -> None:
    """Create a key and print it. It is printed only once: the ledger stores a hash."""
    from orchestration_server.auth.api_keys import digest, new_key

    _check_new_key(name, project, role, session, sprint)
    span = _parse_duration(expires) if expires else None
    key_id, key = new_key()
    with _database(settings) as conn:
        now = diagnosis.clock(conn)
        row = key_store.KeyRow(
            key_id, digest(key), name, project, _ROLES[role], session, sprint, per_minute, events_per_minute,
            now, None if span is None else now + span, None, None,
        )  # fmt: skip
        first = not key_store.exist(conn)
        if not key_store.insert(conn, row):
            other = key_store.find_by_name(conn, project=project, name=name)
            err.print(
                f"{_project_name(project)} already has a key {name!r}, {other}: revoke it or use another name"
            )
            raise typer.Exit(1)
        missing = _missing_scope(conn, row)
    err.print(f"key {key_id}, {role} of {_project_name(project)}: it is not shown again")
    if first:
        err.print("it is the first key: from now on callers need a key, unless auth=open")
    if missing:
        err.print(
            f"{_project_name(project)} has no {missing}: until it does, the key gives no access",
            style="yellow",
        )
    print(key)


def _check_new_key(name: str, project: str, role: str, session: str, sprint: str) -> None:
    if not names.LABEL.fullmatch(name):
        refuse("a name has 1 to 128 printable ASCII characters")
    if project != ALL_PROJECTS and not names.PROJECT.fullmatch(project):
        refuse(f"a project matches {names.PROJECT.pattern}, or is '*' for all")
    if role not in _ROLES:
        refuse(f"a role is one of {', '.join(_ROLES)}")
    if any(code and not names.CODE.fullmatch(code) for code in (session, sprint)):
        refuse(f"a session_key and the code of a sprint match {names.CODE.pattern}")
    if session and sprint:
        refuse("a key is scoped to a session or to a sprint, not to both")
    if project == ALL_PROJECTS and (session or sprint):
        refuse("a key that is scoped to a sprint or a session belongs to one project")


@cli.command(name="list")
@with_settings("database_url", "data_dir")
def list_(settings: Settings) -> None:
    """List all keys. The keys themselves are not shown."""
    with _database(settings) as conn:
        found, now = key_store.list_all(conn), diagnosis.clock(conn)
    table = Table(box=None)
    for column in ("id", "name", "project", "role", "scoped to", "a minute", "created", "last used", "state"):
        table.add_column(column, no_wrap=column == "id")
    for key in found:
        scope = f"session {key.session_key}" if key.session_key else ""
        scope = f"sprint {key.sprint_code}" if key.sprint_code else scope
        rate = "" if key.per_minute is None else f"{key.per_minute:,}"
        table.add_row(
            key.id, key.name, key.project, key.role.name.lower(), scope, rate, _format_day(key.create_time),
            _format_minute(key.last_used_time), _describe_state(key, now),
        )  # fmt: skip
    # If the output is no terminal, each row stays on one line.
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, markup=False, emoji=False).print(table)


@cli.command()
@with_settings("database_url", "data_dir")
def revoke(
    settings: Settings, key_id: Annotated[str, typer.Argument(metavar="ID", help="The id in the list.")]
) -> None:
    """Revoke a key for good. Every server refuses it within seconds and ends its streams."""
    with _database(settings) as conn:
        found = key_store.revoke(conn, key_id=key_id)
    if not found:
        err.print(f"key {key_id!r} does not exist: `orchestration keys list` shows the ids", style="red")
        raise typer.Exit(1)
    err.print(f"key {key_id} is revoked")


def _parse_duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if found is None:
        refuse("--expires takes a number of hours or days, such as 12h or 90d")
    return int(found[1]) * _UNITS[found[2]]


def _missing_scope(conn: Connection, key: key_store.KeyRow) -> str:
    """Return the sprint or session that the key is scoped to if it does not exist, else an empty string."""
    if key.sprint_code and sprint_store.get(conn, project=key.project, code=key.sprint_code) is None:
        return f"sprint {key.sprint_code!r}"
    if key.session_key and session_store.get(conn, project=key.project, key=key.session_key) is None:
        return f"session {key.session_key!r}"
    return ""


def _project_name(project: str) -> str:
    return "all projects" if project == ALL_PROJECTS else f"project {project}"


def _format_day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"


def _format_minute(time: datetime | None) -> str:
    return "never" if time is None else f"{time:%Y-%m-%d %H:%M}"


def _describe_state(key: key_store.KeyRow, now: datetime) -> str:
    if key.revoke_time is not None:
        return "revoked"
    if key.expire_time is None:
        return "good"
    return "expired" if key.expire_time <= now else f"good until {key.expire_time:%Y-%m-%d %H:%M}"


@contextmanager
def _database(settings: Settings) -> Iterator[Connection]:
    """Connect to the database of DATABASE_URL, else to the built-in one of the data directory.

    If no server runs the built-in database, start it for the duration of the block.
    """
    if settings.database_url:
        with _connection(settings.database_url) as conn:
            yield conn
        return
    from orchestration_server.embedded.engines import EmbeddedEngines, EngineError, running_database

    data_dir = settings.data_dir.expanduser()
    running = running_database(data_dir)
    if running is not None:
        with _connection(running) as conn:
            yield conn
        return
    try:
        with EmbeddedEngines(data_dir, valkey=False) as engines, _connection(engines.database_url) as conn:
            yield conn
    except EngineError as error:
        err.print(str(error), style="red")
        raise typer.Exit(1) from error


@contextmanager
def _connection(database_url: str) -> Iterator[Connection]:
    from orchestration_server.app import migrate

    migrate(database_url)
    with connect.open_connection(database_url, application="orchestration keys") as conn:
        yield conn
