"""The exit codes of commands that ask a server, so that scripts can tell an answer from an error."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

NO = 1
"""The answer is no: the task is not ready, or the server refuses in the present state."""
USAGE = 2
"""The call is wrong: an argument, a setting, or the credentials."""
NOT_FOUND = 3
CONFLICT = 4
"""Another change was first."""
UNAVAILABLE = 5
"""The server cannot be reached, has too much to do, or failed."""

_BY_STATUS: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.FAILED_PRECONDITION: NO,
    grpc.StatusCode.INVALID_ARGUMENT: USAGE,
    grpc.StatusCode.OUT_OF_RANGE: USAGE,
    grpc.StatusCode.UNIMPLEMENTED: USAGE,
    grpc.StatusCode.UNAUTHENTICATED: USAGE,
    grpc.StatusCode.PERMISSION_DENIED: USAGE,
    grpc.StatusCode.NOT_FOUND: NOT_FOUND,
    grpc.StatusCode.ABORTED: CONFLICT,
    grpc.StatusCode.ALREADY_EXISTS: CONFLICT,
}


def of_error(error: grpc.RpcError | ValueError) -> int:
    """Return the exit code of an error of a call. The client raises ValueError for wrong settings."""
    return _BY_STATUS.get(error.code(), UNAVAILABLE) if isinstance(error, grpc.RpcError) else USAGE
