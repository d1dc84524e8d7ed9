"""sync_to_file, SyncSprint, and the service that writes the files."""

import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest

from orchestration import Client
from orchestration.v1 import coordination_pb2, event_pb2, report_pb2, sprint_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.codec.content import plain
from orchestration_server.jobs.file_sync import FileSync
from orchestration_server.store import outbox
from orchestration_server.telemetry import metrics
from orchestration_server.workspace import writer
from orchestration_server.workspace.rendering import Document, document
from orchestration_server.workspace.tree import TEMPORARY, Workspace
from tests.conftest import Server
from tests.support import factories
from tests.support.statements import counted

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


def dependency(code: str, kind: Any) -> coordination_pb2.Dependency:
    return coordination_pb2.Dependency(task_code="T-1", depends_on_code=code, kind=kind)


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


# Queuing


def test_nothing_is_queued_without_a_request(
    tasks: TaskServiceStub, sprint: str, database: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with counted(monkeypatch) as seen:
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("T-1", sprint_code=sprint)))
    assert len(seen) == 2
    assert not any("file_outbox" in statement for statement in seen)
    assert queued(database) == []


def test_each_call_queues_its_entities_in_its_own_statement(
    sprints: SprintServiceStub,
    tasks: TaskServiceStub,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status = {"task_code": "b", "status": 2}
    calls: list[tuple[Callable[[], object], list[tuple[str, str]]]] = [
        (lambda: sprints.CreateSprint(sprint_pb2.CreateSprintRequest(
            sprint=factories.sprint("s"), sync_to_file=True)), [("sprint", "s")]),
        (lambda: sprints.UpdateSprint(message(sprint_pb2.UpdateSprintRequest,
            sprint={"code": "s", "owner": "o"}, update_mask={"paths": ["owner"]}, sync_to_file=True)),
            [("sprint", "s")]),
        (lambda: tasks.CreateTask(task_pb2.CreateTaskRequest(
            task=factories.task("b"), sync_to_file=True)), [("task", "b")]),
        (lambda: tasks.BatchCreateTasks(message(task_pb2.BatchCreateTasksRequest,
            tasks=[{"task": factories.task(c)} for c in ("z", "a")], sync_to_file=True)),
            [("task", "a"), ("task", "z")]),
        (lambda: tasks.UpdateTask(message(
        task_pb2.UpdateTaskRequest,
            task={"code": "b", "phase": "p"}, update_mask={"paths": ["phase"]}, sync_to_file=True)),
            [("task", "b")]),
        (lambda: tasks.UpdateTaskStatus(message(
            task_pb2.UpdateTaskStatusRequest, **status, sync_to_file=True)), [("task", "b")]),
        # The call changes nothing, and requests the files all the same.
        (lambda: tasks.UpdateTaskStatus(message(
            task_pb2.UpdateTaskStatusRequest, **status, sync_to_file=True)), [("task", "b")]),
        (lambda: tasks.BatchUpdateTaskStatus(message(task_pb2.BatchUpdateTaskStatusRequest,
            changes=[{"task_code": c, "status": 4} for c in ("z", "a")], sync_to_file=True)),
            [("task", "a"), ("task", "z")]),
    ]  # fmt: skip
    for call, expected in calls:
        with counted(monkeypatch) as seen:
            call()
        assert len(seen) == 2
        assert [row[:2] for row in queued(database)] == expected
        database.execute("delete from file_outbox")


def test_a_refused_call_queues_nothing(
    tasks: TaskServiceStub, task: str, database: psycopg.Connection[Any]
) -> None:
    database.execute("delete from file_outbox")
    with pytest.raises(grpc.RpcError):
        retitle(tasks, "new", expected_revision=7)
    assert queued(database) == []


@pytest.mark.connections(12)
def test_a_hundred_updates_of_a_task_are_one_row_and_one_write(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    database: psycopg.Connection[Any],
) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: retitle(tasks, f"Title {number}"), range(100)))
    assert [row[:2] for row in queued(database)] == [("task", "T-1")]
    assert sync.run_once() == 1
    assert sync.run_once() == 0
    (event,) = logged(events)
    assert plain(event.payload)["revision"] == 101
    assert b"revision: 101" in tree(root)[f"{TASK}/TASK.md"]


def test_sync_sprint_queues_the_sprint_and_its_tasks_in_one_statement(
    sprints: SprintServiceStub,
    tasks: TaskServiceStub,
    task: str,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for code in ("T-2", "T-3"):
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code, sprint_code="S-1")))
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("elsewhere")))
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="T-3"))
    request = sprint_pb2.SyncSprintRequest(sprint_code="S-1", request_id="once")
    with counted(monkeypatch) as seen:
        assert sprints.SyncSprint(request).queued == 3
    assert len(seen) == 2
    assert [row[:2] for row in queued(database)] == [("sprint", "S-1"), ("task", "T-1"), ("task", "T-2")]
    database.execute("delete from file_outbox")
    assert sprints.SyncSprint(request).queued == 3
    assert queued(database) == []
    with pytest.raises(grpc.RpcError) as refused:
        sprints.SyncSprint(sprint_pb2.SyncSprintRequest(sprint_code="none"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


# Writing


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


def test_unchanged_files_are_not_touched(
    tasks: TaskServiceStub, events: EventServiceStub, task: str, sync: FileSync, root: Path
) -> None:
    sync.run_once()
    before = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}
    retitle(tasks, "Task T-1")
    assert sync.run_once() == 1
    assert {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in before} == before
    assert [[f["written"] for f in plain(e.payload)["files"]] for e in logged(events)] == [
        [True, True],
        [False, False],
    ]
    # One of the two files changes.
    retitle(tasks, "Another")
    sync.run_once()
    assert (root / TASK / "AGENT.yml").stat().st_mtime_ns == before[root / TASK / "AGENT.yml"][1]
    assert b"title: Another" in (root / TASK / "TASK.md").read_bytes()


def test_an_edited_file_is_left_alone_and_reported(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    database: psycopg.Connection[Any],
) -> None:
    sync.run_once()
    path = root / TASK / "TASK.md"
    written = sha256(path.read_bytes()).hexdigest()
    path.write_bytes(b"mine now")
    for title in ("Another", "A third"):
        retitle(tasks, title)
        assert sync.run_once() == 1
        assert path.read_bytes() == b"mine now"
        assert queued(database) == []
        assert plain(logged(events, "conflict_found")[-1].payload) == {
            "path": f"{TASK}/TASK.md",
            "written_sha256": written,
            "found_sha256": sha256(b"mine now").hexdigest(),
            "revision": 2 if title == "Another" else 3,
        }
        # The other file is as the ledger has it.
        assert [f["path"] for f in plain(logged(events, "synced")[-1].payload)["files"]] == [
            f"{TASK}/AGENT.yml"
        ]
    path.unlink()
    retitle(tasks, "A fourth")
    sync.run_once()
    assert b"title: A fourth" in path.read_bytes()
    assert len(logged(events, "conflict_found")) == 2


def test_a_sync_that_finds_only_edited_files_ends_in_an_event(
    sprints: SprintServiceStub, events: EventServiceStub, sprint: str, sync: FileSync, root: Path
) -> None:
    sprints.SyncSprint(sprint_pb2.SyncSprintRequest(sprint_code=sprint))
    sync.run_once()
    (root / "delegation/sprints/S-1/SPRINT.md").write_bytes(b"mine now")
    sprints.SyncSprint(sprint_pb2.SyncSprintRequest(sprint_code=sprint))
    sync.run_once()
    types = [event.type.removeprefix("orchestration.file.") for event in logged(events)]
    assert types == ["synced", "conflict_found", "synced"]
    assert plain(logged(events, "synced")[-1].payload) == {"revision": 1, "files": []}


def test_a_task_that_moves_while_it_is_written_is_skipped(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    sync: FileSync,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync.run_once()
    entities = outbox.entities

    def late(conn: Any, rows: Any) -> Any:
        """Read the rows, let another worker take them over, and move the task."""
        found = entities(conn, rows)
        monkeypatch.setattr(outbox, "entities", entities)
        retitle(tasks, "Later")
        due(database)
        assert sync.run_once() == 1
        moved = message(
            task_pb2.UpdateTaskRequest,
            task=task_pb2.Task(code="T-1", sprint_code=""),
            update_mask={"paths": ["sprint_code"]},
        )
        tasks.UpdateTask(moved)
        return found

    retitle(tasks, "Early")
    monkeypatch.setattr(outbox, "entities", late)
    sync.run_once()
    reasons = [plain(event.payload) for event in logged(events, "skipped")]
    assert reasons == [{"reason": "moved"}]


def test_an_existing_file_is_left_alone_unless_it_is_equal(
    tasks: TaskServiceStub, events: EventServiceStub, task: str, sync: FileSync, root: Path
) -> None:
    (root / TASK).mkdir(parents=True)
    (root / TASK / "TASK.md").write_bytes(b"by hand")
    (root / TASK / "AGENT.yml").write_bytes(b"{}\n")
    sync.run_once()
    (conflict,) = logged(events, "conflict_found")
    assert plain(conflict.payload)["written_sha256"] == ""
    (synced,) = logged(events, "synced")
    assert [(f["path"], f["written"]) for f in plain(synced.payload)["files"]] == [
        (f"{TASK}/AGENT.yml", False)
    ]
    assert (root / TASK / "TASK.md").read_bytes() == b"by hand"


def test_an_edit_while_the_file_is_being_written_is_seen(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync.run_once()
    retitle(tasks, "Another")
    path, flush = root / TASK / "TASK.md", os.fsync

    def edit_and_flush(fd: int) -> None:
        path.write_bytes(b"mine now")
        flush(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", edit_and_flush)
        sync.run_once()
    assert path.read_bytes() == b"mine now"
    assert [plain(e.payload)["path"] for e in logged(events, "conflict_found")] == [f"{TASK}/TASK.md"]
    assert not list(root.rglob(f"{TEMPORARY}*"))


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


# Failures


def test_a_workspace_that_cannot_be_written_fails_the_job_and_loses_nothing(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    root: Path,
    server: Server,
    database: psycopg.Connection[Any],
) -> None:
    sync = service(server, root / "not" / "mounted")
    failures = value("orchestration_file_sync_failures_total")
    for attempt in (1, 2, 3):
        assert sync.run_once() == 1
        assert sync.run_once() == 0
        assert queued(database) == [("task", "T-1", attempt, "ENOENT: No such file or directory")]
        waits = database.execute(
            "select extract(epoch from next_attempt_time - now()) from file_outbox"
        ).fetchone()
        assert waits is not None
        assert waits[0] < 2**attempt
        # A second request does not wait, and does not change when the row is due.
        retitle(tasks, f"Title {attempt}")
        assert sync.run_once() == 0
        due(database)
    (failed,) = logged(events)
    assert failed.type == "orchestration.file.sync_failed"
    assert plain(failed.payload) == {"error": "ENOENT: No such file or directory"}
    assert value("orchestration_file_sync_failures_total") == failures + 3
    (root / "not" / "mounted").mkdir(parents=True)
    assert sync.run_once() == 1
    assert queued(database) == []
    assert b"title: Title 3" in tree(root)[f"not/mounted/{TASK}/TASK.md"]
    assert [e.type.rpartition(".")[2] for e in logged(events)] == ["sync_failed", "synced"]


@pytest.mark.parametrize("failing", ["write", "fsync", "rename"])
def test_a_full_disk_leaves_whole_files(
    tasks: TaskServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    failing: str,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync.run_once()
    before = tree(root)
    retitle(tasks, "Another")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, full)
        assert sync.run_once() == 1
    assert tree(root) == before
    assert queued(database) == [("task", "T-1", 1, "ENOSPC: No space left on device")]
    due(database)
    sync.run_once()
    assert queued(database) == []
    assert b"title: Another" in tree(root)[f"{TASK}/TASK.md"]


def test_nothing_is_written_through_a_link_that_leaves_the_workspace(
    events: EventServiceStub, task: str, sync: FileSync, root: Path, database: psycopg.Connection[Any]
) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (root / "delegation").mkdir()
    (root / "delegation" / "sprints").symlink_to(outside)
    sync.run_once()
    assert tree(outside) == {}
    assert queued(database) == [("task", "T-1", 1, "sprints is a link")]
    assert [e.type for e in logged(events)] == ["orchestration.file.sync_failed"]


def test_a_row_that_fails_delays_no_other(
    tasks: TaskServiceStub, task: str, sync: FileSync, root: Path, database: psycopg.Connection[Any]
) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("other"), sync_to_file=True))
    database.execute("update tasks set body = '\\xff' where code = 'T-1'")
    assert sync.run_once() == 2
    assert queued(database) == [("task", "T-1", 1, "DecodeError")]
    assert "delegation/tasks/other/TASK.md" in tree(root)


@pytest.mark.parametrize("renames", range(4))
def test_a_worker_that_dies_in_the_middle_leaves_the_work_and_no_conflict(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    renames: int,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker dies after each rename that a change of both files takes: record, files, record."""
    sync.run_once()
    request = message(
        task_pb2.UpdateTaskRequest,
        task={"code": "T-1", "title": "Another", "agent_config": {"a": True}},
        update_mask={"paths": ["title", "agent_config"]},
        sync_to_file=True,
    )
    tasks.UpdateTask(request)

    class Killed(BaseException):
        pass

    with monkeypatch.context() as patch:
        fail_renames(patch, renames, Killed())
        patch.setattr(os, "unlink", lambda *_, **__: None)
        with pytest.raises(Killed):
            sync.run_once()
    assert queued(database) == [("task", "T-1", 0, "")]
    assert sync.run_once() == 0
    assert len(list(root.rglob(f"{TEMPORARY}*"))) == 1
    # The claim expires, and another worker takes the row.
    due(database)
    assert sync.run_once() == 1
    assert queued(database) == []
    found = tree(root)
    assert b"title: Another" in found[f"{TASK}/TASK.md"]
    assert found[f"{TASK}/AGENT.yml"] == b"a: true\n"
    assert not list(root.rglob(f"{TEMPORARY}*"))
    assert "writing" not in json.loads(found[f"{TASK}/.hash"])
    assert [e.type.rpartition(".")[2] for e in logged(events)] == ["synced", "synced"]


def test_a_change_after_an_interrupted_write_is_no_conflict(
    tasks: TaskServiceStub,
    events: EventServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first file is on disk and the last record is not; the next state differs."""
    sync.run_once()
    request = message(
        task_pb2.UpdateTaskRequest,
        task={"code": "T-1", "title": "Another", "agent_config": {"a": True}},
        update_mask={"paths": ["title", "agent_config"]},
        sync_to_file=True,
    )
    tasks.UpdateTask(request)
    with monkeypatch.context() as patch:
        fail_renames(patch, 2, OSError(errno.ENOSPC, "no space"))
        sync.run_once()
    retitle(tasks, "And another")
    for _ in range(2):
        due(database)
        sync.run_once()
    found = tree(root)
    assert b"title: And another" in found[f"{TASK}/TASK.md"]
    assert found[f"{TASK}/AGENT.yml"] == b"a: true\n"
    assert not logged(events, "conflict_found")


def test_a_record_that_cannot_be_read_overwrites_nothing(
    tasks: TaskServiceStub, events: EventServiceStub, task: str, sync: FileSync, root: Path
) -> None:
    for broken in (b"", b"[]", b"{", b'{"files": 1}', b'{"revision": null}', b'{"files": ["ab"]}'):
        sync.run_once()
        before = (root / TASK / "TASK.md").read_bytes() if (root / TASK / "TASK.md").exists() else b""
        (root / TASK / ".hash").write_bytes(broken)
        retitle(tasks, f"Not {broken!r}")
        sync.run_once()
        assert (root / TASK / "TASK.md").read_bytes() == before
    assert logged(events, "conflict_found")


# Concurrency


def test_a_request_during_a_write_is_written_again(
    tasks: TaskServiceStub,
    task: str,
    sync: FileSync,
    root: Path,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = writer.write

    def update_and_write(*args: Any, **named: Any) -> writer.Written:
        retitle(tasks, "Meanwhile")
        return write(*args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write", update_and_write)
        assert sync.run_once() == 1
    assert b"title: Task T-1" in tree(root)[f"{TASK}/TASK.md"]
    assert [row[:2] for row in queued(database)] == [("task", "T-1")]
    assert sync.run_once() == 1
    assert b"title: Meanwhile" in tree(root)[f"{TASK}/TASK.md"]
    assert queued(database) == []


def test_a_slow_worker_does_not_restore_an_older_state(root: Path) -> None:
    def state(revision: int, uid: str = "u") -> bytes:
        made = message(
            task_pb2.Task,
            code="T",
            title=f"At {revision}",
            uid=uid,
            status=1,
            priority=3,
            revision=revision,
        )
        body: bytes = made.SerializeToString()
        return body

    def nobody() -> None:
        raise AssertionError("it was read again")

    space = Workspace(root)
    writer.write(space, document("task", state(5)), again=nobody)
    # The worker has an older state than another one wrote, so it reads again and writes the current state.
    writer.write(space, document("task", state(4)), again=lambda: document("task", state(6)))
    assert b"title: At 6" in tree(root)["delegation/tasks/T/TASK.md"]
    # A restored ledger is older as well, and its files follow it.
    writer.write(space, document("task", state(3)), again=lambda: document("task", state(3)))
    assert b"title: At 3" in tree(root)["delegation/tasks/T/TASK.md"]
    writer.write(space, document("task", state(1, uid="another")), again=nobody)
    assert b"title: At 1" in tree(root)["delegation/tasks/T/TASK.md"]
    # The task was deleted meanwhile.
    assert writer.write(space, document("task", state(0, uid="another")), again=lambda: None).files == {}


def test_a_slow_worker_does_not_restore_older_links(root: Path) -> None:
    """A task's links change without a new revision."""

    def state(*links: str) -> Document:
        made = message(task_pb2.Task, code="T", title="T", uid="u", status=1, priority=3, revision=1)
        return document("task", made.SerializeToString(), [(code, 1) for code in links])

    def nobody() -> None:
        raise AssertionError("it was read again")

    space = Workspace(root)
    path = root / "delegation/tasks/T/TASK.md"
    writer.write(space, state("A"), again=nobody)
    writer.write(space, state("A"), again=nobody)
    writer.write(space, state("A", "B"), again=lambda: state("A", "B"))
    # The worker has read older links than another one wrote.
    writer.write(space, state("A"), again=lambda: state("A", "B"))
    assert b"depends_on:\n  - A\n  - B\n" in path.read_bytes()


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


def test_workers_share_the_rows(
    tasks: TaskServiceStub, events: EventServiceStub, server: Server, sync: FileSync, root: Path
) -> None:
    new = [task_pb2.NewTask(task=factories.task(f"t{number}")) for number in range(150)]
    tasks.BatchCreateTasks(message(task_pb2.BatchCreateTasksRequest, tasks=new, sync_to_file=True))
    together = threading.Barrier(3)

    def work() -> int:
        one = service(server, root)
        together.wait()
        done = 0
        while count := one.run_once():
            done += count
        return done

    with ThreadPoolExecutor(3) as pool:
        assert sum(f.result() for f in [pool.submit(work) for _ in range(3)]) == 150
    assert sorted(e.entity_code for e in logged(events, "synced")) == sorted(f"t{n}" for n in range(150))
    assert len(shown(root)) == 300


def test_callers_and_workers_lock_rows_in_one_order(
    tasks: TaskServiceStub, server: Server, root: Path, database: psycopg.Connection[Any]
) -> None:
    """Batches in any order run against workers that finish rows: there is no deadlock."""
    codes = [f"t{number}" for number in range(40)]
    new = [task_pb2.NewTask(task=factories.task(code)) for code in codes]
    tasks.BatchCreateTasks(message(task_pb2.BatchCreateTasksRequest, tasks=new, sync_to_file=True))
    done = threading.Event()

    def work() -> None:
        one = service(server, root)
        while not done.is_set():
            one.run_once()

    def call(order: int) -> None:
        for _ in range(10):
            changes = [{"task_code": code, "status": 1} for code in codes[::order]]
            request = message(task_pb2.BatchUpdateTaskStatusRequest, changes=changes, sync_to_file=True)
            tasks.BatchUpdateTaskStatus(request)

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work) for _ in range(2)]
        for caller in [pool.submit(call, order) for order in (1, -1)]:
            caller.result()
        done.set()
        for worker in workers:
            worker.result()
    one = service(server, root)
    while one.run_once():
        pass
    assert queued(database) == []
