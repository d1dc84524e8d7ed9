"""The rpcs of the ledger by name, and their messages as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format, message_factory
from google.protobuf.message import Message

from orchestration.v1 import (
    admin_pb2,
    context_pb2,
    coordination_pb2,
    event_pb2,
    report_pb2,
    schedule_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
    template_pb2,
)

PACKAGE = "orchestration.v1"
_MODULES = (
    admin_pb2,
    context_pb2,
    coordination_pb2,
    event_pb2,
    report_pb2,
    schedule_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
    template_pb2,
)


@dataclass(frozen=True)
class Rpc:
    """An rpc: its name, such as TaskService/GetTask, its messages, and which of them are streams."""

    name: str
    request: type[Message]
    response: type[Message]
    request_stream: bool
    response_stream: bool

    @property
    def path(self) -> str:
        """The path of the rpc in HTTP/2."""
        return f"/{PACKAGE}.{self.name}"


def _rpcs() -> dict[str, Rpc]:
    found = {}
    for module in _MODULES:
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                name = f"{service.name}/{method.name}"
                found[name] = Rpc(
                    name,
                    message_factory.GetMessageClass(method.input_type),
                    message_factory.GetMessageClass(method.output_type),
                    method.client_streaming,
                    method.server_streaming,
                )
    return found


RPCS = _rpcs()


def rpc_of_path(path: str) -> Rpc | None:
    """Return the rpc of a path of HTTP/2; None for one of another service."""
    return RPCS.get(path.removeprefix(f"/{PACKAGE}."))


def decode(kind: type[Message], data: bytes) -> dict[str, Any]:
    """Return a message as JSON, in the mapping of protobuf."""
    return to_json(kind.FromString(data))


def to_json(message: Message) -> dict[str, Any]:
    """Return a message as JSON: names in lowerCamelCase, 64-bit numbers as texts, no defaults."""
    found: dict[str, Any] = json_format.MessageToDict(message)
    return found


def from_json(kind: type[Message], value: dict[str, Any]) -> Message:
    """Return the message of a JSON object. Raises ValueError for unknown fields."""
    try:
        return json_format.ParseDict(value, kind())
    except json_format.ParseError as error:
        raise ValueError(f"no {kind.DESCRIPTOR.name}: {error}") from None
