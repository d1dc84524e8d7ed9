"""The words of the Python client are those of the enums, and its help says what everything is."""

from __future__ import annotations

import inspect
import pydoc
import re
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

import orchestration
from orchestration import AsyncLedger, Ledger
from orchestration.model import history_records, records, words, work_records
from orchestration.model.words import Words
from orchestration.v1 import common_pb2, context_pb2, coordination_pb2, event_pb2, lease_pb2, task_pb2

ENUMS = {
    "PRIORITIES": common_pb2.Priority,
    "TASK_STATUSES": common_pb2.TaskStatus,
    "SPRINT_STATUSES": common_pb2.SprintStatus,
    "SESSION_STATUSES": common_pb2.SessionStatus,
    "SESSION_OUTCOMES": common_pb2.SessionOutcome,
    "DEPENDENCY_KINDS": common_pb2.DependencyKind,
    "DIRECTIONS": coordination_pb2.DependencyDirection,
    "ENTITY_KINDS": common_pb2.EntityType,
    "ATTEMPT_OUTCOMES": lease_pb2.AttemptOutcome,
    "DIRECTIVES": coordination_pb2.Directive,
    "REASON_KINDS": coordination_pb2.ReadinessReasonKind,
    "TASK_ORDERS": task_pb2.TaskOrder,
    "EVENT_ORDERS": event_pb2.EventOrder,
    "CONTEXT_PARTS": context_pb2.ContextSection,
}


def test_every_enum_of_words_is_compared() -> None:
    assert {name for name, value in vars(words).items() if isinstance(value, Words)} == ENUMS.keys()


@pytest.mark.parametrize("name", ENUMS)
def test_the_words_are_those_of_the_enum(name: str) -> None:
    found: Words[str] = getattr(words, name)
    numbers = {number for number in ENUMS[name].values() if number}
    assert {found.number(word) for word in found} == numbers
    assert {found.number(found.word(number)) for number in numbers} == numbers
    assert found.optional(0) is None
    assert found.word(99) == "unknown_99"
    with pytest.raises(ValueError, match="use one of"):
        found.number("no such word")


def public() -> Iterator[tuple[str, Any]]:
    """Yield the public functions of the exported classes, by name."""
    for name in orchestration.__all__:
        found = getattr(orchestration, name)
        if not inspect.isclass(found):
            continue
        for member, value in inspect.getmembers(found):
            value = getattr(value, "__func__", value)
            own = str(getattr(value, "__module__", "")).startswith("orchestration")
            if inspect.isfunction(value) and own and not member.startswith("_"):
                yield f"{name}.{member}", value


LEDGERS = [
    (name, value)
    for name, value in public()
    if re.match(r"(Async)?(Ledger|ClaimedWork|SprintHandle|SessionHandle|EventFeed)\.", name)
]


def test_the_walk_finds_the_methods() -> None:
    names = {name for name, _ in LEDGERS}
    assert {"Ledger.create_task", "AsyncLedger.create_task", "ClaimedWork.done"} <= names
    assert len(names) > 100


def test_every_public_function_has_help() -> None:
    assert [name for name, function in public() if not inspect.getdoc(function)] == []


def test_every_parameter_of_the_ledger_is_documented_and_no_other() -> None:
    for name, function in LEDGERS:
        parts = re.search(r"^Args:\n((?:    .*\n?)+)", inspect.getdoc(function) or "", re.MULTILINE)
        documented = re.findall(r"^    (\w+): \S", parts[1] if parts else "", re.MULTILINE)
        assert documented == [each for each in inspect.signature(function).parameters if each != "self"], name


def test_every_field_of_a_record_is_documented() -> None:
    records = [getattr(orchestration, name) for name in orchestration.__all__]
    records = [found for found in records if is_dataclass(found) and "of" in vars(found)]
    assert len(records) > 10
    for record in records:
        text = inspect.getdoc(record) or ""
        for field in fields(record):
            assert re.search(rf"^    {field.name}: \S", text, re.MULTILINE), (record, field.name)
        assert record.__dataclass_params__.frozen
        assert "__dict__" not in dir(record)


@pytest.mark.parametrize(
    ("record", "left_out"),
    [
        (records.Task, set()),
        (records.Sprint, set()),
        (records.Session, set()),
        (records.Budget, set()),
        (records.RetryPolicy, set()),
        # A record says what the event is about by its code.
        (records.Event, {"entity_uid", "archive_time"}),
        (work_records.Dependency, set()),
        (work_records.Reason, set()),
        (work_records.Readiness, {"tasks_seen"}),
        (work_records.Lease, set()),
        (work_records.Attempt, set()),
        (work_records.Usage, set()),
        # The steps of a change whose event is debounced.
        (history_records.Change, {"emit_time", "steps"}),
    ],
)
def test_a_record_has_every_field_of_its_message(record: Any, left_out: set[str]) -> None:
    read = set(re.findall(r"\braw\.(\w+)", inspect.getsource(record)))
    message = typing.get_type_hints(record.of, vars(inspect.getmodule(record)))["raw"]
    assert {field.name for field in message.DESCRIPTOR.fields} - read == left_out


@pytest.mark.parametrize("found", [Ledger, AsyncLedger])
def test_help_shows_parameters_and_no_internals(found: type) -> None:
    text = pydoc.plain(pydoc.render_doc(found))
    assert "create_task(" in text
    assert "after: The codes of the tasks that have to end first." in text


def test_both_ledgers_have_the_same_methods_and_parameters() -> None:
    for name, function in public():
        if name.startswith("Ledger."):
            other = getattr(AsyncLedger, name.removeprefix("Ledger."))
            assert list(inspect.signature(other).parameters) == list(inspect.signature(function).parameters)
            assert inspect.getdoc(other) == inspect.getdoc(function)


def test_every_exported_name_has_a_place_and_the_reverse() -> None:
    assert sorted(orchestration._PLACES) == sorted(orchestration.__all__)
    assert all(getattr(orchestration, name) is not None for name in orchestration.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        orchestration.Nothing  # noqa: B018 - that is what must fail
