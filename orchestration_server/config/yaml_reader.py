"""A YAML reader whose nodes know their file and line, so that each error can name them.

Operators write rules, word maps and templates in YAML. The reader rejects aliases, by which a short file can
stand for a huge value, and deep nesting, which crashes the parser in C.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.reader import ReaderError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 24
MAX_NUMBER = 2**53
MAX_TEXT = MAX_BYTES
_TAG = "tag:yaml.org,2002:"
_DATE = f"{_TAG}timestamp"
_TEXTS = (f"{_TAG}str", _DATE)
_SCALARS = tuple(_TAG + name for name in ("str", "bool", "float", "int", "null"))

Scalar = str | int | float | bool | None


class FileError(Exception):
    """An error in a file that an operator wrote. The message begins with the file and the line."""

    def __init__(self, source: str, line: int | None, text: str) -> None:
        super().__init__(f"{source}: {text}" if line is None else f"{source}:{line}: {text}")
        self.line = line


class YamlNode:
    """A node of a document. Errors name its path, such as ``rules[2].on``."""

    def __init__(self, source: str, path: str, node: yaml.Node, first_line: int) -> None:
        self.source = source
        self._path, self._node, self._first_line = path, node, first_line
        self._values: dict[str, YamlNode] = {}
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                # Keys are read as they are written: YAML would read the key ``on`` as a boolean.
                if not isinstance(key, yaml.ScalarNode):
                    raise self.error("must have plain keys")
                if key.value in self._values:
                    raise self._value(key.value, key).error("is there twice")
                self._values[key.value] = self._value(key.value, value)

    def _value(self, key: str, node: yaml.Node) -> YamlNode:
        return YamlNode(self.source, f"{self._path}.{key}".lstrip("."), node, self._first_line)

    @property
    def line(self) -> int:
        """The line of the file in which the node begins."""
        return int(self._node.start_mark.line) + self._first_line

    @property
    def text_line(self) -> int:
        """The line in which the node's text begins: for a block text, the line after its ``|`` or ``>``."""
        return self.line + (isinstance(self._node, yaml.ScalarNode) and self._node.style in ("|", ">"))

    def error(self, text: str) -> FileError:
        """Return an error about this node."""
        return FileError(self.source, self.line, f"{self._path or 'the document'} {text}")

    @property
    def is_mapping(self) -> bool:
        """Return whether the node has keys."""
        return isinstance(self._node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        """Return whether the node has items."""
        return isinstance(self._node, yaml.SequenceNode)

    @property
    def is_text(self) -> bool:
        """Return whether the node is a text, or a date, which can be read as text."""
        return isinstance(self._node, yaml.ScalarNode) and self._node.tag in _TEXTS

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> YamlNode:
        if key not in self._values:
            raise self.error(f"must have {key}")
        return self._values[key]

    def inherit(self, base: YamlNode) -> None:
        """Take the keys that this mapping lacks from another one."""
        self._values = dict(base.fields()) | self._values

    def keys(self, *known: str) -> None:
        """Raise FileError if the node is no mapping or has another key than ``known``."""
        for key, value in self.fields():
            if key not in known:
                raise value.error(f"is not known; known are {', '.join(known)}")

    def fields(self) -> Sequence[tuple[str, YamlNode]]:
        """Return the keys and values of a mapping."""
        if not self.is_mapping:
            raise self.error("must be a mapping")
        return list(self._values.items())

    def items(self, most: int | None = None) -> list[YamlNode]:
        """Return the items of a list."""
        if not self.is_list:
            raise self.error("must be a list")
        if most is not None and len(self._node.value) > most:
            raise self.error(f"must have at most {most} items")
        return [
            YamlNode(self.source, f"{self._path}[{n}]", node, self._first_line)
            for n, node in enumerate(self._node.value)
        ]

    def one_or_more(self, most: int) -> list[YamlNode]:
        """Return the items of a list, or the node itself if it is no list."""
        if self.is_list and not self._node.value:
            raise self.error("must not be empty")
        return self.items(most) if self.is_list else [self]

    def scalar(self) -> Scalar:
        """Return a text, a number, a boolean or null."""
        if not isinstance(self._node, yaml.ScalarNode):
            raise self.error("must be a text, a number, a boolean or null")
        value: Scalar = self.plain()
        return value

    def number(self, low: float, high: float = inf) -> float:
        """Return a number from ``low`` to ``high``."""
        value = self.scalar()
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.error(f"must be a number from {low:g} " + ("on" if high == inf else f"to {high:g}"))
        return float(value)

    def text(self, pattern: re.Pattern[str] | None = None, form: str = "text", most: int = MAX_TEXT) -> str:
        """Return a text of at most ``most`` characters. ``form`` describes ``pattern`` in an error."""
        text: str = self._node.value if self.is_text else ""
        if not self.is_text or len(text) > most or (pattern is not None and not pattern.fullmatch(text)):
            raise self.error(f"must be {form}" + (f", at most {most} characters" if len(text) > most else ""))
        return text

    def choice(self, of: Sequence[str]) -> str:
        """Return one of several words."""
        if not self.is_text or self._node.value not in of:
            raise self.error(f"must be one of {', '.join(of)}")
        return self.text()

    def flag(self, key: str, *, default: bool) -> bool:
        """Return the boolean under a key of this mapping."""
        if key not in self:
            return default
        value = self[key].scalar()
        if not isinstance(value, bool):
            raise self[key].error("must be true or false")
        return value

    def plain(self, *, dates: bool = False) -> Any:
        """Return everything below the node as JSON values; with ``dates``, dates as text."""
        if self.is_mapping:
            return {key: value.plain(dates=dates) for key, value in self.fields()}
        if self.is_list:
            return [item.plain(dates=dates) for item in self.items()]
        if dates and self._node.tag == _DATE:
            return self._node.value
        if self._node.tag not in (*_SCALARS, _DATE):
            raise self.error(f"must not have the tag {self._node.tag}")
        try:
            value = None if self._node.tag == _DATE else SafeConstructor().construct_document(self._node)
        except ValueError:
            value = inf
        if self._node.tag == _DATE or (isinstance(value, int | float) and not abs(value) <= MAX_NUMBER):
            raise self.error("must be a text, a number up to 2^53, a boolean or null; put a date into quotes")
        return value


def read_file(path: Path) -> YamlNode:
    """Return the document of a file. Raises FileError if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(str(path), None, f"cannot be read: {error}") from error
    return read(str(path), text)


def read(source: str, text: str, *, first_line: int = 1) -> YamlNode:
    """Return the one document of a text.

    Args:
        source: The name of the file in errors.
        text: The document.
        first_line: The line of the file in which the text begins.
    """
    if len(text) > MAX_BYTES:
        raise FileError(source, None, "is larger than 1 MiB")
    try:
        _check_events(source, text, first_line)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line if mark else 0
        raise FileError(source, first_line + line, error.problem or "is not YAML") from error
    except ReaderError as error:
        line = text[: error.position].count("\n")
        raise FileError(source, first_line + line, f"is not YAML: {error.reason}") from error
    if node is None:
        raise FileError(source, first_line, "the document is empty")
    return YamlNode(source, "", node, first_line)


def _check_events(source: str, text: str, first_line: int) -> None:
    """Raise FileError if composing the text would not be safe."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        line = first_line + (event.start_mark.line if event.start_mark else 0)
        if isinstance(event, yaml.AliasEvent):
            raise FileError(source, line, "aliases are not allowed: write the value out each time")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise FileError(source, line, f"is nested too deeply: more than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
