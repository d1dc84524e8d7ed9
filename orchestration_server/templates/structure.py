"""Bodies of templates that give fields: YAML, read once, whose texts are Jinja2.

A text that is one ``{{ … }}`` has the value of the expression, with its type. In a list, a text that gives a
list is replaced by its items, and a text that gives nothing is dropped. A task of a sprint may have ``when``,
a condition, and ``loop``, a list: it is repeated for each item, as ``item``, with ``index`` from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from orchestration_server.codec.content import TASK_OPTIONAL
from orchestration_server.config.yaml_reader import FileError, YamlNode
from orchestration_server.templates.budget import Fault, LimitPassed
from orchestration_server.templates.filters import text
from orchestration_server.templates.sandbox import Program, Run, Syntax

_TASK = (
    "title", "description", "status", "priority", "phase", "assignee", "labels", "objectives", "deliverables",
    "acceptance_criteria", "agent_config", "metadata", *TASK_OPTIONAL,
)  # fmt: skip
_SPRINT = ("title", "status", "owner", "goal", "start_date", "end_date", "metadata")
_NODE = 6
"""The steps of a value that becomes a field of a message."""
_FREE = ("agent_config", "metadata", "retry_policy")
_CONTROL = ("when", "loop")
_IN_LOOP = frozenset(("item", "index"))


class Evaluation(Protocol):
    """A compiled body."""

    def run(self, run: Run) -> Any:
        """Return the text or the fields."""

    def line_of(self, error: BaseException) -> int:
        """Return the line in which an error was raised, from 1."""


class _Text(NamedTuple):
    program: Program
    line: int


class _Constant(NamedTuple):
    value: Any


class _List(NamedTuple):
    items: list[_Part]


class _Mapping(NamedTuple):
    parts: dict[str, _Part]


class _Repeated(NamedTuple):
    when: _Text | None
    loop: _Part | None
    body: _Mapping
    line: int


_Part = _Text | _Constant | _List | _Mapping | _Repeated


class Structure:
    """The compiled body of a template of a sprint, a task or an agent's settings."""

    def __init__(self, node: YamlNode, kind: str, known: frozenset[str]) -> None:
        """Compile a body. Raises FileError if a field is unknown to its kind, or a text is no template."""
        match kind:
            case "SPRINT":
                node.keys("sprint", "tasks")
                tasks = node["tasks"].items() if "tasks" in node else ()
                self._body: dict[str, _Part] = {
                    "sprint": _fields(node["sprint"], _SPRINT, known, {"code": "sprint_code"}),
                    "tasks": _List([_task_of_sprint(task, known) for task in tasks]),
                }
            case "TASK":
                node.keys("task")
                given = {"code": "task_code", "sprint_code": "sprint_code"}
                self._body = {"task": _fields(node["task"], _TASK, known, given)}
            case _:
                node.keys("agent_config")
                node["agent_config"].fields()
                self._body = {"agent_config": _free(node["agent_config"], known)}

    def run(self, run: Run) -> dict[str, Any]:
        """Return the rendered fields."""
        return {name: _value(part, run) for name, part in self._body.items()}

    def line_of(self, error: BaseException) -> int:
        """Return the line of the file in which an error was raised."""
        return getattr(error, "line", 1)


class _At(Exception):
    """An error with the line of the file in which it was raised."""

    def __init__(self, line: int, error: Exception) -> None:
        super().__init__(str(error))
        self.line = line


def _fields(
    node: YamlNode, names: tuple[str, ...], known: frozenset[str], variables: Mapping[str, str]
) -> _Mapping:
    """Return the fields of a mapping, and those that are the values of built-in variables."""
    node.keys(*names)
    _require(node, "title")
    parts: dict[str, _Part] = {name: _variable(of, node, known) for name, of in variables.items()}
    parts.update((name, _field(name, value, known)) for name, value in node.fields())
    return _Mapping(parts)


def _require(node: YamlNode, *keys: str) -> None:
    for key in keys:
        node[key]


def _variable(name: str, node: YamlNode, known: frozenset[str]) -> _Text:
    return _compiled("{{ " + name + " }}", node, known)


def _field(name: str, node: YamlNode, known: frozenset[str]) -> _Part:
    if name not in _FREE and node.is_mapping:
        raise node.error("must not be a mapping")
    return _free(node, known)


def _task_of_sprint(node: YamlNode, known: frozenset[str]) -> _Repeated:
    node.keys("code", *_TASK, "depends_on", *_CONTROL)
    _require(node, "code", "title")
    loop = _free(node["loop"], known) if "loop" in node else None
    inner = known | _IN_LOOP if loop else known
    when = None
    if "when" in node:
        when = _compiled("{{ " + node["when"].text() + " }}", node["when"], inner)
        if not when.program.expression:
            raise node["when"].error("must be one expression, without braces")
    parts = {name: _field(name, value, inner) for name, value in node.fields() if name not in _CONTROL}
    parts["sprint_code"] = _variable("sprint_code", node, known)
    return _Repeated(when, loop, _Mapping(parts), node.line)


def _free(node: YamlNode, known: frozenset[str]) -> _Part:
    """Return the compiled part of any YAML. Its texts are templates, its keys are not."""
    if node.is_mapping:
        return _Mapping({name: _free(value, known) for name, value in node.fields()})
    if node.is_list:
        return _List([_free(item, known) for item in node.items()])
    if node.is_text and any(mark in node.text() for mark in ("{{", "{%", "{#")):
        return _compiled(node.text(), node, known)
    return _Constant(node.plain(dates=True))


def _compiled(text: str, node: YamlNode, known: frozenset[str]) -> _Text:
    """Compile the text of a node. Raises FileError with the line of the file in which it is wrong."""
    try:
        return _Text(Program(text, known, typed=True), node.text_line)
    except Syntax as error:
        raise FileError(node.source, node.text_line + error.line - 1, str(error)) from None


def _value(part: _Part, run: Run) -> Any:
    match part:
        case _Constant(value):
            _pay(run, value)
            return value
        case _Text(program, line):
            value = _of_program(program, line, run)
            if program.expression:
                _pay(run, value)
            return value
        case _List(items):
            return [value for item in items for value in _listed(item, run)]
        case _Mapping(parts):
            run.budget.put(sum([len(name) + 4 for name in parts]))
            return {name: _value(inner, run) for name, inner in parts.items()}
    raise AssertionError("a repeated part stands in a list")


def _listed(part: _Part, run: Run) -> list[Any]:
    if isinstance(part, _Repeated):
        return _repeated(part, run)
    value = _value(part, run)
    if isinstance(part, _Text):
        if isinstance(value, list):
            return value
        return [] if value is None or value == "" else [value]
    return [value]


def _repeated(part: _Repeated, run: Run) -> list[Any]:
    if part.loop is None:
        return [_value(part.body, run)] if _holds(part.when, run) else []
    items = _value(part.loop, run)
    if not isinstance(items, list):
        raise _At(part.line, Fault("loop must be a list"))
    found = []
    for index, item in enumerate(items, 1):
        run.values["item"], run.values["index"] = item, index
        if _holds(part.when, run):
            found.append(_value(part.body, run))
    return found


def _holds(when: _Text | None, run: Run) -> bool:
    return when is None or bool(_of_program(when.program, when.line, run))


def _of_program(program: Program, line: int, run: Run) -> Any:
    try:
        value = program.run(run)
        return value if isinstance(value, str | list | dict) or value is None else _scalar(value)
    except LimitPassed:
        raise
    except Exception as error:
        raise _At(line + program.line_of(error) - 1, error) from error


def _scalar(value: Any) -> Any:
    """Return a number or a bool as it is. An undefined value raises an error."""
    return value if isinstance(value, bool | int | float) else text(value)


def _pay(run: Run, value: Any) -> None:
    run.budget.put(run.budget.weigh(value, step=_NODE))
