"""The budget of one rendering, and the errors that end it when the budget is spent."""

from __future__ import annotations

from typing import Any

from jinja2.runtime import Undefined

STEPS = 200_000
"""The steps of one rendering: at most 30 ms of work on a machine like those of the benchmarks."""
TEXT_BYTES = 1024 * 1024
"""The size of one rendering's text."""
INTERMEDIATE = 4
"""The characters of all intermediate texts, as a multiple of those of the rendered text."""
MAX_DEPTH = 32
TOO_LARGE = "make the rendering too large: it has more than 1 MiB"
_STEP_CHARACTERS = 64


class Fault(Exception):
    """An error of the template itself."""


class NoText(Fault):
    """An error of a list or an object that is printed as a text.

    Such values usually come from variables, so the error names those. A value does not record its origin, so
    a list that the template itself wrote gives the same error, at the first rendering of the template.
    """


class LimitPassed(Exception):
    """An error of a rendering that takes too long or gives too much."""


class Budget:
    """The steps and characters that a rendering may still use."""

    __slots__ = ("_made", "_steps", "_text")

    def __init__(self, *, renderings: int = 1) -> None:
        """Make a budget that ``renderings`` renderings share."""
        self._steps = renderings * STEPS
        self._text = renderings * TEXT_BYTES
        self._made = INTERMEDIATE * self._text

    @property
    def steps(self) -> int:
        """The steps that are left."""
        return self._steps

    def spend(self, steps: int) -> None:
        """Pay for work."""
        self._steps -= steps
        if self._steps < 0:
            raise LimitPassed("make the rendering too long: it takes more than 50 ms")

    def read(self, characters: int) -> None:
        """Pay for reading a number of characters."""
        self.spend(1 + characters // _STEP_CHARACTERS)

    def make(self, characters: int) -> None:
        """Pay for an intermediate text, before it is made."""
        self._made -= characters
        if self._made < 0:
            raise LimitPassed("make the rendering too large: intermediate texts have more than 4 MiB")
        self.read(characters)

    def put(self, characters: int) -> None:
        """Pay for text of the result."""
        self._text -= characters
        if self._text < 0:
            raise LimitPassed(TOO_LARGE)
        self.read(characters)

    def weigh(self, value: Any, *, step: int = 2, depth: int = 0) -> int:
        """Pay for a walk over a value, and return its approximate length as JSON."""
        if depth > MAX_DEPTH:
            raise Fault(f"a value is more than {MAX_DEPTH} levels deep")
        self.spend(step)
        if isinstance(value, Undefined):
            str(value)  # raises an error that names the missing value
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
