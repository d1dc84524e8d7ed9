"""The optional fields of tasks, through the stubs: capabilities, times, the retry policy, children."""

from collections.abc import Callable
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import context_pb2, sprint_pb2, task_pb2, template_pb2
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration.v1.template_pb2_grpc import TemplateServiceStub
from tests.conftest import Server
from tests.support import factories
from tests.support.histories import OLDEST, create, delete, get, history, plain, rebuild, replay, update
from tests.support.rpc_errors import refused, violations
from tests.support.templates import with_templates as with_templates

pytestmark = pytest.mark.shared_server

DAY = 86_400
SOON, LATER = Timestamp(seconds=1_900_000_000), Timestamp(seconds=1_900_086_400, nanos=123_456_000)
POLICY = task_pb2.RetryPolicy(
    max_attempts=5,
    backoff=Duration(nanos=500_000_000),
    max_backoff=Duration(seconds=600),
    budget=task_pb2.Budget(tokens=9, cost_micros=8, tool_calls=0, wall_time=Duration(nanos=500_000_000)),
)
FULL: dict[str, Any] = {
    "capabilities": ["gpu", "python"],
    "not_before": SOON,
    "due_time": LATER,
    "retry_policy": POLICY,
    "completed_by_children": True,
}
CONTENT = {
    "capabilities": ["gpu", "python"],
    "not_before": "2030-03-17T17:46:40+00:00",
    "due_time": "2030-03-18T17:46:40.123456+00:00",
    "retry_policy": {
        "max_attempts": 5,
        "backoff_seconds": 0.5,
        "max_backoff_seconds": 600,
        "max_tokens": 9,
        "max_cost_micros": 8,
        "max_tool_calls": 0,
        "max_wall_time_seconds": 0.5,
    },
    "completed_by_children": True,
}
"""FULL as snapshots and changes have it."""


def clear(tasks: TaskServiceStub, code: str, *paths: str) -> task_pb2.Task:
    request = task_pb2.UpdateTaskRequest(task=task_pb2.Task(code=code), update_mask=FieldMask(paths=paths))
    return tasks.UpdateTask(request).task


def optional(task: task_pb2.Task) -> dict[str, Any]:
    """Return those of the optional fields that a task has."""
    return {field.name: value for field, value in task.ListFields() if field.name in FULL}


def struct(**fields: str) -> Struct:
    made = Struct()
    made.update(fields)
    return made


def columns(server: Server, code: str) -> tuple[Any, ...] | None:
    query = (
        "select capabilities, extract(epoch from not_before)::float8,"
        " extract(epoch from due_time)::float8,"
        " completed_by_children, retry_time from tasks where code = %s"
    )
    with psycopg.connect(server.database_url) as conn:
        return conn.execute(query, (code,)).fetchone()


def test_a_task_is_created_read_and_listed_with_them(tasks: TaskServiceStub, server: Server) -> None:
    created = create(tasks, "full", **FULL)
    assert optional(created) == FULL
    assert get(tasks, "full") == created
    new = [task_pb2.NewTask(task=factories.task(code, **fields)) for code, fields in (("b", FULL), ("c", {}))]
    batch = tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new)).tasks
    assert [optional(task) for task in batch] == [FULL, {}]
    listed = tasks.ListTasks(task_pb2.ListTasksRequest()).tasks
    assert {task.code: optional(task) for task in listed} == {"full": FULL, "b": FULL, "c": {}}
    stored = (["gpu", "python"], 1_900_000_000, pytest.approx(1_900_086_400.123456), True, None)
    assert columns(server, "full") == columns(server, "b") == stored
    assert columns(server, "c") == ([], None, None, False, None)


def test_an_update_sets_changes_and_clears_them(tasks: TaskServiceStub, server: Server) -> None:
    first = create(tasks, "a")
    assert optional(update(tasks, "a", **FULL)) == FULL
    assert columns(server, "a") == (
        ["gpu", "python"],
        1_900_000_000,
        pytest.approx(1_900_086_400.1),
        True,
        None,
    )
    same = update(tasks, "a", **FULL)
    assert same.revision == 2
    changed = update(tasks, "a", due_time=SOON, retry_policy=task_pb2.RetryPolicy(max_attempts=1))
    assert optional(changed) == FULL | {
        "due_time": SOON, "retry_policy": task_pb2.RetryPolicy(max_attempts=1),
    }  # fmt: skip
    assert optional(clear(tasks, "a", "due_time", "retry_policy")).keys() == {
        "capabilities", "not_before", "completed_by_children",
    }  # fmt: skip
    cleared = clear(tasks, "a", *FULL)
    assert optional(cleared) == {}
    assert (cleared.hash, cleared.revision) == (first.hash, 5)
    assert columns(server, "a") == ([], None, None, False, None)


def test_each_field_is_part_of_the_hash(tasks: TaskServiceStub) -> None:
    hashes = {create(tasks, "a").hash, *(update(tasks, "a", **{name: FULL[name]}).hash for name in FULL)}
    assert len(hashes) == 1 + len(FULL)


def test_parts_below_a_microsecond_and_an_empty_policy_are_dropped(
    tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    almost = Duration(seconds=DAY - 1, nanos=999_999_999)
    fine: dict[str, Any] = {
        "due_time": Timestamp(nanos=1_999),
        "retry_policy": task_pb2.RetryPolicy(backoff=almost),
    }
    created = create(tasks, "a", **fine)
    assert created.due_time == Timestamp(nanos=1_000)
    assert created.retry_policy.backoff == Duration(seconds=DAY - 1, nanos=999_999_000)
    assert rebuild(events, "a", verify=True).verification.equal
    assert update(tasks, "a", **fine) == created
    assert not update(tasks, "a", retry_policy=task_pb2.RetryPolicy()).HasField("retry_policy")
    assert not create(tasks, "b", retry_policy=task_pb2.RetryPolicy()).HasField("retry_policy")
    # A pause of 0 is not the default.
    zero = update(tasks, "a", retry_policy=task_pb2.RetryPolicy(backoff=Duration()), due_time=Timestamp())
    assert (zero.retry_policy.HasField("backoff"), zero.HasField("due_time")) == (True, True)
    assert rebuild(events, "a", verify=True).verification.equal


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"capabilities": ["x" * 101]}, "capabilities[0]"),
        ({"capabilities": ["a", ""]}, "capabilities[1]"),
        ({"capabilities": ["a", "a"]}, "capabilities"),
        ({"capabilities": [str(n) for n in range(51)]}, "capabilities"),
        ({"not_before": Timestamp(seconds=-1)}, "not_before"),
        ({"due_time": Timestamp(seconds=253_402_300_800)}, "due_time"),
        ({"due_time": Timestamp(nanos=-1)}, "due_time"),
        ({"retry_policy": task_pb2.RetryPolicy(max_attempts=101)}, "retry_policy.max_attempts"),
        ({"retry_policy": task_pb2.RetryPolicy(max_attempts=-1)}, "retry_policy.max_attempts"),
        ({"retry_policy": task_pb2.RetryPolicy(backoff=Duration(seconds=DAY + 1))}, "retry_policy.backoff"),
        ({"retry_policy": task_pb2.RetryPolicy(backoff=Duration(seconds=-1))}, "retry_policy.backoff"),
        (
            {"retry_policy": task_pb2.RetryPolicy(max_backoff=Duration(seconds=30 * DAY, nanos=1_000))},
            "retry_policy.max_backoff",
        ),
    ],
)
def test_a_bad_value_is_refused_by_its_field(
    tasks: TaskServiceStub, fields: dict[str, Any], wrong: str
) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT) as caught:
        create(tasks, "a", **fields)
    assert set(violations(caught.value)) == {f"task.{wrong}"}
    new = [task_pb2.NewTask(task=factories.task("a")), task_pb2.NewTask(task=factories.task("b", **fields))]
    with refused(grpc.StatusCode.INVALID_ARGUMENT) as caught:
        tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
    assert set(violations(caught.value)) == {f"tasks[1].task.{wrong}"}
    created = create(tasks, "a")
    with refused(grpc.StatusCode.INVALID_ARGUMENT) as caught:
        update(tasks, "a", **fields)
    assert set(violations(caught.value)) == {f"task.{wrong}"}
    assert get(tasks, "a") == created


def test_the_edges_are_accepted(tasks: TaskServiceStub) -> None:
    edges = {
        "capabilities": [f"{n:02}" + "é" * 98 for n in range(50)],
        "not_before": Timestamp(seconds=253_402_300_799),
        "due_time": Timestamp(),
        "retry_policy": task_pb2.RetryPolicy(
            max_attempts=100, backoff=Duration(seconds=DAY), max_backoff=Duration(seconds=30 * DAY)
        ),
    }
    assert optional(create(tasks, "a", **edges)) == edges


# History


def test_states_are_rebuilt_as_they_were_read(tasks: TaskServiceStub, events: EventServiceStub) -> None:
    states = [
        create(tasks, "a", capabilities=["x"], due_time=SOON),
        update(tasks, "a", **FULL),
        update(tasks, "a", retry_policy=task_pb2.RetryPolicy(max_attempts=2), not_before=LATER),
        clear(tasks, "a", "capabilities", "due_time", "completed_by_children"),
        update(tasks, "a", title="Other", due_time=SOON),
        clear(tasks, "a", *FULL),
    ]
    assert [task.revision for task in states] == [1, 2, 3, 4, 5, 6]
    for task in states:
        assert rebuild(events, "a", revision=task.revision).task == task
    # The 32nd revision has a snapshot, from which a state without the fields is rebuilt, too.
    states += [update(tasks, "a", title=f"Title {n}", **(FULL if n == 31 else {})) for n in range(7, 34)]
    cleared = clear(tasks, "a", *FULL)
    assert rebuild(events, "a", revision=33).task == states[-1]
    assert optional(states[-1]) == FULL
    found = rebuild(events, "a", verify=True)
    assert found.task == get(tasks, "a") == cleared
    assert found.verification.equal
    assert found.events_replayed <= 4
    delete(tasks, "a")
    assert rebuild(events, "a").task == cleared
    assert replay(events).findings == []


def test_a_field_that_appears_or_disappears_changes_from_or_to_null(
    tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    create(tasks, "full", **FULL)
    created = plain(history(events, "full")[0].changes)
    assert {name: created[name] for name in FULL} == {
        name: {"from": None, "to": value} for name, value in CONTENT.items()
    }
    create(tasks, "a")
    update(tasks, "a", **FULL)
    clear(tasks, "a", *FULL)
    first, appeared, disappeared = (plain(entry.changes) for entry in history(events, "a", order=OLDEST))
    assert not first.keys() & FULL.keys()
    assert appeared == {name: {"from": None, "to": value} for name, value in CONTENT.items()}
    assert disappeared == {name: {"from": value, "to": None} for name, value in CONTENT.items()}


# Contexts


def test_a_context_shows_them_in_whole_seconds(tasks: TaskServiceStub, channel: grpc.Channel) -> None:
    create(tasks, "a", **FULL)
    create(tasks, "b")
    contexts = ContextServiceStub(channel)

    def context(code: str, **options: Any) -> context_pb2.Context:
        asked = context_pb2.ContextOptions(**options)
        return contexts.AssembleContext(
            context_pb2.AssembleContextRequest(task_code=code, options=asked)
        ).context

    assert optional(context("a").task) == FULL | {"due_time": Timestamp(seconds=LATER.seconds)}
    assert optional(context("a", include_ids=True).task) == FULL
    assert optional(context("b").task) == {}


def test_a_budget_shortens_capabilities(tasks: TaskServiceStub, channel: grpc.Channel) -> None:
    create(tasks, "a", capabilities=[f"capability number {n}" for n in range(50)], due_time=SOON)
    options = context_pb2.ContextOptions(token_budget=400)
    request = context_pb2.AssembleContextRequest(task_code="a", options=options)
    context = ContextServiceStub(channel).AssembleContext(request).context
    assert 0 < len(context.task.capabilities) < 50
    assert context.task.due_time == SOON
    assert context.token_estimate <= 400


# Templates

TASK_TEMPLATE = """---
kind: task
title: Timed
variables:
  - {name: needs, type: list, default: [gpu, python]}
  - {name: due, type: any, default: "2030-03-18T17:46:40.123456Z"}
  - {name: attempts, type: any, default: 5}
  - {name: parent, type: any, default: true}
---
task:
  title: "{{ task_code }}"
  capabilities: ["{{ needs }}"]
  not_before: 2030-03-17T18:46:40+01:00
  due_time: "{{ due }}"
  retry_policy:
    max_attempts: "{{ attempts }}"
    backoff_seconds: 0.5
    max_backoff_seconds: 600
    max_tokens: 9
    max_cost_micros: 8
    max_tool_calls: 0
    max_wall_time_seconds: 0.5
  completed_by_children: "{{ parent }}"
"""
SPRINT_TEMPLATE = """---
kind: sprint
title: Timed
---
sprint: {title: Timed}
tasks:
  - {code: a, title: A, capabilities: [gpu], due_time: 2030-03-17T17:46:40Z, completed_by_children: true}
  - {code: b, title: B, retry_policy: {max_attempts: 5}, depends_on: [a]}
"""


@pytest.fixture
def templated(with_templates: Callable[..., grpc.Channel]) -> grpc.Channel:
    return with_templates(timed=TASK_TEMPLATE, timed_sprint=SPRINT_TEMPLATE)


def from_template(**variables: Any) -> task_pb2.CreateTasksFromTemplateRequest:
    request = task_pb2.CreateTasksFromTemplateRequest(
        template="timed", items=[task_pb2.TaskFromTemplate(task_code="a")]
    )
    request.variables.update(variables)
    return request


def test_templates_set_them(templated: grpc.Channel) -> None:
    tasks = TaskServiceStub(templated)
    (made,) = tasks.CreateTasksFromTemplate(from_template()).tasks
    assert optional(made) == FULL
    assert get(tasks, "a") == made
    preview = TemplateServiceStub(templated).RenderTemplate(
        template_pb2.RenderTemplateRequest(name="timed", variables=struct(task_code="x", sprint_code=""))
    )
    assert "2030-03-18T17:46:40.123456Z" in preview.text


def test_a_template_of_a_sprint_sets_them(templated: grpc.Channel) -> None:
    request = sprint_pb2.CreateSprintFromTemplateRequest(template="timed-sprint", sprint_code="s")
    made = SprintServiceStub(templated).CreateSprintFromTemplate(request).tasks
    assert [optional(task) for task in made] == [
        {"capabilities": ["gpu"], "due_time": SOON, "completed_by_children": True},
        {"retry_policy": task_pb2.RetryPolicy(max_attempts=5)},
    ]


def test_a_rendered_value_that_does_not_fit_is_refused_by_its_field(templated: grpc.Channel) -> None:
    cases: list[tuple[str, Any, str]] = [
        ("needs", ["a", "a"], "capabilities"),
        ("needs", ["x" * 101], "capabilities[0]"),
        ("due", "2030-03-18T17:46:40", "due_time"),
        ("due", "tomorrow", "due_time"),
        ("due", 7, "due_time"),
        ("due", "1969-12-31T00:00:00Z", "due_time"),
        ("attempts", "many", "retry_policy"),
        ("attempts", 1.5, "retry_policy"),
        ("attempts", 101, "retry_policy.max_attempts"),
        ("parent", "yes", "completed_by_children"),
    ]
    tasks = TaskServiceStub(templated)
    for name, value, wrong in cases:
        with refused(grpc.StatusCode.INVALID_ARGUMENT) as caught:
            tasks.CreateTasksFromTemplate(from_template(**{name: value}))
        assert set(violations(caught.value)) == {f"items[0].task.{wrong}"}
    (made,) = tasks.CreateTasksFromTemplate(from_template(due="", attempts=None, parent=None, needs=[])).tasks
    assert optional(made) == {
        "not_before": SOON,
        "retry_policy": task_pb2.RetryPolicy(
            backoff=POLICY.backoff, max_backoff=POLICY.max_backoff, budget=POLICY.budget
        ),
    }
