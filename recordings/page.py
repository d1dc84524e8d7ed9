"""Pages whose blocks are all run: files to save, and sessions in terminals.

A block is a session (```console) or a file (```python title="agent.py"). In a session, lines with "$ " are
commands and lines with "> " continue them; the others are output. "^C" and "^Z" are keys that the reader
presses once the output above them is there. A title names another terminal, whose last command may go on
running; a later block of the same title shows what it printed since. In the output, "…" is any text, and
alone on a line any number of lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

_FENCE = re.compile(r"^(`{3,})([^`\n]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
_INFO = re.compile(r'(\w+)(?: title="([^"]+)")?')
KEYS = ("^C", "^Z")


@dataclass(frozen=True)
class Step:
    """A command or a key, with the lines that follow it. The text is empty if a command goes on."""

    text: str
    output: tuple[str, ...] = ()

    @property
    def is_key(self) -> bool:
        """True if the step is a key that the reader presses."""
        return self.text in KEYS

    def lines(self) -> Iterator[str]:
        """Yield the lines of the step as the page has them."""
        if self.is_key:
            yield self.text
        elif self.text:
            first, *rest = self.text.splitlines()
            yield f"$ {first}"
            yield from (f"> {line}" for line in rest)
        yield from self.output


@dataclass(frozen=True)
class Session:
    """A block with a session in a terminal; the terminal without a name is the reader's own."""

    terminal: str
    steps: tuple[Step, ...]

    def text(self) -> str:
        """Return the block as the page has it."""
        return "".join(f"{line}\n" for step in self.steps for line in step.lines())


@dataclass(frozen=True)
class File:
    """A block with a file that the reader saves in the directory of the own terminal."""

    name: str
    content: str

    def text(self) -> str:
        """Return the block as the page has it."""
        return self.content


@dataclass
class Page:
    """A page as its blocks and the text between them."""

    between: list[str] = field(default_factory=list)
    blocks: list[Session | File] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str) -> Page:
        """Return the page of a text. Raises ValueError for a block that could not be run."""
        page, end = cls(), 0
        for found in _FENCE.finditer(text):
            page.between.append(text[end : found.start(3)])
            end = found.end(3)
            page.blocks.append(_block(found[2], found[3]))
        page.between.append(text[end:])
        return page

    def text(self) -> str:
        """Return the text of the page."""
        blocks = [block.text() for block in self.blocks]
        return "".join(part for pair in zip(self.between, [*blocks, ""], strict=True) for part in pair)

    def put(self, place: int, outputs: Sequence[tuple[str, ...]]) -> None:
        """Replace the outputs of the steps of a session."""
        session = self.blocks[place]
        assert isinstance(session, Session)
        pairs = zip(session.steps, outputs, strict=True)
        steps = tuple(replace(step, output=output) for step, output in pairs)
        self.blocks[place] = replace(session, steps=steps)


def _block(info: str, content: str) -> Session | File:
    found = _INFO.fullmatch(info)
    kind, title = (found[1], found[2] or "") if found else ("", "")
    if kind == "console":
        return Session(title, tuple(_steps(content.splitlines())))
    if not title:
        raise ValueError(f"a block {info!r} is neither a session nor a file with a title: {content[:60]!r}")
    return File(title, content)


def _steps(lines: Sequence[str]) -> Iterator[Step]:
    step: Step | None = None
    for line in lines:
        if line.startswith("$ ") or line in KEYS:
            if step is not None:
                yield step
            step = Step(line.removeprefix("$ "))
        elif line.startswith("> ") and step is not None and not step.output and not step.is_key:
            step = replace(step, text=f"{step.text}\n{line.removeprefix('> ')}")
        else:
            step = step or Step("")
            step = replace(step, output=(*step.output, line))
    if step is not None:
        yield step
