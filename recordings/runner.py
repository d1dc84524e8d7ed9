"""Run a page: save its files and type its commands, in the order of the page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from recordings import matching
from recordings.clone import Clone
from recordings.page import File, Page, Session, Step
from recordings.terminal import Terminal

SECONDS = 60.0
"""The longest that a step takes."""
QUIET_SECONDS = 3.0
"""A command that goes on has printed all that it has to say if nothing came for so long."""


@dataclass(frozen=True)
class Shown:
    """A step as it was in the terminal: with its colours, and without the home's path."""

    terminal: str
    step: Step
    output: str
    ended: bool = True
    """True if the command has ended."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of the output, as a page has them."""
        return tuple(line.rstrip() for line in matching.plain(self.output).rstrip().splitlines())

    @property
    def recorded(self) -> tuple[str, ...]:
        """The lines that a recording writes: those of the page if they show the same."""
        return self.step.output if self.matches and self.step.output else self.lines

    @property
    def matches(self) -> bool:
        """True if the page shows this."""
        return matching.matches(self.step.output, self.output, begins=not self.ended)


@dataclass
class Reader:
    """Somebody who does what a page says. Use it in a ``with`` block.

    If ``patient``, a command that goes on is given time to print more than the page shows.
    """

    home: Path
    usual_address: bool = False
    patient: bool = False
    _terminals: dict[str, Terminal] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        self.clone = Clone.make(self.home, usual_address=self.usual_address)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, page: Page) -> Iterator[tuple[int, list[Shown]]]:
        """Do all that a page says; yield the place of each session and what it showed."""
        for place, block in enumerate(page.blocks):
            if isinstance(block, File):
                (self.directory / block.name).write_text(self.clone.typed(block.content))
            else:
                yield place, self._session(block)

    @property
    def directory(self) -> Path:
        """The directory in which the reader's own terminal is."""
        own = self._terminal("")
        own.send("pwd")
        return Path(own.finish(SECONDS)[0].strip())

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            opened = Terminal(self.clone.directory, self.clone.variables())
            self._terminals[name] = self._stack.enter_context(opened)
        return self._terminals[name]

    def _session(self, session: Session) -> list[Shown]:
        terminal = self._terminal(session.terminal)
        return [self._step(terminal, session, number) for number in range(len(session.steps))]

    def _step(self, terminal: Terminal, session: Session, number: int) -> Shown:
        step, last = session.steps[number], number + 1 == len(session.steps)
        if step.is_key:
            terminal.press(step.text)
        elif step.text:
            terminal.send(self.clone.typed(step.text))
        # A key ends or stops a command. One before a key goes on, as does the last one of another terminal.
        goes_on = bool(session.terminal) if last else session.steps[number + 1].is_key
        if step.is_key or not goes_on:
            text, code = terminal.finish(SECONDS)
            if step.text == "^C":
                # What a command says at its end is not shown, unless the page has it.
                text = text if step.output else ""
            return self._shown(session, step, text, ended=code is not None)

        def accepts(text: str) -> bool:
            if self.patient:
                return bool(text.strip())
            return matching.matches(step.output, self.clone.shown(text), begins=True)

        text = terminal.wait(accepts, SECONDS)
        if self.patient:
            text = terminal.settle(QUIET_SECONDS, SECONDS)
        return self._shown(session, step, text, ended=not terminal.running)

    def _shown(self, session: Session, step: Step, text: str, *, ended: bool) -> Shown:
        text = self.clone.shown(text)
        return Shown(session.terminal, step, text.lstrip("\n") if step.is_key else text, ended=ended)


def check(path: Path, home: Path) -> None:
    """Do what a page says. Raises AssertionError if a step shows something else than the page."""
    with Reader(home) as reader:
        for _, session in reader.read(Page.parse(path.read_text())):
            for shown in session:
                state = "" if shown.ended else " (and goes on)"
                text = f"{path.name}: $ {shown.step.text}{state}\n{matching.plain(shown.output)}"
                # What follows from a step that showed something else says nothing new.
                assert shown.matches, text


def record(path: Path, home: Path) -> list[Shown]:
    """Do what a page says, and write into it what is shown where that is something else."""
    page = Page.parse(path.read_text())
    steps: list[Shown] = []
    with Reader(home, usual_address=True, patient=True) as reader:
        for place, session in reader.read(page):
            steps += session
            page.put(place, [each.recorded for each in session])
    path.write_text(page.text())
    return steps
