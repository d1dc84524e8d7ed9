"""A bounded dictionary in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LruDict(OrderedDict[Key, Value], Generic[Key, Value]):
    """A dictionary of at most ``size`` items. Setting one more drops the item that was used least recently.

    Setting an item or calling ``touch`` counts as use; reading does not. It takes no lock.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._size:
            self.popitem(last=False)

    def touch(self, key: Key) -> Value | None:
        """Return the value of a key and count it as used, or None if the key is absent."""
        value = self.get(key)
        if value is not None:
            self.move_to_end(key)
        return value
