"""What follows from a change: the tasks that are ready now."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import grpc

from orchestration.errors import error_details
from orchestration.v1.common_pb2 import DEPENDENCY_KIND_BLOCKS
from orchestration.v1.coordination_pb2 import (
    DEPENDENCY_DIRECTION_DEPENDENTS,
    ExplainReadinessRequest,
    ListDependenciesRequest,
)

if TYPE_CHECKING:
    from orchestration import Client
    from orchestration.cli.verb import Session

MOST = 20
"""The tasks that are asked about after a change: one call each."""


def dependents(client: Client, code: str, most: int = MOST) -> list[str]:
    """Return the codes of tasks that a task blocks, one more than ``most`` if there are more."""
    request = ListDependenciesRequest(
        task_code=code,
        direction=DEPENDENCY_DIRECTION_DEPENDENTS,
        kinds=[DEPENDENCY_KIND_BLOCKS],
        page_size=most + 1,
    )
    page = client.coordination.ListDependencies(request)
    return [link.task_code for link in islice(page.dependencies, most + 1)]


def is_ready(client: Client, code: str) -> bool:
    """Return True if a claim of the task would succeed now."""
    return client.coordination.ExplainReadiness(ExplainReadinessRequest(task_code=code)).ready


def now_ready(session: Session, code: str) -> tuple[list[str] | None, list[str]]:
    """Return the tasks behind ``code`` that are ready now, and the lines that say so.

    The change is made: if the server does not answer any more, the tasks are None and a line says so.
    """
    try:
        waiting = dependents(session.client, code)
        ready = [one for one in waiting[:MOST] if is_ready(session.client, one)]
    except grpc.RpcError as error:
        return None, [_unknown(error)]
    lines = [f"{one} is ready now" for one in ready]
    if len(waiting) > MOST:
        lines.append(f"{code} blocks more tasks; all that are ready: {session.command('ready')}")
    return ready, lines


def itself(session: Session, code: str) -> tuple[list[str] | None, list[str]]:
    """Return whether the task itself is ready now, as ``now_ready`` does."""
    try:
        ready = is_ready(session.client, code)
    except grpc.RpcError as error:
        return None, [_unknown(error)]
    if ready:
        return [code], [f"{code} is ready now"]
    return [], [f"{code} is not ready; next: {session.command('why', code)}"]


def _unknown(error: grpc.RpcError) -> str:
    return f"what follows could not be read: {error_details(error).message}"
