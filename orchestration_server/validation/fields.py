"""Rules of fields that many messages have, and checks across fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from orchestration.v1 import common_pb2
from orchestration_server import names
from orchestration_server.validation.constraints import (
    Check,
    EnumValue,
    Int,
    Items,
    Pattern,
    Printable,
    Rule,
    Text,
    Time,
    Unreserved,
    Violations,
    day,
)

CODE_TEXT = f"must be {names.CODE_FORM}"
CODE = Pattern(names.CODE, CODE_TEXT, required=True)
"""The code of a sprint or a task, the key of a session, or the name of a template."""
CODE_OR_NONE = Pattern(names.CODE, CODE_TEXT)
REQUEST_ID = Printable(128)
REVISION = Int(0, 2**63 - 1)
PAGE_SIZE = Int(0, 500)
PAGE_TOKEN = Printable(8192)
"""In a list of events it contains a cursor."""
PAGE: dict[str, Rule] = {"page_size": PAGE_SIZE, "page_token": PAGE_TOKEN}
CURSOR = Printable(4096, required=True)
"""Usually 32 characters, and one or two more for each open transaction."""
CURSOR_OR_NONE = Printable(4096)
FENCE = Int(1, 2**63 - 1)
FENCE_OR_NONE = Int(0, 2**63 - 1)
NAME = Text(0, 200)
LABEL = Text(1, 100)
AGENT = Unreserved(Printable(128))
ACTOR = Unreserved(NAME)
TITLE = Text(1, 500, seen=True)
LINES = Items(100, Text(0, 2_000))
REASON = Text(0, 2_000)
OCCUR_TIME = Time()

_enums = common_pb2.DESCRIPTOR.enum_types_by_name
PRIORITY, TASK_STATUS = _enums["Priority"], _enums["TaskStatus"]
SPRINT_STATUS, SESSION_STATUS = _enums["SprintStatus"], _enums["SessionStatus"]
ENTITY_TYPE = _enums["EntityType"]
_POLICY = _enums["EmissionPolicy"]
EMITTED_POLICY = EnumValue(
    _POLICY,
    only=frozenset(
        (
            common_pb2.EMISSION_POLICY_UNSPECIFIED,
            common_pb2.EMISSION_POLICY_IMMEDIATE,
            common_pb2.EMISSION_POLICY_BATCH,
            common_pb2.EMISSION_POLICY_SAMPLE,
        )
    ),
)
"""The policies that callers may request for events and activities."""
CHANGE_POLICY = EnumValue(
    _POLICY,
    only=frozenset(
        (
            common_pb2.EMISSION_POLICY_UNSPECIFIED,
            common_pb2.EMISSION_POLICY_IMMEDIATE,
            common_pb2.EMISSION_POLICY_DEBOUNCE,
        )
    ),
)
"""The policies that callers may request for changes of a status."""


def enum_of(message: type[Message], field: str) -> EnumValue:
    """Return the rule of an enum field that takes any of its values, the unspecified one too."""
    enum: Any = message.DESCRIPTOR.fields_by_name[field].enum_type
    return EnumValue(enum)


def dates_in_order(sprint: Any) -> Violations | None:
    """Return a violation if a sprint ends before it starts. Checks a message with both dates."""
    start, end = day(sprint.start_date), day(sprint.end_date)
    return {"end_date": "must not be before start_date"} if start and end and end < start else None


def no_code_twice(batch: str, path: str, code_of: Callable[[Any], str]) -> Check:
    """Return the check that no two items of a batch name the same entity."""

    def check(request: Any) -> Violations | None:
        first: dict[str, int] = {}
        found: Violations = {}
        for index, item in enumerate(getattr(request, batch)):
            before = first.setdefault(code_of(item), index)
            if before != index:
                found[f"{batch}[{index}].{path}"] = f"is that of {batch}[{before}] too"
        return found or None

    return check


def one_of(message: type[Message], oneof: str) -> Check:
    """Return the check that one field of a oneof is set."""
    names = ", ".join(field.name for field in message.DESCRIPTOR.oneofs_by_name[oneof].fields)
    missing = {oneof: f"is required: one of {names}"}

    def check(request: Any) -> Violations | None:
        return None if request.WhichOneof(oneof) else missing

    return check
