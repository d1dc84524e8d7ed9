"""The items of a Markdown context, and how they are shortened.

Each piece of text begins with a line break or a separator and ends without one. So no pattern of the token
estimate crosses from one piece to the next, and the sizes of pieces add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from orchestration_server.context.markdown.escaping import fence, has_lines, lines, needs_fence, one_line
from orchestration_server.context.token_estimate import estimate_markdown as size

CUT = "…"
_CUT_SIZE = max(size(" " + CUT), size("\n" + CUT))


_FIRST_TRY = 64
"""The number of characters that are tried first when a text is cut."""


class Form(Enum):
    """How the text of a part is written."""

    WHOLE = 0
    """As it is. It was escaped already, and is left out rather than cut."""
    LINE = 1
    """On one line."""
    TEXT = 2
    """On one line, or in a fence if it has several."""
    BLOCK = 3
    """Below a heading: on lines of its own, in a fence if it could be taken for structure."""


@dataclass(frozen=True)
class Part:
    """A part of an item."""

    text: str
    form: Form = Form.WHOLE
    prefix: str = " "
    """What stands before the text."""

    def written(self, end: int | None = None) -> str:
        """Return the part with its text up to a character, followed by "…" if that is not the end."""
        text, mark = (self.text, "") if end is None else (self.text[:end].rstrip(), CUT)
        if self.form == Form.WHOLE:
            return self.prefix + text
        around = self._fence
        if not around:
            return (
                "\n" + lines(text) + mark if self.form == Form.BLOCK else self.prefix + one_line(text) + mark
            )
        before = "" if self.form == Form.BLOCK else self.prefix.rstrip()
        return f"{before}\n{around}\n{lines(text)}{mark}\n{around}"

    def cut(self, room: int) -> str:
        """Return as much of the part as takes at most ``room`` units; empty if nothing does."""
        if self.form == Form.WHOLE:
            return ""
        fits, fails = 0, _FIRST_TRY
        # A long text is not written as a whole to find that little of it fits.
        while fails < len(self.text) and size(self.written(fails)) <= room:
            fits, fails = fails, 2 * fails
        fails = min(fails, len(self.text))
        while fits + 1 < fails:
            middle = (fits + fails) // 2
            if size(self.written(middle)) <= room:
                fits = middle
            else:
                fails = middle
        return self.written(fits) if fits and self.text[:fits].strip() else ""

    @cached_property
    def _fence(self) -> str:
        """The fence around the whole text, so that a longer part of it never takes less room; or no text."""
        if self.form == Form.BLOCK:
            fenced = needs_fence(self.text)
        else:
            fenced = self.form == Form.TEXT and has_lines(self.text)
        return fence(self.text) if fenced else ""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a section: what names it, and its parts, the most useful first."""

    lead: str
    parts: Sequence[Part] = ()
    group: str = ""
    """A heading that comes before the first item of its group."""
    rank: int = 0
    """Items of a lower rank get room first."""
    count: int = 1
    """The number of things that the item stands for."""

    def written(self) -> str:
        """Return the whole item."""
        return self.lead + "".join(part.written() for part in self.parts)

    def shorter(self, room: int) -> str:
        """Return a form of the item that takes at most ``room`` units; empty if there is none."""
        left = room - size(self.lead) - _CUT_SIZE
        if left < 0 or not self.parts:
            return ""
        found, marked = self.lead, False
        for part in self.parts:
            whole = part.written()
            taken = size(whole)
            if taken > left:
                whole = "" if marked else part.cut(left)
                taken = size(whole)
                marked = marked or bool(whole)
            found += whole
            left -= taken
        if marked or not found:
            return found
        # A mark on the line of a fence would open it again.
        return f"{found}\n{CUT}" if found.endswith("`") else f"{found} {CUT}"
