"""The check that only the holder of a task writes what the holder owns: status, assignee, deletion."""

from __future__ import annotations

from orchestration_server.db.connection import Connection
from orchestration_server.errors import InvalidArgument, StaleFence, TaskHeld
from orchestration_server.model import Call
from orchestration_server.store import leases as lease_store
from orchestration_server.store.prepared import LeaseRow


def holder_of(lease: LeaseRow | None) -> dict[str, str]:
    """Return the details of a holder in an error. They are empty if nobody holds the task."""
    if lease is None or not lease.valid or lease.expire_time is None:
        return {"holder": "", "session_key": "", "expire_time": ""}
    return {
        "holder": lease.agent,
        "session_key": lease.session_key,
        "expire_time": lease.expire_time.isoformat().replace("+00:00", "Z"),
    }


def held(code: str, lease: LeaseRow) -> TaskHeld:
    """Return the error of a write or a claim of a task that somebody else holds."""
    return TaskHeld(code, **holder_of(lease))


def check_fence(
    conn: Connection, call: Call, code: str, lease: LeaseRow | None, fence: int, *, field: str = "fence"
) -> None:
    """Check the fence of a caller, 0 if it gives none, for a write of what the holder owns.

    Raises TaskHeld if another holder has a valid lease, StaleFence if the lease of the fence has ended, and
    InvalidArgument if the fence is not of this task.
    """
    if not fence:
        if lease is not None and lease.valid:
            raise held(code, lease)
        return
    if lease is not None and lease.fence == fence and lease.valid:
        return
    owner = lease_store.task_of_fence(conn, project=call.project, fence=fence)
    if owner != code:
        raise InvalidArgument(
            {field: f"is not a fence of task {code}: use the one that ClaimTask returned for it"}
        )
    raise StaleFence(code, fence, **holder_of(lease))
