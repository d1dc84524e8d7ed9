"""Completion of codes by the live server. A server that does not answer at once completes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestration import Client

import typer

_SECONDS = 1.5
_MOST = 1_000
_PAGE = 500


def tasks(ctx: typer.Context, args: list[str], incomplete: str) -> list[tuple[str, str]]:
    """Return the codes of tasks that begin with what was typed, with their titles."""

    def listed(client: Client) -> Iterator[Any]:
        from orchestration.v1.task_pb2 import ListTasksRequest

        return client.pages(client.tasks.ListTasks, ListTasksRequest(page_size=_PAGE))

    return _complete(ctx, incomplete, listed)


def sprints(ctx: typer.Context, args: list[str], incomplete: str) -> list[tuple[str, str]]:
    """Return the codes of sprints that begin with what was typed, with their titles."""

    def listed(client: Client) -> Iterator[Any]:
        from orchestration.v1.sprint_pb2 import ListSprintsRequest

        return client.pages(client.sprints.ListSprints, ListSprintsRequest(page_size=_PAGE))

    return _complete(ctx, incomplete, listed)


def servers(ctx: typer.Context, args: list[str], incomplete: str) -> list[str]:
    """Return the names of stored servers that begin with what was typed."""
    from orchestration.cli import servers as stored

    with suppress(Exception):
        return [name for name in stored.read().by_name if name.startswith(incomplete)]
    return []


def methods(ctx: typer.Context, args: list[str], incomplete: str) -> list[str]:
    """Return the rpcs that begin with what was typed."""
    from orchestration.cli import rpcs

    return [name for name in rpcs.methods() if name.startswith(incomplete)]


def _complete(ctx: typer.Context, incomplete: str, listed: Any) -> list[tuple[str, str]]:
    # A completion that prints an error would garble the line that its user types.
    with suppress(Exception):
        from orchestration.cli import options, verb
        from orchestration.cli.output import Output

        names = options.NAMES
        given = options.Common(**{name: ctx.params.get(name) for name in names})
        before = options.Common(**{name: ctx.find_root().params.get(name) for name in names})
        session = verb.Session(given.or_else(before), Output(options.Common()))
        try:
            found: Iterable[Any] = islice(listed(session.connect(timeout=_SECONDS)), _MOST)
            return [(one.code, one.title) for one in found if one.code.startswith(incomplete)]
        finally:
            session.close()
    return []
