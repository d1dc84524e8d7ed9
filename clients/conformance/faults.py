"""Faults that the front injects into calls, in the order of the case."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "orchestration.v1"
CODES = {code.name: code for code in grpc.StatusCode}


@dataclass
class Fault:
    """A fault that the front causes in calls.

    Attributes:
        method: The rpc, such as TaskService/GetTask.
        times: How many calls it affects; 0 for all.
        skip: How many calls pass before.
        code: The status with which the call ends.
        message: The text of the status.
        reason: The reason of its ErrorInfo; with none the status has no details.
        metadata: The metadata of its ErrorInfo.
        violations: The violations of its BadRequest, by path.
        resource: The type and the name of its ResourceInfo.
        retry_delay: The seconds of its RetryInfo.
        unknown_detail: True to add a detail of a type that no client knows.
        broken_details: True to send bytes that are no google.rpc.Status as the details.
        after: True to end the call after the ledger has answered.
        delay: Seconds to wait before the answer.
        hang: True to answer nothing until the client leaves.
        cut: True to cut the connection instead of an answer.
        patch: What replaces parts of the ledger's answer.
        reply: The answer, in place of the ledger's.
        messages: How many messages of a stream pass before its end.
        replies: The messages of a stream, in place of the ledger's. For EmitEvents the answers, each to one
            message, whose request_id is filled in.
        end: True to end a stream with OK.
    """

    method: str
    times: int = 1
    skip: int = 0
    code: str = ""
    message: str = "injected"
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)
    retry_delay: float | None = None
    unknown_detail: bool = False
    broken_details: bool = False
    after: bool = False
    delay: float = 0.0
    hang: bool = False
    cut: bool = False
    patch: Mapping[str, Any] | None = None
    reply: Mapping[str, Any] | None = None
    messages: int | None = None
    replies: Sequence[Mapping[str, Any]] | None = None
    end: bool = False

    @property
    def ends_stream(self) -> bool:
        """True if a stream does not end as the ledger ends it."""
        return bool(self.code or self.hang or self.cut or self.end)

    def status(self) -> status_pb2.Status:
        """Return the status with which the call ends, with its details."""
        status = status_pb2.Status(code=CODES[self.code].value[0], message=self.message)
        for detail in self._details():
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        if self.unknown_detail:
            status.details.append(any_pb2.Any(type_url="type.example/of.another.Server", value=b"\x0a\x01x"))
        return status

    def _details(self) -> list[Any]:
        found: list[Any] = []
        if self.reason:
            found.append(
                error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=dict(self.metadata))
            )
        if self.violations:
            found.append(
                error_details_pb2.BadRequest(
                    field_violations=[
                        error_details_pb2.BadRequest.FieldViolation(field=path, description=text)
                        for path, text in self.violations.items()
                    ]
                )
            )
        if self.resource:
            found.append(
                error_details_pb2.ResourceInfo(
                    resource_type=self.resource["type"], resource_name=self.resource["name"]
                )
            )
        if self.retry_delay is not None:
            delay = duration_pb2.Duration()
            delay.FromNanoseconds(int(self.retry_delay * 1e9))
            found.append(error_details_pb2.RetryInfo(retry_delay=delay))
        return found


class Faults:
    """The faults of one case. Each call takes the first that is for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self._left: dict[int, int] = {}
        self._skip: dict[int, int] = {}

    def add(self, fault: Fault) -> None:
        """Add a fault, after those that are there."""
        with self._lock:
            self._waiting.append(fault)
            self._left[id(fault)] = fault.times
            self._skip[id(fault)] = fault.skip

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str) -> Fault | None:
        """Return the fault for the next call of an rpc, or None."""
        with self._lock:
            for fault in self._waiting:
                if fault.method != method:
                    continue
                if self._skip[id(fault)]:
                    self._skip[id(fault)] -= 1
                    return None
                if fault.times:
                    self._left[id(fault)] -= 1
                    if not self._left[id(fault)]:
                        self._waiting.remove(fault)
                return fault
            return None
