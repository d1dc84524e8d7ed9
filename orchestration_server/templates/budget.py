"""What one rendering may spend, and how it ends where it spends more."""

from __future__ import annotations

from typing import Any

from jinja2.runtime import Undefined

STEPS = 200_000
"""Of one rendering: at most 30 ms of work on a machine like those that the benchmarks ran on."""
TEXT_BYTES = 1024 * 1024
"""Of one rendering's text."""
MADE = 4
"""All texts that are made on the way may have so many times the characters of the text."""
DEPTH = 32
TOO_LARGE = "make the rendering too large: it has more than 1 MiB"
_STEP_CHARACTERS = 64


class Fault(Exception):
    """The template itself is at fault."""


class NoText(Fault):
    """A list or an object stands where a text is printed.

    Such values come from variables, as a rule, so these are said to be at fault. A list or an object that the
    template wrote itself leads here too: a value does not tell where it came from, and a template that prints
    one is found out by its first rendering.
    """


class LimitPassed(Exception):
    """Rendering takes too long or gives too much."""


class Budget:
    """Steps and characters that are left."""

    __slots__ = ("_made", "_steps", "_text")

    def __init__(self, *, renderings: int = 1) -> None:
        """What so many renderings may spend together."""
        self._steps = renderings * STEPS
        self._text = renderings * TEXT_BYTES
        self._made = MADE * self._text

    @property
    def steps(self) -> int:
        """How many are left."""
        return self._steps

    def spend(self, steps: int) -> None:
        """Pays for work."""
        self._steps -= steps
        if self._steps < 0:
            raise LimitPassed("make the rendering too long: it takes more than 50 ms")

    def read(self, characters: int) -> None:
        """Pays for looking at so many characters."""
        self.spend(1 + characters // _STEP_CHARACTERS)

    def make(self, characters: int) -> None:
        """Pays for a text on the way, before it is made."""
        self._made -= characters
        if self._made < 0:
            raise LimitPassed("make the rendering too large: texts on the way have more than 4 MiB")
        self.read(characters)

    def put(self, characters: int) -> None:
        """Pays for what is given out."""
        self._text -= characters
        if self._text < 0:
            raise LimitPassed(TOO_LARGE)
        self.read(characters)

    def weigh(self, value: Any, *, step: int = 2, depth: int = 0) -> int:
        """Pays for a walk over a value, by its parts and characters: those, more or less as JSON."""
        if depth > DEPTH:
            raise Fault(f"a value is more than {DEPTH} levels deep")
        self.spend(step)
        if isinstance(value, Undefined):
            str(value)  # which raises, and says what is missing
        if isinstance(value, str):
            self.read(len(value))
            return len(value) + 2
        if isinstance(value, list):
            return 2 + sum(1 + self.weigh(item, step=step, depth=depth + 1) for item in value)
        if isinstance(value, dict):
            return 2 + sum(
                len(key) + 4 + self.weigh(item, step=step, depth=depth + 1) for key, item in value.items()
            )
        return 8
