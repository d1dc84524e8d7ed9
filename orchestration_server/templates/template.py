"""A template's file: YAML front matter that names its variables, and a body.

The body of a document is Jinja2. That of a sprint, a task or an agent's settings is YAML whose texts are
Jinja2: what a variable holds becomes part of one field and can never become another field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Any

from orchestration_server.errors import FailedPrecondition, InvalidArgument
from orchestration_server.templates import builtin_variables
from orchestration_server.templates.budget import TEXT_BYTES, TOO_LARGE, Budget, LimitPassed, NoText
from orchestration_server.templates.markup import FileFault, Item, read
from orchestration_server.templates.sandbox import RESERVED, Program, Run, Syntax
from orchestration_server.templates.structure import Evaluation, Structure

BODY_BYTES = 256 * 1024
VARIABLES = 100
NAMED = 64
"""Characters of a name that somebody made up, in an error."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_HEAD_KEYS = ("kind", "title", "description", "variables")
_VARIABLE_KEYS = ("name", "description", "type", "required", "default")


class TemplateFileError(Exception):
    """Files of the templates directory are not templates: a text line for each, with its file and line."""


class TemplateKind(IntEnum):
    """What a template is for, with the numbers of template.proto."""

    SPRINT = 1
    TASK = 2
    AGENT = 3
    ADR = 4
    BUG_REPORT = 5

    @property
    def label(self) -> str:
        """As a file says it."""
        return self.name.lower().replace("_", "-")

    @property
    def structured(self) -> bool:
        """Whether it gives fields, not a document."""
        return self in (TemplateKind.SPRINT, TemplateKind.TASK, TemplateKind.AGENT)


class VariableType(IntEnum):
    """What a variable holds, with the numbers of template.proto."""

    ANY = 0
    STRING = 1
    NUMBER = 2
    BOOL = 3
    LIST = 4
    OBJECT = 5

    def takes(self, value: Any) -> bool:
        """Whether a value is of this type."""
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
    """A template, compiled.

    ``render`` and ``fields`` raise InvalidArgument where the variables are at fault, as they are too where a
    list or an object is to be printed, reason TEMPLATE_LIMIT
    where rendering takes or gives too much, and FailedPrecondition, reason TEMPLATE_BROKEN, where the
    template is.
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
        """The values of all variables. InvalidArgument names each that is missing, unknown or mistyped."""
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
        """The text of a document."""
        assert isinstance(self._content, Program)
        text: str = self._evaluate(self._content, self.bind(variables), Budget())
        if len(text.encode()) > TEXT_BYTES:
            raise InvalidArgument({"variables": TOO_LARGE}, reason="TEMPLATE_LIMIT")
        return text

    def fields(self, variables: Mapping[str, Any], budget: Budget | None = None) -> dict[str, Any]:
        """What a template of a sprint, a task or an agent gives: {sprint, tasks}, {task} or {agent_config}.

        ``budget`` is shared by the templates of one call.
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
            # Whatever a template does wrong ends here: an operation on values that it was not made for.
            line = self._line + content.line_of(error) - 1
            # A structure says where an error came up with one of its own.
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
    """A value whose objects are in the order of their keys: a Struct's is another in each process."""
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def _in_ascii(name: str) -> str:
    """A name that a caller made up, as an error can carry it."""
    return name[:NAMED].encode("ascii", "backslashreplace").decode()[:NAMED]


def parse(name: str, content: bytes, *, built_in: bool) -> Template:
    """A template from its file. FileFault where it is none."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFault(content[: error.start].count(b"\n") + 1, "is not UTF-8") from None
    if "\0" in text:
        raise FileFault(text[: text.index("\0")].count("\n") + 1, "contains NUL")
    head, body, line = _split(text)
    if len(body.encode()) > BODY_BYTES:
        raise FileFault(line, f"the body exceeds {BODY_BYTES // 1024} KiB")
    front = read(head, 2).mapping(_HEAD_KEYS, required=("kind", "title"))
    label = front["kind"].text()
    if label not in _KINDS:
        raise FileFault(front["kind"].line, f"kind must be one of {', '.join(_KINDS)}")
    kind = _KINDS[label]
    variables = _given(kind) + _variables(front.get("variables"), _given(kind))
    known = frozenset(variable.name for variable in variables)
    try:
        compiled = Structure(read(body, line), kind.name, known) if kind.structured else Program(body, known)
    except Syntax as error:
        raise FileFault(line + error.line - 1, str(error)) from None
    return Template(
        name=name,
        kind=kind,
        title=front["title"].text(),
        description=front["description"].text() if "description" in front else "",
        variables=variables,
        built_in=built_in,
        sha256=sha256(content).hexdigest(),
        body=body,
        _line=1 if kind.structured else line,
        _content=compiled,
    )


def _split(text: str) -> tuple[str, str, int]:
    """Front matter, body, and the line that the body begins in."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0] != "---":
        raise FileFault(1, 'must begin with front matter: a line "---", kind and title, a line "---"')
    if "---" not in lines[1:]:
        raise FileFault(len(lines), 'the front matter has no end: a line "---"')
    end = lines.index("---", 1)
    return "\n".join(lines[1:end]), "\n".join(lines[end + 1 :]), end + 2


def _variables(listed: Item | None, taken: tuple[Variable, ...]) -> tuple[Variable, ...]:
    found: dict[str, Variable] = {}
    names = {variable.name for variable in taken}
    for item in listed.items() if listed else ():
        variable = _variable(item)
        if variable.name in names:
            raise FileFault(item.line, f"{variable.name} is given already")
        names.add(variable.name)
        found[variable.name] = variable
    if listed and len(found) > VARIABLES:
        raise FileFault(listed.line, f"has more than {VARIABLES} variables")
    return tuple(found.values())


def _variable(item: Item) -> Variable:
    parts = item.mapping(_VARIABLE_KEYS, required=("name",))
    name = parts["name"].text()
    if not _NAME.fullmatch(name) or name.startswith("_") or name in RESERVED:
        raise FileFault(
            parts["name"].line,
            "a variable's name is 1 to 64 characters of [A-Za-z0-9_], the first a letter, and none of "
            + ", ".join(sorted(RESERVED)),
        )
    label = parts["type"].text() if "type" in parts else "any"
    if label not in _TYPES:
        raise FileFault(parts["type"].line, f"type must be one of {', '.join(_TYPES)}")
    required = parts["required"].value() if "required" in parts else "default" not in parts
    if not isinstance(required, bool):
        raise FileFault(parts["required"].line, "required must be true or false")
    if required == ("default" in parts):
        raise FileFault(item.line, f"{name} needs a default or required: true, and not both")
    default = None if required else parts["default"].value()
    if not required and not _TYPES[label].takes(default):
        raise FileFault(parts["default"].line, f"the default of {name} must be of type {label}")
    description = parts["description"].text() if "description" in parts else ""
    return Variable(name, description, _TYPES[label], required, default)
