"""YAML with the line of every part, for files that people write: what is wrong is said with its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

DEPTH = 24
_TEXTS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp")
_SCALARS = tuple(f"tag:yaml.org,2002:{name}" for name in ("bool", "float", "int", "null"))


class FileFault(Exception):
    """A file says what it must not; ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Item:
    """A part of a file."""

    def __init__(self, node: yaml.Node, offset: int) -> None:
        self._node = node
        self._offset = offset

    @property
    def line(self) -> int:
        """Of the file; a block text begins in the line after its ``|``."""
        block = isinstance(self._node, yaml.ScalarNode) and self._node.style in ("|", ">")
        line: int = self._node.start_mark.line
        return line + self._offset + block

    def is_mapping(self) -> bool:
        """Whether it has keys."""
        return isinstance(self._node, yaml.MappingNode)

    def is_list(self) -> bool:
        """Whether it has items."""
        return isinstance(self._node, yaml.SequenceNode)

    def is_text(self) -> bool:
        """Whether it is text, or a date, which is read as text."""
        return self._node.tag in _TEXTS and isinstance(self._node, yaml.ScalarNode)

    def text(self) -> str:
        """It, as text."""
        if not self.is_text():
            raise FileFault(self.line, "must be text")
        found: str = self._node.value
        return found

    def items(self) -> Sequence[Item]:
        """Its items."""
        if not self.is_list():
            raise FileFault(self.line, "must be a list")
        return [Item(node, self._offset) for node in self._node.value]

    def pairs(self) -> dict[str, Item]:
        """Its values by key."""
        if not self.is_mapping():
            raise FileFault(self.line, "must have keys")
        found: dict[str, Item] = {}
        for key, value in self._node.value:
            name = Item(key, self._offset)
            if name.text() in found:
                raise FileFault(name.line, f"{name.text()} is there twice")
            found[name.text()] = Item(value, self._offset)
        return found

    def mapping(self, allowed: Sequence[str], required: Sequence[str] = ()) -> Mapping[str, Item]:
        """Its values by key; no other keys than those."""
        found = self.pairs()
        for name, item in found.items():
            if name not in allowed:
                raise FileFault(item.line, f"{name} is not known here; there are {', '.join(allowed)}")
        for name in required:
            if name not in found:
                raise FileFault(self.line, f"{name} is missing")
        return found

    def value(self) -> Any:
        """It, as plain values."""
        if self.is_mapping():
            return {name: item.value() for name, item in self.pairs().items()}
        if self.is_list():
            return [item.value() for item in self.items()]
        if self.is_text():
            return self.text()
        if self._node.tag not in _SCALARS:
            raise FileFault(self.line, f"the tag {self._node.tag} is not allowed")
        found = SafeConstructor().construct_document(self._node)
        if isinstance(found, float) and not isfinite(found):
            raise FileFault(self.line, "must not be NaN or infinite")
        return found


def read(text: str, line: int) -> Item:
    """The one document of a text that begins in this line of its file."""
    try:
        _look_over(text, line)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise FileFault(line + (mark.line if mark else 0), error.problem or "is not YAML") from None
    except yaml.YAMLError:
        raise FileFault(line, "is not YAML") from None
    if node is None:
        raise FileFault(line, "is empty")
    return Item(node, line)


def _look_over(text: str, line: int) -> None:
    """Refuses what would not be safe to compose.

    An alias can make a short text a long one, and the composer in C calls itself for each level until the
    process crashes.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        here = line + (event.start_mark.line if event.start_mark else 0)
        if isinstance(event, yaml.AliasEvent):
            raise FileFault(here, "an anchor is used: write the value out each time")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH:
                raise FileFault(here, f"is nested more than {DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
