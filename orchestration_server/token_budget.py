"""Fits a context into a token budget: the same context and budget always leave out the same.

All is reckoned in bytes of compact JSON, whose members and items add up: an object or a list takes one byte
and, for each thing in it, that thing and one byte more. Parts get room in the order of ContextSection; what
tells of the parts that may yet be left out is kept free until they are known to fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from google.protobuf.json_format import ParseDict

from orchestration.v1 import context_pb2, event_pb2
from orchestration_server.compact_json import cut, head, length, member, members, shorten, to_json

BYTES_PER_TOKEN = 4
FILLED = 0.9
"""Below this share of its budget a context takes texts that are cut."""

_TARGET = context_pb2.CONTEXT_SECTION_TARGET
_EVENTS = context_pb2.CONTEXT_SECTION_EVENTS
_TASKS = context_pb2.CONTEXT_SECTION_TASKS
_ALWAYS = ("target_type", "target_code", "unchanged", "as_of_cursor", "version")
_LISTS: dict[int, str] = {
    context_pb2.CONTEXT_SECTION_NEXT_STEPS: "next_steps",
    context_pb2.CONTEXT_SECTION_BLOCKERS: "blockers",
    context_pb2.CONTEXT_SECTION_ACCEPTANCE_CRITERIA: "acceptance_criteria",
    context_pb2.CONTEXT_SECTION_DEPENDENCIES: "dependencies",
    _TASKS: "tasks",
    _EVENTS: "events",
    context_pb2.CONTEXT_SECTION_FILES: "files",
}
_WHOLES: dict[int, tuple[str, ...]] = {
    context_pb2.CONTEXT_SECTION_PROGRESS: ("progress", "progress_percent"),
    context_pb2.CONTEXT_SECTION_AGENT_CONFIG: ("agent_config",),
    context_pb2.CONTEXT_SECTION_SPRINT: ("sprint",),
}
_SECTIONS = context_pb2.ContextSection.values()[1:]
# What goes last comes first; what has no name here comes after the codes.
_CODES = ("key", "code")
_LAST_TO_GO = (
    "labels", "title", "pause_reason", "description", "goal", "summary", "objectives", "deliverables",
    "metadata",
)  # fmt: skip
_LINES = frozenset(("labels", "objectives", "deliverables"))
_TEXTS = frozenset(("title", "pause_reason", "description", "goal", "summary"))
# An event of which only a part fits tells this first.
_EVENT_FIRST = ("type", "occur_time", "id", "entity_type", "entity_code", "agent", "actor", "payload")


def tokens(size: int) -> int:
    """How many tokens so many bytes are."""
    return -(-size // BYTES_PER_TOKEN)


class SizedEvent(NamedTuple):
    """A serialized event, and how many bytes of JSON it takes."""

    body: bytes
    size: int


class Fitted(NamedTuple):
    """A context without its events, those that it has, and how many tokens all of it takes."""

    context: context_pb2.Context
    events: list[bytes]
    estimate: int


def fit(whole: context_pb2.Context, events: Sequence[SizedEvent], budget: int, *, subject: str) -> Fitted:
    """What fits of a context, which comes without its events; all of it where the budget, in tokens, is 0.

    ``subject`` is the field of what it is about, "task" or "sprint".
    """
    found = everything(whole, events)
    if not budget or found.estimate <= budget:
        return found
    return within(whole, events, budget * BYTES_PER_TOKEN, subject=subject)


def everything(whole: context_pb2.Context, events: Sequence[SizedEvent]) -> Fitted:
    """A context with nothing left out."""
    return Fitted(whole, [event.body for event in events], tokens(_size_of_all(to_json(whole), events)))


def within(whole: context_pb2.Context, events: Sequence[SizedEvent], size: int, *, subject: str) -> Fitted:
    """What so many bytes have room for."""
    fitting = _Fitting(to_json(whole), events, size, subject)
    fitting.run()
    return fitting.fitted()


@dataclass(slots=True)
class _Mark:
    """What is known to be left out of a part."""

    section: int
    left_out: int
    shortened: bool = False

    def size(self) -> int:
        return length(to_json(self.message())) + 1

    def message(self) -> context_pb2.ContextTrim:
        return context_pb2.ContextTrim(
            section=self.section,  # type: ignore[arg-type]  # the numbers are the enum's
            left_out=self.left_out,
            shortened=self.shortened,
        )


class _Piece(NamedTuple):
    """A field of the target, with the message that it is of."""

    owner: str
    name: str
    value: Any


@dataclass(slots=True)
class _Fitting:
    """One context on its way into its budget."""

    _whole: dict[str, Any]
    _events: Sequence[SizedEvent]
    _cap: int
    _subject: str
    _used: int = 1
    _target: dict[str, dict[str, Any]] = field(default_factory=dict)
    _rest: list[_Piece] = field(default_factory=list)
    """Pieces of the target that are left out or cut, in their order."""
    _singles: dict[str, Any] = field(default_factory=dict)
    _kept: dict[int, dict[int, Any]] = field(default_factory=dict)
    """Items of lists by their place; None where one is whole."""
    _marks: dict[int, _Mark] = field(default_factory=dict)

    def run(self) -> None:
        for name in _ALWAYS:
            if name in self._whole:
                self._take(name, self._whole[name])
        upper = {s: _Mark(s, n, shortened=s == _TARGET) for s in _SECTIONS if (n := self._count(s))}
        for section, worst in upper.items():
            later = [mark for other, mark in upper.items() if other > section]
            free = self._cap - self._used - self._size_of_marks(later)
            if self._size(section) <= free:
                self._take_all(section)
                continue
            mark = _Mark(section, 0)
            self._marks[section] = worst
            free = self._cap - self._used - self._size_of_marks(later)
            self._marks[section] = mark
            if section == _TARGET:
                self._fit_target(mark, free)
            elif section in _WHOLES:
                mark.left_out = 1
            else:
                self._fit_list(section, mark, free)
        self._top_up()
        while self._marks and self._used + self._size_of_marks() > self._cap:
            # A budget so small has no room to tell of everything that it leaves out.
            del self._marks[max(self._marks)]

    # What a part takes

    def _messages(self) -> list[str]:
        return [name for name in ("session", self._subject) if name in self._whole]

    def _names(self, section: int) -> list[str]:
        if section == _TARGET:
            return self._messages()
        names = _WHOLES[section]
        return [n for n in names if n in self._whole and n not in self._messages()]

    def _count(self, section: int) -> int:
        """How many things can be left out of a part."""
        if section == _TARGET:
            pieces = self._pieces()
            return sum(len(p.value) if p.name in _LINES else 1 for p in pieces)
        if section in _WHOLES:
            return min(1, len(self._names(section)))
        return len(self._sizes(section))

    def _sizes(self, section: int) -> list[int]:
        """What each item of a list takes."""
        if section == _EVENTS:
            return [event.size for event in self._events]
        return [length(item) for item in self._whole.get(_LISTS[section], ())]

    def _size(self, section: int) -> int:
        if section not in _LISTS:
            return sum(member(name, self._whole[name]) for name in self._names(section))
        size = head(_LISTS[section]) + sum(size + 1 for size in self._sizes(section))
        if section == _TASKS and "next_page_token" in self._whole:
            size += member("next_page_token", self._whole["next_page_token"])
        return size

    def _size_of_marks(self, more: Sequence[_Mark] = ()) -> int:
        marks = [*self._marks.values(), *more]
        return head("trimmed") + sum(mark.size() for mark in marks) if marks else 0

    # Taking it

    def _take(self, name: str, value: Any) -> None:
        self._singles[name] = value
        self._used += member(name, value)

    def _take_all(self, section: int) -> None:
        if section not in _LISTS:
            for name in self._names(section):
                self._take(name, self._whole[name])
            return
        self._used += self._size(section)
        self._kept[section] = dict.fromkeys(range(len(self._sizes(section))))
        if section == _TASKS and "next_page_token" in self._whole:
            self._singles["next_page_token"] = self._whole["next_page_token"]

    def _fit_list(self, section: int, mark: _Mark, free: int) -> None:
        sizes = self._sizes(section)
        kept: dict[int, Any] = {}
        token = self._whole.get("next_page_token") if section == _TASKS else None
        if token is not None:
            if member("next_page_token", token) <= free:
                self._take("next_page_token", token)
                free -= member("next_page_token", token)
            else:
                mark.shortened = True
        for place in _order(section, len(sizes)):
            size = sizes[place] + 1 + (0 if kept else head(_LISTS[section]))
            if size <= free:
                kept[place] = None
                free -= size
                self._used += size
        self._kept[section] = kept
        mark.left_out = len(sizes) - len(kept)

    def _pieces(self) -> list[_Piece]:
        """The fields of the target, the last to go first."""

        def rank(piece: _Piece) -> int:
            if piece.name in _CODES:
                return 0
            return 2 + _LAST_TO_GO.index(piece.name) if piece.name in _LAST_TO_GO else 1

        found = [
            _Piece(owner, name, value)
            for owner in self._messages()
            for name, value in self._whole[owner].items()
        ]
        return sorted(found, key=rank)

    def _fit_target(self, mark: _Mark, free: int) -> None:
        pieces = self._pieces()
        for done, piece in enumerate(pieces):
            part, left_out = self._fit_piece(piece, free)
            if part is not None:
                free -= self._add_piece(piece, part)
            if left_out or part != piece.value:
                self._rest = pieces[done:]
                mark.shortened = part is not None and piece.name in _TEXTS
                others = sum(len(p.value) if p.name in _LINES else 1 for p in pieces[done + 1 :])
                mark.left_out = left_out + others
                return

    def _fit_piece(self, piece: _Piece, free: int) -> tuple[Any, int]:
        """As much of a field as fits, and how many of its items are left out."""
        room = free - self._overhead(piece)
        if length(piece.value) <= room:
            return piece.value, 0
        if piece.name in _TEXTS:
            part = cut(piece.value, room)
            return part or None, 0 if part else 1
        if piece.name in _LINES:
            lines: list[str] = []
            used = 1
            for line in piece.value:
                used += length(line) + 1
                if used > room:
                    break
                lines.append(line)
            return lines or None, len(piece.value) - len(lines)
        return None, 1

    def _overhead(self, piece: _Piece) -> int:
        begin = 0 if piece.owner in self._target else len(piece.owner) + 5
        return begin + len(piece.name) + 4

    def _add_piece(self, piece: _Piece, part: Any) -> int:
        size = self._overhead(piece) + length(part)
        self._target.setdefault(piece.owner, {})[piece.name] = part
        self._used += size
        return size

    # Filling what is left with texts that are cut

    def _top_up(self) -> None:
        while self._used + self._size_of_marks() < self._cap * FILLED:
            if not any(self._cut_into(section) for section in list(self._marks)):
                return

    def _cut_into(self, section: int) -> bool:
        """Gives one thing of a part in a shorter form; whether that was possible."""
        mark = self._marks[section]
        before = (mark.left_out, mark.shortened)
        mark.shortened = True
        free = self._cap - self._used - self._size_of_marks()
        if section == _TARGET:
            done = self._cut_target(free)
        else:
            done = section in _LISTS and self._cut_item(section, free)
        if done:
            mark.left_out -= 1
        else:
            mark.left_out, mark.shortened = before
        return done

    def _cut_target(self, free: int) -> bool:
        if not self._rest or self._rest[0].name not in (*_LINES, "metadata"):
            return False
        piece = self._rest[0]
        if piece.name == "metadata":
            part = shorten(piece.value, free - self._overhead(piece))
            if part is None:
                return False
            self._add_piece(piece, part)
        else:
            lines = self._target.get(piece.owner, {}).get(piece.name, [])
            part = cut(piece.value[len(lines)], free - 1 - (0 if lines else self._overhead(piece) + 1))
            if not part:
                return False
            if lines:
                lines.append(part)
                self._used += length(part) + 1
            else:
                self._add_piece(piece, [part])
        self._rest = []
        return True

    def _cut_item(self, section: int, free: int) -> bool:
        kept = self._kept[section]
        room = free - 1 - (0 if kept else head(_LISTS[section]))
        for place in _order(section, len(self._sizes(section))):
            if place in kept:
                continue
            part = self._shorter(section, place, room)
            if part is not None:
                self._used += length(part) + 1 + (0 if kept else head(_LISTS[section]))
                kept[place] = part
                return True
        return False

    def _shorter(self, section: int, place: int, room: int) -> Any:
        if section == _EVENTS:
            event = to_json(event_pb2.Event.FromString(self._events[place].body))
            order = [*(n for n in _EVENT_FIRST if n in event), *(n for n in event if n not in _EVENT_FIRST)]
            part = members(event, room, order, frozenset(("payload",)))
            return part if part and "type" in part else None
        item = self._whole[_LISTS[section]][place]
        if isinstance(item, str):
            return cut(item, room) or None
        if "title" not in item:
            return None  # a file, or a link to a deleted task: nothing of it can be cut
        # All but the title has to be there.
        part = members(item, room, [*(n for n in item if n != "title"), "title"], frozenset(("title",)))
        return part if part and part.keys() == item.keys() else None

    # The outcome

    def fitted(self) -> Fitted:
        outcome = self._singles | self._target
        events: list[bytes] = []
        for section, kept in self._kept.items():
            if section == _EVENTS:
                events = list(self._fitted_events(kept))
                continue
            items = self._whole[_LISTS[section]] if kept else []
            outcome[_LISTS[section]] = [items[p] if kept[p] is None else kept[p] for p in sorted(kept)]
        context = ParseDict(outcome, context_pb2.Context())
        context.trimmed.extend(self._marks[section].message() for section in sorted(self._marks))
        return Fitted(context, events, tokens(self._used + self._size_of_marks()))

    def _fitted_events(self, kept: dict[int, Any]) -> Iterator[bytes]:
        for place in sorted(kept):
            if kept[place] is None:
                yield self._events[place].body
            else:
                event = ParseDict(kept[place], event_pb2.Event())
                yield event.SerializeToString(deterministic=True)


def _size_of_all(whole: dict[str, Any], events: Sequence[SizedEvent]) -> int:
    return length(whole) + (head("events") + sum(event.size + 1 for event in events) if events else 0)


def _order(section: int, count: int) -> range:
    """In which order items get room: events from the newest on."""
    return range(count - 1, -1, -1) if section == _EVENTS else range(count)
