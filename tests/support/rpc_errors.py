"""What an rpc error tells a program: its reason and its details."""

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
    """The details of google.rpc.Status by the name of their type, such as "ErrorInfo"."""
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
    """ErrorInfo.reason; empty where the error carries none."""
    info = details(error).get("ErrorInfo")
    return info.reason if info is not None and info.domain == "orchestration.v1" else ""


def violations(error: grpc.RpcError) -> dict[str, str]:
    """The fields that were wrong, with what is wrong with them."""
    found = details(error)["BadRequest"].field_violations
    return {violation.field: violation.description for violation in found}


@contextmanager
def refused(
    code: grpc.StatusCode, expected: str = "", message: str = ""
) -> Iterator[pytest.ExceptionInfo[grpc.RpcError]]:
    """The block ends in an rpc error of this code, and where given of this reason and message."""
    with pytest.raises(grpc.RpcError) as caught:
        yield caught
    call = cast(grpc.Call, caught.value)
    assert call.code() == code, call.details()
    if expected:
        assert reason(caught.value) == expected
    assert re.search(message, call.details() or "")


def must_be(error: grpc.RpcError, *codes: grpc.StatusCode) -> None:
    """Fails where the rpc ended otherwise than a race allows."""
    call = cast(grpc.Call, error)
    assert call.code() in codes, call.details()
