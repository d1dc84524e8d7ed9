"""What the tables of rules share: rules of fields that many messages have, and checks across fields."""

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
"""Of a sprint or a task; a session's key and a template's name are made of the same characters."""
CODE_OR_NONE = Pattern(names.CODE, CODE_TEXT)
REQUEST_ID = Printable(128)
REVISION = Int(0, 2**63 - 1)
PAGE_SIZE = Int(0, 500)
PAGE_TOKEN = Printable(8192)
"""Holds a cursor, if it is of a list of events."""
PAGE: dict[str, Rule] = {"page_size": PAGE_SIZE, "page_token": PAGE_TOKEN}
CURSOR = Printable(4096, required=True)
"""As a rule 32 characters; beside an open transaction one or two more each."""
CURSOR_OR_NONE = Printable(4096)
NAME = Text(0, 200)
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
"""Of callers' events and activities."""
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
"""Of changes of a status."""


def enum_of(message: type[Message], field: str) -> EnumValue:
    """Any value of the field's own enum, the unspecified one too."""
    enum: Any = message.DESCRIPTOR.fields_by_name[field].enum_type
    return EnumValue(enum)


def dates_in_order(sprint: Any) -> Violations | None:
    """A sprint ends no sooner than it starts, as far as the message has both dates."""
    start, end = day(sprint.start_date), day(sprint.end_date)
    return {"end_date": "must not be before start_date"} if start and end and end < start else None


def no_code_twice(batch: str, path: str, code_of: Callable[[Any], str]) -> Check:
    """No two items of a batch are of one entity."""

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
    """One field of the oneof is set."""
    names = ", ".join(field.name for field in message.DESCRIPTOR.oneofs_by_name[oneof].fields)
    missing = {oneof: f"is required: one of {names}"}

    def check(request: Any) -> Violations | None:
        return None if request.WhichOneof(oneof) else missing

    return check
