"""Rules of automation: the actions that follow an event.

A rule is data: types of event, conditions on their fields, and actions. docs/automation.md describes the file
of rules; jobs/automation.py carries them out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from orchestration.v1 import common_pb2, event_pb2
from orchestration_server import names
from orchestration_server.codec.content import plain
from orchestration_server.codec.names import PRIORITY_NAMES
from orchestration_server.config.yaml_reader import Scalar, YamlNode, read, read_file
from orchestration_server.model import ENTITY_NAMES, SprintStatus, TaskStatus

AGENT = "orchestration.automation"
"""The agent that rules act as."""
OWN = "orchestration.automation."
"""The prefix of events about the rules themselves. No rule takes them."""
MAX_DEPTH = 5
"""The longest chain of rules. An event that this many rules led to, one after another, causes no action."""
MAX_RULES = 100
MAX_ACTIONS = 5
MAX_TYPES = 20
MAX_VALUES = 50
MAX_PAYLOAD_CHARACTERS = 16_000
MAX_PLACEHOLDERS = 50
MAX_VALUE_CHARACTERS = 500
"""Characters of a value that replaces a placeholder; the rest is cut."""
ALL_TASKS_COMPLETED = "all_tasks_completed"

_PATH = re.compile(r"payload(\.[A-Za-z0-9_-]+)+|[a-z_]+")
_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.-]+)\}")
_FIELDS = (
    "type", "entity_type", "entity_code", "sprint_code", "priority", "correlation_id", "session_key",
    "agent", "actor",
)  # fmt: skip
_EMITTED = (
    "orchestration.alert.raised", "orchestration.announcement.made", "orchestration.notice.raised",
)  # fmt: skip
"""The ledger's own types that a rule may emit. The others are logged with changes only."""
_CHANGES = ("orchestration.task.", "orchestration.sprint.")
_STATUSES: Mapping[str, Mapping[str, int]] = {
    "sprint": {status.name.lower(): status.value for status in SprintStatus},
    "task": {status.name.lower(): status.value for status in TaskStatus},
}
_OF: Mapping[str, str] = {"task": "task", "sprint": "sprint", "previous_sprint": "sprint"}
"""The entities whose status a rule can change, and their kinds."""


@dataclass(frozen=True, slots=True)
class Emit:
    """An action that emits an event about the cause's entity. ``priority`` 0 means that of the cause."""

    type: str
    priority: int
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetStatus:
    """An action that sets the status of the cause's task, its sprint, or the sprint that it has left."""

    of: str
    to: str
    all_tasks_completed: bool = False
    """Act only if the sprint has a completed task, and all others are completed or cancelled."""

    @property
    def kind(self) -> str:
        """Return the kind of the entity: task or sprint."""
        return _OF[self.of]

    @property
    def status(self) -> int:
        """Return the number of the status."""
        return _STATUSES[self.kind][self.to]


Action = Emit | SetStatus


@dataclass(frozen=True, slots=True)
class Rule:
    """A valid rule."""

    name: str
    on: Sequence[str]
    when: Mapping[str, Sequence[Scalar]]
    then: Sequence[Action]
    dry_run: bool = False

    def takes(self, event: Cause) -> bool:
        """Return whether the rule applies to an event."""
        return (
            not event.type.startswith(OWN)
            and names.type_matches(event.type, self.on)
            and all(
                any(_same(event.value(path), wanted) for wanted in values)
                for path, values in self.when.items()
            )
        )


class Cause:
    """An event that may cause actions, with the scopes of the callers that caused it (codec/causers.py).

    ``by_rule`` and ``is_change`` say which fields of the payload the ledger wrote. A caller may have written
    all others, so only the conditions and texts of rules read them.
    """

    def __init__(self, event: event_pb2.Event, scopes: str = "") -> None:
        self.event = event
        self.type = event.type
        self.scopes = scopes

    @property
    def by_rule(self) -> bool:
        """Return whether a rule emitted it. No caller can use the agent's name."""
        return self.event.agent == AGENT

    @property
    def is_change(self) -> bool:
        """Return whether it logs a change of a task or a sprint. No caller can emit these types."""
        return self.type.startswith(_CHANGES)

    @cached_property
    def payload(self) -> dict[str, Any]:
        """Return the payload as plain values."""
        return plain(self.event.payload)

    @property
    def depth(self) -> int:
        """Return the number of rules that led to it, one after another."""
        if not self.by_rule:
            return 0
        automation = self.payload.get("automation")
        depth = automation.get("depth") if isinstance(automation, dict) else None
        return depth if isinstance(depth, int) and not isinstance(depth, bool) and depth > 0 else 0

    def value(self, path: str) -> Any:
        """Return the value of a field or of a path below the payload; None if there is no such value."""
        if not path.startswith("payload."):
            return self._fields[path]
        found: Any = self.payload
        for part in path.split(".")[1:]:
            found = found.get(part) if isinstance(found, dict) else None
        return found

    @cached_property
    def _fields(self) -> dict[str, str]:
        fields = {name: str(getattr(self.event, name)) for name in _FIELDS}
        fields["entity_type"] = ENTITY_NAMES.get(self.event.entity_type, "")
        fields["priority"] = PRIORITY_NAMES[self.event.priority]
        return fields

    def filled(self, value: Any) -> Any:
        """Return a payload with the cause's values, cut at 500 characters, for its placeholders {path}."""
        if isinstance(value, str):
            return _PLACEHOLDER.sub(lambda found: self._text(found[1]), value).strip()
        if isinstance(value, dict):
            return {key: self.filled(item) for key, item in value.items()}
        return [self.filled(item) for item in value] if isinstance(value, list) else value

    def _text(self, path: str) -> str:
        value = self.value(path)
        return "" if value is None else str(value)[:MAX_VALUE_CHARACTERS]

    def code(self, of: str) -> str:
        """Return the code of its task, its sprint, or the sprint that it has left; empty if it has none."""
        if of == "sprint":
            return self.event.sprint_code
        if of == "previous_sprint":
            previous = self.value("payload.changes.sprint_code.from") if self.is_change else None
            return previous if isinstance(previous, str) else ""
        about_task = self.event.entity_type == common_pb2.ENTITY_TYPE_TASK
        return self.event.entity_code if about_task else ""


def load(path: Path | None = None) -> tuple[Rule, ...]:
    """Return the enabled rules by name: the built-in ones, with those that a file adds or changes.

    Raises FileError, which names the file and the line, if a rule is not valid.
    """
    built_in = resources.files(__package__).joinpath("automation.yaml").read_text()
    raw: dict[str, YamlNode] = {}
    for document in (read("automation.yaml", built_in), *([read_file(path)] if path is not None else [])):
        document.keys("rules")
        given: dict[str, YamlNode] = {}
        for entry in document["rules"].items(MAX_RULES):
            name = entry["name"].text(names.CODE, names.CODE_FORM)
            if name in given:
                raise entry.error(f"is the second rule {name!r}: line {given[name].line} has the first")
            if name in raw:
                entry.inherit(raw[name])
            given[name] = entry
        raw |= given
    if len(raw) > MAX_RULES:
        raise raw[max(raw, key=lambda n: raw[n].line)].error(f"are more than {MAX_RULES} rules")
    rules = [_rule(name, entry) for name, entry in sorted(raw.items())]
    return tuple(rule for rule, enabled in rules if enabled)


def _rule(name: str, entry: YamlNode) -> tuple[Rule, bool]:
    entry.keys("name", "enabled", "dry_run", "on", "when", "then")
    on = tuple(_type_on(item) for item in entry["on"].one_or_more(MAX_TYPES))
    when: dict[str, tuple[Scalar, ...]] = {}
    if "when" in entry:
        for path, values in entry["when"].fields():
            _check_path(path, values)
            when[path] = tuple(value.scalar() for value in values.one_or_more(MAX_VALUES))
    then = tuple(_action(item) for item in entry["then"].items(MAX_ACTIONS))
    if not then:
        raise entry["then"].error("must have an action")
    rule = Rule(name, on, when, then, dry_run=entry.flag("dry_run", default=False))
    return rule, entry.flag("enabled", default=True)


def _type_on(item: YamlNode) -> str:
    form = "a type of event such as orchestration.task.blocked, or one that ends in .*"
    type_ = item.text(names.EVENT_TYPE_FILTER, form, names.MAX_EVENT_TYPE)
    if type_.startswith(OWN):
        raise item.error("is a type of events about the rules themselves: no rule is for it")
    return type_


def _action(item: YamlNode) -> Action:
    item.keys("emit", "set_status")
    if len(item.fields()) != 1:
        raise item.error("must be one of emit and set_status")
    if "emit" in item:
        return _emit(item["emit"])
    return _set_status(item["set_status"])


def _emit(item: YamlNode) -> Emit:
    item.keys("type", "priority", "payload")
    form = "two or more parts of [a-z0-9_-] with dots between"
    type_ = item["type"].text(names.EVENT_TYPE, form, names.MAX_EVENT_TYPE)
    if type_.startswith("orchestration.") and type_ not in _EMITTED:
        raise item["type"].error(f"must be of a prefix of your own, or one of {', '.join(_EMITTED)}")
    priority = 0
    if "priority" in item:
        priority = PRIORITY_NAMES.index(item["priority"].choice(PRIORITY_NAMES[1:]))
    return Emit(type_, priority, _payload(item["payload"]) if "payload" in item else {})


def _payload(item: YamlNode) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for key, value in item.fields():
        if key == "automation":
            raise value.error("is the ledger's own: rule, cause and depth")
        payload[key] = value.plain()
        for path in _PLACEHOLDER.findall(str(payload[key])):
            _check_path(path, value)
    if len(text := str(payload)) > MAX_PAYLOAD_CHARACTERS:
        raise item.error(f"must have at most {MAX_PAYLOAD_CHARACTERS} characters")
    if len(_PLACEHOLDER.findall(text)) > MAX_PLACEHOLDERS:
        raise item.error(f"must have at most {MAX_PLACEHOLDERS} placeholders")
    return payload


def _set_status(item: YamlNode) -> SetStatus:
    item.keys("of", "to", "require")
    of = item["of"].choice(tuple(_OF))
    to = item["to"].choice(tuple(_STATUSES[_OF[of]]))
    if "require" in item:
        item["require"].choice((ALL_TASKS_COMPLETED,))
        if _OF[of] != "sprint":
            raise item["require"].error("is for sprints alone")
    return SetStatus(of, to, all_tasks_completed="require" in item)


def _check_path(path: str, at: YamlNode) -> None:
    if not _PATH.fullmatch(path) or not (path in _FIELDS or path.startswith("payload.")):
        raise at.error(f"names {path!r}, which is neither below payload. nor one of {', '.join(_FIELDS)}")


def _same(value: Any, wanted: Scalar) -> bool:
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)
