"""Emission policies: when an event is stored, by its type and priority.

An event without a policy is stored at once. No file and no call can change these rules: events of P0 and P1
are never debounced and never sampled. Of the ledger's own events, changes of a status may be debounced, and
activities may be batched or sampled, since callers log them. All others are stored in the transaction of
their change.
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
"""The types that may be debounced."""
ACTIVITY = "orchestration.activity.logged"
MAX_POLICIES = 200
MAX_TYPES = 50
MAX_DEBOUNCE_SECONDS = 60.0
MAX_BATCH_EVENTS = 2_000
MAX_BATCH_SECONDS = 5.0

_OWN = "orchestration."
_CACHE_SIZE = 4_096
_PRIORITIES: Mapping[str, int] = {f"P{n}": n + 1 for n in range(5)}
_LESSER = frozenset(_PRIORITIES.values()) - KEPT_PRIORITIES


@dataclass(frozen=True, slots=True)
class Batch:
    """A policy that stores events together once ``events`` wait, or one has waited for ``seconds``."""

    events: int = 500
    seconds: float = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """A policy that stores the events of a share of sessions, and counts those of the others."""

    rate: float = 0.1


@dataclass(frozen=True, slots=True)
class Debounce:
    """A policy that stores one event for all changes of an entity, ``stable_seconds`` after the last."""

    stable_seconds: float = 5.0
    latest_seconds: float = MAX_DEBOUNCE_SECONDS
    """The longest that the first change waits."""


Policy = Batch | Sample | Debounce | None
"""None means that the event is stored at once."""

_REQUESTED: Mapping[int, Callable[[], Policy]] = {
    common_pb2.EMISSION_POLICY_BATCH: Batch,
    common_pb2.EMISSION_POLICY_SAMPLE: Sample,
    common_pb2.EMISSION_POLICY_DEBOUNCE: Debounce,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A policy with the types and priorities that it applies to."""

    types: Sequence[str]
    priorities: frozenset[int]
    policy: Policy

    def takes(self, type_: str, priority: int) -> bool:
        """Return whether the policy applies to an event."""
        return priority in self.priorities and names.type_matches(type_, self.types)


class Policies:
    """The policies of a server. If several apply to an event, the first counts."""

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self._entries = entries
        self.debounces = any(isinstance(entry.policy, Debounce) for entry in entries)
        self.sorts_emitted = any(isinstance(entry.policy, Batch | Sample) for entry in entries)
        """True if a policy batches or samples events of callers."""
        self._configured = lru_cache(_CACHE_SIZE)(self._first)

    def policy_for(
        self, type_: str, priority: int, requested: int = common_pb2.EMISSION_POLICY_UNSPECIFIED
    ) -> Policy:
        """Return the policy of an event. A policy that its caller requested counts if the rules allow it."""
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
"""Stores every event at once."""


def sample_position(project: str, session_key: str, correlation_id: str) -> float:
    """Return the position of a session from 0 to 1, which is the same on every server.

    A sample with a higher rate stores all events of the session. Events without a session go by their
    correlation id.
    """
    text = f"{project}\0{session_key}" if session_key else f"{project}\0\0{correlation_id}"
    digest = blake2b(text.encode(), digest_size=8, person=b"emit-sample").digest()
    return int.from_bytes(digest, "big") / 2.0**64


def load(path: Path | None = None) -> Policies:
    """Return the policies of a file. Without a file, every event is stored at once.

    Raises FileError, which names the file and the line, if a policy is not valid or breaks the rules.
    """
    if path is None:
        return AT_ONCE
    document = read_file(path)
    document.keys("policies")
    return Policies([_entry(item) for item in document["policies"].items(MAX_POLICIES)])


def _entry(node: YamlNode) -> Entry:
    kind = node["emit"].choice(("immediate", "batch", "sample", "debounce"))
    node.keys("on", "priorities", "emit", *_KEYS[kind])
    policy = _POLICIES[kind](node)
    urgent_too = policy is None or isinstance(policy, Batch)
    priorities = frozenset(_PRIORITIES.values()) if urgent_too else _LESSER
    if "priorities" in node:
        given = node["priorities"].one_or_more(len(_PRIORITIES))
        for one in given:
            if one.choice(tuple(_PRIORITIES)) in ("P0", "P1") and not urgent_too:
                raise one.error(f"must not be: events of P0 and P1 are never {_DONE[kind]}")
        priorities = frozenset(_PRIORITIES[one.choice(tuple(_PRIORITIES))] for one in given)
    types = []
    for one in node["on"].one_or_more(MAX_TYPES):
        types.append(one.text(names.EVENT_TYPE_FILTER, names.EVENT_TYPE_FILTER_FORM, names.MAX_EVENT_TYPE))
        if isinstance(policy, Debounce) and types[-1] not in DEBOUNCED:
            raise one.error(f"is not debounced: only {' and '.join(sorted(DEBOUNCED))} are")
        own = types[-1].startswith(_OWN) and types[-1] != ACTIVITY
        if isinstance(policy, Batch | Sample) and own:
            raise one.error(f"is never {_DONE[kind]}: of the ledger's own events only {ACTIVITY} is")
    return Entry(tuple(types), priorities, policy)


def _debounce(node: YamlNode) -> Debounce:
    stable = _number(node, "stable_seconds", Debounce().stable_seconds, 0.1, MAX_DEBOUNCE_SECONDS)
    latest = _number(node, "latest_seconds", Debounce().latest_seconds, 0.1, MAX_DEBOUNCE_SECONDS)
    if latest < stable:
        raise node["latest_seconds"].error("must not be less than stable_seconds")
    return Debounce(stable, latest)


def _batch(node: YamlNode) -> Batch:
    events = _number(node, "events", Batch().events, 1, MAX_BATCH_EVENTS)
    if not float(events).is_integer():
        raise node["events"].error("must be a whole number")
    return Batch(int(events), _number(node, "seconds", Batch().seconds, 0.001, MAX_BATCH_SECONDS))


def _sample(node: YamlNode) -> Sample:
    return Sample(_number(node, "rate", Sample().rate, 0.0, 1.0))


def _number(node: YamlNode, key: str, default: float, low: float, high: float) -> float:
    return node[key].number(low, high) if key in node else default


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
