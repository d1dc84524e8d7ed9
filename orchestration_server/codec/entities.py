"""The entities that have revisions, sprints, tasks and sessions, described once for writes and for replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import common_pb2, sprint_pb2, task_pb2
from orchestration_server.codec.content import (
    TASK_MESSAGES,
    TASK_OPTIONAL,
    TASK_STRUCTS,
    content_hash,
    field_changes,
    new_uid,
    session_content,
    snapshot,
    sprint_content,
    task_content,
)
from orchestration_server.codec.names import SESSION_STATUS_NAMES, SPRINT_STATUS_NAMES, TASK_STATUS_NAMES
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.errors import TransitionRefused
from orchestration_server.model import (
    ENTITY_NAMES,
    PRIORITY_DEFAULT,
    SESSION_TRANSITIONS,
    SPRINT_TRANSITIONS,
    TASK_TRANSITIONS,
    EntityType,
)

FieldChange = Mapping[str, Any]
"""A field's values before and after a change, under ``from`` and ``to``."""


@dataclass(frozen=True, eq=False)
class EntityCodec:
    """The descriptor of a type of entity: its message, its content, its statuses and its events."""

    entity_type: EntityType
    message: type[Any]
    content: Callable[[Any], dict[str, Any]]
    """Returns the message's fields as plain values, as changes and snapshots have them."""
    derive: Callable[[Any, dict[str, Any]], None]
    """Sets the fields that follow from the content and the times."""
    status_names: Sequence[str]
    transitions: Mapping[Any, Sequence[int]]
    """The statuses that may follow each status."""
    defaults: Mapping[str, int] = field(default_factory=dict)
    """The values of a new entity's enums if the caller sets none."""
    structs: Sequence[str] = ("metadata",)
    """Fields that are absent if they are empty."""
    optional: Sequence[str] = ()
    """Fields that the content has only if they are set."""
    messages: Sequence[str] = ()
    """The optional fields that are messages."""
    aspects: Mapping[str, Callable[[FieldChange], str]] = field(default_factory=dict)
    """Fields whose changes get a separate event, and the function that names the event of a change."""

    @property
    def name(self) -> str:
        """Return the entity's name in event types and error details."""
        return ENTITY_NAMES[self.entity_type]

    @cached_property
    def fields(self) -> frozenset[str]:
        """Return the names of the content's fields."""
        return frozenset(self.content(self.message())).union(self.optional)

    @cached_property
    def transition_names(self) -> Mapping[str, frozenset[str]]:
        """Return ``transitions`` by the names of the statuses."""
        return {
            self.status_names[status]: frozenset(self.status_names[after] for after in allowed)
            for status, allowed in self.transitions.items()
        }

    def create(self, given: Any, *, create_time: datetime, now: datetime) -> tuple[Any, dict[str, Any]]:
        """Return a new entity at revision 1, made from a caller's message, and its content."""
        message = self.message()
        message.CopyFrom(given)
        message.uid = new_uid()
        for name, value in self.defaults.items():
            setattr(message, name, getattr(message, name) or value)
        message.create_time.CopyFrom(to_timestamp(create_time))
        message.DiscardUnknownFields()
        for name in self.structs:
            if not getattr(message, name).fields:
                message.ClearField(name)
        for name in self.messages:
            if message.HasField(name):
                _store(message, name)
        content = self.content(message)
        self.advance(message, 0, content, now)
        return message, content

    def set_field(self, message: Any, given: Any, name: str) -> None:
        """Set a field to the value that it has in a caller's message."""
        value = getattr(given, name)
        if isinstance(value, Struct):
            message.ClearField(name)
            if value.fields:
                getattr(message, name).CopyFrom(value)
                getattr(message, name).DiscardUnknownFields()
        elif isinstance(value, Message):
            message.ClearField(name)
            if given.HasField(name):
                getattr(message, name).CopyFrom(value)
                getattr(message, name).DiscardUnknownFields()
                _store(message, name)
        elif isinstance(value, str | int):
            setattr(message, name, value)
        else:
            getattr(message, name)[:] = list(value)

    def revise(
        self, body: bytes, revision: int, edit: Callable[[Any], None], *, now: datetime, reason: str = ""
    ) -> tuple[Any, list[tuple[str, dict[str, Any]]]] | None:
        """Return the revision after ``revision`` and its events; None if the edit changes no field.

        ``body`` is the stored entity, and ``reason`` the caller's for a change of status. Raises
        TransitionRefused if the new status may not follow the old one.
        """
        message = self.message.FromString(body)
        before, status = self.content(message), message.status
        edit(message)
        content = self.content(message)
        changes = field_changes(before, content)
        if not changes:
            return None
        self.check_transition(message, status)
        self.advance(message, revision, content, now)
        return message, self.change_events(message, content, changes, reason=reason)

    def check_transition(self, message: Any, before: int) -> None:
        """Raise TransitionRefused if the message's status may not follow the status ``before``."""
        if message.status == before:
            return
        allowed = self.transitions[before]
        if message.status not in allowed:
            names = self.status_names
            raise TransitionRefused(
                f"{self.name} {message.code}",
                names[before],
                names[message.status],
                [names[status] for status in allowed],
            )

    def advance(self, message: Any, revision: int, content: dict[str, Any], now: datetime) -> None:
        """Make a message the revision that follows ``revision``."""
        message.revision = revision + 1
        message.update_time.CopyFrom(to_timestamp(now))
        self.derive(message, content)

    def change_events(
        self, message: Any, content: dict[str, Any], changes: dict[str, dict[str, Any]], *, reason: str = ""
    ) -> list[tuple[str, dict[str, Any]]]:
        """Return the type, without ``orchestration.``, and the payload of each event of one change.

        Each aspect gets a separate event, and all other fields share one. ``reason`` is the caller's, for a
        change of status. The last event has the snapshot, if the revision has one.
        """
        events: list[tuple[str, dict[str, Any]]] = []
        rest = dict(changes)
        for aspect, event_name in self.aspects.items():
            if aspect in rest:
                change = rest.pop(aspect)
                why = {"reason": reason} if reason and aspect == "status" else {}
                events.append((f"{self.name}.{event_name(change)}", {"changes": {aspect: change}, **why}))
        if rest:
            events.append((f"{self.name}.updated", {"changes": rest}))
        events[-1][1].update(snapshot(content, revision=message.revision, create_time=message.create_time))
        return events


def _store(message: Any, name: str) -> None:
    """Make a message field what the content has of it: absent if it says nothing, times in microseconds."""
    value = getattr(message, name)
    if value.ListFields() or isinstance(value, Timestamp):
        _cut_to_microseconds(value)
    else:
        message.ClearField(name)


def _cut_to_microseconds(value: Any) -> None:
    for part, inner in value.ListFields():
        if part.name == "nanos":
            value.nanos = inner - inner % 1_000
        elif part.message_type is not None:
            _cut_to_microseconds(inner)


def _set_hash(message: Any, content: dict[str, Any]) -> None:
    message.hash = content_hash(content)


def _set_close_time(session: common_pb2.Session, _: dict[str, Any]) -> None:
    if session.status == common_pb2.SESSION_STATUS_COMPLETED:
        session.close_time.CopyFrom(session.update_time)


def _task_status_event(change: FieldChange) -> str:
    if change["to"] == "blocked":
        return "blocked"
    return "unblocked" if change["from"] == "blocked" else "status_updated"


SPRINT = EntityCodec(
    EntityType.SPRINT,
    sprint_pb2.Sprint,
    sprint_content,
    _set_hash,
    SPRINT_STATUS_NAMES,
    SPRINT_TRANSITIONS,
    defaults={"status": common_pb2.SPRINT_STATUS_PLANNING},
    aspects={"status": lambda _: "status_changed", "metadata": lambda _: "metadata_updated"},
)
TASK = EntityCodec(
    EntityType.TASK,
    task_pb2.Task,
    task_content,
    _set_hash,
    TASK_STATUS_NAMES,
    TASK_TRANSITIONS,
    defaults={"status": common_pb2.TASK_STATUS_PENDING, "priority": PRIORITY_DEFAULT},
    structs=TASK_STRUCTS,
    optional=TASK_OPTIONAL,
    messages=TASK_MESSAGES,
    aspects={
        "status": _task_status_event,
        "priority": lambda _: "priority_changed",
        "assignee": lambda _: "assigned",
    },
)
SESSION = EntityCodec(
    EntityType.SESSION,
    common_pb2.Session,
    session_content,
    _set_close_time,
    SESSION_STATUS_NAMES,
    SESSION_TRANSITIONS,
)
ENTITY_CODECS: Mapping[int, EntityCodec] = {codec.entity_type: codec for codec in (SPRINT, TASK, SESSION)}
