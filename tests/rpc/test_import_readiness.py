"""A loss during an import never makes a task ready, and changes are visible in the exit code."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from typer.testing import CliRunner, Result

from orchestration import Client
from orchestration.v1 import common_pb2, coordination_pb2, sprint_pb2, task_pb2
from orchestration_server.cli.importing import task_fields
from orchestration_server.cli.importing.row_notes import NOT_READY
from orchestration_server.codec.content import TASK_OPTIONAL
from tests.rpc.test_import import Server, app, run, task, tasks_of, timeline, write
from tests.support import import_rows

pytestmark = pytest.mark.shared_server(by_address=True)

BLOCKED, PENDING = common_pb2.TASK_STATUS_BLOCKED, common_pb2.TASK_STATUS_PENDING


def ready(server: Server, project: str = "") -> set[str]:
    with Client(server.address, project=project or server.project) as client:
        request = coordination_pb2.ListReadyTasksRequest(page_size=500, include_not_due=True)
        return {one.code for one in client.pages(client.coordination.ListReadyTasks, request)}


def load(server: Server, tmp_path: Path, *rows: Any) -> Result:
    return run(server, "--tasks", write(tmp_path / "tasks.jsonl", list(rows)))


def test_a_status_that_is_not_known_is_not_ready_and_the_exit_code_says_so(
    server: Server, tmp_path: Path
) -> None:
    rows = [task("known", status="To Do"), task("done", status="✅ Done"), task("odd", status="humming")]
    result = load(server, tmp_path, *rows)
    assert result.exit_code == 4, result.output
    assert "0 refused, 0 unresolved, 1 changed, 0 warnings" in result.output
    assert 'changed tasks.jsonl:3: task odd: status "humming" is not known: not ready' in result.output
    assert ready(server) == {"known"}
    odd = tasks_of(server)["odd"]
    assert odd.status == BLOCKED
    assert odd.metadata["original_status"] == "humming"


def test_a_map_adds_words_to_the_table(server: Server, tmp_path: Path) -> None:
    words = tmp_path / "words.yaml"
    words.write_text("statuses: {humming: pending}\npriorities: {sev1: P0}\nkinds: {gates: reverse blocks}\n")
    rows = [
        task("a", status="Humming", priority="SEV1", depends_on=[{"code": "b", "kind": "gates"}]),
        task("b"),
    ]
    result = run(server, "--tasks", write(tmp_path / "tasks.jsonl", rows), "--map", words)
    assert result.exit_code == 0, result.output
    # Task b waits for a, because a gates b.
    assert ready(server) == {"a"}
    assert tasks_of(server)["a"].priority == common_pb2.PRIORITY_P0
    words.write_text("statuses:\n  humming: perhaps\n")
    wrong = run(server, "--tasks", tmp_path / "tasks.jsonl", "--map", words)
    assert wrong.exit_code == 2
    assert "words.yaml:2:statuses.hummingmustbeoneofpending" in wrong.output.replace("\n", "").replace(
        "│", ""
    ).replace(" ", "")


@pytest.mark.parametrize(
    ("rows", "blocked"),
    [
        ([{"code": "b", "title": ""}, task("a", depends_on=["b"])], {"a"}),
        ([task("a", depends_on=["nowhere"])], {"a"}),
        ([task("a", depends_on=[{"code": "b", "kind": "envies"}]), task("b")], {"a"}),
        ([task("a", depends_on=["not a code"])], {"a"}),
        ([task("a", depends_on=["a"])], {"a"}),
        ([task("a", depends_on=["b"]), task("b", depends_on=["a"])], {"b"}),
        ([task("a", depends_on=[{"code": "nowhere", "kind": "related"}])], set()),
        ([task("a", depends_on=[{"code": "nowhere", "kind": "required by"}])], set()),
    ],
    ids=["refused", "absent", "unknown kind", "no code", "itself", "a cycle", "related", "reverse"],
)
def test_a_task_that_waits_for_one_that_is_not_there_is_not_ready(
    server: Server, tmp_path: Path, rows: list[Any], blocked: set[str]
) -> None:
    result = load(server, tmp_path, *rows)
    assert result.exit_code == 3, result.output
    stored = tasks_of(server)
    assert {code for code, one in stored.items() if NOT_READY in one.metadata.fields} == blocked
    assert not ready(server) & blocked
    log = timeline(server)
    again = run(server, "--tasks", tmp_path / "tasks.jsonl")
    assert again.exit_code == 3
    assert timeline(server) == log


def test_a_link_that_cannot_be_read_is_listed_with_what_it_does_to_the_task(
    server: Server, tmp_path: Path
) -> None:
    rows = [task("a", depends_on=["no code", {"code": "b", "kind": "envies"}]), task("b")]
    result = load(server, tmp_path, *rows)
    listed = [line for line in result.output.splitlines() if line.startswith("  refused")]
    assert len(listed) == 2
    assert all(line.endswith("; the task is loaded as not ready") for line in listed)
    assert tasks_of(server)["a"].status == BLOCKED


def test_a_second_run_does_not_undo_what_a_person_decided(server: Server, tmp_path: Path) -> None:
    rows = [task("a", depends_on=["nowhere"], status="open")]
    assert load(server, tmp_path, *rows).exit_code == 3
    with Client(server.address, project=server.project) as client:
        change = task_pb2.UpdateTaskRequest(
            task=task_pb2.Task(code="a", status=PENDING),
            update_mask=FieldMask(paths=["status", "metadata"]),
        )
        client.tasks.UpdateTask(change)
    assert ready(server) == {"a"}
    assert load(server, tmp_path, *rows).exit_code == 3
    assert ready(server) == {"a"}


def test_a_run_that_was_broken_off_before_its_links_is_completed(server: Server, tmp_path: Path) -> None:
    with Client(server.address, project=server.project) as client:
        new = task_pb2.Task(code="a", title="Task a")
        client.tasks.CreateTask(task_pb2.CreateTaskRequest(task=new))
    result = load(server, tmp_path, task("a", depends_on=["nowhere"]))
    assert "changed tasks.jsonl:1: task a: not ready: waits for nowhere" in result.output
    assert not ready(server)


def test_a_field_that_the_server_alone_refuses_is_left_out(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_fields, "_out_of_range", lambda _, past: "")
    monkeypatch.setattr(task_fields, "limit", lambda _: 1_000_000)
    late = task("late", created_at="2999-01-01T00:00:00Z", phase="x" * 101)
    result = load(server, tmp_path, late, task("fine"), task("waits", depends_on=["late"]))
    assert result.exit_code == 4, result.output
    assert "3 read, 3 created" in result.output
    stored = tasks_of(server)
    assert stored["late"].metadata["original_occur_time"] == "2999-01-01T00:00:00Z"
    assert stored["late"].metadata["original_phase"] == "x" * 101
    assert stored["late"].phase == ""
    assert ready(server) == {"late", "fine"}


def test_the_optional_fields_are_read(server: Server, tmp_path: Path) -> None:
    row = task(
        "a",
        capabilities="gpu, python, gpu",
        not_before="2030-01-02T04:04:05+01:00",
        due_time="2030-01-02T03:04:05.678901Z",
        retry_policy={"max_attempts": 5, "backoff_seconds": "0.5", "max_backoff_seconds": None},
        completed_by_children="True",
    )
    result = load(server, tmp_path, row, task("b", completed_by_children=False, retry_policy={}, due_time=""))
    assert result.exit_code == 0, result.output
    stored = tasks_of(server)
    made = stored["a"]
    assert list(made.capabilities) == ["gpu", "python"]
    assert made.not_before.ToJsonString() == "2030-01-02T03:04:05Z"
    assert made.due_time.ToJsonString() == "2030-01-02T03:04:05.678901Z"
    assert made.retry_policy == task_pb2.RetryPolicy(max_attempts=5, backoff=Duration(nanos=500_000_000))
    assert made.completed_by_children
    assert not made.metadata.fields
    assert not {field.name for field, _ in stored["b"].ListFields()} & set(TASK_OPTIONAL)


@pytest.mark.parametrize(
    ("name", "value", "said", "may_start"),
    [
        ("not_before", "tomorrow", "is no ISO 8601 time", False),
        ("not_before", "2030-01-02", "has no time zone", False),
        ("not_before", "1969-12-31T00:00:00Z", "is before 1970", False),
        ("not_before", "9999-12-31T23:59:59-01:00", "is after 9999", False),
        ("capabilities", ["x" * 101], "more than 100 characters", False),
        ("capabilities", [str(n) for n in range(51)], "the first 50 of 51", False),
        ("capabilities", [["nested"]], "are left out", False),
        ("due_time", "soon", "is no ISO 8601 time", True),
        ("retry_policy", {"max_attempts": 101}, "max_attempts must be from 0 to 100", True),
        ("retry_policy", {"backoff_seconds": "long"}, "must be a number of seconds", True),
        ("retry_policy", {"attempts": 1}, "is not known", True),
        ("retry_policy", 3, "is no object", True),
        ("completed_by_children", "perhaps", "is neither true nor false", True),
    ],
)
def test_a_lost_time_or_capability_leaves_the_task_not_ready(
    server: Server, tmp_path: Path, name: str, value: Any, said: str, may_start: bool
) -> None:
    result = load(server, tmp_path, task("a", **{name: value}))
    assert result.exit_code == 4, result.output
    assert said in result.output
    made = tasks_of(server)["a"]
    assert json_format.MessageToDict(made.metadata)[f"original_{name}"] == value
    assert (made.status == PENDING) == may_start
    assert (NOT_READY in made.metadata.fields) != may_start


def test_the_fields_of_the_ledger_are_read(server: Server, tmp_path: Path) -> None:
    row = task(
        "a",
        sprint_code="S-1",
        phase="build",
        objectives=["one"],
        deliverables=["two"],
        acceptance_criteria="- three\n- four",
        agent_config={"model": "m", "tokens": 40},
        metadata={"due": "2026-12-24"},
        kind="bug",
    )
    with Client(server.address, project="there") as client:
        sprint = sprint_pb2.Sprint(code="S-1", title="First")
        client.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=sprint))
    file = write(tmp_path / "tasks.jsonl", [row, task("b", sprint_code="S-1")])
    assert run(server, "--tasks", file, project="there").exit_code == 0
    made = tasks_of(server, "there")["a"]
    assert (made.sprint_code, made.phase, list(made.objectives)) == ("S-1", "build", ["one"])
    assert (list(made.deliverables), list(made.acceptance_criteria)) == (["two"], ["- three", "- four"])
    assert json_format.MessageToDict(made.agent_config) == {"model": "m", "tokens": 40.0}
    assert json_format.MessageToDict(made.metadata) == {"due": "2026-12-24", "kind": "bug"}
    # A missing sprint is created once.
    result = run(server, "--tasks", file, project="elsewhere")
    assert result.exit_code == 4
    assert "1 changed" in result.output
    assert "sprint S-1 was not in the ledger: created in planning" in result.output
    assert tasks_of(server, "elsewhere")["b"].sprint_code == "S-1"


@pytest.mark.parametrize(
    "text", ['[{"code": "a", "title": "A"}]', '[\n{"code": "a"},\n{"code": "b"}\n]', "\n[]\n"]
)
def test_an_array_in_place_of_lines_is_reported_once(server: Server, tmp_path: Path, text: str) -> None:
    for option in ("--tasks", "--events"):
        file = tmp_path / "rows.jsonl"
        file.write_text(text)
        result = run(server, option, file)
        assert result.exit_code == 3
        assert "1 refused, 0 unresolved" in result.output
        assert "a JSON array instead of lines; convert it with: jq -c '.[]'" in result.output


def test_an_object_over_several_lines_is_reported_once(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps({"code": "a", "title": "A"}, indent=2))
    result = run(server, "--tasks", file)
    assert "1 refused, 0 unresolved" in result.output
    assert "a JSON object that spans several lines" in result.output


def test_names_that_are_not_utf8_are_reported(server: Server, tmp_path: Path) -> None:
    (tmp_path / "tree" / "notes").mkdir(parents=True)
    (tmp_path / "tree" / "tasks").mkdir()
    (tmp_path / "tree" / "tasks" / "a-1.md").write_text("---\nid: A-1\n---\nx\n")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/tree/notes/caf\xe9.md")).write_text("x\n")
    report = tmp_path / "report.jsonl"
    result = run(server, "--delegation", tmp_path / "tree", "--report", report)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert set(tasks_of(server)) == {"A-1"}
    files = [json.loads(line)["file"] for line in report.read_text().splitlines()]
    assert any("caf" in file for file in files)


def test_the_address_of_the_environment_is_read(server: Server, tmp_path: Path) -> None:
    file = write(tmp_path / "tasks.jsonl", [task("a")])
    environment = {"ORCHESTRATION_ADDRESS": server.address}
    result = CliRunner(env=environment).invoke(app, ["--tasks", str(file), "--project", server.project])
    assert result.exit_code == 0, result.output
    assert set(tasks_of(server)) == {"a"}


@pytest.mark.parametrize("seed", range(3))
def test_the_server_takes_every_row(server: Server, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    rows = [
        import_rows.row_of(f"row-{n}", f"Row {n}", import_rows.drawn(draw, [f"row-{m}" for m in range(60)]))
        for n in range(120)
    ]
    result = run(server, "--tasks", write(tmp_path / "tasks.jsonl", rows))
    assert result.exit_code in (0, 3, 4), result.output
    stored = tasks_of(server)
    assert set(stored) == {row["code"] for row in rows}
    # A task is ready only if the status of its row is missing or a word of the ledger for pending.
    may_be = {row["code"] for row in rows if row["status"] in (None, "", " ", "open", "To Do")}
    assert ready(server) <= may_be
