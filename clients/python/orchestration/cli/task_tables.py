"""Tasks and sprints as tables and as pages for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from orchestration.cli import times, words
from orchestration.cli.output import Table, one_line, visible
from orchestration.v1 import common_pb2

if TYPE_CHECKING:
    from orchestration.v1.sprint_pb2 import Sprint
    from orchestration.v1.task_pb2 import Task, TaskCounts

PRIORITY = common_pb2.Priority.DESCRIPTOR
TASK_STATUS = common_pb2.TaskStatus.DESCRIPTOR
SPRINT_STATUS = common_pb2.SprintStatus.DESCRIPTOR


def ready(tasks: Iterable[Task]) -> Table:
    """Return the table of ready tasks."""
    table = Table(("TASK", "PRIO", "SPRINT", "TITLE"))
    for task in tasks:
        table.add(task.code, priority(task), task.sprint_code or "-", one_line(task.title))
    return table


def listed(tasks: Iterable[Task]) -> Table:
    """Return the table of tasks with status and assignee."""
    table = Table(("TASK", "PRIO", "STATUS", "ASSIGNEE", "TITLE"))
    for task in tasks:
        table.add(task.code, priority(task), status(task), task.assignee or "-", one_line(task.title))
    return table


def sprints(found: Iterable[Sprint]) -> Table:
    """Return the table of sprints."""
    table = Table(("SPRINT", "STATUS", "OWNER", "TITLE"))
    for one in found:
        table.add(one.code, words.word_of(SPRINT_STATUS, one.status), one.owner or "-", one_line(one.title))
    return table


def priority(task: Task) -> str:
    """Return the word of a task's priority."""
    return words.word_of(PRIORITY, task.priority)


def status(task: Task) -> str:
    """Return the word of a task's status."""
    return words.word_of(TASK_STATUS, task.status)


def counts(found: TaskCounts) -> str:
    """Return the counts by status that are not 0: "1 pending, 2 completed"."""
    names = ("pending", "in_progress", "blocked", "completed", "cancelled")
    parts = [f"{getattr(found, name)} {name}" for name in names if getattr(found, name)]
    return ", ".join(parts) or "no tasks"


def task_page(task: Task) -> list[str]:
    """Return all that a task says, as lines for people."""
    lines = [f"{task.code}  {one_line(task.title)}"]
    facts = [
        ("status", status(task)),
        ("priority", priority(task)),
        ("sprint", task.sprint_code),
        ("assignee", task.assignee),
        ("phase", task.phase),
        ("labels", ", ".join(task.labels)),
        ("capabilities", ", ".join(task.capabilities)),
        ("not before", times.clock(task.not_before) if task.HasField("not_before") else ""),
        ("due", times.clock(task.due_time) if task.HasField("due_time") else ""),
        ("revision", f"{task.revision}, {times.clock(task.update_time)}"),
    ]
    lines += pairs(facts)
    if task.description.strip():
        lines += ["", *visible(task.description.strip()).splitlines()]
    for name in ("objectives", "deliverables", "acceptance_criteria"):
        if items := getattr(task, name):
            lines += ["", f"{name.replace('_', ' ').capitalize()}:"]
            lines += [f"  - {one_line(item)}" for item in items]
    return lines


def pairs(facts: Sequence[tuple[str, str]]) -> list[str]:
    """Return lines of names and values, without those that are empty."""
    shown = [(name, visible(value)) for name, value in facts if value]
    wide = max((len(name) for name, _ in shown), default=0)
    return [f"  {name:<{wide}}  {value}" for name, value in shown]
