"""Parsers of SPRINT.md, TASK.md and AGENT.yml, written by a ledger or a person.

Nothing here reads a tree or talks to a server. A file that the ledger wrote (with ``format`` in its front
matter) is read back as it was. A file of a person is read as far as possible: a part that cannot be used is
left out, kept in the metadata and noted. Only a file that is not text raises BadRow. docs/files.md lists the
fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration_server.cli.importing import front_matter, markdown_fields
from orchestration_server.cli.importing.jsonl_format import BadRow
from orchestration_server.cli.importing.markdown_fields import fold_name, item_text
from orchestration_server.cli.importing.row_notes import RowNotes, brief
from orchestration_server.cli.importing.yaml_text import read_yaml
from orchestration_server.codec.content import TASK_OPTIONAL
from orchestration_server.workspace.rendering import DESCRIPTION, GOAL, LISTS

_TASK_NAMES = {
    "code": "code", "task": "code", "task_code": "code", "task_id": "code", "id": "code",
    "title": "title", "name": "title", "sprint": "sprint_code", "sprint_code": "sprint_code",
    "sprint_id": "sprint_code", "sprint_name": "sprint_code", "status": "status", "state": "status",
    "task_status": "status", "current_status": "status", "priority": "priority", "phase": "phase",
    "assignee": "assignee", "assignees": "assignee", "assigned_to": "assignee",
    "assigned": "assignee", "owner": "assignee", "agent": "assignee", "labels": "labels",
    "tags": "labels", "metadata": "metadata", "description": "description", "objectives": "objectives",
    "deliverables": "deliverables", "acceptance_criteria": "acceptance_criteria", "depends_on": "depends_on",
    "dependencies": "depends_on", "blocked_by": "depends_on", "waits_for": "depends_on",
    "blocks": "blocks", "parent": "parent", "parent_task": "parent", "parent_task_id": "parent",
    "create_time": "create_time", "created": "create_time", "created_at": "create_time",
    "created_date": "create_time", "created_on": "create_time", "date": "create_time",
    **{name: name for name in TASK_OPTIONAL},
}  # fmt: skip
_SPRINT_NAMES = {
    "code": "code", "sprint": "code", "sprint_code": "code", "sprint_id": "code", "id": "code",
    "title": "title", "name": "title", "sprint_name": "title", "status": "status", "state": "status",
    "sprint_status": "status", "current_status": "status", "owner": "owner", "lead": "owner",
    "goal": "goal", "objective": "goal", "start": "start_date", "start_date": "start_date",
    "end": "end_date", "end_date": "end_date", "metadata": "metadata", "create_time": "create_time",
    "created": "create_time", "created_at": "create_time", "created_date": "create_time",
    "created_on": "create_time", "date": "create_time",
}  # fmt: skip
_STAMPS = frozenset(("format", "update_time", "uid", "revision", "hash", "links"))
_TEXT_HEADINGS = {
    "task": ("description", "overview", "summary"),
    "sprint": ("goal", "sprint goal", "description"),
}
_STAMP = re.compile(
    rb"---\r?\nformat: 1\r?\ntask: (\S+)\r?\n(?:(?!---)[^\n]*\n)*?revision: ([0-9]{1,18})\r?\n"
)
_PLACEHOLDER = re.compile(
    r"\[[^\]]*\]|<[^>]*>|\{\{?[^}]*\}\}?|(?:YYYY|yyyy)-(?:MM|mm)-(?:DD|dd)|tb[da]|\?+|…|\.\.\."
)
_NOTHING = frozenset(("", "-", "–", "—", "none", "n/a", "na", "nobody", "unassigned", "null", "nil"))
_FLAGS = {
    "done": "done", "completed": "done", "complete": "done", "closed": "done", "finished": "done",
    "completed_date": "done", "completed_at": "done", "closed_at": "done", "cancelled": "cancelled",
    "canceled": "cancelled", "archived": "archived", "blocked": "blocked", "draft": "draft",
}  # fmt: skip
"""Fields of the front matter that imply a status if none is given: `done: true`, `closed_at: 2026-01-02`."""
_BINARY_SHARE = 0.3


@dataclass
class ParsedFile:
    """A file's fields by the ledger's names, and the notes about it."""

    fields: dict[str, Any] = field(default_factory=dict)
    notes: RowNotes = field(default_factory=RowNotes)
    stamps: dict[str, Any] = field(default_factory=dict)
    """The fields that the ledger set when it wrote the file; empty if a person wrote it."""
    digests: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of each file that was read, by its name."""

    def text(self, name: str) -> str:
        """Return a field as text; empty if it is missing."""
        value = self.fields.get(name)
        return "" if value is None or isinstance(value, dict | list) else str(value)

    def short(self, name: str) -> Any:
        """Return a field; None if it is empty, or a placeholder of a template, which is noted."""
        value = self.fields.get(name)
        if self.stamps or not isinstance(value, str):
            return value
        if value.strip().lower() in _NOTHING:
            return None
        if _PLACEHOLDER.fullmatch(value.strip()):
            self.notes.keep(name, value)
            self.notes.warnings.append(f"{name} {brief(value)} is a placeholder: left out")
            return None
        return value


def parse_task(content: bytes) -> ParsedFile:
    """Return the fields of a TASK.md."""
    return _parse(content, "task", _TASK_NAMES, tuple(LISTS), "description", DESCRIPTION)


def parse_sprint(content: bytes) -> ParsedFile:
    """Return the fields of a SPRINT.md."""
    return _parse(content, "sprint", _SPRINT_NAMES, (), "goal", GOAL)


def stamp_of(content: bytes) -> tuple[str, int] | None:
    """Return the code and the revision of a task in a TASK.md that a ledger wrote; None in any other."""
    match = _STAMP.match(content.removeprefix(b"\xef\xbb\xbf"))
    return (match[1].strip(b"'\"").decode(errors="replace"), int(match[2])) if match else None


def parse_agent(content: bytes) -> dict[str, Any]:
    """Return the content of an AGENT.yml. Raises BadRow if it is not a YAML mapping."""
    value = read_yaml(_decoded(content))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRow("is not a mapping")
    return value


def agent_task(config: dict[str, Any]) -> ParsedFile | None:
    """Return the task in an AGENT.yml, such as `task: {title, status}` and `task_id`; None without one."""
    inner = config.get("task")
    given = dict(inner) if isinstance(inner, dict) else {}
    if isinstance(inner, str | int) and "task_id" not in config:
        given["task_id"] = str(inner)
    parent = config.get("parent")
    around = {name: parent.get(name) for name in ("sprint", "phase")} if isinstance(parent, dict) else {}
    for name in ("task_id", "task_code", "title", "status", "priority", "sprint", "sprint_id", "phase"):
        value = config.get(name, around.get(name))
        if value is not None and not isinstance(value, dict):
            given.setdefault(name, value)
    if not given.keys() & {"task_id", "task_code", "id", "code", "title", "name", "status"}:
        return None
    parsed = ParsedFile()
    _take_fields(parsed, given, given, _TASK_NAMES)
    return parsed


def _parse(
    content: bytes, kind: str, names: Mapping[str, str], lists: Sequence[str], rest: str, heading: str
) -> ParsedFile:
    parsed = ParsedFile()
    front = front_matter.split(_decoded(content))
    parsed.notes.warnings += front.warnings
    own = "format" in front.values
    if own:
        parsed.stamps = {name: front.values[name] for name in _STAMPS if name in front.values}
    _take_fields(parsed, front.values, front.spelled, names)
    sections = _ledger_sections(front.body, lists, heading) if own else None
    if sections is not None:
        parsed.fields |= sections
    else:
        _read_free_form(front.body, kind, names, lists, rest, parsed)
    if kind == "task" and "status" not in parsed.fields and not own:
        _status_of_flags(parsed)
    return parsed


def _take_fields(
    parsed: ParsedFile, values: Mapping[str, Any], spelled: Mapping[str, Any], names: Mapping[str, str]
) -> None:
    """Store the fields with known names; all others become metadata."""
    metadata: Any = None
    for name, value in values.items():
        known = names.get(fold_name(name))
        if name in parsed.stamps:
            continue
        if known == "metadata" and metadata is None:
            metadata = value
        elif known == "parent" and isinstance(value, dict) and not value.keys() & {"code", "task", "id"}:
            # An AGENT.yml has the task's sprint and phase here.
            parsed.notes.metadata[name] = value
        elif known is not None and known not in parsed.fields:
            parsed.fields[known] = spelled.get(name, value)
        else:
            parsed.notes.metadata[name] = value
    if isinstance(metadata, dict):
        parsed.notes.metadata = metadata | parsed.notes.metadata
    elif metadata:
        parsed.notes.metadata.setdefault("metadata", metadata)


def _decoded(content: bytes) -> str:
    """Return the text of a file. A byte that is not UTF-8 is kept as an escape."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", "replace")
    else:
        text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    if sum(c == "\0" or "\udc80" <= c <= "\udcff" for c in text) > _BINARY_SHARE * len(text):
        raise BadRow("is not text")
    return text


def _ledger_sections(body: str, lists: Sequence[str], heading: str) -> dict[str, Any] | None:
    """Return the sections if they are laid out as ``rendering`` writes them, else None."""
    match = re.match(r"\n# [^\n]*\n", body)
    if match is None:
        return None
    body = body[match.end() :]
    sections: dict[str, Any] = {}
    for name in lists:
        match = re.match(rf"\n## {LISTS[name]}\n\n((?:- [^\n]*\n)+)", body)
        if match is None:
            continue
        body = body[match.end() :]
        sections[name] = [item_text(line.removeprefix("- ")) for line in match[1].split("\n")[:-1]]
    start = f"\n## {heading}\n\n"
    if body.startswith(start) and body.endswith("\n"):
        sections["goal" if heading == GOAL else "description"] = body[len(start) : -1]
        body = ""
    return None if body else sections


def _read_free_form(
    text: str, kind: str, names: Mapping[str, str], lists: Sequence[str], rest: str, parsed: ParsedFile
) -> None:
    """Store the fields, lists and text of a body that a person wrote."""
    body = markdown_fields.read_body(text, names=names, lists=lists, text_headings=_TEXT_HEADINGS[kind])
    for name, value in body.fields.items():
        parsed.fields.setdefault(names[name], value)
    if body.title and not str(parsed.fields.get("title") or "").strip():
        parsed.fields["title"] = body.title
    for name, items in body.lists.items():
        parsed.fields.setdefault(name, items)
    for name, written in body.originals.items():
        parsed.notes.keep(name, written)
        what = "the items below its sub-headings become one list" if name in body.grouped else ""
        what = what or "the ticks of its items are left out"
        parsed.notes.warnings.append(f"{name}: {what}, kept in metadata.original_{name}")
    if kind == "task" and body.waits:
        parsed.fields.setdefault("waits", body.waits)
    if body.status and "status" not in parsed.fields:
        parsed.fields["status"] = body.status
        parsed.notes.warnings.append(f"status {brief(body.status)} is taken from the text")
    if body.text:
        before = parsed.text(rest)
        parsed.fields[rest] = f"{before}\n\n{body.text}" if before else body.text


def _status_of_flags(parsed: ParsedFile) -> None:
    """Infer the status from a field such as `done: true`."""
    for name, value in parsed.notes.metadata.items():
        word = _FLAGS.get(fold_name(name))
        if word is None or value in (None, False, "", 0) or str(value).lower() in ("false", "no", "0"):
            continue
        parsed.fields["status"] = word
        parsed.notes.warnings.append(f"status {word} is taken from {name}: {brief(value)}")
        return
