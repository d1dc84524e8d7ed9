"""`orchestration import --delegation`: older trees, backlogs and random trees are loaded whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestration import Client
from orchestration.v1 import task_pb2
from tests.conftest import Server
from tests.support.delegation_imports import findings, load, ready, run, sprints_of, tasks_of, write

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
