"""`orchestration import` end to end, on small files."""

import json
import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import pytest
import typer
from typer.testing import CliRunner, Result

from orchestration import Client
from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, task_pb2
from orchestration_server.cli.importing import client as ledger
from orchestration_server.cli.importing.jsonl import import_files
from orchestration_server.model import Role
from tests.support.credentials import make_key

pytestmark = pytest.mark.shared_server(by_address=True)

app = typer.Typer()
app.command()(import_files)


class Server(Protocol):
    """The part of the fixture that this test needs."""

    @property
    def address(self) -> str: ...

    @property
    def project(self) -> str: ...


def write(path: Path, rows: list[Any]) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def run(server: Server, *arguments: str | Path, project: str = "") -> Result:
    return CliRunner().invoke(
        app, ["--address", server.address, "--project", project or server.project, *map(str, arguments)]
    )


def timeline(server: Server, project: str = "") -> list[event_pb2.Event]:
    with Client(server.address, project=project or server.project) as client:
        return list(client.follow(follow=False))


def tasks_of(server: Server, project: str = "") -> dict[str, task_pb2.Task]:
    with Client(server.address, project=project or server.project) as client:
        pages = client.pages(client.tasks.ListTasks, task_pb2.ListTasksRequest(page_size=500))
        return {task.code: task for task in pages}


def own(events: list[event_pb2.Event]) -> Counter[tuple[str, str]]:
    return Counter((e.type, e.entity_code) for e in events if e.type.startswith("orchestration."))


def task(code: str, **fields: Any) -> dict[str, Any]:
    return {"code": code, "title": f"Task {code}", "created_at": "2025-10-14T06:16:20Z"} | fields


def event(code: str, kind: str = "task.created", **fields: Any) -> dict[str, Any]:
    return {"at": "2025-10-14T06:16:20Z", "type": kind, "code": code, "data": {}} | fields


def test_tasks_links_and_events_are_loaded_once(server: Server, tmp_path: Path) -> None:
    tasks = write(
        tmp_path / "tasks.jsonl",
        [
            task("a", status="open", priority="P0", depends_on=[{"code": "b", "kind": "blocks"}]),
            task("b", status="closed", kind="bug", closed_at="2025-10-15T00:00:00Z"),
            task("c", status="tombstone", depends_on=[{"code": "a", "kind": "parent-child"}]),
            task("d", depends_on=[{"code": "c"}, {"code": "a", "kind": "related"}]),
        ],
    )
    events = write(tmp_path / "events.jsonl", [event("a"), event("a"), event("b"), event("a")])
    result = run(server, "--tasks", tasks, "--events", events)
    assert result.exit_code == 0, result.output
    assert "4 read, 4 created, 0 already there, 1 deleted" in result.output
    assert "4 read, 4 in place" in result.output
    assert "4 read, 4 stored, 0 already there" in result.output

    stored = tasks_of(server)
    assert set(stored) == {"a", "b", "d"}
    assert stored["a"].priority == common_pb2.PRIORITY_P0
    assert stored["b"].status == common_pb2.TASK_STATUS_COMPLETED
    assert stored["b"].metadata["kind"] == "bug"
    assert stored["d"].priority == common_pb2.PRIORITY_P2
    assert stored["a"].create_time.ToJsonString() == "2025-10-14T06:16:20Z"

    log = timeline(server)
    created = {("orchestration.task.created", code): 1 for code in "abcd"}
    linked = {
        ("orchestration.task.dependency_added", code): n for code, n in zip("acd", (1, 1, 2), strict=True)
    }
    assert own(log) == created | linked | {("orchestration.task.deleted", "c"): 1}
    imported = [e for e in log if e.type == "import.task.created"]
    assert [e.entity_code for e in imported] == ["a", "a", "b", "a"]
    assert imported[0].occur_time.ToJsonString() == "2025-10-14T06:16:20Z"
    assert len({e.correlation_id for e in log}) == 1

    again = run(server, "--tasks", tasks, "--events", events)
    assert again.exit_code == 0, again.output
    assert "4 read, 0 created, 4 already there, 0 deleted" in again.output
    assert "4 read, 2 in place, 2 of deleted tasks" in again.output
    assert "4 read, 0 stored, 4 already there" in again.output
    assert timeline(server) == log


def test_rows_that_cannot_be_taken_are_listed_and_the_rest_is_loaded(server: Server, tmp_path: Path) -> None:
    tasks = write(
        tmp_path / "tasks.jsonl",
        [
            task("good-1", depends_on=[{"code": "nowhere", "kind": "blocks"}]),
            "{not json",
            "",
            task("bad code"),
            task("long", title="x" * 501),
            task("future", created_at="2999-01-01T00:00:00Z"),
            task("good-1"),
            task("good-3", status="mysterious", depends_on=[{"code": "good-1", "kind": "envies"}]),
            task("good-4", depends_on=[{"code": "bad code"}, {"code": "good-4"}]),
            {"code": "untitled"},
        ],
    )
    events = write(
        tmp_path / "events.jsonl",
        [event("good-1"), event("good-1", kind="Not.A.Type"), "[]", event("good-1", at="never")],
    )
    report = tmp_path / "report.jsonl"
    result = run(server, "--tasks", tasks, "--events", events, "--report", report)
    assert result.exit_code == 3, result.output
    assert set(tasks_of(server)) == {"good-1", "good-3", "good-4", "long", "future"}
    assert "tasks    9 read, 5 created, 0 already there" in result.output
    assert "events   4 read, 2 stored, 0 already there" in result.output
    found = [json.loads(line) for line in report.read_text().splitlines()]
    by_line = {
        kind: sorted((f["file"], f["line"]) for f in found if f["kind"] == kind)
        for kind in ("refused", "unresolved", "changed", "warning")
    }
    assert by_line["refused"] == sorted(
        [("tasks.jsonl", n) for n in (2, 4, 7, 8, 9, 9, 10)] + [("events.jsonl", n) for n in (3, 4)]
    )
    assert by_line["unresolved"] == [("tasks.jsonl", 1)]
    assert by_line["changed"] == [("tasks.jsonl", n) for n in (1, 5, 6, 8)]
    assert by_line["warning"] == [("events.jsonl", 2)]
    assert all(f["reason"] for f in found)
    for f in found:
        assert f"{f['file']}:{f['line']}: {f['reason']}" in result.output
    kinds = [e.type for e in timeline(server) if e.type.startswith("import.")]
    assert kinds == ["import.task.created", "import.not.a.type"]


def test_a_cycle_is_listed_with_the_servers_reason(server: Server, tmp_path: Path) -> None:
    rows = [task("a", depends_on=[{"code": "b"}]), task("b", depends_on=[{"code": "a"}])]
    result = run(server, "--tasks", write(tmp_path / "tasks.jsonl", rows))
    assert result.exit_code == 3
    assert "refused tasks.jsonl:2: task b depends on a (blocks)" in result.output
    assert "FAILED_PRECONDITION" in result.output


def test_a_longer_file_adds_what_is_new(server: Server, tmp_path: Path) -> None:
    tasks, events = tmp_path / "tasks.jsonl", tmp_path / "events.jsonl"
    write(tasks, [task("a")])
    write(events, [event("a")])
    assert run(server, "--tasks", tasks, "--events", events).exit_code == 0
    write(tasks, [task("b", depends_on=[{"code": "a"}]), task("a", title="Another title")])
    write(events, [event("b"), event("a"), event("a")])
    result = run(server, "--tasks", tasks, "--events", events)
    assert "2 read, 1 created, 1 already there" in result.output
    assert "3 read, 2 stored, 1 already there" in result.output
    assert tasks_of(server)["a"].title == "Task a"


def test_an_import_that_was_broken_off_is_completed(server: Server, tmp_path: Path) -> None:
    """Between its creation and its deletion a tombstone is a cancelled task."""
    tombstone = task("gone", status="tombstone", depends_on=[{"code": "a"}])
    with Client(server.address, project=server.project) as client:
        made = task_pb2.Task(code="gone", title="Task gone", status=common_pb2.TASK_STATUS_CANCELLED)
        made.metadata.update({"original_status": "tombstone"})
        client.tasks.CreateTask(task_pb2.CreateTaskRequest(task=made))
        other = task_pb2.Task(code="theirs", title="Not the import's")
        client.tasks.CreateTask(task_pb2.CreateTaskRequest(task=other))
    rows = [task("a"), tombstone, task("theirs", status="tombstone")]
    result = run(server, "--tasks", write(tmp_path / "tasks.jsonl", rows))
    assert result.exit_code == 0, result.output
    assert "3 read, 1 created, 2 already there, 1 deleted" in result.output
    assert set(tasks_of(server)) == {"a", "theirs"}


def test_a_key_that_may_not_delete_loads_all_but_the_tombstones(
    server: Server, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {role: make_key(database_url, role=role) for role in (Role.AGENT, Role.ADMIN)}
    names = ["gone-1", "gone-2"]
    rows = [task("a", depends_on=["gone-1"]), *(task(name, status="tombstone") for name in names)]
    tasks = write(tmp_path / "tasks.jsonl", rows)
    events = write(tmp_path / "events.jsonl", [event("a")])

    monkeypatch.setenv("ORCHESTRATION_TOKEN", keys[Role.AGENT])
    result = run(server, "--tasks", tasks, "--events", events)
    assert result.exit_code == 3, result.output
    for line, name in enumerate(names, 2):
        assert f"refused tasks.jsonl:{line}: task {name} was not deleted: PERMISSION_DENIED" in result.output
    assert "3 read, 3 created, 0 already there, 0 deleted" in result.output
    assert "1 read, 1 in place" in result.output
    assert "1 read, 1 stored" in result.output
    assert {tasks_of(server)[name].status for name in names} == {common_pb2.TASK_STATUS_CANCELLED}

    monkeypatch.setenv("ORCHESTRATION_TOKEN", keys[Role.ADMIN])
    again = run(server, "--tasks", tasks, "--events", events)
    assert again.exit_code == 0, again.output
    assert "3 read, 0 created, 3 already there, 2 deleted" in again.output
    assert set(tasks_of(server)) == {"a"}


def test_an_import_above_a_rate_says_once_that_it_waits(
    server: Server, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits take no time here, so the calls stay above the rate and the import stops."""
    waits: list[float] = []
    monkeypatch.setattr(ledger, "time", SimpleNamespace(sleep=waits.append))
    monkeypatch.setenv("ORCHESTRATION_TOKEN", make_key(database_url, per_minute=3))
    rows = [task("a"), *(task(f"t-{n}", depends_on=["a"]) for n in range(9))]
    result = run(server, "--tasks", write(tmp_path / "tasks.jsonl", rows))
    assert result.exit_code == 1, result.output
    assert len(waits) > 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("waiting")]
    assert line.startswith("waiting  and trying again")
    assert "more than 3 calls by this key" in line


def test_projects_are_separate(server: Server, tmp_path: Path) -> None:
    tasks = write(tmp_path / "tasks.jsonl", [task("a")])
    events = write(tmp_path / "events.jsonl", [event("a")])
    for project in ("one", "two"):
        result = run(server, "--tasks", tasks, "--events", events, project=project)
        assert "1 read, 1 created" in result.output
        assert "1 read, 1 stored" in result.output
    assert not timeline(server)


def test_wrong_usage_and_a_server_that_is_not_there(server: Server, tmp_path: Path) -> None:
    assert run(server).exit_code == 2
    assert run(server, "--tasks", tmp_path / "none.jsonl").exit_code == 2
    tasks = write(tmp_path / "tasks.jsonl", [task("a")])
    arguments = ["--address", "127.0.0.1:1", "--tasks", str(tasks)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "the import stopped: UNAVAILABLE" in result.output
    assert "no server answers at 127.0.0.1:1: start one with `orchestration serve`" in result.output


@pytest.mark.parametrize("seed", [1, 2])
def test_a_made_up_fleet(server: Server, tmp_path: Path, seed: int) -> None:
    """Links go in all directions between tasks of all statuses. The test computes the ready set itself."""
    draw = random.Random(seed)
    codes = [f"t-{n}" for n in range(300)]
    statuses = ["open", "open", "closed", "in_progress", "blocked", "cancelled", "tombstone"]
    rows = [
        task(
            code,
            status=draw.choice(statuses),
            priority=draw.choice(["P0", "P1", "P2", None]),
            description="é" * draw.choice([0, 10, 5_000]),
            depends_on=[
                {"code": draw.choice(codes[:place]), "kind": draw.choice(["blocks", "related"])}
                for _ in range(draw.choice([0, 0, 1, 3]))
                if place
            ],
        )
        for place, code in enumerate(codes)
    ]
    # Links to earlier rows close no cycle. The lines are shuffled, so that links also point forward.
    draw.shuffle(rows)
    events = [
        event(draw.choice(codes[:5]), at=f"2025-10-1{draw.randrange(3)}T00:00:00Z") for _ in range(1300)
    ]
    tasks_file = write(tmp_path / "tasks.jsonl", rows)
    events_file = write(tmp_path / "events.jsonl", events)
    result = run(server, "--tasks", tasks_file, "--events", events_file)
    assert result.exit_code == 0, result.output

    status = {row["code"]: row["status"] for row in rows}
    ended = {"closed", "cancelled", "tombstone"}
    expected = {
        row["code"]
        for row in rows
        if row["status"] == "open"
        and all(status[d["code"]] in ended for d in row["depends_on"] if d["kind"] == "blocks")
    }
    with Client(server.address, project=server.project) as client:
        request = coordination_pb2.ListReadyTasksRequest(page_size=500, include_not_due=True)
        ready = [t.code for t in client.pages(client.coordination.ListReadyTasks, request)]
    assert len(ready) == len(set(ready))
    assert set(ready) == expected

    log = timeline(server)
    links = sum(len({(d["code"], d["kind"]) for d in row["depends_on"]}) for row in rows)
    kinds = Counter(e.type for e in log)
    assert kinds["import.task.created"] == 1300
    assert kinds["orchestration.task.created"] == 300
    assert kinds["orchestration.task.dependency_added"] == links
    assert kinds["orchestration.task.deleted"] == sum(s == "tombstone" for s in status.values())
    again = run(server, "--tasks", tasks_file, "--events", events_file)
    assert again.exit_code == 0, again.output
    assert timeline(server) == log
