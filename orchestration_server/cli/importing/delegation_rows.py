"""Requests made of the files of a tree, with every field within the ledger's limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from google.protobuf.struct_pb2 import Struct

from orchestration.v1 import sprint_pb2, task_pb2
from orchestration_server.cli.importing import task_fields, values
from orchestration_server.cli.importing.delegation_format import ParsedFile
from orchestration_server.cli.importing.jsonl_format import ImportTaskRow, TaskLink
from orchestration_server.cli.importing.row_notes import brief
from orchestration_server.cli.importing.tree_codes import visible
from orchestration_server.cli.importing.words import Words
from orchestration_server.model import TaskStatus
from orchestration_server.validation.constraints import STRUCT_BYTES, Text
from orchestration_server.validation.work import RULES

_LABELS, _LABEL = 50, 100
_NO_TASK = frozenset(("", "-", "–", "none", "n/a", "na", "nothing", "null", "tbd"))


@dataclass(frozen=True, slots=True)
class WantedLink:
    """A link that a file asks for, in the words of its author."""

    task: str
    kind: str = "blocks"
    reverse: bool = False
    sure: bool = True
    """False for a list item that may name no task."""


def sprint_request(code: str, name: str, parsed: ParsedFile, words: Words) -> sprint_pb2.CreateSprintRequest:
    """Return the request that creates a sprint."""
    notes = parsed.notes
    status = notes.sprint_status(words, _status_word(parsed.fields.get("status")))
    start, end = (_day(day, parsed) for day in ("start_date", "end_date"))
    if start and end and end < start:
        notes.keep("end_date", end)
        notes.warnings.append(f"end_date {end} is before start_date: left out")
        end = ""
    sprint = sprint_pb2.Sprint(
        code=code,
        title=_title(parsed, name, code),
        status=status,  # type: ignore[arg-type]  # the numbers are the same
        owner=task_fields.text(_first(parsed, "owner"), "owner", notes, most=_sprint_limit("owner")),
        goal=task_fields.text(parsed.fields.get("goal"), "goal", notes, most=_sprint_limit("goal")),
        start_date=start,
        end_date=end,
    )
    time = task_fields.moment(parsed.fields.get("create_time"), "create_time", notes)
    sprint.metadata.CopyFrom(_metadata(parsed))
    return sprint_pb2.CreateSprintRequest(sprint=sprint, occur_time=time)


def task_row(
    line: int, code: str, name: str, sprint: str, parsed: ParsedFile, links: Sequence[TaskLink], words: Words
) -> ImportTaskRow:
    """Return the row of a task whose links are resolved."""
    notes, fields = parsed.notes, parsed.fields
    bad_links = tuple(fields.get("bad_links", ()))
    notes.not_ready.extend(bad_links)
    status, _ = notes.task_status(words, _status_word(fields.get("status")))
    status = _status_by_place(parsed, status)
    task = task_pb2.Task(
        code=code,
        title=_title(parsed, name, code),
        description=task_fields.text(
            fields.get("description"), "description", notes, most=task_fields.limit("description")
        ),
        sprint_code=sprint,
        priority=_priority(parsed, words),  # type: ignore[arg-type]  # the numbers are the same
        phase=task_fields.text(parsed.short("phase"), "phase", notes, most=task_fields.limit("phase")),
        assignee=task_fields.assignee(_single_item(parsed.short("assignee")), notes),
        labels=_labels(parsed, "labels"),
        objectives=_lines(parsed, "objectives"),
        deliverables=_lines(parsed, "deliverables"),
        acceptance_criteria=_lines(parsed, "acceptance_criteria"),
        agent_config=task_fields.settings(fields.get("agent_config"), "agent_config", notes),
        capabilities=_labels(parsed, "capabilities"),
        not_before=task_fields.not_before(parsed.short("not_before"), notes),
        due_time=task_fields.moment(parsed.short("due_time"), "due_time", notes, past=False),
        retry_policy=task_fields.retry_policy(parsed.short("retry_policy"), notes),
        completed_by_children=task_fields.flag(
            parsed.short("completed_by_children"), "completed_by_children", notes
        ),
        status=notes.final_status(status),  # type: ignore[arg-type]  # the numbers are the same
    )
    time = task_fields.moment(fields.get("create_time"), "create_time", notes)
    task.metadata.CopyFrom(_metadata(parsed))
    new = task_pb2.NewTask(task=task, occur_time=time)
    warnings, changes = tuple(notes.warnings), tuple(notes.changes)
    return ImportTaskRow(line, new, tuple(links), bad_links, warnings=warnings, changes=changes)


def wanted_links(parsed: ParsedFile) -> list[WantedLink]:
    """Return the links that a file asks for. An entry that names no task is noted as a bad link."""
    wants: list[WantedLink] = []
    for name, kind, reverse in (
        ("depends_on", "blocks", False), ("blocks", "blocks", True), ("parent", "parent-child", False),
    ):  # fmt: skip
        value = parsed.fields.get(name)
        entries = re.split(r"[,;|]", value) if isinstance(value, str) else value
        for entry in entries if isinstance(entries, list) else [entries]:
            task, one = entry, kind
            if isinstance(entry, dict):
                task = next((entry[key] for key in ("code", "task", "id") if entry.get(key)), [])
                one = str(entry.get("kind") or entry.get("type") or kind)
            if task is None or (not parsed.stamps and str(task).strip().lower().strip("[]") in _NO_TASK):
                continue
            if isinstance(task, str | int | float):
                wants.append(WantedLink(str(task).strip(), one, reverse))
            else:
                parsed.fields.setdefault("bad_links", []).append(f"{name}: {brief(entry)} names no task")
    wants += [WantedLink(item, sure=False) for item in parsed.fields.get("waits", ())]
    return list(dict.fromkeys(wants))


def _single_item(value: Any) -> Any:
    """Return the only item of a list, or the value itself if it is no such list."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _status_word(written: Any) -> Any:
    """Return a status or priority as one text, with alternatives joined by `|`."""
    written = _single_item(written)
    return " | ".join(str(word) for word in written) if isinstance(written, list) else written


def _status_by_place(parsed: ParsedFile, status: TaskStatus) -> TaskStatus:
    """Return the status that a file's place implies: not ready among drafts, cancelled in an archive."""
    place = parsed.fields.get("place")
    if place == "archive" and status not in (TaskStatus.COMPLETED, TaskStatus.CANCELLED):
        parsed.notes.warnings.append("lies in an archive: read as cancelled")
        parsed.notes.keep("status", parsed.fields.get("status") or "")
        parsed.notes.not_ready.clear()
        return TaskStatus.CANCELLED
    if place == "draft" and status is TaskStatus.PENDING:
        parsed.notes.warnings.append("lies among drafts: not ready")
        parsed.notes.not_ready.append("it is a draft")
    return status


def _priority(parsed: ParsedFile, words: Words) -> int:
    """Return the number of a priority, without a remark after the word: `P1 (high)`."""
    written = _status_word(parsed.fields.get("priority"))
    if isinstance(written, str) and words.priority(written) is None:
        first = re.split(r"\s[-–—]\s|[(,;:]", written.strip())[0]
        written = first if words.priority(first) is not None else written
    return parsed.notes.priority(words, written)


def _title(parsed: ParsedFile, name: str, code: str) -> str:
    title = _first(parsed, "title")
    if not isinstance(title, str) or not visible(title):
        title = name if visible(name) and name.isprintable() else code
    return task_fields.text(title, "title", parsed.notes, most=task_fields.limit("title"))


def _first(parsed: ParsedFile, name: str) -> Any:
    """Return a field. Of a list, return the first item and keep the list in the metadata."""
    value = _single_item(parsed.short(name))
    if not isinstance(value, list):
        return value
    if value:
        parsed.notes.keep(name, value)
        parsed.notes.warnings.append(f"{name} is a list of {len(value)}: {brief(value[0])} is used")
    return value[0] if value else None


def _labels(parsed: ParsedFile, name: str) -> list[str]:
    value = parsed.short(name)
    # The API accepts blank labels, so a file of the ledger may have them.
    if parsed.stamps and isinstance(value, list) and _all_fit(value):
        return value
    if name == "capabilities":
        return task_fields.capabilities(value, parsed.notes)
    return task_fields.labels(value, parsed.notes)


def _all_fit(labels: list[Any]) -> bool:
    texts = [label for label in labels if isinstance(label, str) and 0 < len(label) <= _LABEL]
    return len(texts) == len(labels) == len(set(texts)) <= _LABELS


def _lines(parsed: ParsedFile, name: str) -> list[str]:
    """Return a list of lines. A single text is one line, even if it has commas."""
    value = parsed.fields.get(name)
    return task_fields.lines([value] if isinstance(value, str) and value else value, name, parsed.notes)


def _day(name: str, parsed: ParsedFile) -> str:
    """Return a day as YYYY-MM-DD. If the value is no day, keep it in the metadata and return ""."""
    written = parsed.short(name)
    if written is None or written == "":
        return ""
    text = str(written).strip()
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}(?:[T ].*)?", text, re.ASCII):
            return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        pass
    parsed.notes.keep(name, written)
    parsed.notes.warnings.append(f"{name} {brief(written)} is not a day as YYYY-MM-DD: left out")
    return ""


def _metadata(parsed: ParsedFile) -> Struct:
    """Return the metadata. Call this last. A file of the ledger may use all of the space."""
    most = {"most": STRUCT_BYTES} if parsed.stamps else {}
    return values.struct(parsed.notes.metadata, "metadata", parsed.notes, **most)


def _sprint_limit(name: str) -> int:
    rule = RULES[sprint_pb2.Sprint][name]
    assert isinstance(rule, Text)
    return rule.high
