"""Templates, and the sprints and tasks created from them, through the stubs."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, sprint_pb2, task_pb2, template_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration.v1.template_pb2_grpc import TemplateServiceStub
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import Engines
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.rpc_errors import details, must_be, refused, violations
from tests.support.statements import counted

pytestmark = pytest.mark.shared_server

STATEMENTS = 2
"""One statement reads what the write needs, one writes."""
FEATURE = {"feature": "Log in with a key", "parts": ["Keys", "Pages", "Audit log"]}

SMALL_SPRINT = """---
kind: sprint
title: Small
variables:
  - {name: names, type: list, default: [a, b]}
  - {name: needs, type: list, default: []}
  - {name: priority, type: string, default: P2}
  - {name: sprint_title, type: string, default: Small one}
---
sprint:
  title: "{{ sprint_title }}"
  status: active
  metadata: {names: "{{ names }}"}
tasks:
  - loop: "{{ names }}"
    code: "{{ item }}"
    title: "Do {{ item }}"
    priority: "{{ priority }}"
    depends_on: "{{ needs }}"
"""


def struct(values: Mapping[str, Any]) -> Struct:
    found = Struct()
    found.update(dict(values))
    return found


def of_sprint(
    variables: Mapping[str, Any], code: str = "s", template: str = "feature-sprint", **fields: Any
) -> sprint_pb2.CreateSprintFromTemplateRequest:
    return sprint_pb2.CreateSprintFromTemplateRequest(
        template=template, sprint_code=code, variables=struct(variables), **fields
    )


def of_tasks(
    variables: Mapping[str, Any], items: Mapping[str, Mapping[str, Any] | None], **fields: Any
) -> task_pb2.CreateTasksFromTemplateRequest:
    return task_pb2.CreateTasksFromTemplateRequest(
        template="task",
        variables=struct(variables),
        items=[
            task_pb2.TaskFromTemplate(task_code=code, variables=None if own is None else struct(own))
            for code, own in items.items()
        ],
        **fields,
    )


def logged(events: EventServiceStub, **fields: Any) -> list[event_pb2.Event]:
    request = event_pb2.ListEventsRequest(
        filter=event_pb2.EventFilter(**fields), page_size=500, order=event_pb2.EVENT_ORDER_OLDEST_FIRST
    )
    return list(events.ListEvents(request).events)


def nothing_is_there(sprints: SprintServiceStub, tasks: TaskServiceStub, events: EventServiceStub) -> None:
    assert not sprints.ListSprints(sprint_pb2.ListSprintsRequest()).sprints
    assert not tasks.ListTasks(task_pb2.ListTasksRequest()).tasks
    assert not logged(events)


@pytest.fixture
def with_templates(
    engines: Engines, database_url: str, tmp_path: Path
) -> Iterator[Callable[..., grpc.Channel]]:
    """Start a server whose templates directory has these files."""
    opened: list[tuple[App, grpc.Channel]] = []

    def start(**files: str) -> grpc.Channel:
        for name, text in files.items():
            (tmp_path / f"{name.replace('_', '-')}.yaml").write_text(text)
        app = App(
            Settings(
                address="127.0.0.1:0",
                database_url=database_url,
                redis_url=engines.redis_url or "",
                grace_seconds=1,
                templates_dir=tmp_path,
            )
        )
        channel = open_channel(app.start())
        opened.append((app, channel))
        return channel

    yield start
    for app, channel in opened:
        channel.close()
        app.stop()


# Reading and rendering


def test_templates_are_listed_by_name_in_pages_without_bodies(templates: TemplateServiceStub) -> None:
    everything = templates.ListTemplates(template_pb2.ListTemplatesRequest(page_size=500)).templates
    names = [template.name for template in everything]

    assert names == sorted(names)
    assert {
        "feature-sprint",
        "bug-fix-sprint",
        "release-sprint",
        "task",
        "agent",
        "adr",
        "bug-report",
    } <= set(names)
    assert not any(template.body for template in everything)
    assert all(template.source == template_pb2.TEMPLATE_SOURCE_BUILT_IN for template in everything)

    paged: list[str] = []
    token = ""
    while True:
        page = templates.ListTemplates(template_pb2.ListTemplatesRequest(page_size=2, page_token=token))
        paged += [template.name for template in page.templates]
        token = page.next_page_token
        if not token:
            break
    assert paged == names


def test_templates_are_listed_by_kind(templates: TemplateServiceStub) -> None:
    request = template_pb2.ListTemplatesRequest(kind=template_pb2.TEMPLATE_KIND_SPRINT, page_size=1)
    page = templates.ListTemplates(request)
    assert [template.kind for template in page.templates] == [template_pb2.TEMPLATE_KIND_SPRINT]

    other = template_pb2.ListTemplatesRequest(page_size=1, page_token=page.next_page_token)
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_FOREIGN"):
        templates.ListTemplates(other)


def test_a_template_lists_its_variables(templates: TemplateServiceStub) -> None:
    found = templates.GetTemplate(template_pb2.GetTemplateRequest(name="feature-sprint")).template
    variables = {variable.name: variable for variable in found.variables}

    assert found.kind == template_pb2.TEMPLATE_KIND_SPRINT
    assert found.body
    assert len(found.sha256) == 64
    assert variables["sprint_code"].required
    assert variables["feature"].required
    assert not variables["feature"].HasField("default_value")
    assert variables["parts"].type == template_pb2.TEMPLATE_VARIABLE_TYPE_LIST
    assert not variables["parts"].required
    assert variables["parts"].default_value.HasField("list_value")
    assert variables["priority"].default_value.string_value == "P2"


def test_an_unknown_template_is_named(templates: TemplateServiceStub) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND") as caught:
        templates.GetTemplate(template_pb2.GetTemplateRequest(name="none"))
    assert details(caught.value)["ResourceInfo"].resource_type == "template"

    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        templates.RenderTemplate(template_pb2.RenderTemplateRequest(name="none"))


def render(
    templates: TemplateServiceStub, name: str, variables: Mapping[str, Any]
) -> template_pb2.RenderTemplateResponse:
    return templates.RenderTemplate(
        template_pb2.RenderTemplateRequest(name=name, variables=struct(variables))
    )


def test_a_value_that_cannot_be_printed_is_a_violation_of_its_variable(
    templates: TemplateServiceStub,
) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "template adr in line 38") as caught:
        render(templates, "adr", {"title": "t", "decision": "d", "alternatives": [{}]})
    assert set(violations(caught.value)) == {"variables"}


def test_a_document_is_rendered_as_text(templates: TemplateServiceStub) -> None:
    answer = render(
        templates, "adr", {"title": "Use a log", "decision": "We *do*.", "alternatives": ["None"]}
    )

    assert answer.text.startswith("# Use a log\n")
    assert "We *do*." in answer.text
    assert "- None" in answer.text
    assert not answer.preview.fields


def test_a_sprint_is_previewed_and_nothing_is_created(
    templates: TemplateServiceStub,
    sprints: SprintServiceStub,
    tasks: TaskServiceStub,
    events: EventServiceStub,
) -> None:
    answer = render(templates, "feature-sprint", {"sprint_code": "s", **FEATURE})
    preview = json_format.MessageToDict(answer.preview)

    assert preview["sprint"]["code"] == "s"
    assert preview["sprint"]["metadata"]["parts"] == FEATURE["parts"]
    assert "s-build-audit-log" in [task["code"] for task in preview["tasks"]]
    assert "Log in with a key" in answer.text
    nothing_is_there(sprints, tasks, events)


def test_an_agent_s_settings_fit_a_task(templates: TemplateServiceStub, tasks: TaskServiceStub) -> None:
    settings = json_format.MessageToDict(render(templates, "agent", {"role": "a tester"}).preview)

    created = tasks.CreateTasksFromTemplate(of_tasks({"title": "Test it", **settings}, {"t": None})).tasks[0]

    assert json_format.MessageToDict(created.agent_config) == settings["agent_config"]
    assert settings["agent_config"]["role"] == "a tester"


def test_violations_of_variables_are_named(templates: TemplateServiceStub) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        render(templates, "feature-sprint", {"sprint_code": "s", "parts": "one", "colour": "red"})

    wrong = violations(caught.value)
    assert wrong["variables.feature"] == "is required by template feature-sprint"
    assert wrong["variables.parts"] == "must be of type list"
    assert wrong["variables.colour"] == "is not a variable of template feature-sprint"
    assert len(wrong) == 3


# A sprint from a template


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


# Tasks from a template


def test_tasks_are_created_with_their_own_variables(
    tasks: TaskServiceStub, sprints: SprintServiceStub, events: EventServiceStub
) -> None:
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("s")))
    request = of_tasks(
        {"title": "Shared", "labels": ["x"]},
        {"a": None, "b": {"title": "Own", "priority": "P0"}},
        sprint_code="s",
    )

    answer = tasks.CreateTasksFromTemplate(request)

    assert [(task.code, task.title, task.sprint_code) for task in answer.tasks] == [
        ("a", "Shared", "s"),
        ("b", "Own", "s"),
    ]
    assert answer.tasks[1].priority == 1
    assert list(answer.tasks[0].labels) == ["x"]
    for task in answer.tasks:
        assert tasks.GetTask(task_pb2.GetTaskRequest(task_code=task.code)).task == task
        assert [event.type for event in logged(events, task_code=task.code)] == [
            "orchestration.task.created",
            "orchestration.task.generated",
        ]


def test_a_thousand_tasks_are_two_statements(tasks: TaskServiceStub, monkeypatch: pytest.MonkeyPatch) -> None:
    request = of_tasks({}, {f"t{n}": {"title": f"Task {n}"} for n in range(1000)})

    with counted(monkeypatch) as seen:
        answer = tasks.CreateTasksFromTemplate(request)

    assert [task.title for task in answer.tasks] == [f"Task {n}" for n in range(1000)]
    assert len(seen) == STATEMENTS, seen


def test_a_violation_names_its_item_and_nothing_is_created(
    tasks: TaskServiceStub, sprints: SprintServiceStub, events: EventServiceStub
) -> None:
    request = of_tasks({}, {"a": {"title": "ok"}, "b": None, "c": {"title": "x", "phase": "p" * 101}})

    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        tasks.CreateTasksFromTemplate(request)

    assert set(violations(caught.value)) == {"items[1].variables.title", "items[2].task.phase"}
    nothing_is_there(sprints, tasks, events)


def test_tasks_join_only_an_existing_sprint(tasks: TaskServiceStub) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND") as caught:
        tasks.CreateTasksFromTemplate(of_tasks({"title": "t"}, {"a": None}, sprint_code="none"))
    assert details(caught.value)["ResourceInfo"].resource_type == "sprint"
    assert not tasks.ListTasks(task_pb2.ListTasksRequest()).tasks


def test_one_taken_code_leaves_none_of_the_tasks(tasks: TaskServiceStub) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("b")))

    with refused(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS"):
        tasks.CreateTasksFromTemplate(of_tasks({"title": "t"}, {"a": None, "b": None}))

    assert [task.code for task in tasks.ListTasks(task_pb2.ListTasksRequest()).tasks] == ["b"]


def test_a_retry_of_tasks_returns_the_first_answer(tasks: TaskServiceStub) -> None:
    request = of_tasks({"title": "t"}, {"a": None, "b": None}, request_id="r")

    assert tasks.CreateTasksFromTemplate(request) == tasks.CreateTasksFromTemplate(request)


# The templates directory


def test_a_directory_adds_and_overrides_templates(with_templates: Callable[..., grpc.Channel]) -> None:
    own = SMALL_SPRINT.replace("title: Small\n", "title: Mine\n", 1)
    templates = TemplateServiceStub(with_templates(small=SMALL_SPRINT, feature_sprint=own))

    found = {
        template.name: template
        for template in templates.ListTemplates(template_pb2.ListTemplatesRequest(page_size=500)).templates
    }
    assert found["small"].source == template_pb2.TEMPLATE_SOURCE_DIRECTORY
    assert found["feature-sprint"].title == "Mine"
    assert found["release-sprint"].source == template_pb2.TEMPLATE_SOURCE_BUILT_IN


BOMB = """---
kind: sprint
title: Bomb
variables:
  - {name: many, type: list, default: []}
---
sprint:
  title: T
  goal: "{% for a in many %}{% for b in many %}{% for c in many %}{% endfor %}{% endfor %}{% endfor %}"
  metadata: {a: "{{ 1 - many }}"}
"""


def test_a_template_that_takes_too_long_or_is_broken_creates_nothing(
    with_templates: Callable[..., grpc.Channel],
) -> None:
    channel = with_templates(bomb=BOMB)
    sprints = SprintServiceStub(channel)

    with refused(grpc.StatusCode.INVALID_ARGUMENT, "TEMPLATE_LIMIT", "50 ms"):
        sprints.CreateSprintFromTemplate(of_sprint({"many": list(range(200))}, template="bomb"))
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "TEMPLATE_BROKEN", "line 10"):
        sprints.CreateSprintFromTemplate(of_sprint({}, template="bomb"))
    nothing_is_there(sprints, TaskServiceStub(channel), EventServiceStub(channel))
