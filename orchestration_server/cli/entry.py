"""The commands that this package adds to `orchestration`, by the entry points of pyproject.toml.

A command is imported when this module is asked for its name.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import typer

_PLACES: Mapping[str, tuple[str, str]] = {
    "serve": ("serve", "serve"),
    "worker": ("worker", "worker"),
    "migrate": ("migrate", "migrate"),
    "doctor": ("doctor", "doctor"),
    "keys": ("keys", "cli"),
    "archive": ("archive", "archive"),
    "import_files": ("importing.jsonl", "import_files"),
    "health": ("health", "health"),
    "prometheus_rules": ("prometheus_rules", "prometheus_rules"),
}
COMMANDS: Mapping[str, str] = {
    name.replace("_", "-").removesuffix("-files"): f"{__name__}:{name}" for name in _PLACES
}
"""The places of the commands by their names. The entry points are the same; a test compares them."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(name)
    module, attribute = _PLACES[name]
    found = getattr(importlib.import_module(f"orchestration_server.cli.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        return _prepared(found)
    if found.registered_callback is None:
        found.callback()(prepare)
    return found


def prepare() -> None:
    """Set up the process for a command of the server: signals and logs."""
    from orchestration_server.cli import process
    from orchestration_server.telemetry import logs

    process.reset_signals()
    logs.configure()


def _prepared(command: Callable[..., None]) -> Callable[..., None]:
    @wraps(command)
    def run(**arguments: Any) -> None:
        prepare()
        command(**arguments)

    run.__signature__ = inspect.signature(command)  # type: ignore[attr-defined]  # typer reads it
    del run.__wrapped__  # typer would read its annotations instead
    return run
