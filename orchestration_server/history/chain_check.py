"""Checks that a correlation chain is complete and consistent: pure functions over its events.

The chain comes in the order of the log, page by page. If an entity's revision grows by more than one between
two of its events, ``gaps`` names the part of the log that must contain the revisions between. The check keeps
only the revision and a digest of each field of an entity, so that a chain of any size fits into memory.
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
"""Findings after which the check stops."""
_LEDGER = "orchestration."
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
    """An event of the chain, with its position in the log."""

    position: Position
    event: event_pb2.Event


class Gap(NamedTuple):
    """The part of the log between two events of a chain that skip revisions of one entity."""

    entity_type: int
    code: str
    after: Position
    before: Position


@dataclass(slots=True)
class Evidence:
    """The facts from the log and the ledger that the check of a page needs."""

    between: Mapping[Gap, Sequence[event_pb2.Event]] = field(default_factory=dict)
    """The events of each gap, in the order of the log. A gap that was not read is left out."""
    unknown: frozenset[tuple[int, str]] = frozenset()
    """Entities that the ledger does not have, by type and code."""
    missing: frozenset[str] = frozenset()
    """Ids of causing events that the log does not have."""
    deleted: Position = BEGINNING
    """The position up to which events may have been deleted from the archive."""
    deleted_before: datetime | None = None
    """Events recorded at or after this time were not deleted. None if no event was deleted."""


@dataclass(slots=True)
class _Entity:
    """The state of an entity, as far as the chain has been checked."""

    revision: int
    position: Position
    claimed: set[str] = field(default_factory=set)
    """The fields that events of the last revision claim to change."""
    known: dict[str, bytes] = field(default_factory=dict)
    """A digest of each field's value."""

    def learn(self, event: event_pb2.Event, changes: Mapping[str, Any]) -> None:
        if has_snapshot(event):
            snapshot = plain(event.payload.fields["snapshot"].struct_value)
            self.known = {name: _digest(value) for name, value in snapshot.items()}
        else:
            self.known |= {name: _digest(change.get("to")) for name, change in changes.items()}


class ChainCheck:
    """The check of one chain, page by page."""

    def __init__(self) -> None:
        self.checked = 0
        self.types: Counter[str] = Counter()
        self.entities: set[tuple[int, str]] = set()
        self.findings: list[event_pb2.ReplayFinding] = []
        self.truncated = False
        """True if events that the check needs were deleted or not read."""
        self.full = False
        """True if the check stopped at MOST_FINDINGS."""
        self._states: dict[tuple[int, str], _Entity] = {}

    def revision(self, entity_type: int, code: str) -> int:
        """Return the last checked revision of an entity; 0 if the chain has none of it so far."""
        state = self._states.get((entity_type, code))
        return state.revision if state else 0

    def gaps(self, page: Sequence[ChainEvent]) -> list[Gap]:
        """Return the parts of the log that the check of a page needs."""
        found = []
        last = {key: (state.revision, state.position) for key, state in self._states.items()}
        for position, event in page:
            if not _is_revision(event):
                continue
            key = (event.entity_type, event.entity_code)
            revision, after = last.get(key, (0, position))
            if revision and event.entity_revision > revision + 1:
                found.append(Gap(*key, after, position))
            if event.entity_revision >= revision:
                last[key] = (event.entity_revision, position)
        return found

    def check(self, page: Sequence[ChainEvent], evidence: Evidence) -> bool:
        """Check a page of the chain. Return False if the check stopped at MOST_FINDINGS."""
        for position, event in page:
            found = list(self._check_event(position, event, evidence))
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

    def _check_event(
        self, position: Position, event: event_pb2.Event, evidence: Evidence
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
        if not event.type.startswith(_LEDGER):
            return found
        key = (event.entity_type, event.entity_code)
        if key in evidence.unknown and key not in self.entities:
            found.append(
                _finding(_Code.REPLAY_FINDING_CODE_ENTITY_UNKNOWN, event, "the ledger has no such entity")
            )
        if not _is_complete(event):
            found.append(
                _finding(
                    _Code.REPLAY_FINDING_CODE_PAYLOAD_INCOMPLETE,
                    event,
                    "it lacks its changes or its snapshot",
                )
            )
        if _is_revision(event):
            found += self._check_revision(position, event, evidence)
        return found

    def _check_revision(
        self, position: Position, event: event_pb2.Event, evidence: Evidence
    ) -> list[event_pb2.ReplayFinding]:
        """Check one event of a revision, and update the state of its entity."""
        found = []
        key = (event.entity_type, event.entity_code)
        changes = _changes(event)
        claimed = _claimed_fields(event, changes)
        revision = event.entity_revision
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = _Entity(revision, position)
        elif revision < state.revision:
            text = f"revision {revision} comes after revision {state.revision}"
            return [_finding(_Code.REPLAY_FINDING_CODE_REVISION_ORDER, event, text)]
        elif revision == state.revision:
            if twice := claimed & state.claimed:
                text = f"revision {revision} changes {', '.join(sorted(twice))} twice"
                found.append(_finding(_Code.REPLAY_FINDING_CODE_REVISION_ORDER, event, text))
        else:
            if revision > state.revision + 1:
                between = evidence.between.get(Gap(*key, state.position, position))
                found += self._bridge(state, event, between, deleted=state.position <= evidence.deleted)
            state.claimed = set()
        found += _check_changes(event, changes, state)
        state.revision, state.position = revision, position
        state.claimed |= claimed
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
        """Apply the revisions that other chains made between two events of this chain.

        Return a finding if revisions are missing, unless they may have been deleted.
        """
        reached = state.revision
        for other in between or ():
            if _is_revision(other) and other.entity_revision in (reached, reached + 1):
                state.learn(other, _changes(other))
                reached = other.entity_revision
        if reached == event.entity_revision - 1:
            return []
        state.known = {}
        if between is None or deleted:
            self.truncated = True
            return []
        text = f"the log has no events between revisions {reached} and {event.entity_revision}"
        return [_finding(_Code.REPLAY_FINDING_CODE_REVISION_GAP, event, text)]


def cause_of(event: event_pb2.Event) -> str:
    """Return the id of the event that a rule of automation answered with this one; empty if it has none."""
    payload = event.payload.fields
    # A caller may write such a field too: it counts only in events of automation.
    if event.agent != AGENT or "automation" not in payload:
        return ""
    automation = payload["automation"].struct_value.fields
    return automation["cause"].string_value if "cause" in automation else ""


def _is_before(event_id: str, time: datetime | None) -> bool:
    """Return whether the id of an event, a UUIDv7, was made before a time."""
    if time is None:
        return False
    try:
        return UUID(event_id).int >> 80 < time.timestamp() * 1000
    except ValueError:
        return False


def _is_revision(event: event_pb2.Event) -> bool:
    """Return whether an event is part of a revision, or should be."""
    kind = ENTITY_CODECS.get(event.entity_type)
    if kind is None or not event.type.startswith(_LEDGER):
        return False
    name = event.type.removeprefix(_LEDGER)
    return (
        name in _CREATIONS
        or name in _CHANGES
        or (event.entity_revision > 0 and changes_revision(kind, event))
    )


def _is_complete(event: event_pb2.Event) -> bool:
    """Return whether an event has the payload that its type requires."""
    name = event.type.removeprefix(_LEDGER)
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
    """Return an event's changes of fields that are in the entity's content."""
    if "changes" not in event.payload.fields:
        return {}
    fields = ENTITY_CODECS[event.entity_type].fields
    changes = plain(event.payload.fields["changes"].struct_value)
    return {name: change for name, change in changes.items() if name in fields and isinstance(change, dict)}


def _claimed_fields(event: event_pb2.Event, changes: Mapping[str, Any]) -> set[str]:
    """Return the fields that an event claims to set. A creation claims all of them."""
    if has_snapshot(event) and "changes" not in event.payload.fields:
        return set(ENTITY_CODECS[event.entity_type].fields)
    return set(changes)


def _check_changes(
    event: event_pb2.Event, changes: Mapping[str, Mapping[str, Any]], state: _Entity
) -> list[event_pb2.ReplayFinding]:
    """Return a finding for each change that does not follow from the value before, or is not allowed."""
    found = []
    for name, change in sorted(changes.items()):
        if name in state.known and state.known[name] != _digest(change.get("from")):
            text = f"{name} had another value than the change says"
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
