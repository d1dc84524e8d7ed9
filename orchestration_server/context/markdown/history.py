"""Events as sentences: "2026-11-02 14:05 builder-1 set status in_progress → completed".

Events of one day and author share a line: "14:05 set …; 14:07 set …". A line of the same year as the one
before it has no year. What happened several times in one minute is written once, with the number of times.
Lines with "*" have events of callers whose types begin alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from orchestration.claims import LOGGED
from orchestration.v1 import event_pb2
from orchestration_server.context.markdown import event_text
from orchestration_server.context.markdown.escaping import word
from orchestration_server.context.markdown.items import CUT, Item
from orchestration_server.context.markdown.values import minute
from orchestration_server.context.token_estimate import estimate_markdown as size

_YEAR = len("2026-")
PERIOD = 4
"""Most events that are found to be repeated together."""


@dataclass(frozen=True, slots=True)
class EventItem(Item):
    """Events of one minute. ``lead`` is their form after those before them, ``alone`` their form without."""

    alone: str = ""

    def shorter(self, room: int) -> str:
        """Return as much of the whole form as takes at most ``room`` units; empty if that is little."""
        fits, fails = 0, len(self.alone)
        while fits + 1 < fails:
            middle = (fits + fails) // 2
            if size(self.alone[:middle].rstrip() + CUT) <= room:
                fits = middle
            else:
                fails = middle
        return self.alone[:fits].rstrip() + CUT if fits > len("\n- 2026-11-02 14:05 ") else ""


def history_heading(events: Sequence[event_pb2.Event]) -> str:
    """Return the heading of the section. It says what "*" stands for."""
    common = _common_prefix(events)
    return f"History (UTC; * marks events {common}… of callers)" if common else "History (UTC)"


def history(events: Sequence[event_pb2.Event]) -> list[EventItem]:
    """Return events as items, in the order in which they happened."""
    common = _common_prefix(events)
    # Events of an import happened before others that were logged earlier.
    ordered = sorted(events, key=lambda event: event.occur_time.seconds)
    told = [(_When.of(event, common), each) for event, each in _merged(ordered, common)]
    found: list[EventItem] = []
    before: _When | None = None
    for when, group in groupby(told, key=lambda each: each[0]):
        for text, count in _folded([each for _, each in group]):
            found.append(EventItem(when.after(before, text), alone=when.alone(text), count=count))
            before = when
    return found


class _When(NamedTuple):
    """When an event happened and who caused it. Events with equal values share a beginning."""

    mark: str
    day: str
    author: str
    time: str

    @classmethod
    def of(cls, event: event_pb2.Event, common: str) -> _When:
        day, _, time = minute(event.occur_time).partition(" ") if event.HasField("occur_time") else ("",) * 3
        names = [word(name) for name in dict.fromkeys((event.agent, event.actor)) if name]
        mark = "*" if common and event.type.startswith(common) and event.type != LOGGED else "-"
        return cls(mark, day, " for ".join(names), time)

    def alone(self, text: str) -> str:
        """Return an event with all that it needs."""
        return f"\n{self.mark} " + " ".join(filter(None, (self.day, self.time, self.author, text)))

    def after(self, other: _When | None, text: str) -> str:
        """Return an event without what the one before it says."""
        if other == self:
            return f", {text}"
        if other is not None and other[:3] == self[:3]:
            return f"; {self.time} {text}"
        if other is not None and other.day[:_YEAR] == self.day[:_YEAR]:
            return self._replace(day=self.day[_YEAR:]).alone(text)
        return self.alone(text)


class _Told(NamedTuple):
    """What an event says, and the number of events that say it together."""

    text: str
    events: int


def _merged(events: Sequence[event_pb2.Event], common: str) -> Iterator[tuple[event_pb2.Event, _Told]]:
    """Yield events with what they say and their number: a claim tells the change of status that it makes."""
    count = 1
    for number, event in enumerate(events):
        if number + 1 < len(events) and event_text.is_told_by(event, events[number + 1]):
            count += 1
            continue
        yield event, _Told(event_text.text(event, common), count)
        count = 1


def _folded(told: Sequence[_Told]) -> Iterator[_Told]:
    """Yield texts, each with the number of events that it stands for; what is repeated, once."""
    texts = [each.text for each in told]
    index = 0
    while index < len(texts):
        found = [(period, _times(texts, index, period)) for period in range(1, PERIOD + 1)]
        period, times = max(found, key=lambda each: each[0] * (each[1] - 1))
        if times < 2:
            yield told[index]
            index += 1
            continue
        once = ", ".join(texts[index : index + period])
        last = index + period * times
        count = sum(each.events for each in told[index:last])
        yield _Told((once if period == 1 else f"({once})") + f" ×{times}", count)
        index = last


def _times(texts: Sequence[str], start: int, period: int) -> int:
    """Return how often the texts from ``start`` on occur one after the other."""
    times = 1
    first = texts[start : start + period]
    while texts[start + times * period : start + (times + 1) * period] == first:
        times += 1
    return times


def _common_prefix(events: Sequence[event_pb2.Event]) -> str:
    """Return the beginning that most types of callers' events have, up to a point; empty if few do."""
    prefixes = Counter(
        event.type.rpartition(".")[0] + "."
        for event in events
        if not event.type.startswith(event_text.LEDGER) and event.type != LOGGED
    )
    found = max(sorted(prefixes), key=prefixes.__getitem__, default="")
    return found if prefixes[found] > 1 else ""
