"""YAML whose every value knows its file and line, so that an error can name them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 1024 * 1024
MOST_DEPTH = 16
LARGEST = 2**53


class YamlError(Exception):
    """Something in a file is not as it has to be; the message begins with file and line."""


class YamlNode:
    """A value of a document; ``path`` is how it is reached, such as rules[2].on."""

    def __init__(self, source: str, path: str, node: yaml.Node) -> None:
        self._source, self._path, self._node = source, path, node
        self._below: dict[str, YamlNode] = {}
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                # Keys are taken as they are written: YAML would read the key on as a boolean.
                if not isinstance(key, yaml.ScalarNode):
                    raise self.error("must have plain keys")
                if key.value in self._below:
                    raise self._of(key.value, key).error("is there twice")
                self._below[key.value] = self._of(key.value, value)

    def _of(self, key: str, node: yaml.Node) -> YamlNode:
        return YamlNode(self._source, f"{self._path}.{key}".lstrip("."), node)

    @property
    def line(self) -> int:
        """Where it begins."""
        return int(self._node.start_mark.line) + 1

    def error(self, text: str) -> YamlError:
        """What is wrong with it."""
        return YamlError(f"{self._source}:{self.line}: {self._path or 'the document'} {text}")

    def __contains__(self, key: str) -> bool:
        return key in self._below

    def __getitem__(self, key: str) -> YamlNode:
        if key not in self._below:
            raise self.error(f"must have {key}")
        return self._below[key]

    def inherit(self, base: YamlNode) -> None:
        """Takes the keys that this mapping does not have from another one."""
        self._below = dict(base.fields()) | self._below

    def keys(self, *known: str) -> None:
        """Refuses what is no mapping, and keys that nobody knows."""
        for key, field in self.fields():
            if key not in known:
                raise field.error(f"is not known; known are {', '.join(known)}")

    def fields(self) -> Sequence[tuple[str, YamlNode]]:
        """What a mapping holds."""
        if not isinstance(self._node, yaml.MappingNode):
            raise self.error("must be a mapping")
        return list(self._below.items())

    def items(self, most: int) -> list[YamlNode]:
        """What a list holds."""
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.error("must be a list")
        if len(self._node.value) > most:
            raise self.error(f"must have at most {most} items")
        return [YamlNode(self._source, f"{self._path}[{n}]", node) for n, node in enumerate(self._node.value)]

    def one_or_more(self, most: int) -> list[YamlNode]:
        """What a list holds, or the one value that stands in the place of a list."""
        if isinstance(self._node, yaml.SequenceNode) and not self._node.value:
            raise self.error("must not be empty")
        return self.items(most) if isinstance(self._node, yaml.SequenceNode) else [self]

    def scalar(self) -> str | int | float | bool | None:
        """A text, a number, a boolean or null."""
        if not isinstance(self._node, yaml.ScalarNode):
            raise self.error("must be a text, a number, a boolean or null")
        value: str | int | float | bool | None = self.plain()
        return value

    def number(self, low: float, high: float = inf) -> float:
        """A number from one to another."""
        value = self.scalar()
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.error(f"must be a number from {low:g} " + ("on" if high == inf else f"to {high:g}"))
        return float(value)

    def text(self, pattern: re.Pattern[str], what: str) -> str:
        """A text of a pattern."""
        value = self.scalar()
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.error(f"must be {what}")
        return value

    def choice(self, of: Sequence[str]) -> str:
        """One of some words."""
        value = self.scalar()
        if not isinstance(value, str) or value not in of:
            raise self.error(f"must be one of {', '.join(of)}")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Whether a key of this mapping is true."""
        if key not in self:
            return default
        value = self[key].scalar()
        if not isinstance(value, bool):
            raise self[key].error("must be true or false")
        return value

    def plain(self) -> Any:
        """All that is below it, as JSON has it."""
        if isinstance(self._node, yaml.MappingNode):
            return {key: field.plain() for key, field in self.fields()}
        if isinstance(self._node, yaml.SequenceNode):
            return [item.plain() for item in self.items(len(self._node.value))]
        with suppress(ValueError):
            value = yaml.SafeLoader("").construct_object(self._node)
            if value is None or isinstance(value, str | bool):
                return value
            if isinstance(value, int | float) and abs(value) <= LARGEST:
                return value
        raise self.error("must be a text, a number up to 2^53, a boolean or null; put a date into quotes")


class _Loader(yaml.SafeLoader):
    """Refuses aliases, by which a small file can hold a huge value, and nesting without an end."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # the library's
        mark = event.start_mark
        self.depth += 1
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not taken", problem_mark=mark)
        if self.depth > MOST_DEPTH:
            raise yaml.MarkedYAMLError(problem="is nested too deeply", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_file(path: Path) -> YamlNode:
    """The document of a file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise YamlError(f"{path}: cannot be read: {error}") from error
    return read(str(path), text)


def read(source: str, text: str) -> YamlNode:
    """The document of a file; ``source`` is what its errors call it."""
    if len(text) > MOST_BYTES:
        raise YamlError(f"{source}: is larger than 1 MiB")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise YamlError(f"{source}:{mark.line + 1 if mark else 1}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise YamlError(f"{source}: {error}") from error
    finally:
        loader.dispose()
    if node is None:
        raise YamlError(f"{source}:1: the document is empty")
    return YamlNode(source, "", node)
