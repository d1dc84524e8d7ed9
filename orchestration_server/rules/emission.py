"""Emission policies: when an event is stored, by its type and priority.

What no policy is for is stored at once. Rules that no file and no call can break: what is urgent (P0, P1) is
never held back and never left out; of the ledger's own events changes of a status may be held, and activities
be batched or sampled, for they are what callers tell; all others are stored with what they tell of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from orchestration.v1 import common_pb2
from orchestration_server import names
from orchestration_server.config.yaml_reader import YamlNode, read_file
from orchestration_server.model import KEPT_PRIORITIES

DEBOUNCED = frozenset(("orchestration.task.status_updated", "orchestration.sprint.status_changed"))
"""Types that may be debounced."""
ACTIVITY = "orchestration.activity.logged"
MOST_POLICIES = 200
MOST_TYPES = 50
MOST_HELD_SECONDS = 60.0
MOST_BATCH_EVENTS = 2_000
MOST_BATCH_SECONDS = 5.0

_OWN = "orchestration."
_CHOICES = 4_096
_PRIORITIES: Mapping[str, int] = {f"P{n}": n + 1 for n in range(5)}
_LESSER = frozenset(_PRIORITIES.values()) - KEPT_PRIORITIES


@dataclass(frozen=True, slots=True)
class Batch:
    """Stored with others: as soon as so many wait, or one has waited so long."""

    events: int = 500
    seconds: float = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """A share is stored, by session; the rest is counted."""

    rate: float = 0.1


@dataclass(frozen=True, slots=True)
class Debounce:
    """One event tells of all changes since the last one, once there was none for so long."""

    stable_seconds: float = 5.0
    latest_seconds: float = MOST_HELD_SECONDS
    """How long the first change waits at the most."""


Policy = Batch | Sample | Debounce | None
"""None: at once."""

_REQUESTED: Mapping[int, Callable[[], Policy]] = {
    common_pb2.EMISSION_POLICY_BATCH: Batch,
    common_pb2.EMISSION_POLICY_SAMPLE: Sample,
    common_pb2.EMISSION_POLICY_DEBOUNCE: Debounce,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A policy and what it is for."""

    types: Sequence[str]
    priorities: frozenset[int]
    policy: Policy

    def takes(self, type_: str, priority: int) -> bool:
        """Whether it is for such an event."""
        return priority in self.priorities and names.type_matches(type_, self.types)


class Policies:
    """All policies; of several for an event the first counts."""

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self._entries = entries
        self.debounces = any(isinstance(entry.policy, Debounce) for entry in entries)
        self.sorts_emitted = any(isinstance(entry.policy, Batch | Sample) for entry in entries)
        """Whether events of callers are treated in more than one way."""
        self._configured = lru_cache(_CHOICES)(self._first)

    def policy_for(
        self, type_: str, priority: int, requested: int = common_pb2.EMISSION_POLICY_UNSPECIFIED
    ) -> Policy:
        """The policy of an event; ``requested`` is its caller's, which is followed as far as the rules go."""
        if requested == common_pb2.EMISSION_POLICY_IMMEDIATE:
            return None
        configured = self._configured(type_, priority)
        if requested not in _REQUESTED:
            return configured
        asked_for = _REQUESTED[requested]()
        if type(configured) is type(asked_for):
            return configured
        return asked_for if _allowed(asked_for, type_, priority) else None

    def _first(self, type_: str, priority: int) -> Policy:
        return next((entry.policy for entry in self._entries if entry.takes(type_, priority)), None)


def _allowed(policy: Policy, type_: str, priority: int) -> bool:
    if isinstance(policy, Debounce):
        return type_ in DEBOUNCED and priority not in KEPT_PRIORITIES
    emitted = type_ == ACTIVITY or not type_.startswith(_OWN)
    return emitted and (isinstance(policy, Batch) or priority not in KEPT_PRIORITIES)


AT_ONCE = Policies()
"""Everything is stored at once."""


def place_of(project: str, session_key: str, correlation_id: str) -> float:
    """Where a session stands from 0 to 1, the same on every server: a rate above it keeps all of it.

    What happens in no session is kept by its correlation.
    """
    text = f"{project}\0{session_key}" if session_key else f"{project}\0\0{correlation_id}"
    digest = blake2b(text.encode(), digest_size=8, person=b"emit-sample").digest()
    return int.from_bytes(digest, "big") / 2.0**64


def load(path: Path | None = None) -> Policies:
    """The policies of a file; without one everything is stored at once.

    Raises FileError, which names the file and the line, where one is not valid or breaks the rules.
    """
    if path is None:
        return AT_ONCE
    document = read_file(path)
    document.keys("policies")
    return Policies([_entry(item) for item in document["policies"].items(MOST_POLICIES)])


def _entry(field: YamlNode) -> Entry:
    kind = field["emit"].choice(("immediate", "batch", "sample", "debounce"))
    field.keys("on", "priorities", "emit", *_KEYS[kind])
    policy = _POLICIES[kind](field)
    urgent_too = policy is None or isinstance(policy, Batch)
    priorities = frozenset(_PRIORITIES.values()) if urgent_too else _LESSER
    if "priorities" in field:
        given = field["priorities"].one_or_more(len(_PRIORITIES))
        for one in given:
            if one.choice(tuple(_PRIORITIES)) in ("P0", "P1") and not urgent_too:
                raise one.error(f"must not be: events of P0 and P1 are never {_DONE[kind]}")
        priorities = frozenset(_PRIORITIES[one.choice(tuple(_PRIORITIES))] for one in given)
    types = []
    for one in field["on"].one_or_more(MOST_TYPES):
        types.append(one.text(names.EVENT_TYPE_FILTER, names.EVENT_TYPE_FILTER_FORM, names.MAX_EVENT_TYPE))
        if isinstance(policy, Debounce) and types[-1] not in DEBOUNCED:
            raise one.error(f"is not debounced: only {' and '.join(sorted(DEBOUNCED))} are")
        own = types[-1].startswith(_OWN) and types[-1] != ACTIVITY
        if isinstance(policy, Batch | Sample) and own:
            raise one.error(f"is never {_DONE[kind]}: of the ledger's own events only {ACTIVITY} is")
    return Entry(tuple(types), priorities, policy)


def _debounce(field: YamlNode) -> Debounce:
    stable = _number(field, "stable_seconds", Debounce().stable_seconds, 0.1, MOST_HELD_SECONDS)
    latest = _number(field, "latest_seconds", Debounce().latest_seconds, 0.1, MOST_HELD_SECONDS)
    if latest < stable:
        raise field["latest_seconds"].error("must not be less than stable_seconds")
    return Debounce(stable, latest)


def _batch(field: YamlNode) -> Batch:
    events = _number(field, "events", Batch().events, 1, MOST_BATCH_EVENTS)
    if not float(events).is_integer():
        raise field["events"].error("must be a whole number")
    return Batch(int(events), _number(field, "seconds", Batch().seconds, 0.001, MOST_BATCH_SECONDS))


def _sample(field: YamlNode) -> Sample:
    return Sample(_number(field, "rate", Sample().rate, 0.0, 1.0))


def _number(field: YamlNode, key: str, default: float, low: float, high: float) -> float:
    return field[key].number(low, high) if key in field else default


_DONE: Mapping[str, str] = {"batch": "batched", "sample": "sampled", "debounce": "debounced"}
_KEYS: Mapping[str, Sequence[str]] = {
    "immediate": (),
    "batch": ("events", "seconds"),
    "sample": ("rate",),
    "debounce": ("stable_seconds", "latest_seconds"),
}
_POLICIES: Mapping[str, Callable[[YamlNode], Policy]] = {
    "immediate": lambda _: None,
    "batch": _batch,
    "sample": _sample,
    "debounce": _debounce,
}
