"""SPRINT.md, TASK.md and AGENT.yml as a ledger or a person wrote them, and what they become in the ledger.

Nothing here reads a tree or talks to a server. What cannot be taken raises BadRow with the reason;
docs/files.md has the fields. A file of the ledger's own (``format`` in its front matter) is read back as it
was; what people wrote is read by its headings, and what is no field of the ledger's stays in the text or in
the metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration_server.commands.fleet_format import BadRow
from orchestration_server.rendering import DESCRIPTION, GOAL, LISTS

MAX_DEPTH = 32
FRONT_BYTES = 1024 * 1024
_TASK_NAMES = {
    "code": "code", "task": "code", "task_code": "code", "id": "code", "title": "title", "name": "title",
    "sprint": "sprint_code", "sprint_code": "sprint_code", "status": "status", "priority": "priority",
    "phase": "phase", "assignee": "assignee", "assigned_to": "assignee", "owner": "assignee",
    "agent": "assignee", "labels": "labels", "tags": "labels", "metadata": "metadata",
    "description": "description", "objectives": "objectives", "deliverables": "deliverables",
    "acceptance_criteria": "acceptance_criteria", "depends_on": "depends_on",
    "dependencies": "depends_on", "blocked_by": "depends_on", "create_time": "create_time",
    "created": "create_time", "created_at": "create_time", "date": "create_time",
}  # fmt: skip
_SPRINT_NAMES = {
    "code": "code", "sprint": "code", "sprint_code": "code", "id": "code", "title": "title",
    "name": "title", "status": "status", "owner": "owner", "lead": "owner", "goal": "goal",
    "objective": "goal", "start": "start_date", "start_date": "start_date", "end": "end_date",
    "end_date": "end_date", "metadata": "metadata", "create_time": "create_time",
    "created": "create_time", "created_at": "create_time", "date": "create_time",
}  # fmt: skip
_SERVER_SET = frozenset(("format", "update_time", "uid", "revision", "hash", "links"))
_HEADINGS = {
    "objectives": "objectives", "objective": "objectives", "goals": "objectives",
    "deliverables": "deliverables", "acceptance criteria": "acceptance_criteria",
    "definition of done": "acceptance_criteria",
}  # fmt: skip
_TEXT_HEADINGS = {"task": ("description", "overview", "summary"), "sprint": ("goal", "description")}
_BOLD = re.compile(r"\s*(?:[-*]\s+)?\*\*([A-Za-z][A-Za-z _-]*)(?::\*\*|\*\*\s*:)\s*(.*)")
_STAMP = re.compile(
    rb"---\r?\nformat: 1\r?\ntask: (\S+)\r?\n(?:(?!---)[^\n]*\n)*?revision: ([0-9]{1,18})\r?\n"
)
_ITEM = re.compile(r"\s{0,3}(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?(.*)")


@dataclass
class Parsed:
    """The fields of a file under the ledger's names, and what is to be told of it."""

    fields: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    """What has no field of its own."""
    warnings: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        """A field that is one text; empty where it is not there."""
        value = self.fields.get(name)
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, str | int | float):
            raise BadRow(f"{name} is not a text")
        return str(value)

    def texts(self, name: str) -> list[str]:
        """A field that is a list of texts, or one line with commas."""
        value = self.fields.get(name)
        if value is None:
            return []
        if isinstance(value, str):
            return [part for part in (p.strip() for p in value.split(",")) if part]
        if not isinstance(value, list) or not all(isinstance(v, str | int | float) for v in value):
            raise BadRow(f"{name} is not a list of texts")
        return [str(v) for v in value]

    def time(self, name: str) -> Timestamp | None:
        """A field that is a time, or a day; in UTC where it does not say otherwise."""
        written = self.text(name)
        if not written:
            return None
        stamp = Timestamp()
        try:
            moment = datetime.fromisoformat(written)
            stamp.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            self.metadata[f"original_{name}"] = written
            self.warnings.append(f"{name} {written[:60]!r} is not an ISO 8601 time: left out")
            return None
        return stamp


def parse_task(content: bytes) -> Parsed:
    """The fields of a TASK.md."""
    return _parse(content, "task", _TASK_NAMES, tuple(LISTS), "description", DESCRIPTION)


def stamp_of(content: bytes) -> tuple[str, int] | None:
    """The code and the revision of a task in a TASK.md that a ledger wrote; None in any other."""
    match = _STAMP.match(content.removeprefix(b"\xef\xbb\xbf"))
    return (match[1].strip(b"'\"").decode(errors="replace"), int(match[2])) if match else None


def parse_sprint(content: bytes) -> Parsed:
    """The fields of a SPRINT.md."""
    return _parse(content, "sprint", _SPRINT_NAMES, (), "goal", GOAL)


def parse_agent(content: bytes) -> dict[str, Any]:
    """An AGENT.yml."""
    value = read_yaml(_decoded(content))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRow("is not a mapping")
    return value


def _parse(
    content: bytes, kind: str, names: Mapping[str, str], lists: Sequence[str], rest: str, heading: str
) -> Parsed:
    text = _decoded(content)
    front, body = _split(text)
    parsed = Parsed()
    for name, value in front.items():
        known = names.get(re.sub(r"[\s-]+", "_", name.strip().lower()))
        if known is not None:
            parsed.fields.setdefault(known, value)
        elif not ("format" in front and name in _SERVER_SET):
            parsed.metadata[name] = value
    sections = _own(body, lists, heading) if "format" in front else None
    if sections is not None:
        parsed.fields |= sections
    else:
        _theirs(body, kind, names, lists, rest, parsed)
    metadata = parsed.fields.pop("metadata", None) or {}
    if not isinstance(metadata, dict):
        raise BadRow("metadata is not a mapping")
    parsed.metadata = metadata | parsed.metadata
    return parsed


def _decoded(content: bytes) -> str:
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        raise BadRow(f"not UTF-8 at byte {error.start}") from None
    if "\0" in text:
        raise BadRow("contains NUL")
    return text


def _split(text: str) -> tuple[dict[str, Any], str]:
    """The front matter and what follows it; none where there is no second fence."""
    match = re.match(r"---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", text, re.DOTALL | re.MULTILINE)
    if match is None:
        return {}, text
    try:
        front = read_yaml(match[1])
    except BadRow as error:
        raise BadRow(f"front matter: {error}") from None
    if front is None:
        front = {}
    if not isinstance(front, dict):
        raise BadRow("front matter: is not a mapping")
    return front, text[match.end() :]


def _own(body: str, lists: Sequence[str], heading: str) -> dict[str, Any] | None:
    """The sections as ``rendering`` lays them out; None where somebody has laid them out otherwise."""
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
        sections[name] = [_item(line.removeprefix("- ")) for line in match[1].split("\n")[:-1]]
    start = f"\n## {heading}\n\n"
    if body.startswith(start) and body.endswith("\n"):
        sections["goal" if heading == GOAL else "description"] = body[len(start) : -1]
        body = ""
    return None if body else sections


def _theirs(
    body: str, kind: str, names: Mapping[str, str], lists: Sequence[str], rest: str, parsed: Parsed
) -> None:
    """Reads by headings: ``**Name**: value`` above them, lists below some, and text that is all else."""
    into = rest
    text: list[str] = []
    found: dict[str, list[str]] = {}
    head = True
    for line in body.replace("\r\n", "\n").split("\n"):
        section = re.match(r"(#{1,6})\s+(.*?)\s*#*\s*$", line)
        if section is not None and len(section[1]) == 1 and head and not text:
            parsed.fields.setdefault("title", section[2])
            continue
        if section is not None:
            head = False
            name = section[2].rstrip(":").lower()
            into = _HEADINGS[name] if _HEADINGS.get(name) in lists else rest
            if into == rest and name in _TEXT_HEADINGS[kind]:
                while text and not text[-1].strip():
                    text.pop()
                continue
            if into != rest:
                continue
        bold = _BOLD.fullmatch(line) if head else None
        known = names.get(re.sub(r"[\s-]+", "_", bold[1].strip().lower())) if bold else None
        if bold is not None and known is not None:
            parsed.fields.setdefault(known, bold[2].strip())
        elif into == rest:
            if line.strip() or text:
                text.append(line)
        elif line.strip():
            _add(found.setdefault(into, []), line)
    for name, items in found.items():
        parsed.fields.setdefault(name, items)
    if written := "\n".join(text).rstrip():
        before = parsed.text(rest)
        parsed.fields[rest] = f"{before}\n\n{written}" if before else written


def _add(items: list[str], line: str) -> None:
    item = _ITEM.fullmatch(line)
    if item is not None:
        items.append(_item(item[1]))
    elif items and line[0] in " \t":
        items[-1] += "\n" + line.strip()
    else:
        items.append(line.strip())


def _item(text: str) -> str:
    """An item as it was before it was put into a line."""
    if text.startswith('"'):
        try:
            value = json.loads(text)
        except ValueError:
            return text
        if isinstance(value, str):
            return value
    return text


class _Loader(yaml.SafeLoader):
    """Takes what JSON has, and all else as text: no dates, no yes and no.

    Refuses aliases, by which a small file can hold a huge value, and nesting without an end.
    """

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # yaml gives it no types
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not taken", problem_mark=mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="is nested too deeply", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?", list("-+0123456789.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str"))


def read_yaml(text: str) -> Any:
    """A YAML document as JSON would have it; keys are the texts that stand there."""
    if len(text) > FRONT_BYTES:
        raise BadRow("YAML of more than 1 MiB")
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else _value(loader, node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise BadRow(f"{where}{error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise BadRow(f"not YAML: {str(error).splitlines()[0]}") from None


def _value(loader: _Loader, node: yaml.Node) -> Any:
    line = f"line {node.start_mark.line + 1}: "
    if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
        return [_value(loader, item) for item in node.value]
    if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
        values: dict[str, Any] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise BadRow(f"{line}a key is no text")
            if key.value in values:
                raise BadRow(f"{line}{key.value[:60]!r} is there twice")
            values[key.value] = _value(loader, item)
        return values
    if node.tag not in _PLAIN_TAGS:
        raise BadRow(f"{line}{node.tag} is nothing that the ledger can keep")
    return loader.construct_object(node)
