"""Sprints created from templates, with their tasks and links."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf import json_format

from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, sprint_pb2, task_pb2, template_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration.v1.template_pb2_grpc import TemplateServiceStub
from tests.conftest import Server
from tests.support import factories
from tests.support.rpc_errors import details, must_be, refused, violations
from tests.support.statements import counted
from tests.support.templates import (
    FEATURE,
    SMALL_SPRINT,
    STATEMENTS,
    logged,
    nothing_is_there,
    of_sprint,
    of_tasks,
    struct,
)
from tests.support.templates import with_templates as with_templates

pytestmark = pytest.mark.shared_server


def test_a_sprint_is_created_with_its_tasks_and_links(
    sprints: SprintServiceStub, tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    answer = sprints.CreateSprintFromTemplate(of_sprint(FEATURE))

    read = sprints.GetSprint(sprint_pb2.GetSprintRequest(sprint_code="s")).sprint
    assert answer.sprint == read
    assert read.title == "Log in with a key"
    assert read.metadata["kind"] == "feature"
    codes = [task.code for task in answer.tasks]
    assert codes[:3] == ["s-spec", "s-design", "s-build-keys"]
    assert all(task.sprint_code == "s" for task in answer.tasks)
    for task in answer.tasks:
        assert tasks.GetTask(task_pb2.GetTaskRequest(task_code=task.code)).task == task
    request = coordination_pb2.ListReadyTasksRequest(sprint_code="s", include_not_due=True)
    ready = coordination.ListReadyTasks(request)
    assert [task.code for task in ready.tasks] == ["s-spec"]


def test_every_built_in_sprint_is_created_and_one_task_may_start(
    sprints: SprintServiceStub, coordination: CoordinationServiceStub
) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("feature-sprint", {"feature": "F"}),
        ("bug-fix-sprint", {"bugs": ["B-1", 'it\'s "broken": {{ badly }}\n- and so on']}),
        ("release-sprint", {"version": "1.2.0"}),
        ("release-sprint", {"version": "1.2.0", "environments": [], "security_review": False}),
        ("research-sprint", {"question": "Why?"}),
        ("research-sprint", {"question": "Which?", "options": ["a", "b"], "criteria": ["speed"]}),
    ]
    for number, (template, variables) in enumerate(cases):
        code = f"s{number}"
        answer = sprints.CreateSprintFromTemplate(of_sprint(variables, code, template))

        request = coordination_pb2.ListReadyTasksRequest(sprint_code=code, include_not_due=True)
        assert 0 < len(coordination.ListReadyTasks(request).tasks) < len(answer.tasks)
        assert all(task.title and task.description and task.phase for task in answer.tasks)


def test_a_variable_cannot_change_other_fields(sprints: SprintServiceStub) -> None:
    text = 'x"\ntitle: other\ntasks: []\n{{ 7 * 7 }} {% if %} &a *a #'

    answer = sprints.CreateSprintFromTemplate(
        of_sprint({"feature": "f", "goal": text, "owner": "{{ goal }}"})
    )

    assert answer.sprint.goal == text
    assert answer.sprint.owner == "{{ goal }}"
    assert answer.tasks


def test_overrides_win_over_the_template(sprints: SprintServiceStub) -> None:
    overrides = sprint_pb2.SprintOverrides(title="Mine", owner="me", metadata=struct({"a": 1}))

    answer = sprints.CreateSprintFromTemplate(of_sprint(FEATURE, overrides=overrides))

    assert answer.sprint.title == "Mine"
    assert answer.sprint.owner == "me"
    assert answer.sprint.goal == "Log in with a key"
    assert json_format.MessageToDict(answer.sprint.metadata) == {"a": 1}


def test_an_override_replaces_a_value_that_breaks_a_rule(sprints: SprintServiceStub) -> None:
    wrong = {**FEATURE, "start_date": "soon"}
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        sprints.CreateSprintFromTemplate(of_sprint(wrong))
    assert violations(caught.value) == {"sprint.start_date": "must be a date, as YYYY-MM-DD"}

    overrides = sprint_pb2.SprintOverrides(start_date="2026-01-02")
    answer = sprints.CreateSprintFromTemplate(of_sprint(wrong, overrides=overrides))
    assert answer.sprint.start_date == "2026-01-02"


def test_a_sprint_with_20_tasks_is_two_statements(
    sprints: SprintServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [f"part {n}" for n in range(7)]
    with counted(monkeypatch) as seen:
        answer = sprints.CreateSprintFromTemplate(of_sprint({"feature": "F", "parts": parts}))

    assert len(answer.tasks) == 20
    assert len(seen) == STATEMENTS, seen


def test_events_record_the_creation_and_the_template(
    sprints: SprintServiceStub, events: EventServiceStub, templates: TemplateServiceStub
) -> None:
    answer = sprints.CreateSprintFromTemplate(of_sprint(FEATURE))
    template = templates.GetTemplate(template_pb2.GetTemplateRequest(name="feature-sprint")).template

    of_all = logged(events, sprint_code="s")
    of_sprint_alone = [event for event in of_all if event.entity_code == "s"]
    of_task = [event for event in of_all if event.entity_code == "s-design"]

    assert [event.type for event in of_sprint_alone] == [
        "orchestration.sprint.created",
        "orchestration.sprint.generated",
    ]
    generated = json_format.MessageToDict(of_sprint_alone[1].payload)
    assert generated["template"] == "feature-sprint"
    assert generated["template_sha256"] == template.sha256
    assert generated["tasks"] == len(answer.tasks)
    assert [event.type for event in of_task] == [
        "orchestration.task.created",
        "orchestration.task.generated",
        "orchestration.task.dependency_added",
    ]
    assert len({event.correlation_id for event in of_all}) == 1
    assert len([e for e in of_all if e.type == "orchestration.task.generated"]) == len(answer.tasks)


def test_generated_entities_can_be_rebuilt_from_their_events(
    sprints: SprintServiceStub, events: EventServiceStub
) -> None:
    sprints.CreateSprintFromTemplate(of_sprint(FEATURE))

    for kind, code in ((common_pb2.ENTITY_TYPE_SPRINT, "s"), (common_pb2.ENTITY_TYPE_TASK, "s-design")):
        request = event_pb2.ReconstructStateRequest(entity_type=kind, entity_code=code, verify=True)
        assert events.ReconstructState(request).verification.equal


def test_one_of_many_concurrent_calls_creates(sprints: SprintServiceStub, tasks: TaskServiceStub) -> None:
    def create(request_id: str) -> sprint_pb2.CreateSprintFromTemplateResponse | grpc.StatusCode:
        try:
            return sprints.CreateSprintFromTemplate(of_sprint(FEATURE, request_id=request_id))
        except grpc.RpcError as error:
            must_be(error, grpc.StatusCode.ALREADY_EXISTS)
            return grpc.StatusCode.ALREADY_EXISTS

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(create, ["r-1", "r-1", "r-2", "r-3"] * 4))

    created = [answer for answer in answers if not isinstance(answer, grpc.StatusCode)]
    assert created
    assert all(answer == created[0] for answer in created)
    listed = tasks.ListTasks(task_pb2.ListTasksRequest(page_size=500)).tasks
    assert len(listed) == len(created[0].tasks)


def test_files_are_queued_on_request(
    server: Server, sprints: SprintServiceStub, tasks: TaskServiceStub
) -> None:
    answer = sprints.CreateSprintFromTemplate(of_sprint(FEATURE, sync_to_file=True))
    tasks.CreateTasksFromTemplate(of_tasks({"title": "t"}, {"a": None}, sync_to_file=True))
    tasks.CreateTasksFromTemplate(of_tasks({"title": "t"}, {"b": None}))

    with psycopg.connect(server.database_url) as conn:
        queued = set(conn.execute("select kind, code from file_outbox").fetchall())
    assert queued == {("sprint", "s"), ("task", "a"), *(("task", task.code) for task in answer.tasks)}


def test_a_retry_returns_the_first_answer(sprints: SprintServiceStub, events: EventServiceStub) -> None:
    request = of_sprint(FEATURE, request_id="r-1")
    first = sprints.CreateSprintFromTemplate(request)
    logged_before = len(logged(events))

    assert sprints.CreateSprintFromTemplate(request) == first
    assert len(logged(events)) == logged_before
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
        sprints.CreateSprintFromTemplate(of_sprint({"feature": "Other"}, request_id="r-1"))


def test_a_retry_is_answered_although_the_template_has_changed(
    with_templates: Callable[..., grpc.Channel],
) -> None:
    request = of_sprint({"names": ["x"]}, template="small", request_id="r-1")
    first = SprintServiceStub(with_templates(small=SMALL_SPRINT)).CreateSprintFromTemplate(request)
    changed = SMALL_SPRINT.replace("title: Small\n", "title: Small\n", 1).replace(
        "name: names", "name: other"
    )
    changed = changed.replace("{{ names }}", "{{ other }}")

    again = SprintServiceStub(with_templates(small=changed))

    assert again.CreateSprintFromTemplate(request) == first
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        again.CreateSprintFromTemplate(of_sprint({"names": ["x"]}, template="small", request_id="r-2"))
    assert "variables.names" in violations(caught.value)


def test_nothing_is_created_if_a_code_is_taken(
    sprints: SprintServiceStub, tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("s-release")))
    before = len(logged(events))

    with refused(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS") as caught:
        sprints.CreateSprintFromTemplate(of_sprint(FEATURE))

    assert details(caught.value)["ResourceInfo"].resource_name == "s-release"
    assert not sprints.ListSprints(sprint_pb2.ListSprintsRequest()).sprints
    assert len(tasks.ListTasks(task_pb2.ListTasksRequest()).tasks) == 1
    assert len(logged(events)) == before


def test_a_sprint_code_is_used_once(sprints: SprintServiceStub) -> None:
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("s")))
    with refused(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS"):
        sprints.CreateSprintFromTemplate(of_sprint(FEATURE))

    sprints.DeleteSprint(sprint_pb2.DeleteSprintRequest(sprint_code="s"))
    with refused(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS", "deleted"):
        sprints.CreateSprintFromTemplate(of_sprint(FEATURE))


def test_nothing_is_created_if_the_rendered_fields_break_a_rule(
    sprints: SprintServiceStub, tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "variables.feature"),
        ({"feature": "F", "sprint_code": "other"}, "variables.sprint_code"),
        ({"feature": "F", "priority": "urgent"}, "tasks[0].priority"),
        ({"feature": "F", "parts": ["A b", "a-B"]}, "tasks[3].code"),
        ({"feature": ""}, "sprint.title"),
        ({"feature": "F", "acceptance_criteria": [["nested"]]}, "tasks[0].acceptance_criteria"),
        ({"feature": "F", "acceptance_criteria": ["long" * 600]}, "tasks[0].acceptance_criteria[2]"),
    ]
    for variables, path in cases:
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
            sprints.CreateSprintFromTemplate(of_sprint(variables))
        assert path in violations(caught.value)
    nothing_is_there(sprints, tasks, events)


def test_a_template_of_another_kind_is_refused(sprints: SprintServiceStub) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "kind TASK") as caught:
        sprints.CreateSprintFromTemplate(of_sprint({"title": "t"}, template="task"))
    assert "template" in violations(caught.value)

    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        sprints.CreateSprintFromTemplate(of_sprint({}, template="none"))


def test_links_lead_to_tasks_of_the_template_and_close_no_cycle(
    with_templates: Callable[..., grpc.Channel],
) -> None:
    sprints = SprintServiceStub(with_templates(small=SMALL_SPRINT))

    for needs, problem in (
        ("elsewhere", "is not the code of a task of this template"),
        ("a", "closes a cycle: a -> a"),
    ):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
            sprints.CreateSprintFromTemplate(of_sprint({"needs": [needs]}, template="small"))
        assert problem in violations(caught.value)["tasks[0].depends_on"]


def test_a_sprint_has_at_most_1000_tasks(with_templates: Callable[..., grpc.Channel]) -> None:
    channel = with_templates(small=SMALL_SPRINT)
    sprints = SprintServiceStub(channel)
    names = [f"n{number}" for number in range(1001)]

    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        sprints.CreateSprintFromTemplate(of_sprint({"names": names}, template="small"))
    assert "tasks" in violations(caught.value)

    answer = sprints.CreateSprintFromTemplate(of_sprint({"names": names[1:]}, template="small"))
    assert len(answer.tasks) == 1000
    assert answer.sprint.status == 2
