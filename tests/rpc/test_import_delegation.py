"""`orchestration import --delegation`: trees written by a ledger or by people."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration import Client
from orchestration.v1 import common_pb2, sprint_pb2, task_pb2
from orchestration_server.codec.content import sprint_content, task_content, to_struct
from orchestration_server.jobs.file_sync import FileSync
from tests.conftest import Server, new_database
from tests.support import factories
from tests.support.delegation_imports import findings, run, sprints_of, tasks_of, write


def test_what_a_ledger_wrote_another_reads_back(
    server: Server, start_server: Callable[[str], Server], engines: Any, tmp_path: Path
) -> None:
    assert server.app is not None
    sprint: dict[str, Any] = {
        "status": 2, "owner": "ada", "goal": "All of it\n", "start_date": "2026-01-01",
        "metadata": {"yes": "no", "n": [1, None, {"": 2.5}]},
    }  # fmt: skip
    full: dict[str, Any] = {
        "title": "Title: with\na break", "description": "\n## Objectives\n\n- not one\r\n  ", "status": 3,
        "priority": 1, "phase": "007", "assignee": "ada", "labels": ["a,b", "true"],
        "objectives": ["one\ntwo", "[x] three"], "deliverables": ["", " "],
        "acceptance_criteria": ['"quoted"'], "agent_config": {"model": "large", "on": True},
        "metadata": {"k": ["v"]}, "sprint_code": "S-1",
    }  # fmt: skip
    with Client(server.address) as client:
        client.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("S-1", **sprint)))
        new = [factories.task("T-1", **full), factories.task("SPRINT.md", sprint_code="S-1")]
        new.append(factories.task("alone"))
        for task in new:
            client.tasks.CreateTask(task_pb2.CreateTaskRequest(task=task, sync_to_file=True))
        client.sprints.SyncSprint(sprint_pb2.SyncSprintRequest(sprint_code="S-1"))
    root = tmp_path / "workspace"
    root.mkdir()
    assert FileSync(server.app.db, root, lambda: None).run_once() == 4
    with new_database(engines) as url:
        other = start_server(url)
        result = run(other, "--delegation", root)
        assert result.exit_code == 0, result.output
        assert "sprints  1 read, 1 created, 0 already there" in result.output
        assert "tasks    3 read, 3 created, 0 already there" in result.output
        before, after = tasks_of(server), tasks_of(other)
        assert after.keys() == before.keys() == {"T-1", "SPRINT.md", "alone"}
        for code, task in before.items():
            assert task_content(after[code]) == task_content(task)
            assert after[code].hash == task.hash
            assert after[code].create_time == task.create_time
        (one,), (two,) = sprints_of(server).values(), sprints_of(other).values()
        assert sprint_content(two) == sprint_content(one)
        # The other ledger writes the same files.
        with Client(other.address) as client:
            client.sprints.SyncSprint(sprint_pb2.SyncSprintRequest(sprint_code="S-1"))
        again = run(other, "--delegation", root)
        assert again.exit_code == 0, again.output
        assert "sprints  1 read, 0 created, 1 already there" in again.output
        assert "tasks    3 read, 0 created, 3 already there" in again.output


def test_a_tree_of_people(server: Server, tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "delegation/sprints/Sprint 12 – Payments/Sprint.md": "# Payments\n**Status**: Active\n"
            "**Start**: 2026-01-02\n**End**: soon\n**Lead**: ada\n\nTake the money.\n",
            "delegation/sprints/Sprint 12 – Payments/pay in/TASK.md": "---\ntitle: Pay in\nstatus: done ✅\n"
            "priority: High\ncreated: 2026-01-03\ndepends_on: [T-2, {code: nowhere, kind: related}]\n---\n",
            "delegation/sprints/Sprint 12 – Payments/pay in/AGENT.yaml": "model: large\n",
            "delegation/sprints/Sprint 12 – Payments/T-2/task.md": "# Pay out\n**Status:** Nearly\n"
            "**Depends on**: none\n\n## Objectives\n* out, at once\n",
            "delegation/sprints/old/tasks/T-3.md": "# From a list\n**Status**: TODO\n",
            "delegation/sprints/old/tasks/README.md": "# Not a task\n",
            "delegation/sprints/old/TASK-4.md": "no heading\n",
            "delegation/sprints/empty/notes.md": "nothing\n",
            "delegation/backlog/BUG-1.md": "# A bug\n",
            "delegation/T-5/TASK.md": "---\nsprint: old\n---\n# Elsewhere\n",
            "delegation/sprints/old/.hidden/TASK.md": "# Not seen\n",
            "README.md": "# Not below delegation\n",
        },
    )
    report = tmp_path / "report.jsonl"
    result = run(server, "--delegation", root, "--report", report)
    assert result.exit_code == 3, result.output
    sprints, tasks = sprints_of(server), tasks_of(server)
    assert set(sprints) == {"Sprint-12-Payments", "old"}
    payments = sprints["Sprint-12-Payments"]
    assert (payments.title, payments.owner, payments.goal) == ("Payments", "ada", "Take the money.")
    assert payments.status == common_pb2.SPRINT_STATUS_ACTIVE
    assert (payments.start_date, payments.end_date) == ("2026-01-02", "")
    assert payments.metadata == to_struct(
        {"original_code": "Sprint 12 – Payments", "original_end_date": "soon"}
    )
    assert {code: task.sprint_code for code, task in tasks.items()} == {
        "pay-in": "Sprint-12-Payments",
        "T-2": "Sprint-12-Payments",
        "T-3": "old",
        "TASK-4": "old",
        "T-5": "old",
    }
    paid = tasks["pay-in"]
    assert (paid.title, paid.status, paid.priority) == ("Pay in", 4, 2)
    assert paid.agent_config == to_struct({"model": "large"})
    assert paid.create_time.ToJsonString() == "2026-01-03T00:00:00Z"
    assert tasks["T-2"].status == common_pb2.TASK_STATUS_BLOCKED
    assert tasks["T-2"].metadata["original_status"] == "Nearly"
    assert list(tasks["T-2"].objectives) == ["out, at once"]
    assert (tasks["TASK-4"].title, tasks["TASK-4"].description) == ("TASK-4", "no heading")
    assert "links    2 read, 1 in place" in result.output
    found = findings(report)
    assert found["refused"] == []
    ((place, reason),) = found["unresolved"]
    assert place == "delegation/sprints/Sprint 12 – Payments/pay in/TASK.md"
    assert "nowhere is neither in the file nor in the ledger" in reason
    assert {Path(file).name for file, _ in found["warning"] + found["changed"]} == {
        "Sprint.md", "TASK.md", "task.md", "old", "README.md", "notes.md", "BUG-1.md",
    }  # fmt: skip
    assert f"unresolved {place}: " in result.output


def test_what_cannot_be_read_is_listed_and_the_rest_is_loaded(server: Server, tmp_path: Path) -> None:
    root = write(
        tmp_path / "tree",
        {
            "sprints/good/SPRINT.md": "# Good\n",
            "sprints/good/fine/TASK.md": "# Fine\n",
            "sprints/good/fine/AGENT.yml": "[not, a, mapping]\n",
            "sprints/good/bytes/TASK.md": b"# caf\xe9\n",
            "sprints/good/noise/TASK.md": bytes(range(128, 256)),
            "sprints/noise/SPRINT.md": b"\0" * 9,
            "sprints/good/yaml/TASK.md": "---\na: [\n---\n# Bad\n",
            "sprints/good/twice/TASK.md": "---\ncode: fine\n---\n# Again\n",
            "sprints/good/long/TASK.md": "# " + "x" * 501 + "\n",
            "sprints/good/big/TASK.md": b"x" * (4 * 1024 * 1024 + 1),
            "sprints/good/stray/AGENT.yml": "{}\n",
            "sprints/good/…/TASK.md": "# Nameless\n",
            "sprints/good/lost/TASK.md": "---\nsprint: nowhere\n---\n# Lost\n",
            "sprints/bad/SPRINT.md": "---\n- a list\n---\n",
            "sprints/bad/in-bad/TASK.md": "# In a bad sprint\n",
            "sprints/wrong/SPRINT.md": "# Wrong\n**Start**: 2026-02-30\n",
        },
    )
    outside = write(tmp_path / "outside", {"secret/TASK.md": "# Secret\n"})
    (root / "sprints" / "good" / "link").symlink_to(outside / "secret")
    (root / "sprints" / "good" / "loop").symlink_to(".")
    (root / "sprints" / "good" / "pipe").mkdir()
    os.mkfifo(root / "sprints" / "good" / "pipe" / "TASK.md")
    report = tmp_path / "report.jsonl"
    result = run(server, "--delegation", root, "--report", report)
    assert result.exit_code == 3, result.output
    tasks = tasks_of(server)
    nameless = next(code for code in tasks if code.startswith("task-"))
    assert set(tasks) == {"fine", "bytes", "yaml", "long", "lost", "in-bad", nameless}
    assert {code: task.sprint_code for code, task in tasks.items() if task.sprint_code != "good"} == {
        "in-bad": "bad"
    }
    sprints = sprints_of(server)
    assert set(sprints) == {"good", "bad", "wrong", "noise"}
    assert (sprints["wrong"].start_date, sprints["noise"].title) == ("", "noise")
    refused = {file.removeprefix("sprints/"): reason for file, reason in findings(report)["refused"]}
    for file, reason in {
        "good/fine/AGENT.yml": "is not a mapping; the task is loaded without it",
        "good/noise/TASK.md": "is not text",
        "noise/SPRINT.md": "is not text; the directory's name is used for the sprint",
        "good/twice/TASK.md": "task fine is already in sprints/good/fine/TASK.md",
        "good/big/TASK.md": "larger than 4,194,304 bytes",
        "good/stray/AGENT.yml": "there is no TASK.md beside it",
        "good/link": "is a link: not followed",
        "good/loop": "is a link: not followed",
    }.items():
        assert reason in refused.pop(file)
    assert refused == {}


def move(client: Client, code: str, sprint: str) -> None:
    client.tasks.UpdateTask(
        task_pb2.UpdateTaskRequest(
            task=task_pb2.Task(code=code, sprint_code=sprint),
            update_mask=FieldMask(paths=["sprint_code"]),
            sync_to_file=True,
        )
    )


@pytest.mark.parametrize("places", [("A", "B", "C"), ("C", "B", "A"), ("A", "C", "", "B")])
def test_a_task_that_moved_is_taken_from_where_it_went_last(
    server: Server,
    start_server: Callable[[str], Server],
    engines: Any,
    tmp_path: Path,
    places: tuple[str, ...],
) -> None:
    assert server.app is not None
    root = tmp_path / "workspace"
    root.mkdir()
    sync = FileSync(server.app.db, root, lambda: None)
    with Client(server.address) as client:
        for sprint in "ABC":
            client.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint(sprint)))
        # A code that must be quoted in YAML.
        for code in ("T-1", "007"):
            task = factories.task(code, sprint_code=places[0])
            client.tasks.CreateTask(task_pb2.CreateTaskRequest(task=task, sync_to_file=True))
        sync.run_once()
        for sprint in places[1:]:
            for code in ("T-1", "007"):
                move(client, code, sprint)
            sync.run_once()
        for sprint in "ABC":
            client.sprints.SyncSprint(sprint_pb2.SyncSprintRequest(sprint_code=sprint))
        sync.run_once()
    assert len(list(root.rglob("TASK.md"))) == 2 * len(places)
    report = tmp_path / "report.jsonl"
    with new_database(engines) as url:
        other = start_server(url)
        result = run(other, "--delegation", root, "--report", report)
        assert result.exit_code == 0, result.output
        assert tasks_of(other)["T-1"].hash == tasks_of(server)["T-1"].hash
        assert {task.sprint_code for task in tasks_of(other).values()} == {places[-1]}
        found = findings(report)["warning"]
    directories = [f"sprints/{place}" if place else "tasks" for place in places]
    last = f"delegation/{directories[-1]}"
    assert sorted(found) == sorted(
        (f"delegation/{place}/{code}/TASK.md", f"{last}/{code}/TASK.md has a later revision: left out")
        for place in directories[:-1]
        for code in ("T-1", "007")
    )


STAMPED = "---\nformat: 1\ntask: {code}\ntitle: {title}\nrevision: {revision}\n---\n\n# {title}\n"


def test_files_of_one_code_that_no_ledger_ordered_are_refused_but_for_the_first(
    server: Server, tmp_path: Path
) -> None:
    def stamped(code: str, title: str, revision: str) -> str:
        return STAMPED.format(code=code, title=title, revision=revision)

    root = write(
        tmp_path / "tree",
        {
            # Copies with the same revision.
            "a/TASK.md": stamped("copied", "A", "2"),
            "b/TASK.md": stamped("copied", "B", "2"),
            # A person's own file comes before those of the ledger.
            "c/TASK.md": "---\ncode: mixed\nrevision: 9\n---\n# C\n",
            "d/TASK.md": stamped("mixed", "D", "1"),
            "e/TASK.md": stamped("mixed", "E", "3"),
            # A file with an invalid revision, and one with the revision below the front matter.
            "f/TASK.md": stamped("odd", "F", "many"),
            "g/TASK.md": "---\nformat: 1\ntask: odd\ntitle: G\n---\nrevision: 7\n",
            "h/TASK.md": stamped("odd", "H", "1"),
        },
    )
    report = tmp_path / "report.jsonl"
    result = run(server, "--delegation", root, "--report", report)
    assert result.exit_code == 3, result.output
    assert {code: task.title for code, task in tasks_of(server).items()} == {
        "copied": "A", "mixed": "C", "odd": "F",
    }  # fmt: skip
    found = findings(report)
    assert found["refused"] == [
        ("b/TASK.md", "task copied is already in a/TASK.md"),
        ("e/TASK.md", "task mixed is already in c/TASK.md"),
        ("g/TASK.md", "task odd is already in f/TASK.md"),
        ("h/TASK.md", "task odd is already in f/TASK.md"),
    ]
    assert found["warning"] == [("d/TASK.md", "e/TASK.md has a later revision: left out")]


def test_a_directory_without_a_sprint_or_a_task_is_listed(server: Server, tmp_path: Path) -> None:
    root = write(tmp_path / "tree", {"notes.txt": "nothing to do"})
    result = run(server, "--delegation", root)
    assert result.exit_code == 0, result.output
    assert f"warning {root}: it has no file of a sprint or a task" in result.output


def test_other_projects_and_wrong_usage(server: Server, tmp_path: Path) -> None:
    root = write(tmp_path / "tree", {"T-1/TASK.md": "# One\n"})
    assert run(server, "--delegation", root, "--project", "one").exit_code == 0
    assert tasks_of(server) == {}
    assert run(server, "--delegation", tmp_path / "none").exit_code == 2
    assert run(server, "--delegation", root / "T-1" / "TASK.md").exit_code == 2
    assert run(server).exit_code == 2


def test_names_that_are_no_text(server: Server, tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path) + b"/sprints/s/T-\xff"
    try:
        os.makedirs(directory)  # noqa: PTH103  # a path that is no text
    except OSError:
        pytest.skip("the file system takes no such name")
    Path(os.fsdecode(directory), "TASK.md").write_text("# Odd\n")
    report = tmp_path / "report.jsonl"
    result = run(server, "--delegation", tmp_path, "--report", report)
    assert result.exit_code == 0, result.output
    (code,) = tasks_of(server)
    # A different name of bytes that are no text gets a different code.
    assert code.startswith("T-")
    assert len(code) == len("T-") + 8
    assert (
        r"sprints/s/T-\xff/TASK.md",
        rf"task {code}: 'T-\udcff' is no valid code: {code} is used",
    ) in findings(report)["warning"]
