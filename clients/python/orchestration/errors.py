"""Errors of calls, with the details of their google.rpc.Status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status

_CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class Resource:
    """The resource that an error is about."""

    type: str
    name: str


@dataclass(frozen=True)
class ErrorDetails:
    """An error of the ledger or of the transport.

    ``reason`` is stable and meant for programs, such as ``STALE_REVISION``; it is empty if the error came
    from the transport. ``metadata`` belongs to the reason, such as ``current_revision``. ``violations`` maps
    paths in the request to descriptions of what is wrong. ``retry_delay`` is in seconds.
    """

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: Mapping[str, str] = field(default_factory=dict)
    resource: Resource | None = None
    retry_delay: float | None = None


class LedgerError(grpc.RpcError):
    """Raised by ``pages``, ``follow`` and ``emit_all``, which this package adds to the stubs.

    It is a ``grpc.RpcError`` like the errors of the stubs, so one ``except`` catches both.
    """

    def __init__(self, error: ErrorDetails) -> None:
        reason = f" [{error.reason}]" if error.reason else ""
        super().__init__(f"{error.code.name}{reason}: {error.message}")
        self.error = error

    def code(self) -> grpc.StatusCode:
        """Return the status code, as any ``grpc.RpcError`` does."""
        return self.error.code

    def details(self) -> str:
        """Return the message for people, as any ``grpc.RpcError`` does."""
        return self.error.message

    @property
    def reason(self) -> str:
        """The stable reason, for programs; empty if the error came from the transport."""
        return self.error.reason

    @property
    def metadata(self) -> Mapping[str, str]:
        """The values that belong to the reason."""
        return self.error.metadata

    @property
    def violations(self) -> Mapping[str, str]:
        """Descriptions of what is wrong, by path in the request."""
        return self.error.violations

    @property
    def resource(self) -> Resource | None:
        """The resource that the error is about, or None."""
        return self.error.resource

    @property
    def retry_delay(self) -> float | None:
        """The seconds after which to retry; None if the server did not say."""
        return self.error.retry_delay


def error_details(error: grpc.RpcError) -> ErrorDetails:
    """Return the details of an error of a stub, sync or async, or of this package."""
    if isinstance(error, LedgerError):
        return error.error
    if not hasattr(error, "code"):
        return ErrorDetails(grpc.StatusCode.UNKNOWN, str(error))
    code, message = error.code(), error.details() or ""
    reason, metadata, violations = "", {}, {}
    resource, retry_delay = None, None
    for detail in _packed_details(error):
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        what = error_details_pb2.ResourceInfo()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            violations = {v.field: v.description for v in bad.field_violations}
        elif detail.Unpack(what):
            resource = Resource(what.resource_type, what.resource_name)
        elif detail.Unpack(retry):
            retry_delay = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return ErrorDetails(code, message, reason, metadata, violations, resource, retry_delay)


def _packed_details(error: grpc.RpcError) -> Iterable[any_pb2.Any]:
    try:
        status = rpc_status.from_call(cast(grpc.Call, error))
    except (ValueError, DecodeError):  # a proxy rewrote the code, the message or the details
        return ()
    details: Iterable[any_pb2.Any] = () if status is None else status.details
    return details


def status_code(number: int) -> grpc.StatusCode:
    """Return the status code of a google.rpc.Code; UNKNOWN for an invalid number."""
    return _CODES.get(number, grpc.StatusCode.UNKNOWN)
