"""Requests that create from templates, and a server with the templates of a test."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct

from orchestration.v1 import event_pb2, sprint_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import Engines
from tests.conftest import open_channel

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
