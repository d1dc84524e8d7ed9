"""YAML read as JSON: no dates, no yes and no as booleans, no number that a double would change.

All functions here raise only BadRow.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from orchestration_server.cli.importing.jsonl_format import BadRow
from orchestration_server.cli.importing.values import number

MAX_DEPTH = 32
MAX_BYTES = 1024 * 1024


class _Loader(yaml.SafeLoader):
    """A loader of the types of JSON that reads everything else as text.

    It refuses aliases, with which a small file can expand to a huge value, and very deep nesting.
    """

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # yaml gives it no types
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=mark)
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


_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_TAG + name for name in ("null", "bool", "int", "float", "str"))


def read_yaml(text: str) -> Any:
    """Return a YAML document as JSON has it, with keys as they are written."""
    return _read(text, _Values(spelled=False))


def spelled_yaml(text: str) -> Any:
    """Return a YAML document with each scalar as it is written."""
    return _read(text, _Values(spelled=True))


def join_surrogates(text: str) -> str:
    """Return a text in which adjacent halves of a surrogate pair are joined to one character."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _read(text: str, values: _Values) -> Any:
    if len(text) > MAX_BYTES:
        raise BadRow("YAML of more than 1 MiB")
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else values.of(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise BadRow(f"{where}{error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, BadRow):
            raise
        raise BadRow(f"not YAML: {str(error).splitlines()[0]}") from None


class _Values:
    """A converter of nodes to values. A number that a double would change becomes text."""

    def __init__(self, *, spelled: bool) -> None:
        self._spelled = spelled

    def of(self, node: yaml.Node) -> Any:
        line = f"line {node.start_mark.line + 1}: "
        if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
            return [self.of(item) for item in node.value]
        if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
            return self._mapping(node)
        if node.tag not in _PLAIN_TAGS:
            raise BadRow(f"{line}the ledger cannot store {node.tag}")
        return self._scalar(node.tag.removeprefix(_TAG), str(node.value))

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, item in node.value:
            line = f"line {key.start_mark.line + 1}: "
            if not isinstance(key, yaml.ScalarNode):
                raise BadRow(f"{line}a key is no text")
            name = join_surrogates(key.value)
            if name in values:
                raise BadRow(f"{line}{name[:60]!r} is a duplicate")
            values[name] = self.of(item)
        return values

    def _scalar(self, kind: str, written: str) -> Any:
        if kind == "null":
            return None
        if kind == "str" or self._spelled:
            return join_surrogates(written)
        if kind == "bool":
            return written.lower() == "true"
        return number(written)
