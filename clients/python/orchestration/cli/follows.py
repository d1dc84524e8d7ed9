"""What follows from a change: the tasks that are ready now."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import grpc

from orchestration.errors import error_details
from orchestration.v1.common_pb2 import DEPENDENCY_KIND_BLOCKS
from orchestration.v1.coordination_pb2 import (
    DEPENDENCY_DIRECTION_DEPENDENTS,
    READINESS_REASON_KIND_CAPABILITY,
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


def readiness(client: Client, code: str) -> tuple[bool, str]:
    """Return True if an able agent could claim the task now, and what it has to be able to do."""
    found = client.coordination.ExplainReadiness(ExplainReadinessRequest(task_code=code))
    needs = [one.subject for one in found.reasons if one.kind == READINESS_REASON_KIND_CAPABILITY]
    ready = found.ready or bool(needs and len(needs) == len(found.reasons))
    return ready, f", for an agent that is able to {', '.join(needs)}" if ready and needs else ""


def now_ready(session: Session, code: str) -> tuple[list[str] | None, list[str]]:
    """Return the tasks behind ``code`` that are ready now, and the lines that say so.

    The change is made: if the server does not answer any more, the tasks are None and a line says so.
    """
    ready, lines = [], []
    try:
        waiting = dependents(session.client, code)
        for one in waiting[:MOST]:
            is_ready, needs = readiness(session.client, one)
            if is_ready:
                ready.append(one)
                lines.append(f"{one} is ready now{needs}")
    except grpc.RpcError as error:
        return None, [_unknown(error)]
    if len(waiting) > MOST:
        lines.append(f"{code} blocks more tasks; all that are ready: {session.command('ready')}")
    return ready, lines


def itself(session: Session, code: str) -> tuple[list[str] | None, list[str]]:
    """Return whether the task itself is ready now, as ``now_ready`` does."""
    try:
        ready, needs = readiness(session.client, code)
    except grpc.RpcError as error:
        return None, [_unknown(error)]
    if ready:
        return [code], [f"{code} is ready now{needs}"]
    return [], [f"{code} is not ready; next: {session.command('why', code)}"]


def _unknown(error: grpc.RpcError) -> str:
    return f"what follows could not be read: {error_details(error).message}"
