"""A workspace with a sprint and a task, the service that writes its files, and the rows of its work."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.v1 import event_pb2, sprint_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.jobs.file_sync import FileSync
from orchestration_server.telemetry import metrics
from tests.conftest import Server
from tests.support import factories

TASK = "delegation/sprints/S-1/T-1"
HIDDEN = (".hash",)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "workspace"
    found.mkdir()
    return found


@pytest.fixture
def sync(server: Server, root: Path) -> FileSync:
    """The service, which the test runs step by step."""
    return service(server, root)


def service(server: Server, root: Path) -> FileSync:
    assert server.app is not None
    return FileSync(server.app.db, root, server.app.hub.wake)


@pytest.fixture
def sprint(sprints: SprintServiceStub) -> str:
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("S-1")))
    return "S-1"


@pytest.fixture
def task(tasks: TaskServiceStub, sprint: str) -> str:
    new = factories.task("T-1", sprint_code=sprint)
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=new, sync_to_file=True))
    return "T-1"


@pytest.fixture
def database(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as conn:
        yield conn


def message(kind: Any, **fields: Any) -> Any:
    """Return a request made from plain values."""
    return kind(**fields)


def retitle(tasks: TaskServiceStub, title: str, **fields: Any) -> task_pb2.Task:
    request = message(
        task_pb2.UpdateTaskRequest,
        task=task_pb2.Task(code="T-1", title=title),
        update_mask={"paths": ["title"]},
        sync_to_file=True,
        **fields,
    )
    return tasks.UpdateTask(request).task


def queued(database: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return database.execute(
        "select kind, code, attempts, last_error from file_outbox order by kind, code"
    ).fetchall()


def due(database: psycopg.Connection[Any]) -> None:
    """Make all rows due now."""
    database.execute("update file_outbox set next_attempt_time = now()")


def logged(events: EventServiceStub, kind: str = "*") -> list[event_pb2.Event]:
    request = message(
        event_pb2.ListEventsRequest, filter={"types": [f"orchestration.file.{kind}"]}, page_size=500
    )
    return list(reversed(events.ListEvents(request).events))


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def shown(root: Path) -> set[str]:
    return {name for name in tree(root) if not Path(name).name.endswith(HIDDEN)}


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def fail_renames(patch: pytest.MonkeyPatch, after: int, error: BaseException) -> None:
    """Let ``after`` renames succeed, and raise the error for each later one."""
    left, rename = iter(range(after)), os.rename

    def rename_or_fail(*args: Any, **named: Any) -> None:
        if next(left, None) is None:
            raise error
        rename(*args, **named)

    patch.setattr(os, "rename", rename_or_fail)
