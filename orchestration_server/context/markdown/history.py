"""Events as sentences: "2026-11-02 14:05 builder-1 set status in_progress → completed".

Events of one day and author share a line: "14:05 set …; 14:07 set …". A line of the same year as the one
before it has no year. What happened several times in one minute is written once, with the number of times.
Lines with "*" have events of callers whose types begin alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from orchestration.v1 import common_pb2, event_pb2
from orchestration_server.codec.content import plain
from orchestration_server.context.markdown.escaping import quoted, scalar, word
from orchestration_server.context.markdown.items import CUT, Item
from orchestration_server.context.markdown.values import minute
from orchestration_server.context.token_estimate import estimate_markdown as size
from orchestration_server.model import ENTITY_NAMES, EntityType

_LEDGER = "orchestration."
_IDS = ("fence", "session_key", "uid", "hash", "snapshot", "correlation_id")
_SET = frozenset((
    "updated", "status_updated", "status_changed", "priority_changed", "metadata_updated", "assigned",
    "blocked", "unblocked",
))  # fmt: skip
_LINKED = {"dependency_added": "now depends on", "dependency_removed": "no longer depends on"}
_CHANGED = "_changed"
_YEAR = len("2026-")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
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
    """Return events as items, in the order of the log."""
    common = _common_prefix(events)
    told = [(_When.of(event, common), _text(event, common)) for event in events]
    found: list[EventItem] = []
    before: _When | None = None
    for when, group in groupby(told, key=lambda each: each[0]):
        for text, count in _folded([text for _, text in group]):
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
        mark = "*" if common and event.type.startswith(common) else "-"
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


def _folded(texts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield texts, each with the number of events that it stands for; what is repeated, once."""
    index = 0
    while index < len(texts):
        found = [(period, _times(texts, index, period)) for period in range(1, PERIOD + 1)]
        period, times = max(found, key=lambda each: each[0] * (each[1] - 1))
        if times < 2:
            yield texts[index], 1
            index += 1
            continue
        once = ", ".join(texts[index : index + period])
        yield (once if period == 1 else f"({once})") + f" ×{times}", period * times
        index += period * times


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
        event.type.rpartition(".")[0] + "." for event in events if not event.type.startswith(_LEDGER)
    )
    found = max(sorted(prefixes), key=prefixes.__getitem__, default="")
    return found if prefixes[found] > 1 else ""


def _text(event: event_pb2.Event, common: str) -> str:
    payload = plain(event.payload) if event.HasField("payload") else {}
    about = " ".join(_about(event))
    if event.type.startswith(_LEDGER):
        return about + _own_text(event, payload)
    type_ = event.type.removeprefix(common)
    if type_.endswith(_CHANGED) and payload and payload.keys() <= {"from", "to"}:
        before, after = scalar(payload.get("from")), scalar(payload.get("to"))
        return f"{about}{type_.removesuffix(_CHANGED)} {before} → {after}"
    return about + type_ + _facts(payload, lambda name, value: scalar(value))


def _about(event: event_pb2.Event) -> Iterator[str]:
    """Return the entity of the event if it is another than that of the context."""
    if event.entity_code:
        kind = ENTITY_NAMES.get(EntityType(event.entity_type), "entity")
        yield (
            kind
            if event.entity_type == common_pb2.ENTITY_TYPE_SESSION
            else f"{kind} {word(event.entity_code)}"
        )
    if event.sprint_code:
        yield f"in sprint {event.sprint_code}"
    if event.entity_code or event.sprint_code:
        yield ""


def _own_text(event: event_pb2.Event, payload: dict[str, Any]) -> str:
    """Return what an event of the ledger says."""
    kind = event.type.rpartition(".")[2]
    for name in _IDS:
        payload.pop(name, None)
    if payload.get("agent") == event.agent:
        payload.pop("agent", None)
    changes = payload.pop("changes", None)
    changes = changes if isinstance(changes, dict) else {}
    if kind in _LINKED and isinstance(payload.get("depends_on"), str):
        on = payload.pop("depends_on")
        link = payload.pop("kind", None)
        return f"{_LINKED[kind]} {word(on)}" + (f" ({scalar(link)})" if link else "") + _facts(payload)
    if kind == "logged" and isinstance(payload.get("kind"), str):
        message = payload.pop("message", "")
        return f"{word(payload.pop('kind'))}: {quoted(message)}" + _facts(payload)
    changed = ", ".join(_changed(name, changes[name]) for name in sorted(changes))
    if kind in _SET and changed:
        return f"set {changed}" + _facts(payload)
    return ": ".join(filter(None, (kind.replace("_", " "), changed))) + _facts(payload)


def _changed(name: str, change: Any) -> str:
    if not isinstance(change, dict) or not change.keys() <= {"from", "to"}:
        return f"{word(name)} {quoted(change)}"
    before = f"{_value(name, change['from'])} " if "from" in change else ""
    return f"{word(name)} {before}→ {_value(name, change.get('to'))}"


def _value(name: str, value: Any) -> str:
    """Return a value of a payload, and the ledger's times as all others: in UTC, to the minute."""
    if name.endswith("_time") and isinstance(value, str) and _TIME.fullmatch(value):
        return value[:16].replace("T", " ")
    return scalar(value)


def _facts(payload: dict[str, Any], write: Callable[[str, Any], str] = _value) -> str:
    if not payload:
        return ""
    return " (" + ", ".join(f"{word(name)}: {write(name, payload[name])}" for name in sorted(payload)) + ")"
