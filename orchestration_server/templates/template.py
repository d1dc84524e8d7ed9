"""A template: a file with YAML front matter, which declares variables, and a body.

The body of a document is Jinja2. The body of a sprint, a task or an agent's settings is YAML whose texts are
Jinja2, so the value of a variable becomes part of one field and can never become another field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Any

from orchestration_server.config.yaml_reader import FileError, YamlNode, read
from orchestration_server.errors import FailedPrecondition, InvalidArgument
from orchestration_server.templates import builtin_variables
from orchestration_server.templates.budget import TEXT_BYTES, TOO_LARGE, Budget, LimitPassed, NoText
from orchestration_server.templates.sandbox import RESERVED, Program, Run, Syntax
from orchestration_server.templates.structure import Evaluation, Structure

BODY_BYTES = 256 * 1024
MAX_VARIABLES = 100
MAX_NAME_SHOWN = 64
"""The characters of a caller's variable name that an error shows."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_HEAD_KEYS = ("kind", "title", "description", "variables")
_VARIABLE_KEYS = ("name", "description", "type", "required", "default")


class TemplateFileError(Exception):
    """An error in files of the templates directory: a line for each, with the file and its line."""


class TemplateKind(IntEnum):
    """The kinds of templates, with the numbers of template.proto."""

    SPRINT = 1
    TASK = 2
    AGENT = 3
    ADR = 4
    BUG_REPORT = 5

    @property
    def label(self) -> str:
        """Return the name of the kind in files."""
        return self.name.lower().replace("_", "-")

    @property
    def structured(self) -> bool:
        """Return whether the template gives fields instead of a document."""
        return self in (TemplateKind.SPRINT, TemplateKind.TASK, TemplateKind.AGENT)


class VariableType(IntEnum):
    """The types of variables, with the numbers of template.proto."""

    ANY = 0
    STRING = 1
    NUMBER = 2
    BOOL = 3
    LIST = 4
    OBJECT = 5

    def takes(self, value: Any) -> bool:
        """Return whether a value has this type."""
        match self:
            case VariableType.STRING:
                return isinstance(value, str)
            case VariableType.NUMBER:
                return isinstance(value, int | float) and not isinstance(value, bool)
            case VariableType.BOOL:
                return isinstance(value, bool)
            case VariableType.LIST:
                return isinstance(value, list)
            case VariableType.OBJECT:
                return isinstance(value, dict)
        return True


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a template."""

    name: str
    description: str
    type: VariableType
    required: bool
    default: Any


_KINDS = {kind.label: kind for kind in TemplateKind}
_TYPES = {kind.name.lower(): kind for kind in VariableType}


def _given(kind: TemplateKind) -> tuple[Variable, ...]:
    return tuple(
        Variable(name, description, _TYPES[type_], default is builtin_variables.REQUIRED, default)
        for name, type_, default, description in builtin_variables.VARIABLES[kind.name]
    )


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template.

    ``render`` and ``fields`` raise InvalidArgument if the variables are wrong, or if a list or an object
    would be printed. The reason is TEMPLATE_LIMIT if rendering takes too long or gives too much. They raise
    FailedPrecondition with the reason TEMPLATE_BROKEN if the template itself is wrong.
    """

    name: str
    kind: TemplateKind
    title: str
    description: str
    variables: tuple[Variable, ...]
    built_in: bool
    sha256: str
    body: str
    _line: int
    _content: Program | Structure

    def bind(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of all variables.

        Raises InvalidArgument, which names each variable that is missing, unknown or of the wrong type.
        """
        values: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        for variable in self.variables:
            if variable.name not in variables:
                if variable.required:
                    wrong[variable.name] = f"is required by template {self.name}"
                values[variable.name] = variable.default
            elif variable.type.takes(variables[variable.name]):
                values[variable.name] = _in_order(variables[variable.name])
            else:
                wrong[variable.name] = f"must be of type {variable.type.name.lower()}"
        known = {variable.name for variable in self.variables}
        for name in variables:
            if name not in known:
                wrong[_in_ascii(name)] = f"is not a variable of template {self.name}"
        if wrong:
            raise InvalidArgument({f"variables.{name}": text for name, text in wrong.items()})
        return values

    def render(self, variables: Mapping[str, Any]) -> str:
        """Return the text of a document."""
        assert isinstance(self._content, Program)
        text: str = self._evaluate(self._content, self.bind(variables), Budget())
        if len(text.encode()) > TEXT_BYTES:
            raise InvalidArgument({"variables": TOO_LARGE}, reason="TEMPLATE_LIMIT")
        return text

    def fields(self, variables: Mapping[str, Any], budget: Budget | None = None) -> dict[str, Any]:
        """Return the fields of a sprint ({sprint, tasks}), a task ({task}) or an agent ({agent_config}).

        The templates of one call share ``budget``.
        """
        assert isinstance(self._content, Structure)
        found: dict[str, Any] = self._evaluate(self._content, self.bind(variables), budget or Budget())
        return found

    def _evaluate(self, content: Evaluation, values: dict[str, Any], budget: Budget) -> Any:
        try:
            return content.run(Run(budget, values))
        except LimitPassed as error:
            raise InvalidArgument({"variables": str(error)}, reason="TEMPLATE_LIMIT") from None
        except Exception as error:
            # An operation on values of the wrong type may raise any error.
            line = self._line + content.line_of(error) - 1
            # A structure wraps the error in one with its line.
            if isinstance(error.__cause__ or error, NoText):
                raise InvalidArgument(
                    {"variables": f"cannot be printed by template {self.name} in line {line}: {error}"}
                ) from None
            raise FailedPrecondition(
                f"template {self.name} is broken in line {line}: {error}",
                reason="TEMPLATE_BROKEN",
                subject=f"template {self.name}",
            ) from None


def _in_order(value: Any) -> Any:
    """Return a value with sorted objects: the order of a Struct's keys differs between processes."""
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def _in_ascii(name: str) -> str:
    """Return a caller's variable name in the form in which an error can contain it."""
    return name[:MAX_NAME_SHOWN].encode("ascii", "backslashreplace").decode()[:MAX_NAME_SHOWN]


def parse(name: str, content: bytes, *, source: str, built_in: bool) -> Template:
    """Return the template of a file. Raises FileError, which names ``source`` and the line, if it is none."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(source, content[: error.start].count(b"\n") + 1, "is not UTF-8") from None
    if "\0" in text:
        raise FileError(source, text[: text.index("\0")].count("\n") + 1, "contains NUL")
    head, body, line = _split(source, text)
    if len(body.encode()) > BODY_BYTES:
        raise FileError(source, line, f"the body exceeds {BODY_BYTES // 1024} KiB")
    front = read(source, head, first_line=2)
    front.keys(*_HEAD_KEYS)
    kind = _KINDS[front["kind"].choice(tuple(_KINDS))]
    title = front["title"].text()
    variables = _given(kind) + _variables(front, _given(kind))
    known = frozenset(variable.name for variable in variables)
    compiled: Structure | Program
    if kind.structured:
        compiled = Structure(read(source, body, first_line=line), kind.name, known)
    else:
        try:
            compiled = Program(body, known)
        except Syntax as error:
            raise FileError(source, line + error.line - 1, str(error)) from None
    return Template(
        name=name,
        kind=kind,
        title=title,
        description=front["description"].text() if "description" in front else "",
        variables=variables,
        built_in=built_in,
        sha256=sha256(content).hexdigest(),
        body=body,
        _line=1 if kind.structured else line,
        _content=compiled,
    )


def _split(source: str, text: str) -> tuple[str, str, int]:
    """Return the front matter, the body, and the line in which the body begins."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0] != "---":
        raise FileError(source, 1, 'must begin with front matter: a line "---", kind and title, a line "---"')
    if "---" not in lines[1:]:
        raise FileError(source, len(lines), 'the front matter has no end: a line "---"')
    end = lines.index("---", 1)
    return "\n".join(lines[1:end]), "\n".join(lines[end + 1 :]), end + 2


def _variables(front: YamlNode, builtin: tuple[Variable, ...]) -> tuple[Variable, ...]:
    found: list[Variable] = []
    names = {variable.name for variable in builtin}
    for node in front["variables"].items(MAX_VARIABLES) if "variables" in front else ():
        variable = _variable(node)
        if variable.name in names:
            raise node["name"].error(f"is {variable.name}, which is given already")
        names.add(variable.name)
        found.append(variable)
    return tuple(found)


def _variable(node: YamlNode) -> Variable:
    node.keys(*_VARIABLE_KEYS)
    name = node["name"].text()
    if not _NAME.fullmatch(name) or name.startswith("_") or name in RESERVED:
        raise node["name"].error(
            "must be 1 to 64 characters of [A-Za-z0-9_], the first a letter, and none of "
            + ", ".join(sorted(RESERVED))
        )
    type_ = _TYPES[node["type"].choice(tuple(_TYPES)) if "type" in node else "any"]
    required = node.flag("required", default="default" not in node)
    if required == ("default" in node):
        raise node.error("must have a default or required: true, and not both")
    default = None if required else node["default"].plain(dates=True)
    if not required and not type_.takes(default):
        raise node["default"].error(f"must be of type {type_.name.lower()}")
    description = node["description"].text() if "description" in node else ""
    return Variable(name, description, type_, required, default)
