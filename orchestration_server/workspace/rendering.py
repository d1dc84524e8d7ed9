"""Entities as files: front matter in YAML, then markdown. Equal states have equal bytes.

What is written here ``orchestration import --delegation`` reads back as it was (docs/files.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from orchestration.v1 import report_pb2, sprint_pb2, task_pb2
from orchestration_server.codec.content import plain
from orchestration_server.codec.names import PRIORITY_NAMES, SPRINT_STATUS_NAMES, TASK_STATUS_NAMES
from orchestration_server.model import PRIORITY_DEFAULT
from orchestration_server.workspace.tree import UnsafePath, parts_of, sprint_directory, task_directory

FORMAT = 1
"""Of what is written here; files of people have none."""
FENCE = "---\n"
LISTS: Mapping[str, str] = {
    "objectives": "Objectives",
    "deliverables": "Deliverables",
    "acceptance_criteria": "Acceptance criteria",
}
DESCRIPTION = "Description"
GOAL = "Goal"
RECORD = ".hash"
LINK_KINDS = ("", "blocks", "parent-child", "discovered-from", "related")
Links = Iterable[tuple[str, int]]
"""The codes that a task depends on, and the kind of each link."""
_NUMBER = re.compile(r"[-+.]*[0-9][-+.:_0-9A-Fa-fxob]*")
_PLAIN_LINE = re.compile(r'(?!"|\[[ xX]\] )\S(?:.*\S)?')
"""An item that stands in a list as it is; any other stands there as a JSON string."""


@dataclass(frozen=True, slots=True)
class Document:
    """The files of one entity, and where they are below the root of its project."""

    directory: str
    record: str
    """The file that says what was written last."""
    files: Mapping[str, bytes]
    uid: str
    revision: int
    sprint_code: str = ""
    priority: int = PRIORITY_DEFAULT


def document(kind: str, body: bytes, links: Links = ()) -> Document:
    """Return the files of a serialized entity, of a task with its links.

    Raises UnsafePath if they have no place in a workspace.
    """
    if kind == "sprint":
        return _sprint(sprint_pb2.Sprint.FromString(body))
    if kind == "task":
        return _task(task_pb2.Task.FromString(body), links)
    if kind == "adr":
        return _record_of(report_pb2.Adr.FromString(body))
    return _record_of(report_pb2.BugReport.FromString(body))


def _sprint(sprint: sprint_pb2.Sprint) -> Document:
    front = {
        "format": FORMAT,
        "sprint": sprint.code,
        "title": sprint.title,
        "status": SPRINT_STATUS_NAMES[sprint.status],
        "owner": sprint.owner,
        "start_date": sprint.start_date,
        "end_date": sprint.end_date,
        "metadata": _sorted(plain(sprint.metadata)),
        **_stamps(sprint),
    }
    text = _front(front) + _heading(sprint.title) + _rest(GOAL, sprint.goal)
    return Document(
        sprint_directory(sprint.code),
        RECORD,
        {"SPRINT.md": text.encode()},
        sprint.uid,
        sprint.revision,
        sprint_code=sprint.code,
    )


def links_stamp(links: Links) -> str:
    """Return a task's links in one line, which stays as it is when a person edits the list of them."""
    return ", ".join(
        f"{LINK_KINDS[kind]} {code}" for kind, code in sorted((kind, code) for code, kind in links)
    )


def _link(code: str, kind: int) -> Any:
    return code if LINK_KINDS[kind] == LINK_KINDS[1] else {"code": code, "kind": LINK_KINDS[kind]}


def _task(task: task_pb2.Task, links: Links) -> Document:
    front = {
        "format": FORMAT,
        "task": task.code,
        "title": task.title,
        "sprint": task.sprint_code,
        "status": TASK_STATUS_NAMES[task.status],
        "priority": PRIORITY_NAMES[task.priority],
        "phase": task.phase,
        "assignee": task.assignee,
        "labels": list(task.labels),
        "depends_on": [_link(code, kind) for kind, code in sorted((kind, code) for code, kind in links)],
        "metadata": _sorted(plain(task.metadata)),
        **_stamps(task),
        "links": links_stamp(links),
    }
    text = _front(front) + _heading(task.title)
    for name, heading in LISTS.items():
        text += _items(heading, getattr(task, name))
    text += _rest(DESCRIPTION, task.description)
    return Document(
        task_directory(task.code, task.sprint_code),
        RECORD,
        {"TASK.md": text.encode(), "AGENT.yml": _yaml(_sorted(plain(task.agent_config))).encode()},
        task.uid,
        task.revision,
        sprint_code=task.sprint_code,
        priority=task.priority,
    )


def _record_of(report: report_pb2.Adr | report_pb2.BugReport) -> Document:
    """A decision's or a bug's own document, in a directory that it shares with others."""
    *directory, name = parts_of(report.path)
    if not directory or name.startswith("."):
        raise UnsafePath(f"{report.path} is no place for a document")
    return Document(
        "/".join(directory),
        f".{report.code}{RECORD}",
        {name: report.document.encode()},
        report.uid,
        report.revision,
        sprint_code=report.sprint_code,
    )


def _stamps(entity: sprint_pb2.Sprint | task_pb2.Task) -> dict[str, Any]:
    """What the server sets; an import takes the time of creation from it and nothing else."""
    return {
        "create_time": entity.create_time.ToJsonString(),
        "update_time": entity.update_time.ToJsonString(),
        "uid": entity.uid,
        "revision": entity.revision,
        "hash": entity.hash,
    }


def _front(values: Mapping[str, Any]) -> str:
    return FENCE + _yaml(values) + FENCE


def _heading(title: str) -> str:
    """For people: the title itself stands in the front matter, whatever is in it."""
    return f"\n# {' '.join(title.split())}\n"


def _items(heading: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    lines = [item if _PLAIN_LINE.fullmatch(item) else json.dumps(item) for item in items]
    return f"\n## {heading}\n\n" + "".join(f"- {line}\n" for line in lines)


def _rest(heading: str, text: str) -> str:
    """The last section: what follows the heading is the text, up to the last line break."""
    return f"\n## {heading}\n\n{text}\n" if text else ""


def _sorted(value: Any) -> Any:
    """Keys of a Struct come in any order."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


class _Dumper(yaml.SafeDumper):
    """Lays everything out in one way; the one in C breaks lines elsewhere."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    """On one line, with escapes where it is more than printable, and never like a number of any YAML's."""
    style = None if value.isprintable() and not _NUMBER.fullmatch(value) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _yaml(values: Mapping[str, Any]) -> str:
    text: str = yaml.dump(
        values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=2**31
    )
    return text
