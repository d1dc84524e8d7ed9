"""A context as one Markdown text, whole or within a token budget."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orchestration.v1 import context_pb2, event_pb2
from orchestration_server.context.allotment import SHORTEST, Allotment
from orchestration_server.context.budget_order import ALWAYS, EVENTS, TARGET, WHOLES, SectionTrim
from orchestration_server.context.layout import Fitted
from orchestration_server.context.markdown.escaping import one_line
from orchestration_server.context.markdown.history import EventItem
from orchestration_server.context.markdown.items import CUT, Item
from orchestration_server.context.markdown.sections import Section, sections
from orchestration_server.context.markdown.target import target_name
from orchestration_server.context.token_estimate import estimate_markdown as size

_S = context_pb2.ContextSection
_KEPT = (*ALWAYS, "next_page_token")
"""The fields of a context that it has besides the text."""


class MarkdownLayout:
    """A context as Markdown. ``subject`` is the field of its target, "task" or "sprint"."""

    def __init__(self, whole: context_pb2.Context, events: Sequence[bytes], *, subject: str) -> None:
        self._whole = whole
        self._begin = f"# {target_name(whole, subject)}"
        self._unchanged = _unchanged(whole)
        self._sections = sections(
            whole, [event_pb2.Event.FromString(body) for body in events], subject=subject
        )

    def everything(self) -> Fitted:
        """Return the context with nothing left out."""
        fitting = _Fitting(self._sections, 0, size(self._begin + self._unchanged))
        fitting.take_everything()
        return self._fitted(fitting)

    def within(self, units: int) -> Fitted:
        """Return as much of the context as fits into ``units``."""
        fitting = _Fitting(self._sections, units, size(self._begin + self._unchanged))
        fitting.run()
        return self._fitted(fitting)

    def text(self, context: context_pb2.Context) -> str:
        """Return the text whose tokens are counted."""
        return context.markdown

    def _fitted(self, fitting: _Fitting) -> Fitted:
        context = context_pb2.Context()
        for name in _KEPT:
            value = getattr(self._whole, name)
            if name == "unchanged":
                context.unchanged.extend(value)
            else:
                setattr(context, name, value)
        before = self._begin + fitting.written(TARGET) + self._unchanged
        rest = [fitting.written(section) for section in self._sections if section != TARGET]
        context.markdown = "".join([before, *rest, fitting.left_out_wholly()])
        context.trimmed.extend(fitting.trims())
        return Fitted(context, [], fitting.estimate)


def _unchanged(whole: context_pb2.Context) -> str:
    if not whole.unchanged:
        return ""
    names = [_S.Name(s).removeprefix("CONTEXT_SECTION_").lower().replace("_", " ") for s in whole.unchanged]
    return "\nUnchanged since the context that you have: " + ", ".join(names) + "."


class _Fitting(Allotment):
    """The work of fitting one context as Markdown into its budget."""

    def __init__(self, found: dict[int, Section], cap: int, begin: int) -> None:
        super().__init__(cap)
        self._sections = found
        self._begin_size = begin
        self._sizes = {
            number: [size(item.written()) for item in each.items] for number, each in found.items()
        }
        self._kept: dict[int, dict[int, str]] = {}
        """The text of the items that are shown, by index."""

    def take_everything(self) -> None:
        """Take all sections as a whole."""
        self._begin()
        for section in self._sections:
            self._take_all(section)

    # What the distribution asks

    def _begin(self) -> None:
        self._used = self._begin_size
        self._kept = {section: {} for section in self._sections}

    def _count(self, section: int) -> int:
        return sum(item.count for item in self._sections[section].items) if section in self._sections else 0

    def _size(self, section: int) -> int:
        found = self._sections[section]
        groups = dict.fromkeys(item.group for item in found.items)
        return size(_heading(found)) + sum(map(size, groups)) + sum(self._sizes[section])

    def _take_all(self, section: int) -> None:
        self._kept[section] = {n: item.written() for n, item in enumerate(self._sections[section].items)}
        self._used += self._size(section)

    def _take_part(self, section: int, trim: SectionTrim, room: int) -> None:
        if section == EVENTS:
            self._take_newest(trim, room)
        elif section not in WHOLES:
            self._take_items(section, trim, room)
        items = self._sections[section].items
        trim.left_out = self._count(section) - sum(items[index].count for index in self._kept[section])

    def _take_items(self, section: int, trim: SectionTrim, room: int) -> None:
        before = self._used
        for index in self._order(section):
            free = room - (self._used - before)
            overhead = self._overhead(section, index)
            if self._sizes[section][index] + overhead <= free:
                self._keep(section, index, self._sections[section].items[index].written())
            elif not trim.shortened and free >= SHORTEST and self._cut_item(section, index, free):
                # One item is shortened. Items after it may still fit.
                trim.shortened = True

    def _take_newest(self, trim: SectionTrim, room: int) -> None:
        """Take the longest run of the newest events that fits. The first of them needs its day and author."""
        section = self._sections[EVENTS]
        items = [item for item in section.items if isinstance(item, EventItem)]
        rest, first = 0, len(items)
        for index in range(len(items) - 1, -1, -1):
            if size(_heading(section)) + size(items[index].alone) + rest <= room:
                first = index
            rest += self._sizes[EVENTS][index]
            if rest > room:
                break
        for index in range(first, len(items)):
            self._keep(EVENTS, index, items[index].alone if index == first else items[index].lead)

    def _cut_one(self, section: int, free: int) -> int:
        if section in WHOLES:
            return 0
        kept = self._kept[section]
        order = [index for index in self._order(section) if index not in kept]
        if section == EVENTS:
            # The event after it keeps its day and author.
            order = [index for index in order if index + 1 == min(kept, default=len(self._sizes[EVENTS]))]
        cut = (index for index in order if self._cut_item(section, index, free))
        index = next(cut, None)
        return 0 if index is None else self._sections[section].items[index].count

    def _size_of_trims(self, trims: Collection[SectionTrim]) -> int:
        return sum(size(self._line_of(trim)) for trim in trims)

    # Items

    def _order(self, section: int) -> list[int]:
        items = self._sections[section].items
        return sorted(range(len(items)), key=lambda index: (items[index].rank, index))

    def _overhead(self, section: int, index: int) -> int:
        """Return the size of the headings that an item needs."""
        found, kept = self._sections[section], self._kept[section]
        group = found.items[index].group
        known = any(found.items[other].group == group for other in kept)
        return (0 if kept else size(_heading(found))) + (0 if known else size(group))

    def _keep(self, section: int, index: int, text: str) -> None:
        self._used += size(text) + self._overhead(section, index)
        self._kept[section][index] = text

    def _cut_item(self, section: int, index: int, free: int) -> bool:
        item: Item = self._sections[section].items[index]
        text = item.shorter(free - self._overhead(section, index))
        if text:
            self._keep(section, index, text)
        return bool(text)

    # The result

    def written(self, section: int) -> str:
        """Return the text of a section, with a line that says what it lacks."""
        found, kept = self._sections.get(section), self._kept.get(section)
        if not found or not kept:
            return ""
        pieces, group = [_heading(found)], ""
        for index in sorted(kept):
            if found.items[index].group != group:
                group = found.items[index].group
                pieces.append(group)
            pieces.append(kept[index])
        if section in self._trims:
            pieces.append(self._line_of(self._trims[section]))
        return "".join(pieces)

    def left_out_wholly(self) -> str:
        """Return the lines that name the sections of which nothing is shown."""
        return "".join(self._line_of(self._trims[s]) for s in sorted(self._trims) if not self._kept[s])

    def trims(self) -> list[context_pb2.ContextTrim]:
        """Return what is left out, in the order of the sections."""
        return [self._trims[section].message() for section in sorted(self._trims)]

    def _line_of(self, trim: SectionTrim) -> str:
        """Return the line that says what a section lacks; empty if it only has a text that ends in "…"."""
        if not trim.left_out:
            return ""
        named = self._sections[trim.section].named(trim.left_out)
        return f"\n{CUT} and {named}" if self._kept.get(trim.section) else f"\n{CUT} left out: {named}"


def _heading(section: Section) -> str:
    return f"\n\n## {one_line(section.heading)}" if section.heading else ""
