"""The exit codes of the commands that ask a server, so that scripts can tell an answer from an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

NO = 1
"""The answer is no: the task is not ready, or the server refuses in the present state."""
USAGE = 2
"""The call is wrong: an argument, a setting, or the credentials."""
NOT_FOUND = 3
CONFLICT = 4
"""Another change was first, or the code is taken."""
UNAVAILABLE = 5
"""The server cannot be reached, has too much to do, or failed."""

_BY_STATUS = {
    "FAILED_PRECONDITION": NO,
    "INVALID_ARGUMENT": USAGE,
    "OUT_OF_RANGE": USAGE,
    "UNIMPLEMENTED": USAGE,
    "UNAUTHENTICATED": USAGE,
    "PERMISSION_DENIED": USAGE,
    "NOT_FOUND": NOT_FOUND,
    "ABORTED": CONFLICT,
    "ALREADY_EXISTS": CONFLICT,
}


def of_error(error: grpc.RpcError | ValueError) -> int:
    """Return the exit code of an error of a call. The client raises ValueError for wrong settings."""
    if isinstance(error, ValueError):
        return USAGE
    return _BY_STATUS.get(error.code().name, UNAVAILABLE)
