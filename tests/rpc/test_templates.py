"""Templates are listed, read, rendered and overridden by a directory, through the stubs."""

from collections.abc import Callable, Mapping
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from orchestration.v1 import template_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration.v1.template_pb2_grpc import TemplateServiceStub
from tests.support.rpc_errors import details, refused, violations
from tests.support.templates import FEATURE, SMALL_SPRINT, nothing_is_there, of_sprint, of_tasks, struct
from tests.support.templates import with_templates as with_templates

pytestmark = pytest.mark.shared_server


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
