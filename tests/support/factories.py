"""One factory for each entity: the required fields, and those that a test adds."""

from itertools import count
from typing import Any

from orchestration.v1 import event_pb2, schedule_pb2, sprint_pb2, task_pb2

_numbers = count(1)


def task(code: str | None = None, **fields: Any) -> task_pb2.Task:
    """Return a task as a caller writes it; a dict stands for a Struct."""
    code = code or f"t-{next(_numbers)}"
    return task_pb2.Task(code=code, **{"title": f"Task {code}"} | fields)


def sprint(code: str | None = None, **fields: Any) -> sprint_pb2.Sprint:
    """Return a sprint as a caller writes it."""
    code = code or f"s-{next(_numbers)}"
    return sprint_pb2.Sprint(code=code, **{"title": f"Sprint {code}"} | fields)


def event(type_: str = "agents.note.taken", **fields: Any) -> event_pb2.NewEvent:
    """Return an event of a caller's type."""
    return event_pb2.NewEvent(type=type_, **fields)


def schedule(code: str | None = None, **fields: Any) -> schedule_pb2.Schedule:
    """Return a schedule as a caller writes it: a task every day at four."""
    code = code or f"c-{next(_numbers)}"
    usual = {"template": "task", "cron": "0 4 * * *", "variables": {"title": "Nightly"}}
    return schedule_pb2.Schedule(code=code, **usual | fields)
