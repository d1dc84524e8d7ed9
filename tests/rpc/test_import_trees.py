"""`orchestration import --delegation`: each file of a person's tree is loaded, or listed with a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestration import Client
from orchestration.v1 import coordination_pb2, sprint_pb2, task_pb2
from orchestration_server.codec.content import plain
from tests.conftest import Server
from tests.rpc.test_import_delegation import findings, run, sprints_of, tasks_of, write

LONG = "word " * 3_000


def ready(server: Server, project: str = "default") -> set[str]:
    with Client(server.address, project=project) as client:
        request = coordination_pb2.ListReadyTasksRequest(page_size=500, include_not_due=True)
        return {task.code for task in client.pages(client.coordination.ListReadyTasks, request)}


def load(server: Server, root: Path, files: dict[str, str | bytes]) -> tuple[int, dict[str, Any]]:
    """Import a tree. Return the exit code and the findings."""
    report = root / "report.jsonl"
    result = run(server, "--delegation", write(root / "tree", files), "--report", report)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, findings(report)


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


BACKLOG = """---
id: {id}
title: {title}
status: {status}
assignee: {assignee}
created_date: '2026-01-0{day} 09:30'
updated_date: '2026-02-01 10:00'
labels:
  - garden
dependencies: {dependencies}
{more}priority: high
ordinal: 1000
---

## Description

<!-- SECTION:DESCRIPTION:BEGIN -->
Dig the bed.
<!-- SECTION:DESCRIPTION:END -->

## Acceptance Criteria
<!-- AC:BEGIN -->
- [ ] #1 It is dug
- [x] #2 No stone is left
<!-- AC:END -->

## Implementation Notes

<!-- SECTION:NOTES:BEGIN -->
Mind the roots.
<!-- SECTION:NOTES:END -->
"""


def backlog(**fields: Any) -> str:
    default = {"status": "To Do", "assignee": "[]", "dependencies": "[]", "more": "", "day": 1}
    return BACKLOG.format(**default | fields)


@pytest.mark.parametrize("below", ["", "tasks"])
def test_a_backlog_folder_loads_whole(server: Server, tmp_path: Path, below: str) -> None:
    files: dict[str, str | bytes] = {
        "backlog/config.yml": "project_name: Garden\nstatuses: [To Do, In Progress, Done]\n",
        "backlog/tasks/task-12 - Dig-the-bed.md": backlog(
            id="task-12", title="Dig the bed", assignee="\n  - '@ann'"
        ),
        "backlog/tasks/task-13 - Plant-Core-roses.md": backlog(
            id="task-13", title="'Plant: roses'", dependencies="\n  - task-12\n  - TASK-9"
        ),
        "backlog/tasks/task-13.1 - Water.md": backlog(
            id="task-13.1", title="Water", more="parent_task_id: task-13\nmilestone: m-1\n",
            status="In Progress",
        ),
        "backlog/tasks/task-14 - No-front-matter.md": "# Prune\n",
        "backlog/completed/task-9 - Buy-a-spade.md": backlog(id="TASK-9", title="Buy a spade", status="Done"),
        "backlog/drafts/draft-1 - Pond.md": backlog(id="draft-1", title="Pond", status="Draft"),
        "backlog/drafts/draft-2 - Bench.md": backlog(id="draft-2", title="Bench"),
        "backlog/archive/tasks/task-3 - Lawn.md": backlog(id="task-3", title="Lawn"),
        "backlog/docs/doc-1 - Soil.md": "---\nid: doc-1\n---\n",
        "backlog/decisions/decision-1 - Roses.md": "---\nid: decision-1\n---\n",
    }  # fmt: skip
    root = write(tmp_path / "tree", files)
    report = tmp_path / "report.jsonl"
    result = run(server, "--delegation", root / "backlog" / below, "--report", report)
    found = findings(report)
    tasks = tasks_of(server)
    if below:
        # If only the directory of tasks is imported, the blocker in the other directory is missing.
        assert (result.exit_code, len(tasks)) == (3, 4)
        assert ready(server) == {"task-12", "task-14"}
        return
    assert result.exit_code == 0, result.output
    assert (found["refused"], found["unresolved"], found["changed"]) == ([], [], [])
    assert {code: task.status for code, task in tasks.items()} == {
        "task-12": 1, "task-13": 1, "task-13.1": 2, "task-14": 1, "TASK-9": 4, "draft-1": 3, "draft-2": 3,
        "task-3": 5,
    }  # fmt: skip
    dug = tasks["task-12"]
    assert (dug.title, dug.assignee, dug.priority) == ("Dig the bed", "@ann", 2)
    assert list(dug.acceptance_criteria) == ["It is dug", "No stone is left"]
    assert "- [x] #2 No stone is left" in str(dug.metadata["original_acceptance_criteria"])
    assert dug.description == "Dig the bed.\n\n## Implementation Notes\n\nMind the roots."
    assert dug.create_time.ToJsonString() == "2026-01-01T09:30:00Z"
    assert (tasks["task-13"].title, tasks["task-14"].title) == ("Plant: roses", "Prune")
    assert ready(server) == {"task-12", "task-14"}
    assert {Path(file).name for file, reason in found["warning"] if "ticks" not in reason} == {
        "config.yml", "doc-1 - Soil.md", "decision-1 - Roses.md", "draft-2 - Bench.md", "task-3 - Lawn.md",
    }  # fmt: skip
    (decision,) = [reason for file, reason in found["warning"] if "decision-1" in file]
    assert "CreateAdr" in decision


OLDER_SPRINT = """# Sprint {n}: Beds

**Sprint ID**: `SPRINT-{n}`
**Status**: {status}
**Priority**: High
**Duration**: 2 weeks

---

## Overview

Beds along the wall.

## Task Breakdown

| Task | Status |
|---|---|
| T-{n}-A | Done |
"""
OLDER_TASK = """# Task: Dig bed {letter}

**Task ID**: `T-{n}-{letter}`  \n**Sprint**: Sprint {n} - Beds  \n**Status**: {status}  \n**Priority**: P1
**Assigned To**: agent-{letter}

---

## Objective

Dig it.

## Deliverables

### Files
- bed.md

---

## Acceptance Criteria

- [ ] dug

---

## Dependencies

- {dependencies}
- [External dependency]

**Blocks**: None

---

## Status Updates

<!-- Agent: keep this up to date -->
**Started**: [Date]
**Blockers**: [None]
"""
OLDER_AGENT = """task_id: "T-{n}-{letter}"
task_hash: "{hash}"
parent:
  sprint: "SPRINT-{n}"
  phase: "{n}"
agent_steps:
  last: null
task:
  title: "Dig bed {letter}"
  status: "pending"
  priority: "P1"
  acceptance_criteria:
    - "dug"
"""


def test_an_older_delegation_tree_loads_whole(server: Server, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "delegation/sprints/TASK_TEMPLATE.md": "# [Title]\n**Status**: [x | y]\n"
    }
    for n, status in ((1, "✅ Completed"), (2, "🚧 In Progress"), (3, "Planned")):
        files[f"delegation/sprints/SPRINT-{n}/SPRINT.md"] = OLDER_SPRINT.format(n=n, status=status)
        for letter in "AB":
            text = OLDER_TASK.format(
                n=n, letter=letter, status="✅ Complete" if n == 1 else "TODO",
                dependencies="None" if letter == "A" else f"`T-{n}-A` must be completed first",
            )  # fmt: skip
            home = f"delegation/sprints/SPRINT-{n}/T-{n}-{letter}"
            files[f"{home}/AGENT.yml"] = OLDER_AGENT.format(n=n, letter=letter, hash="0" * 64)
            files[f"{home}/.hash"] = "0" * 64
            # The last sprint has only the agents' files.
            if n < 3:
                files[f"{home}/TASK.md"] = text
    code, found = load(server, tmp_path, files)
    assert code == 0, found
    sprints, tasks = sprints_of(server), tasks_of(server)
    assert {sprint: made.status for sprint, made in sprints.items()} == {
        "SPRINT-1": 3,
        "SPRINT-2": 2,
        "SPRINT-3": 1,
    }
    assert len(tasks) == 6
    assert all(list(task.acceptance_criteria) == ["dug"] for task in tasks.values())
    assert list(tasks["T-1-A"].deliverables) == ["bed.md"]
    assert (tasks["T-2-B"].assignee, tasks["T-3-B"].phase) == ("agent-B", "3")
    assert {task.sprint_code for task in tasks.values()} == {"SPRINT-1", "SPRINT-2", "SPRINT-3"}
    assert {task for task in ready(server) if task.startswith("T-2")} == {"T-2-A"}


WORDS = [
    "pending", "done", "In Progress", "✅ Completed", "blocked", "cancelled", "wontfix", "Planning | Active",
    "[Pending/Done]", "later maybe", "archived", "TODO",
]  # fmt: skip
READY_WORDS = frozenset(("pending", "TODO"))
JUNK = st.sampled_from(
    [
        "assignee: []", "assignee: @me", "title: [WIP] half", "title: Auth: part 2", "created: soon",
        "labels: ['']", "n: 9007199254740993", "x: *y", "a: b: c", "- stray", "stray", "tags: {a: 1}",
        'z: "\\ud83d"', "metadata: 7", "\t", "done: maybe", "? [k]", "estimate: " + "9" * 400,
        "phase: " + "x" * 300,
    ]
)  # fmt: skip
LAYOUTS = st.sampled_from(
    [
        "---\n{junk}\nstatus: {status}\n---\n# T\n\n{text}\n",
        "---\nstatus: {status}\n{junk}\n---\n{text}\n",
        "\n---\nid: {code}\nstatus: {status}\n{junk}\n---\n",
        "---\nid: {code}\nstatus: {status}\n\n{text}\n",
        '+++\nid = "{code}"\nstatus = "{status}"\n+++\n{text}\n',
        "# T\n\n**Status**: {status}\n\n{text}\n",
        "# T\n\n## Status: {status}\n\n{text}\n",
        "# T\n\n## Status\n{status}\n\n## Text\n{text}\n",
        "# T\n\n| Status | {status} |\n\n{text}\n",
        "{text}\n\nStatus: {status}\n",
    ]
)
BYTES = st.sampled_from([b"", b"", b"\0", b"\xff", b"\xed\xa0\xbd", b"\r\n", b"---\n", b"\n```\n", b"<!--\n"])


@st.composite
def trees(draw: st.DrawFn) -> dict[str, tuple[bytes, str]]:
    """Draw trees of damaged files, each with the status that it contains."""
    files: dict[str, tuple[bytes, str]] = {}
    for number in range(draw(st.integers(1, 6))):
        status = draw(st.sampled_from(WORDS))
        code = f"T-{number}"
        junk = "\n".join(draw(st.lists(JUNK, max_size=3)))
        text = draw(st.sampled_from(["Words.", "", "- a list", "## Objectives\n- one\n---\n### more\n- two"]))
        content = draw(LAYOUTS).format(junk=junk, status=status, code=code, text=text).encode()
        place = draw(st.integers(0, 2))
        # A typing error adds text before the file, after it, or nowhere.
        added = draw(BYTES)
        content = {0: content, 1: content + added, 2: content + added + content[:5]}[place]
        name = draw(
            st.sampled_from([f"tasks/{code}.md", f"sprints/日本/{code}/TASK.md", f"sprints/s/{code}/Task.md"])
        )
        files[name] = (content, status)
    return files


@settings(
    max_examples=60, deadline=None, phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(tree=trees())
def test_each_file_of_a_tree_is_loaded_or_named_and_none_is_ready_by_accident(
    server: Server, tmp_path_factory: pytest.TempPathFactory, tree: dict[str, tuple[bytes, str]]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    project = root.name
    write(root / "tree", {name: content for name, (content, _) in tree.items()})
    report = root / "report.jsonl"
    result = run(server, "--delegation", root / "tree", "--report", report, "--project", project)
    assert result.exit_code in (0, 3, 4), result.output
    listed = {file for kind in ("refused", "warning", "changed") for file, _ in findings(report)[kind]}
    with Client(server.address, project=project) as client:
        pages = client.pages(client.tasks.ListTasks, task_pb2.ListTasksRequest())
        loaded = {task.code for task in pages}
    able = ready(server, project)
    for name, (_, status) in tree.items():
        code = Path(name).stem if name.startswith("tasks/") else Path(name).parent.name
        assert code in loaded or name in listed
        assert status in READY_WORDS or code not in able, (name, status)


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
