"""Command line options, derived from the settings."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_type_hints

import typer
from rich.console import Console

from orchestration_server.config.settings import FILE_VARIABLE, ConfigurationError, Settings, load, variable

# Messages contain paths and addresses of the user, which rich must not read as markup or emoji.
err = Console(stderr=True, markup=False, emoji=False, soft_wrap=True, highlight=False)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help=f"A TOML file of settings. [{FILE_VARIABLE}]")
]


@dataclass(frozen=True, slots=True)
class UncheckedSettings:
    """The settings that a command was called with, not validated yet."""

    file: Path | None
    flags: Mapping[str, Any]

    def load(self) -> Settings:
        """Return the settings. Raises ConfigurationError if one is not valid."""
        return load(self.file, **self.flags)


def with_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add an option for each named setting to a command whose first parameter is ``settings``."""
    return _with_options(names, lambda unchecked: _loaded(unchecked, names))


def with_unchecked_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add options like ``with_settings``, for a command that validates its ``UncheckedSettings`` itself."""
    return _with_options(names, lambda unchecked: unchecked)


def _loaded(unchecked: UncheckedSettings, names: tuple[str, ...]) -> Settings:
    try:
        settings = unchecked.load()
    except ConfigurationError as error:
        refuse(str(error))
    # A driver's error about an invalid URL quotes it, including the password.
    if settings.database_url and "database_url" in names:
        from orchestration_server.doctor import database_errors

        if not database_errors.is_database_url(settings.database_url):
            refuse("DATABASE_URL is not valid: it reads postgresql://USER:PASSWORD@HOST:5432/NAME")
    if settings.redis_url and "redis_url" in names:
        from orchestration_server.cache import client

        if not client.is_url(settings.redis_url):
            refuse("REDIS_URL is not valid: it reads redis://:PASSWORD@HOST:6379/0")
    return settings


@contextmanager
def _explaining_database_errors(first: object, names: tuple[str, ...]) -> Iterator[None]:
    """End the command with an explanation and a fix if the database cannot be used.

    It may not answer, its role may lack rights, or it may be one on which a ledger cannot run.
    """
    if "database_url" not in names or not isinstance(first, Settings):
        yield
        return
    import psycopg

    from orchestration_server.db import connect

    try:
        yield
    except connect.CONNECT_ERRORS as error:
        from orchestration_server.doctor import database_errors, engines

        found = database_errors.explain(engines.find_installation(first), error)
        text = found.text
        if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
            text = f"the database does not answer: {text}"
        err.print(f"{text}\n-> {found.fix}" if found.fix else text, style="red")
        raise typer.Exit(1) from None


def _with_options(
    names: tuple[str, ...], first_argument: Callable[[UncheckedSettings], object]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        _, *rest = inspect.signature(command).parameters.values()
        hints = get_type_hints(command, include_extras=True)
        parameters = [
            _parameter("config", ConfigFile, None),
            *(_option(name) for name in names),
            *(_parameter(one.name, hints[one.name], one.default) for one in rest),
        ]

        @wraps(command)
        def run(**arguments: Any) -> None:
            flags = {name: value for name in names if (value := arguments.pop(name)) is not None}
            first = first_argument(UncheckedSettings(arguments.pop("config"), flags))
            with _explaining_database_errors(first, names):
                command(first, **arguments)

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        del run.__wrapped__  # typer would read its annotations instead
        return run

    return decorate


def shell_path(path: Path) -> str:
    """Return a path quoted for a shell, relative to the working directory if it is below it."""
    # The working directory may have been removed.
    with suppress(OSError, ValueError):
        path = path.relative_to(Path.cwd())
    return shlex.quote(str(path))


def refuse(text: str) -> NoReturn:
    """Print the reason and end the command with the exit code for wrong usage."""
    err.print(text, style="red")
    raise typer.Exit(2)


def _option(name: str) -> inspect.Parameter:
    field = Settings.model_fields[name]
    kind: Any = field.annotation if field.default is None else field.annotation | None  # type: ignore[operator]
    text = " ".join((field.description or "").split())
    default = "" if field.default in (None, "") else f", {field.default}"
    flag = name.replace("_", "-")
    declared = f"--{flag}/--no-{flag}" if field.annotation is bool else f"--{flag}"
    option = typer.Option(declared, help=f"{text} [{variable(name)}{default}]", show_default=False)
    return _parameter(name, Annotated[kind, option], None)


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
