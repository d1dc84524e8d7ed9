"""`orchestration import --delegation`: each file of a person's tree is loaded, or listed with a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestration import Client
from orchestration.v1 import sprint_pb2
from orchestration_server.codec.content import plain
from tests.conftest import Server
from tests.support.delegation_imports import load, ready, sprints_of, tasks_of

LONG = "word " * 3_000


def test_a_sprint_that_is_named_in_words(server: Server, tmp_path: Path) -> None:
    code, found = load(
        server,
        tmp_path,
        {
            "sprints/walls/SPRINT.md": "# Spring Walls 3\n\n**Sprint ID**: `walls-3`\n",
            "sprints/walls/brick/TASK.md": "# Brick\n**Task ID**: `brick-1`\n**Sprint**: walls\n",
            "tasks/paint/TASK.md": "# Paint\n**Sprint**: spring walls 3\n",
            "tasks/sand/TASK.md": "# Sand\n**Sprint**: [Sprint name]\n",
            "tasks/saw/TASK.md": "# Saw\n**Sprint**: Autumn Walls 9\n",
            "tasks/cut/TASK.md": "# Cut\n**Sprint**: walls-4\n",
        },
    )
    assert code == 4
    assert set(sprints_of(server)) == {"walls-3", "walls-4"}
    tasks = tasks_of(server)
    assert {name: task.sprint_code for name, task in tasks.items()} == {
        "brick-1": "walls-3", "paint": "walls-3", "sand": "", "saw": "", "cut": "walls-4",
    }  # fmt: skip
    assert tasks["saw"].metadata["original_sprint"] == "Autumn Walls 9"
    assert [file for file, _ in found["changed"]] == ["tasks/saw/TASK.md", "tasks/cut/TASK.md"]


def test_a_file_about_tasks_takes_no_code_from_a_task(server: Server, tmp_path: Path) -> None:
    code, found = load(
        server,
        tmp_path,
        {
            "sprints/s/SPRINT.md": "# S\n",
            "sprints/s/TASK_TEMPLATE.md": "# [Title]\n**Task ID**: `real`\n**Status**: [Pending/Done]\n",
            "sprints/s/TASKS.md": "# All tasks\n",
            "sprints/s/task-summary-real.md": "# Summary\n**Task**: real\n",
            "sprints/s/TASK-7.md": "# Seventh\n",
            "sprints/s/real/TASK.md": "# Real\n**Status**: in progress\n",
        },
    )
    assert code == 0
    assert {name: task.title for name, task in tasks_of(server).items()} == {
        "real": "Real",
        "TASK-7": "Seventh",
    }
    assert {Path(file).name for file, _ in found["warning"]} == {
        "TASK_TEMPLATE.md", "TASKS.md", "task-summary-real.md",
    }  # fmt: skip


def test_the_task_of_an_agent_file(server: Server, tmp_path: Path) -> None:
    code, _ = load(
        server,
        tmp_path,
        {
            "sprints/s/SPRINT.md": "# S\n",
            "sprints/s/a/AGENT.yml": "task_id: alone\nmodel: large\ntask:\n  title: Alone\n"
            "  status: completed\n  priority: P0\n  acceptance_criteria: [white]\n  depends_on: [both]\n",
            "sprints/s/both/TASK.md": "# Both\n",
            "sprints/s/both/AGENT.yml": "task:\n  title: Not this\n  status: blocked\n",
        },
    )
    assert code == 0
    tasks = tasks_of(server)
    alone, both = tasks["alone"], tasks["both"]
    assert (alone.title, alone.status, alone.priority, alone.sprint_code) == ("Alone", 4, 1, "s")
    assert (list(alone.acceptance_criteria), plain(alone.agent_config)) == (["white"], {"model": "large"})
    # A field that TASK.md does not have.
    assert (both.title, both.status) == ("Both", 3)


def test_files_that_disagree_about_a_status(server: Server, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {}
    words = {"a": ("pending", "completed"), "b": ("done", "pending"), "c": ("todo", "pending")}
    for name, (task, agent) in words.items():
        files[f"sprints/s/{name}/TASK.md"] = f"# T\n**Status**: {task}\n"
        files[f"sprints/s/{name}/AGENT.yml"] = f"task: {{title: T, status: {agent}}}\n"
    code, found = load(server, tmp_path, files)
    assert code == 4
    assert {name: task.status for name, task in tasks_of(server).items()} == {"a": 3, "b": 4, "c": 1}
    assert [file for file, _ in found["changed"]] == ["sprints/s/a/TASK.md"]


def test_only_code_and_title_are_essential(server: Server, tmp_path: Path) -> None:
    fields = {
        "assignee": ["[]", "[ann, bob]", "{name: ann}", "@me", "'\\ud83d'", "x" * 300, "7"],
        "labels": [
            "['']",
            "red,blue",
            f"[{'x' * 101}]",
            f"[{', '.join(f'l{n}' for n in range(60))}]",
            "{a: 1}",
        ],
        "created": ["soon", "0001-01-01", "2999-01-01", "[]", "2026-13-01"],
        "title": [
            "'   '",
            '"\\u200b"',
            "x" * 600,
            "[a, b]",
            "~",
            '"nul\\0"',
            '"half \\ud83d"',
            "Auth: part 2",
        ],
        "phase": ["x" * 200, "{}", "[]"],
        "objectives": [f"['{'x' * 2_001}']", f"[{', '.join('ab' for _ in range(101))}]", "{a: b}", "7"],
        "metadata": ["7", "[1]", f"{{big: '{'x' * 70_000}'}}", "[" * 20 + "]" * 20],
        "estimate": ["1e999", "9" * 400, "[" * 40 + "]" * 40, "!!set {a}", "*alias", "'" + "\\x00" + "'"],
        "sprint": ["[]", "{}", "~", "'...'"],
        "priority": ["[]", "{}", "P9", "somewhen"],
    }
    files: dict[str, str | bytes] = {}
    for name, values in fields.items():
        for number, value in enumerate(values):
            files[f"tasks/{name}-{number}.md"] = f"---\nstatus: done\n{name}: {value}\n---\nText\n"
    files["tasks/text.md"] = f"---\nstatus: done\n---\n{LONG * 10}"
    files["tasks/nul.md"] = b"---\nstatus: done\n---\n# a\0b \xed\xa0\xbd\n"
    code, found = load(server, tmp_path, files)
    assert (code, found["refused"]) == (4, [])
    tasks = tasks_of(server)
    assert len(tasks) == len(files)
    assert {task.status for task in tasks.values()} == {4}
    assert tasks["title-7"].title == "Auth: part 2"
    assert tasks["text"].metadata["original_description_rest"]
    assert tasks["assignee-1"].assignee == "ann"


def test_no_invalid_field_loses_a_sprint(server: Server, tmp_path: Path) -> None:
    code, found = load(
        server,
        tmp_path,
        {
            "sprints/long/SPRINT.md": f"# Long\n**Status**: active\n**Start**: 2026-02-30\n\n{LONG}\n",
            "sprints/long/a/TASK.md": "# A\n",
            "sprints/日本語/SPRINT.md": "---\nstatus: active\nstart: 2026-03-01\nend: 2026-02-01\n---\n",
            "sprints/日本語/b/TASK.md": "# B\n",
            "sprints/中文/c/TASK.md": "# C\n",
            "sprints/中文/仕事/TASK.md": "no heading\n",
        },
    )
    assert code == 4
    assert found["refused"] == []
    sprints, tasks = sprints_of(server), tasks_of(server)
    assert {sprint.title for sprint in sprints.values()} == {"Long", "日本語", "中文"}
    assert len(sprints["long"].goal) == 10_000
    assert all(tasks[code].sprint_code for code in tasks)
    assert {task.title for task in tasks.values()} == {"A", "B", "C", "仕事"}
    # The same names get the same codes again.
    again, _ = load(server, tmp_path / "again", {"sprints/日本語/b2/TASK.md": "# B2\n"})
    assert again == 0
    assert set(sprints_of(server)) == set(sprints)
    assert tasks_of(server)["b2"].sprint_code == tasks["b"].sprint_code


def test_links_by_any_name(server: Server, tmp_path: Path) -> None:
    code, found = load(
        server,
        tmp_path,
        {
            "tasks/T-1.md": "---\nid: T-1\ntitle: Parse it\nstatus: done\n---\n",
            "tasks/T-2.md": "---\nid: T-2\ntitle: Print it\n---\n",
            "tasks/a.md": "---\nid: A\ndepends_on: t-2\nblocks: [B]\n---\n",
            "tasks/b.md": "# B\n**Depends on**: T-1 (the parser), Parse it\n",
            "tasks/c.md": "# C\n\n## Dependencies\n- `T-2`: prints\n- a fast machine\n",
            "tasks/d.md": "---\nid: D\nparent: T-1\nblocked_by: [{id: T-2, kind: waits-for}]\n---\n",
            "tasks/e.md": "---\nid: E\ndepends_on: [the moon]\n---\n",
            "tasks/f.md": "---\nid: F\ndepends_on: [T-404]\n---\n",
            "tasks/g.md": "---\nid: G\ndepends_on: [{id: T-1, kind: whatever}]\n---\n",
            "tasks/DASH-001-plan.md": "# DASH-001: Plan\n**Status**: done\n",
            "tasks/DASH-002-rooms.md": "# DASH-002: Rooms\n**Status**: in progress\n",
            "tasks/DASH-003-doors.md": "# Doors\n\n## Dependencies\n- DASH-001 complete\n- DASH-002 too\n",
            "tasks/roof.md": "# Roof\n\n## Dependencies\n**Blocked By**: `DASH-002` (the rooms)\n",
        },
    )
    assert code == 3
    assert ready(server) == {"T-2"}
    assert "names no task" in dict(found["refused"])["tasks/e.md"]
    assert "T-404 is neither" in dict(found["unresolved"])["tasks/f.md"]
    assert any("a fast machine" in reason for _, reason in found["warning"])


def test_nothing_imports_twice(server: Server, tmp_path: Path, start_server: Callable[[str], Server]) -> None:
    files: dict[str, str | bytes] = {
        "sprints/日本/T-1/TASK.md": "# One\n**Status**: who knows\n",
        "tasks/T-2.md": "---\ndepends_on: [T-1, T-404]\n---\n",
    }
    first, _ = load(server, tmp_path, files)
    before = {code: (task.hash, task.revision) for code, task in tasks_of(server).items()}
    second, _ = load(server, tmp_path / "again", files)
    assert (first, second) == (3, 3)
    assert {code: (task.hash, task.revision) for code, task in tasks_of(server).items()} == before
    with Client(server.address) as client:
        pages = client.pages(client.sprints.ListSprints, sprint_pb2.ListSprintsRequest())
        assert len(list(pages)) == 1
