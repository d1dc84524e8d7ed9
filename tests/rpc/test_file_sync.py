"""The files that the service writes of sprints, tasks, decisions and bug reports."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration import Client
from orchestration.v1 import coordination_pb2, report_pb2, sprint_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.codec.content import plain
from orchestration_server.jobs.file_sync import FileSync
from tests.conftest import Server
from tests.support import factories
from tests.support.synced_files import TASK, logged, queued, retitle, shown, tree, value
from tests.support.synced_files import database as database
from tests.support.synced_files import root as root
from tests.support.synced_files import sprint as sprint
from tests.support.synced_files import sync as sync
from tests.support.synced_files import task as task


def dependency(code: str, kind: Any) -> coordination_pb2.Dependency:
    return coordination_pb2.Dependency(task_code="T-1", depends_on_code=code, kind=kind)


def test_the_files_of_a_sprint_and_its_tasks(
    sprints: SprintServiceStub,
    tasks: TaskServiceStub,
    events: EventServiceStub,
    sprint: str,
    sync: FileSync,
    root: Path,
    database: psycopg.Connection[Any],
) -> None:
    tasks.CreateTask(
        task_pb2.CreateTaskRequest(
            task=factories.task(
                "T-1",
                sprint_code=sprint,
                priority=2,
                description="What to do.\n\n## Not a heading of ours\n",
                objectives=["one", "two"],
                agent_config={"model": "large"},
            )
        )
    )
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("alone"), sync_to_file=True))
    sprints.SyncSprint(
        sprint_pb2.SyncSprintRequest(sprint_code=sprint), metadata=(("orchestration-correlation-id", "why"),)
    )
    assert sync.run_once() == 3
    assert queued(database) == []
    assert shown(root) == {
        "delegation/sprints/S-1/SPRINT.md",
        f"{TASK}/TASK.md",
        f"{TASK}/AGENT.yml",
        "delegation/tasks/alone/TASK.md",
        "delegation/tasks/alone/AGENT.yml",
    }
    found = tree(root)
    assert found[f"{TASK}/AGENT.yml"] == b"model: large\n"
    text = found[f"{TASK}/TASK.md"].decode()
    assert text.startswith(
        "---\nformat: 1\ntask: T-1\ntitle: Task T-1\nsprint: S-1\nstatus: pending\npriority: P1\n"
    )
    assert text.endswith(
        "---\n\n# Task T-1\n\n## Objectives\n\n- one\n- two\n"
        "\n## Description\n\nWhat to do.\n\n## Not a heading of ours\n\n"
    )
    record = json.loads(found[f"{TASK}/.hash"])
    assert record["files"] == {
        name: sha256(found[f"{TASK}/{name}"]).hexdigest() for name in ("TASK.md", "AGENT.yml")
    }
    synced = {event.entity_code: event for event in logged(events, "synced")}
    assert set(synced) == {"S-1", "T-1", "alone"}
    event = synced["T-1"]
    assert (event.correlation_id, event.sprint_code, event.priority) == ("why", "S-1", 2)
    assert event.entity_uid
    assert event.entity_revision == 0
    assert plain(event.payload) == {
        "revision": 1,
        "files": [
            {"path": f"{TASK}/{name}", "sha256": record["files"][name], "written": True}
            for name in ("TASK.md", "AGENT.yml")
        ],
    }


def test_slow_writes_of_files_are_counted(
    tasks: TaskServiceStub, task: str, sync: FileSync, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, all_ = value("orchestration_file_sync_slow_total"), value("orchestration_file_sync_seconds_count")
    monkeypatch.setattr("orchestration_server.jobs.file_sync.SLOW_SECONDS", 1e9)
    sync.run_once()
    assert value("orchestration_file_sync_slow_total") == slow
    monkeypatch.setattr("orchestration_server.jobs.file_sync.SLOW_SECONDS", 0.0)
    retitle(tasks, "Another")
    sync.run_once()
    assert value("orchestration_file_sync_slow_total") == slow + 1
    assert value("orchestration_file_sync_seconds_count") == all_ + 2


def test_a_deleted_task_has_no_files_to_write(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    database: psycopg.Connection[Any],
) -> None:
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="T-1"))
    assert sync.run_once() == 1
    assert (queued(database), tree(root)) == ([], {})
    (skipped,) = logged(events)
    assert (skipped.type, skipped.entity_code) == ("orchestration.file.skipped", "T-1")
    assert (skipped.sprint_code, plain(skipped.payload)) == ("S-1", {"reason": "deleted"})


def test_projects_have_separate_trees(
    tasks: TaskServiceStub, sync: FileSync, root: Path, events: EventServiceStub
) -> None:
    for project in ("default", "one"):
        tasks.CreateTask(
            task_pb2.CreateTaskRequest(task=factories.task("T", title=project), sync_to_file=True),
            metadata=(("orchestration-project", project),),
        )
    assert sync.run_once() == 2
    found = tree(root)
    assert b"title: default" in found["delegation/tasks/T/TASK.md"]
    assert b"title: one" in found["projects/one/delegation/tasks/T/TASK.md"]
    assert len(logged(events)) == 1


def test_decisions_and_bug_reports(
    events: EventServiceStub, sync: FileSync, root: Path, database: psycopg.Connection[Any]
) -> None:
    for number in (1, 2):
        adr = report_pb2.Adr(
            number=number, code=f"ADR-000{number}", uid=str(number), revision=1,
            document=f"# Decision {number}\n", path=f"docs/adr/000{number}-a.md",
        )  # fmt: skip
        database.execute(
            "insert into adrs (project, number, code, revision, create_time, update_time, body)"
            " values ('default', %s, %s, 1, now(), now(), %s)",
            (number, adr.code, adr.SerializeToString()),
        )
        database.execute(
            "insert into file_outbox (project, kind, code, correlation_id) values ('default', 'adr', %s, '')",
            (adr.code,),
        )
    bug = report_pb2.BugReport(
        code="BUG-0001", uid="b", revision=1, document="# Bug\n", path="../../escaped.md"
    )
    database.execute(
        "insert into bug_reports"
        " (project, number, code, fingerprint, revision, create_time, update_time, body)"
        " values ('default', 1, %s, '', 1, now(), now(), %s)",
        (bug.code, bug.SerializeToString()),
    )
    database.execute(
        "insert into file_outbox (project, kind, code, correlation_id)"
        " values ('default', 'bug_report', 'BUG-0001', '')"
    )
    assert sync.run_once() == 3
    assert shown(root) == {"docs/adr/0001-a.md", "docs/adr/0002-a.md"}
    assert tree(root)["docs/adr/0002-a.md"] == b"# Decision 2\n"
    assert [(e.entity_code, e.entity_type) for e in logged(events, "sync_failed")] == [("BUG-0001", 5)]
    assert [row[:3] for row in queued(database)] == [("bug_report", "BUG-0001", 1)]


def test_the_links_of_a_task_are_in_its_file(
    tasks: TaskServiceStub, sync: FileSync, task: str, root: Path, server: Server
) -> None:
    with Client(server.address) as client:
        for code in ("B", "A", "gone"):
            tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code)))
        for code, kind in (("B", 1), ("gone", 1), ("A", 4), ("B", 3)):
            link = dependency(code, kind)
            client.coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=link))
        tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="gone"))
    sync.run_once()
    content = (root / TASK / "TASK.md").read_text()
    assert (
        "depends_on:\n  - B\n  - code: B\n    kind: discovered-from\n  - code: A\n    kind: related\n"
        in content
    )
