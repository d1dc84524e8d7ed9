"""One factory an entity: the least that a rule asks for, and whatever a test adds to it."""

from itertools import count
from typing import Any

from orchestration.v1 import event_pb2, sprint_pb2, task_pb2

_numbers = count(1)


def task(code: str | None = None, **fields: Any) -> task_pb2.Task:
    """A task as a caller writes it; a Struct may be given as a dict."""
    code = code or f"t-{next(_numbers)}"
    return task_pb2.Task(code=code, **{"title": f"Task {code}"} | fields)


def sprint(code: str | None = None, **fields: Any) -> sprint_pb2.Sprint:
    """A sprint as a caller writes it."""
    code = code or f"s-{next(_numbers)}"
    return sprint_pb2.Sprint(code=code, **{"title": f"Sprint {code}"} | fields)


def event(type_: str = "agents.note.taken", **fields: Any) -> event_pb2.NewEvent:
    """An event of a caller's own."""
    return event_pb2.NewEvent(type=type_, **fields)
