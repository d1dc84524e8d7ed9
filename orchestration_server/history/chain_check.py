"""Whether a correlation chain is whole and consistent: a pure check over its events.

The chain comes in the order of the log, page by page. Where an entity's revision goes on by more than one
between two of its events, ``gaps`` names the part of the log that has to explain it. Of each entity only the
revision and a digest of each field are kept, so that a chain of any size fits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from orchestration.v1 import event_pb2
from orchestration_server.codec.content import plain
from orchestration_server.codec.entities import ENTITY_CODECS
from orchestration_server.history.reconstruct import changes_revision, has_snapshot
from orchestration_server.model import (
    BEGINNING,
    Position,
)
from orchestration_server.rules.automation import AGENT

MOST_FINDINGS = 500
_OWN = "orchestration."
_CREATIONS = frozenset(("sprint.created", "task.created", "session.started"))
_CHANGES = frozenset(
    (
        "sprint.updated",
        "sprint.status_changed",
        "sprint.metadata_updated",
        "task.updated",
        "task.status_updated",
        "task.blocked",
        "task.unblocked",
        "task.priority_changed",
        "task.assigned",
        "session.resumed",
        "session.paused",
        "session.closed",
    )
)


_Code = event_pb2.ReplayFindingCode


class ChainEvent(NamedTuple):
    """An event of the chain, with its place."""

    place: Position
    event: event_pb2.Event


class Gap(NamedTuple):
    """A part of the log between two events of a chain that skip revisions of one entity."""

    entity_type: int
    code: str
    after: Position
    before: Position


@dataclass(slots=True)
class Evidence:
    """What the log says beside a page of the chain."""

    between: Mapping[Gap, Sequence[event_pb2.Event]] = field(default_factory=dict)
    """The events of each gap, in the order of the log; a gap that was not read is left out."""
    unknown: frozenset[tuple[int, str]] = frozenset()
    """Entities, by type and code, that the ledger does not have."""
    missing: frozenset[str] = frozenset()
    """Ids of causes that the log does not have."""
    deleted: Position = BEGINNING
    """Up to where events may have been deleted from the archive."""
    deleted_before: datetime | None = None
    """What was recorded at or after this was not; None where nothing was deleted."""


@dataclass(slots=True)
class _Entity:
    """What the chain has told of an entity so far."""

    revision: int
    place: Position
    told: set[str] = field(default_factory=set)
    """Fields of the last revision."""
    known: dict[str, bytes] = field(default_factory=dict)
    """A digest of what each field is."""

    def learn(self, event: event_pb2.Event, changes: Mapping[str, Any]) -> None:
        if has_snapshot(event):
            snapshot = plain(event.payload.fields["snapshot"].struct_value)
            self.known = {name: _digest(value) for name, value in snapshot.items()}
        else:
            self.known |= {name: _digest(change.get("to")) for name, change in changes.items()}


class ChainCheck:
    """The check of one chain."""

    def __init__(self) -> None:
        self.checked = 0
        self.types: Counter[str] = Counter()
        self.entities: set[tuple[int, str]] = set()
        self.findings: list[event_pb2.ReplayFinding] = []
        self.truncated = False
        self.full = False
        """Whether there is more to find than is told."""
        self._states: dict[tuple[int, str], _Entity] = {}

    def revision(self, entity_type: int, code: str) -> int:
        """The last revision of an entity that was checked; 0 where there was none."""
        state = self._states.get((entity_type, code))
        return state.revision if state else 0

    def gaps(self, page: Sequence[ChainEvent]) -> list[Gap]:
        """The parts of the log that the check of a page needs."""
        found = []
        last = {key: (state.revision, state.place) for key, state in self._states.items()}
        for place, event in page:
            if not _counts(event):
                continue
            key = (event.entity_type, event.entity_code)
            revision, after = last.get(key, (0, place))
            if revision and event.entity_revision > revision + 1:
                found.append(Gap(*key, after, place))
            if event.entity_revision >= revision:
                last[key] = (event.entity_revision, place)
        return found

    def check(self, page: Sequence[ChainEvent], evidence: Evidence) -> bool:
        """Checks a page of the chain. False where there is more to find than is told."""
        for place, event in page:
            found = list(self._event(place, event, evidence))
            room = MOST_FINDINGS - len(self.findings)
            self.findings += found[:room]
            self.checked += 1
            self.types[event.type] += 1
            if event.entity_type:
                self.entities.add((event.entity_type, event.entity_code))
            if len(found) > room:
                self.truncated = self.full = True
                return False
        return True

    def _event(
        self, place: Position, event: event_pb2.Event, evidence: Evidence
    ) -> list[event_pb2.ReplayFinding]:
        found = []
        cause = cause_of(event)
        if cause in evidence.missing and _is_before(cause, evidence.deleted_before):
            self.truncated = True
        elif cause in evidence.missing:
            found.append(
                _finding(
                    _Code.REPLAY_FINDING_CODE_CAUSE_MISSING, event, f"its cause {cause} is not in the log"
                )
            )
        if not event.type.startswith(_OWN):
            return found
        key = (event.entity_type, event.entity_code)
        if key in evidence.unknown and key not in self.entities:
            found.append(
                _finding(_Code.REPLAY_FINDING_CODE_ENTITY_UNKNOWN, event, "the ledger has no such entity")
            )
        if not _complete(event):
            found.append(
                _finding(
                    _Code.REPLAY_FINDING_CODE_PAYLOAD_INCOMPLETE,
                    event,
                    "it lacks its changes or its snapshot",
                )
            )
        if _counts(event):
            found += self._revision(place, event, evidence)
        return found

    def _revision(
        self, place: Position, event: event_pb2.Event, evidence: Evidence
    ) -> list[event_pb2.ReplayFinding]:
        """Checks a part of a revision, and takes it into what is known of its entity."""
        found = []
        key = (event.entity_type, event.entity_code)
        changes = _changes(event)
        told = _claimed_fields(event, changes)
        revision = event.entity_revision
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = _Entity(revision, place)
        elif revision < state.revision:
            text = f"revision {revision} comes after revision {state.revision}"
            return [_finding(_Code.REPLAY_FINDING_CODE_REVISION_ORDER, event, text)]
        elif revision == state.revision:
            if twice := told & state.told:
                text = f"revision {revision} changes {', '.join(sorted(twice))} twice"
                found.append(_finding(_Code.REPLAY_FINDING_CODE_REVISION_ORDER, event, text))
        else:
            if revision > state.revision + 1:
                between = evidence.between.get(Gap(*key, state.place, place))
                found += self._bridge(state, event, between, deleted=state.place <= evidence.deleted)
            state.told = set()
        found += _changed(event, changes, state)
        state.revision, state.place = revision, place
        state.told |= told
        state.learn(event, changes)
        return found

    def _bridge(
        self,
        state: _Entity,
        event: event_pb2.Event,
        between: Sequence[event_pb2.Event] | None,
        *,
        deleted: bool,
    ) -> list[event_pb2.ReplayFinding]:
        """Takes what other chains changed meanwhile into the state; a finding where that is not all,
        unless the rest may have been deleted."""
        reached = state.revision
        for other in between or ():
            if _counts(other) and other.entity_revision in (reached, reached + 1):
                state.learn(other, _changes(other))
                reached = other.entity_revision
        if reached == event.entity_revision - 1:
            return []
        state.known = {}
        if between is None or deleted:
            self.truncated = True
            return []
        text = f"the log has nothing between revisions {reached} and {event.entity_revision}"
        return [_finding(_Code.REPLAY_FINDING_CODE_REVISION_GAP, event, text)]


def cause_of(event: event_pb2.Event) -> str:
    """The id of the event that a rule answered with this one; empty where it names none."""
    told = event.payload.fields
    if event.agent != AGENT:
        # A caller may write such a field too.
        return ""
    if "automation" not in told or "cause" not in told["automation"].struct_value.fields:
        return ""
    return told["automation"].struct_value.fields["cause"].string_value


def _is_before(event_id: str, time: datetime | None) -> bool:
    """Whether the id of an event, a UUIDv7, was made before a time."""
    if time is None:
        return False
    try:
        return UUID(event_id).int >> 80 < time.timestamp() * 1000
    except ValueError:
        return False


def _counts(event: event_pb2.Event) -> bool:
    """Whether the event is a part of a revision, or should be."""
    kind = ENTITY_CODECS.get(event.entity_type)
    if kind is None or not event.type.startswith(_OWN):
        return False
    name = event.type.removeprefix(_OWN)
    return (
        name in _CREATIONS
        or name in _CHANGES
        or (event.entity_revision > 0 and changes_revision(kind, event))
    )


def _complete(event: event_pb2.Event) -> bool:
    """Whether the event has what its type promises."""
    name = event.type.removeprefix(_OWN)
    payload = event.payload.fields
    if name in _CREATIONS:
        return has_snapshot(event)
    if name not in _CHANGES:
        return True
    if "changes" not in payload or payload["changes"].WhichOneof("kind") != "struct_value":
        return False
    changes = payload["changes"].struct_value.fields.values()
    return all({"from", "to"} <= set(change.struct_value.fields) for change in changes)


def _changes(event: event_pb2.Event) -> dict[str, dict[str, Any]]:
    """The changes of fields that the entity's content has."""
    if "changes" not in event.payload.fields:
        return {}
    fields = ENTITY_CODECS[event.entity_type].fields
    told = plain(event.payload.fields["changes"].struct_value)
    return {name: change for name, change in told.items() if name in fields and isinstance(change, dict)}


def _claimed_fields(event: event_pb2.Event, changes: Mapping[str, Any]) -> set[str]:
    """The fields that the event claims: a creation claims all."""
    if has_snapshot(event) and "changes" not in event.payload.fields:
        return set(ENTITY_CODECS[event.entity_type].fields)
    return set(changes)


def _changed(
    event: event_pb2.Event, changes: Mapping[str, Mapping[str, Any]], state: _Entity
) -> list[event_pb2.ReplayFinding]:
    """What is wrong with each field's way from one value to the other."""
    found = []
    for name, change in sorted(changes.items()):
        if name in state.known and state.known[name] != _digest(change.get("from")):
            text = f"{name} was not what the change was made from"
            found.append(_finding(_Code.REPLAY_FINDING_CODE_FROM_MISMATCH, event, text))
    status = changes.get("status", {})
    before, after = status.get("from"), status.get("to")
    if status and after not in ENTITY_CODECS[event.entity_type].transition_names.get(str(before), ()):
        text = f"status {before} cannot become {after}"
        found.append(_finding(_Code.REPLAY_FINDING_CODE_TRANSITION_REFUSED, event, text))
    return found


def _finding(
    code: event_pb2.ReplayFindingCode.ValueType, event: event_pb2.Event, text: str
) -> event_pb2.ReplayFinding:
    subject = f"{event.type} of {event.entity_code}" if event.entity_code else event.type
    return event_pb2.ReplayFinding(code=code, message=f"{subject}: {text}", event_id=event.id)


def _digest(value: Any) -> bytes:
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
