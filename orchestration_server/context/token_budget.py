"""Fits a context as JSON into a token budget. Sizes add up over the parts of a JSON text."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from google.protobuf.json_format import ParseDict

from orchestration.v1 import context_pb2, event_pb2
from orchestration_server.context.allotment import SHORTEST, Allotment
from orchestration_server.context.budget_order import (
    ALWAYS,
    CUTTABLE,
    EVENTS,
    LINE_FIELDS,
    LISTS,
    TARGET,
    TASKS,
    TEXT_FIELDS,
    WHOLES,
    Piece,
    SectionTrim,
    pieces_of,
    shorter_event,
    shorter_item,
    shorter_piece,
)
from orchestration_server.context.compact_json import (
    cut,
    head,
    member,
    name_size,
    shorten,
    size,
    text,
    to_json,
)
from orchestration_server.context.layout import Fitted
from orchestration_server.context.token_estimate import STRUCTURE, tokens


class SizedEvent(NamedTuple):
    """A serialized event, and the size of its JSON in units."""

    body: bytes
    size: int


class JsonLayout:
    """A context as JSON.

    ``whole`` has no events. ``subject`` is the field of its target, "task" or "sprint".
    """

    def __init__(self, whole: context_pb2.Context, events: Sequence[SizedEvent], *, subject: str) -> None:
        self._whole = whole
        self._events = events
        self._subject = subject

    def everything(self) -> Fitted:
        """Return the context with nothing left out."""
        estimate = tokens(_size_of_all(to_json(self._whole), self._events))
        return Fitted(self._whole, [event.body for event in self._events], estimate)

    def within(self, units: int) -> Fitted:
        """Return as much of the context as fits into ``units``."""
        fitting = _Fitting(to_json(self._whole), self._events, units, self._subject)
        fitting.run()
        return fitting.fitted()

    def text(self, context: context_pb2.Context) -> str:
        """Return the text whose tokens are counted."""
        return text(context)


class _Fitting(Allotment):
    """The work of fitting one context as JSON into its budget."""

    def __init__(self, whole: dict[str, Any], events: Sequence[SizedEvent], cap: int, subject: str) -> None:
        super().__init__(cap)
        self._whole = whole
        self._events = events
        self._subject = subject
        self._target: dict[str, dict[str, Any]] = {}
        self._rest: list[Piece] = []
        """Fields of the target that are left out or cut, in their order."""
        self._singles: dict[str, Any] = {}
        self._kept: dict[int, dict[int, Any]] = {}
        """The items of lists by index: the shortened item, or None if the item is whole."""

    def _begin(self) -> None:
        self._used, self._rest = STRUCTURE, []
        for taken in (self._target, self._singles, self._kept):
            taken.clear()
        for name in ALWAYS:
            if name in self._whole:
                self._take(name, self._whole[name])

    # Sizes of sections

    def _messages(self) -> list[str]:
        return [name for name in ("session", self._subject) if name in self._whole]

    def _names(self, section: int) -> list[str]:
        if section == TARGET:
            return self._messages()
        names = WHOLES[section]
        return [n for n in names if n in self._whole and n not in self._messages()]

    def _count(self, section: int) -> int:
        if section == TARGET:
            pieces = self._pieces()
            return sum(len(p.value) if p.name in LINE_FIELDS else 1 for p in pieces)
        if section in WHOLES:
            return min(1, len(self._names(section)))
        return len(self._sizes(section))

    def _sizes(self, section: int) -> list[int]:
        """Return the size of each item of a list."""
        if section == EVENTS:
            return [event.size for event in self._events]
        return [size(item) for item in self._whole.get(LISTS[section], ())]

    def _size(self, section: int) -> int:
        if section not in LISTS:
            return sum(member(name, self._whole[name]) for name in self._names(section))
        found = head(LISTS[section]) + sum(taken + STRUCTURE for taken in self._sizes(section))
        if section == TASKS and "next_page_token" in self._whole:
            found += member("next_page_token", self._whole["next_page_token"])
        return found

    def _size_of_trims(self, trims: Collection[SectionTrim]) -> int:
        return head("trimmed") + sum(trim.size() for trim in trims) if trims else 0

    # Taking sections

    def _take(self, name: str, value: Any) -> None:
        self._singles[name] = value
        self._used += member(name, value)

    def _take_all(self, section: int) -> None:
        if section not in LISTS:
            for name in self._names(section):
                self._take(name, self._whole[name])
            return
        self._used += self._size(section)
        self._kept[section] = dict.fromkeys(range(len(self._sizes(section))))
        if section == TASKS and "next_page_token" in self._whole:
            self._singles["next_page_token"] = self._whole["next_page_token"]

    def _take_part(self, section: int, trim: SectionTrim, room: int) -> None:
        if section == TARGET:
            self._fit_target(trim, room)
        elif section in WHOLES:
            trim.left_out = 1
        else:
            self._fit_list(section, trim, room)

    def _fit_list(self, section: int, trim: SectionTrim, free: int) -> None:
        sizes = self._sizes(section)
        kept: dict[int, Any] = {}
        self._kept[section] = kept
        token = self._whole.get("next_page_token") if section == TASKS else None
        if token is not None:
            if member("next_page_token", token) <= free:
                self._take("next_page_token", token)
                free -= member("next_page_token", token)
            else:
                trim.shortened = True
        for index in _order(section, len(sizes)):
            taken = sizes[index] + STRUCTURE + (0 if kept else head(LISTS[section]))
            if taken <= free:
                kept[index] = None
                free -= taken
                self._used += taken
            elif (
                section in CUTTABLE
                and not trim.shortened
                and free >= SHORTEST
                and (used := self._cut_item(section, index, free))
            ):
                # One text is cut. Items after it may still fit.
                trim.shortened = True
                free -= used
        trim.left_out = len(sizes) - len(kept)

    def _pieces(self) -> list[Piece]:
        return pieces_of(self._whole, self._messages())

    def _fit_target(self, trim: SectionTrim, free: int) -> None:
        pieces = self._pieces()
        for done, piece in enumerate(pieces):
            part, left_out = shorter_piece(piece, free - self._overhead(piece))
            if part is not None:
                free -= self._add_piece(piece, part)
            if left_out or part != piece.value:
                self._rest = pieces[done:]
                trim.shortened = part is not None and piece.name in TEXT_FIELDS
                others = sum(len(p.value) if p.name in LINE_FIELDS else 1 for p in pieces[done + 1 :])
                trim.left_out = left_out + others
                return

    def _overhead(self, piece: Piece) -> int:
        begin = 0 if piece.owner in self._target else head(piece.owner)
        return begin + name_size(piece.name) + STRUCTURE

    def _add_piece(self, piece: Piece, part: Any) -> int:
        taken = self._overhead(piece) + size(part)
        self._target.setdefault(piece.owner, {})[piece.name] = part
        self._used += taken
        return taken

    # Filling the rest of the budget with texts that are cut

    def _cut_one(self, section: int, free: int) -> int:
        if section == TARGET:
            return int(self._cut_target(free))
        return int(section in LISTS and self._cut_any(section, free))

    def _cut_target(self, free: int) -> bool:
        if not self._rest or self._rest[0].name not in (*LINE_FIELDS, "metadata"):
            return False
        piece = self._rest[0]
        if piece.name == "metadata":
            part = shorten(piece.value, free - self._overhead(piece))
            if part is None:
                return False
            self._add_piece(piece, part)
        else:
            lines = self._target.get(piece.owner, {}).get(piece.name, [])
            room = free - STRUCTURE - (0 if lines else self._overhead(piece) + STRUCTURE)
            part = cut(piece.value[len(lines)], room)
            if not part:
                return False
            if lines:
                lines.append(part)
                self._used += size(part) + STRUCTURE
            else:
                self._add_piece(piece, [part])
        self._rest = []
        return True

    def _cut_any(self, section: int, free: int) -> bool:
        indexes = _order(section, len(self._sizes(section)))
        return any(self._cut_item(section, index, free) for index in indexes)

    def _cut_item(self, section: int, index: int, free: int) -> int:
        """Take an item in a shorter form. Return the size that it takes; 0 if that is not possible."""
        kept = self._kept[section]
        if index in kept:
            return 0
        overhead = STRUCTURE + (0 if kept else head(LISTS[section]))
        room = free - overhead
        if section == EVENTS:
            part = shorter_event(to_json(event_pb2.Event.FromString(self._events[index].body)), room)
        else:
            part = shorter_item(section, self._whole[LISTS[section]][index], room)
        if part is None:
            return 0
        kept[index] = part
        taken = size(part) + overhead
        self._used += taken
        return taken

    # The result

    def fitted(self) -> Fitted:
        outcome = self._singles | self._target
        events: list[bytes] = []
        for section, kept in self._kept.items():
            if section == EVENTS:
                events = list(self._fitted_events(kept))
                continue
            items = self._whole[LISTS[section]] if kept else []
            outcome[LISTS[section]] = [items[p] if kept[p] is None else kept[p] for p in sorted(kept)]
        context = ParseDict(outcome, context_pb2.Context())
        context.trimmed.extend(self._trims[section].message() for section in sorted(self._trims))
        return Fitted(context, events, self.estimate)

    def _fitted_events(self, kept: dict[int, Any]) -> Iterator[bytes]:
        for index in sorted(kept):
            if kept[index] is None:
                yield self._events[index].body
            else:
                event = ParseDict(kept[index], event_pb2.Event())
                yield event.SerializeToString(deterministic=True)


def _size_of_all(whole: dict[str, Any], events: Sequence[SizedEvent]) -> int:
    found = size(whole)
    return found + head("events") + sum(event.size + STRUCTURE for event in events) if events else found


def _order(section: int, count: int) -> range:
    """Return the order in which items get room. Events start with the newest."""
    return range(count - 1, -1, -1) if section == EVENTS else range(count)
