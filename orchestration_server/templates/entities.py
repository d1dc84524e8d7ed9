"""Conversion of rendered fields to sprints and tasks of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestration.v1 import sprint_pb2, task_pb2
from orchestration_server.codec.content import (
    SPRINT_TEXTS,
    TASK_LISTS,
    TASK_OPTIONAL,
    TASK_STRUCTS,
    TASK_TEXTS,
    TASK_TIMES,
    to_struct,
)
from orchestration_server.codec.names import PRIORITY_NAMES, SPRINT_STATUS_NAMES, TASK_STATUS_NAMES
from orchestration_server.codec.retry_policies import to_retry_policy
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.templates.filters import text

Violations = dict[str, str]

_STATUS = {"status": SPRINT_STATUS_NAMES}
_TASK_ENUMS = {"status": TASK_STATUS_NAMES, "priority": PRIORITY_NAMES}


def sprint(fields: Mapping[str, Any], wrong: Violations) -> sprint_pb2.Sprint:
    """Return a sprint. Adds the fields whose values have the wrong type to ``wrong``."""
    found = sprint_pb2.Sprint()
    texts = ("code", *SPRINT_TEXTS)
    _fill(found, fields, wrong, texts=texts, structs=("metadata",), enums=_STATUS)
    return found


def task(fields: Mapping[str, Any], wrong: Violations) -> task_pb2.Task:
    """Return a task. Adds the fields whose values have the wrong type to ``wrong``."""
    found = task_pb2.Task()
    _fill(
        found,
        fields,
        wrong,
        texts=("code", *TASK_TEXTS),
        lists=(*TASK_LISTS, "capabilities"),
        structs=TASK_STRUCTS,
        enums=_TASK_ENUMS,
    )
    for name in TASK_OPTIONAL:
        if fields.get(name) not in (None, "", {}):
            _set_optional(found, name, fields[name], wrong)
    return found


def _set_optional(task: task_pb2.Task, name: str, value: Any, wrong: Violations) -> None:
    """Set a time, the retry policy or the flag of a task."""
    if name in TASK_TIMES:
        try:
            getattr(task, name).CopyFrom(to_timestamp(datetime.fromisoformat(value)))
        except (TypeError, ValueError):
            wrong[name] = "must be a time with a time zone, as 2026-01-02T03:04:05Z"
    elif name == "retry_policy":
        try:
            task.retry_policy.CopyFrom(to_retry_policy(value))
        except AttributeError:
            wrong[name] = "must have keys"
        except ValueError as error:
            wrong[name] = f"cannot be used: {error}"
    elif name == "completed_by_children":
        if isinstance(value, bool):
            task.completed_by_children = value
        else:
            wrong[name] = "must be true or false"


def lines(value: Any, path: str, wrong: Violations) -> list[str]:
    """Return a list of texts. A single text becomes a list of one."""
    if value is None or value == "":
        return []
    found = value if isinstance(value, list) else [value]
    if any(isinstance(item, list | dict) for item in found):
        wrong[path] = "must be a list of texts"
        return []
    return [text(item) for item in found]


def _fill(
    message: Any,
    fields: Mapping[str, Any],
    wrong: Violations,
    *,
    texts: Sequence[str],
    enums: Mapping[str, Sequence[str]],
    structs: Sequence[str],
    lists: Sequence[str] = (),
) -> None:
    for name, value in fields.items():
        if name in texts:
            if isinstance(value, list | dict):
                wrong[name] = "must be text"
            else:
                setattr(message, name, text(value))
        elif name in lists:
            getattr(message, name).extend(lines(value, name, wrong))
        elif name in structs and value is not None:
            if isinstance(value, dict):
                getattr(message, name).CopyFrom(to_struct(value))
            else:
                wrong[name] = "must have keys"
        elif name in enums and value is not None:
            names = enums[name]
            if isinstance(value, str) and value in names:
                setattr(message, name, names.index(value))
            else:
                wrong[name] = f"must be one of {', '.join(names[1:])}"
