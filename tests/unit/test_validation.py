"""The table of constraints is complete, and requests are checked as a whole."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from orchestration.v1 import admin_pb2, coordination_pb2, event_pb2, session_pb2, sprint_pb2, task_pb2
from orchestration_server.validation import RULES, SERVER_SET
from orchestration_server.validation.constraints import Ignored, day
from tests.support.valid_requests import GOOD, REQUESTS, made, violations


def reachable(message: Any) -> Iterator[Descriptor]:
    """Yield the ledger's own messages that a request may contain."""
    yield message
    for field in message.fields:
        inner = field.message_type
        if inner is not None and inner.full_name.startswith("orchestration."):
            yield from reachable(inner)


@pytest.mark.parametrize("request_class", REQUESTS, ids=lambda each: str(each.DESCRIPTOR.name))
def test_every_field_has_a_rule(request_class: type[Message]) -> None:
    for message in reachable(request_class.DESCRIPTOR):
        rules = RULES[GetMessageClass(message)]
        assert set(rules) == {field.name for field in message.fields}, message.full_name


def test_every_rule_belongs_to_a_message_of_some_request() -> None:
    held = {each for request in REQUESTS for each in reachable(request.DESCRIPTOR)}
    assert {rule.DESCRIPTOR for rule in RULES} == held


@pytest.mark.parametrize("request_class", REQUESTS, ids=lambda each: str(each.DESCRIPTOR.name))
def test_a_small_valid_request_passes(request_class: type[Message]) -> None:
    assert violations(ParseDict(GOOD[request_class], request_class())) == {}


@pytest.mark.parametrize("request_class", [each for each in REQUESTS if GOOD[each]])
def test_an_empty_request_names_the_required_fields(request_class: type[Message]) -> None:
    found = violations(request_class())
    fields = request_class.DESCRIPTOR.fields_by_name
    oneofs = {name: fields[name].containing_oneof for name in GOOD[request_class]}
    expected = {name if oneof is None else oneof.name for name, oneof in oneofs.items()}
    assert {path.split(".")[0] for path in found} == expected


def test_all_violations_are_reported_at_once() -> None:
    request = task_pb2.BatchCreateTasksRequest(request_id="é")
    for code in ("A", "B", "A"):
        request.tasks.add(task=task_pb2.Task(code=code, title="t"))
    request.tasks[1].task.title = ""
    request.tasks[1].task.labels.extend(("a", ""))
    request.tasks.add()
    assert set(violations(request)) == {
        "request_id",
        "tasks[1].task.title",
        "tasks[1].task.labels[1]",
        "tasks[2].task.code",
        "tasks[3].task",
    }


def test_batches_are_bounded_and_name_no_task_twice() -> None:
    changes = [
        task_pb2.TaskStatusChange(task_code=f"T-{n}", status=task_pb2.Task(status=1).status)  # type: ignore[arg-type]  # a number will do
        for n in range(1_001)
    ]
    assert not violations(task_pb2.BatchUpdateTaskStatusRequest(changes=changes[:1_000]))
    assert set(violations(task_pb2.BatchUpdateTaskStatusRequest(changes=changes))) == {"changes"}
    twice = task_pb2.BatchUpdateTaskStatusRequest(changes=[changes[0], changes[0]])
    assert set(violations(twice)) == {"changes[1].task_code"}


def test_an_update_checks_only_the_fields_of_its_mask() -> None:
    request = task_pb2.UpdateTaskRequest(task=task_pb2.Task(code="T", description="x" * 100_001))
    request.update_mask.paths.append("phase")
    assert violations(request) == {}
    request.update_mask.paths.extend(("title", "status", "priority", "labels", "metadata"))
    assert set(violations(request)) == {"task.title", "task.status", "task.priority"}
    sprint = sprint_pb2.UpdateSprintRequest(sprint=sprint_pb2.Sprint(code="S"))
    sprint.update_mask.paths.extend(("title", "status", "start_date"))
    assert set(violations(sprint)) == {"sprint.title", "sprint.status"}


def test_a_sprint_ends_no_sooner_than_it_starts() -> None:
    sprint = sprint_pb2.Sprint(code="S", title="t", start_date="2024-05-02", end_date="2024-05-02")
    assert violations(sprint_pb2.CreateSprintRequest(sprint=sprint)) == {}
    sprint.end_date = "2024-05-01"
    assert set(violations(sprint_pb2.CreateSprintRequest(sprint=sprint))) == {"sprint.end_date"}
    update = sprint_pb2.UpdateSprintRequest(sprint=sprint)
    update.update_mask.paths.append("end_date")
    assert violations(update) == {}
    update.update_mask.paths.append("start_date")
    assert set(violations(update)) == {"sprint.end_date"}
    overrides = {"start_date": "2024-05-02", "end_date": "2024-05-01"}
    found = violations(made(sprint_pb2.CreateSprintFromTemplateRequest, "overrides", overrides))
    assert set(found) == {"overrides.end_date"}


SHORT_FORMS = (
    ["T:a", "S:a.b", "SESSION:x", "SESSION:" + "x" * 128],
    ["", "T:", "T", "t:a", "X:a", "T:a b", "T:a:b", "SESSION:" + "x" * 129, "T:a\n"],
)


def test_the_short_form_of_a_target_is_checked() -> None:
    for short in SHORT_FORMS[0]:
        assert violations(session_pb2.InitAgentRequest(short_form=short)) == {}, short
    for short in SHORT_FORMS[1]:
        assert set(violations(session_pb2.InitAgentRequest(short_form=short))) == {"short_form"}, short


@pytest.mark.parametrize("target", [{"session_key": "K"}, {"short_form": "SESSION:K"}])
def test_a_session_is_resumed_or_new(target: dict[str, str]) -> None:
    resumed = session_pb2.InitAgentRequest(**target, new_session_key="N", force_new=True)  # type: ignore[arg-type]
    assert set(violations(resumed)) == {"new_session_key", "force_new"}
    new = session_pb2.InitAgentRequest(task_code="T", new_session_key="N", force_new=True)
    assert violations(new) == {}


@pytest.mark.parametrize(
    ("entity_type", "entity_code", "expected"),
    [
        (0, "", set()),
        (2, "T", set()),
        (2, "", {"event.entity_code"}),
        (0, "T", {"event.entity_type"}),
        (7, "T", {"event.entity_type"}),
    ],
)
def test_an_event_needs_both_entity_type_and_entity_code(
    entity_type: int, entity_code: str, expected: set[str]
) -> None:
    about = {"type": "a.b", "entity_type": entity_type, "entity_code": entity_code}
    assert set(violations(made(event_pb2.EmitEventRequest, "event", about))) == expected


def test_ranges_of_time_are_checked() -> None:
    for request in (event_pb2.ListEventsRequest(), event_pb2.GetEventStatsRequest()):
        request.start_time.seconds = request.end_time.seconds = 1_700_000_000
        assert set(violations(request)) == {"end_time"}
        request.end_time.nanos = 1
        assert violations(request) == {}
    stats = event_pb2.GetEventStatsRequest()
    stats.start_time.seconds = 1_000
    stats.end_time.seconds = 1_000 + 366 * 86_400
    assert violations(stats) == {}
    stats.end_time.nanos = 1
    assert set(violations(stats)) == {"end_time"}


@pytest.mark.parametrize(("seconds", "nanos"), [(253_402_300_800, 0), (0, -1), (0, 10**9)])
def test_times_that_json_cannot_represent_are_refused(seconds: int, nanos: int) -> None:
    request = event_pb2.ListEventsRequest()
    request.start_time.seconds, request.start_time.nanos = seconds, nanos
    assert set(violations(request)) == {"start_time"}


@pytest.mark.parametrize(("seconds", "nanos"), [(86_401, -1), (86_401, 10**9), (86_401, -(10**9)), (-1, 1)])
def test_durations_that_json_cannot_represent_are_refused(seconds: int, nanos: int) -> None:
    request = admin_pb2.ArchiveEventsRequest()
    request.older_than.seconds, request.older_than.nanos = seconds, nanos
    assert set(violations(request)) == {"older_than"}
    request.older_than.seconds, request.older_than.nanos = 86_400, 10**9 - 1
    assert violations(request) == {}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_cannot_represent_are_refused(number: float) -> None:
    request = task_pb2.CreateTaskRequest(task=task_pb2.Task(code="T", title="t"))
    request.task.metadata["k"] = [1.0, number]
    assert set(violations(request)) == {"task.metadata"}


def test_a_value_without_a_kind_is_refused() -> None:
    request = task_pb2.CreateTaskRequest(task=task_pb2.Task(code="T", title="t"))
    request.task.metadata.fields["k"].list_value.values.add()
    assert set(violations(request)) == {"task.metadata"}


def test_a_null_of_another_number_is_refused() -> None:
    request = task_pb2.CreateTaskRequest(task=task_pb2.Task(code="T", title="t"))
    value = request.task.agent_config.fields["k"].list_value.values.add()
    for number, wrong in ((0, {}), (1, {"task.agent_config": "must not contain an unknown null"})):
        value.null_value = number  # type: ignore[assignment]  # the wire takes any
        assert violations(request) == wrong


def test_a_self_link_is_refused() -> None:
    link = coordination_pb2.Dependency(task_code="T", depends_on_code="T")
    found = violations(coordination_pb2.AddDependencyRequest(dependency=link))
    assert set(found) == {"dependency.depends_on_code"}


def test_fields_that_the_server_sets_are_ignored() -> None:
    for entity in (task_pb2.Task, sprint_pb2.Sprint):
        assert all(isinstance(RULES[entity][name], Ignored) for name in SERVER_SET)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(-1e12, 1e12) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def has_nul(value: Any) -> bool:
    """Return whether a string or key in a value contains NUL."""
    if isinstance(value, dict):
        return any("\0" in key or has_nul(item) for key, item in value.items())
    return any(map(has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


@given(JSON)
def test_a_small_struct_passes_unless_it_contains_nul(value: Any) -> None:
    found = violations(made(task_pb2.CreateTaskRequest, "task.metadata", {"k": value}))
    assert bool(found) == has_nul(value)


@given(st.text(max_size=3), st.integers(10_000, 70_000))
def test_a_structs_size_is_that_of_its_json(text: str, length: int) -> None:
    value = {"k": (text.replace("\0", "") or "x") * (length // 3)}
    struct = ParseDict(value, Struct())
    found = violations(made(task_pb2.CreateTaskRequest, "task.metadata", MessageToDict(struct)))
    assert bool(found) == (len(orjson.dumps(value)) > 65_536)


@given(st.text(max_size=130))
def test_a_code_consists_of_its_allowed_characters(code: str) -> None:
    allowed = all(each.isascii() and (each.isalnum() or each in "._-") for each in code)
    good = 1 <= len(code) <= 128 and allowed and code[0].isalnum()
    assert bool(violations(task_pb2.GetTaskRequest(task_code=code))) != good


@given(st.dates())
def test_every_day_is_read_as_itself(value: Any) -> None:
    assert day(value.isoformat()) == value


@given(st.sampled_from(REQUESTS), st.binary(max_size=300))
def test_validation_raises_only_invalid_argument(request: type[Message], body: bytes) -> None:
    message = request()
    try:
        message.ParseFromString(body)
    except Exception:  # what does not parse never gets here
        return
    violations(message)
