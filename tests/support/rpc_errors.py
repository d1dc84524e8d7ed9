"""The reason and the details of an rpc error."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

Metadata = tuple[tuple[str, str | bytes], ...]

DETAILS: dict[str, type[Message]] = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (
        error_details_pb2.BadRequest,
        error_details_pb2.ErrorInfo,
        error_details_pb2.PreconditionFailure,
        error_details_pb2.ResourceInfo,
        error_details_pb2.RetryInfo,
    )
}


def details(error: grpc.RpcError) -> dict[str, Any]:
    """Return the details of google.rpc.Status by the name of their type, such as "ErrorInfo"."""
    status = rpc_status.from_call(cast(grpc.Call, error))
    if status is None:
        return {}
    found: dict[str, Any] = {}
    for packed in status.details:
        kind = DETAILS[packed.type_url.rsplit("/", 1)[1]]
        message = kind()
        assert packed.Unpack(message)
        found[kind.DESCRIPTOR.name] = message
    return found


def reason(error: grpc.RpcError) -> str:
    """Return ErrorInfo.reason, or an empty text if the error has no ErrorInfo."""
    info = details(error).get("ErrorInfo")
    return info.reason if info is not None and info.domain == "orchestration.v1" else ""


def violations(error: grpc.RpcError) -> dict[str, str]:
    """Return the invalid fields, each with the description of its fault."""
    found = details(error)["BadRequest"].field_violations
    return {violation.field: violation.description for violation in found}


@contextmanager
def refused(
    code: grpc.StatusCode, expected: str = "", message: str = ""
) -> Iterator[pytest.ExceptionInfo[grpc.RpcError]]:
    """Expect that the block ends in an rpc error of this code, and of this reason and message if given."""
    with pytest.raises(grpc.RpcError) as caught:
        yield caught
    call = cast(grpc.Call, caught.value)
    assert call.code() == code, call.details()
    if expected:
        assert reason(caught.value) == expected
    assert re.search(message, call.details() or "")


def must_be(error: grpc.RpcError, *codes: grpc.StatusCode) -> None:
    """Fail if the rpc ended in a code that the race does not allow."""
    call = cast(grpc.Call, error)
    assert call.code() in codes, call.details()
