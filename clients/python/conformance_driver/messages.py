"""Messages as JSON."""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from conformance_driver import faults
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

MessageT = TypeVar("MessageT", bound=Message)
_MODULES: tuple[Any, ...] = (
    admin_pb2, context_pb2, coordination_pb2, event_pb2, report_pb2, schedule_pb2, session_pb2, sprint_pb2,
    task_pb2, template_pb2,
)  # fmt: skip


def new_message(name: str, value: dict[str, Any], into: MessageT | None = None) -> Any:
    """Return the message of a JSON object: a type, or the request of a method such as TaskService/GetTask."""
    name = f"{name.partition('/')[2]}Request" if "/" in name else name
    if into is None:
        (module,) = [one for one in _MODULES if name in one.DESCRIPTOR.message_types_by_name]
        into = getattr(module, name)()
    return json_format.ParseDict(faults.given(value), into)


def to_json(message: Message) -> dict[str, Any]:
    """Return a message as JSON, in the mapping of protobuf."""
    found: dict[str, Any] = faults.shown(json_format.MessageToDict(message))
    return found
