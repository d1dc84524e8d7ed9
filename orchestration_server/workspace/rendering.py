"""Renders entities as files: front matter in YAML, then Markdown. Equal states have equal bytes.

``orchestration import --delegation`` reads these files back without loss (docs/files.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from orchestration.v1 import common_pb2, report_pb2, sprint_pb2, task_pb2
from orchestration_server.codec.content import TASK_OPTIONAL, TASK_TIMES, plain, task_content
from orchestration_server.codec.names import PRIORITY_NAMES, SPRINT_STATUS_NAMES, TASK_STATUS_NAMES
from orchestration_server.model import PRIORITY_DEFAULT
from orchestration_server.workspace.tree import UnsafePath, parts_of, sprint_directory, task_directory

FORMAT = 1
"""The version of the format, in each file that the server writes. Files of people have no version."""
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
"""The kinds of dependencies as files name them, by the numbers of DependencyKind."""
Links = Iterable[tuple[str, int]]
"""The codes of the tasks that a task depends on, each with the kind of the link."""
_NUMBER = re.compile(r"[-+.]*[0-9][-+.:_0-9A-Fa-fxob]*")
_PLAIN_LINE = re.compile(r'(?!"|\[[ xX]\] )\S(?:.*\S)?')
"""A list item that is written as it is. Any other item is written as a JSON string."""


@dataclass(frozen=True, slots=True)
class Document:
    """The files of one entity, and their directory below the root of its project."""

    directory: str
    record: str
    """The name of the file that records what was written last."""
    files: Mapping[str, bytes]
    uid: str
    revision: int
    sprint_code: str = ""
    priority: int = PRIORITY_DEFAULT


def document(kind: str, body: bytes, links: Links = ()) -> Document:
    """Return the files of a serialized entity. ``links`` are those of a task.

    Raises UnsafePath if a workspace cannot have files of these names.
    """
    if kind == "sprint":
        return _sprint(sprint_pb2.Sprint.FromString(body))
    if kind == "task":
        return _task(task_pb2.Task.FromString(body), links)
    if kind == "adr":
        return _report_document(report_pb2.Adr.FromString(body))
    return _report_document(report_pb2.BugReport.FromString(body))


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
    """Return a task's links in one line, by which an import sees if a person edited ``depends_on``."""
    return ", ".join(
        f"{LINK_KINDS[kind]} {code}" for kind, code in sorted((kind, code) for code, kind in links)
    )


def _link(code: str, kind: int) -> Any:
    if kind == common_pb2.DEPENDENCY_KIND_BLOCKS:
        return code
    return {"code": code, "kind": LINK_KINDS[kind]}


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
        **_optional(task),
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


def _optional(task: task_pb2.Task) -> dict[str, Any]:
    """Return those optional fields that are set, so that the files of other tasks stay as they are."""
    content = task_content(task)
    fields = {name: content[name] for name in TASK_OPTIONAL if name in content}
    return fields | {name: getattr(task, name).ToJsonString() for name in TASK_TIMES if name in fields}


def _report_document(report: report_pb2.Adr | report_pb2.BugReport) -> Document:
    """Return the document of a decision or a bug report, whose directory has other documents too."""
    *directory, name = parts_of(report.path)
    if not directory or name.startswith("."):
        raise UnsafePath(f"no document can have the path {report.path}")
    return Document(
        "/".join(directory),
        f".{report.code}{RECORD}",
        {name: report.document.encode()},
        report.uid,
        report.revision,
        sprint_code=report.sprint_code,
    )


def _stamps(entity: sprint_pb2.Sprint | task_pb2.Task) -> dict[str, Any]:
    """Return the fields that the server sets. An import reads only ``create_time`` from them."""
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
    """Return the title as a heading for people. The exact title is in the front matter."""
    return f"\n# {' '.join(title.split())}\n"


def _items(heading: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    lines = [item if _PLAIN_LINE.fullmatch(item) else json.dumps(item) for item in items]
    return f"\n## {heading}\n\n" + "".join(f"- {line}\n" for line in lines)


def _rest(heading: str, text: str) -> str:
    """Return the last section, whose text goes to the end of the file, without the last line break."""
    return f"\n## {heading}\n\n{text}\n" if text else ""


def _sorted(value: Any) -> Any:
    """Return a value with the keys of its objects in order, because the keys of a Struct have none."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


class _Dumper(yaml.SafeDumper):
    """A dumper with one fixed layout. PyYAML's dumper in C breaks lines elsewhere."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    """Represent a text on one line, quoted if it is not printable or a YAML reader may see a number in it."""
    style = None if value.isprintable() and not _NUMBER.fullmatch(value) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _yaml(values: Mapping[str, Any]) -> str:
    text: str = yaml.dump(
        values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=2**31
    )
    return text
