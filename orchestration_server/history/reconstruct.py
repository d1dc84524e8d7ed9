"""Rebuilds the past state of an entity from its events: pure functions over the messages of the log.

The event of a change carries ``changes: {field: {from, to}}``. The first revision and each 32nd also carry a
snapshot, so that few events have to be replayed (docs/decisions/0006). The other fields follow from the event
itself: uid, revision, and update_time, which is the event's emit_time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.structs import plain_value
from orchestration.v1 import event_pb2, task_pb2
from orchestration_server.codec.content import (
    plain,
    to_struct,
)
from orchestration_server.codec.entities import EntityCodec
from orchestration_server.codec.retry_policies import to_retry_policy
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.errors import FailedPrecondition

_CREATE_TIME = "create_time"
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def has_snapshot(event: event_pb2.Event) -> bool:
    """Return whether a replay can start with an event."""
    return "snapshot" in event.payload.fields


def is_deletion(event: event_pb2.Event) -> bool:
    """Return whether an event is the deletion of its entity."""
    return event.type.endswith(".deleted")


def changes_revision(codec: EntityCodec, event: event_pb2.Event) -> bool:
    """Return whether an event is part of a revision of its entity.

    Other events are about the entity and leave it unchanged, such as a dependency or an activity. An event
    with no changed field is a revision too, such as the resumption of an active session.
    """
    if has_snapshot(event) or is_deletion(event):
        return True
    if "changes" not in event.payload.fields:
        return False
    changed = event.payload.fields["changes"].struct_value.fields
    return not changed or any(name in codec.fields for name in changed)


@dataclass(slots=True)
class EntityState:
    """The state of an entity after an event."""

    codec: EntityCodec
    content: dict[str, Any] = field(default_factory=dict)
    uid: str = ""
    revision: int = 0
    """The revision of the last event: a deletion counts as one."""
    alive_revision: int = 0
    """The revision in the message: the last one before a deletion."""
    create_time: Timestamp = field(default_factory=Timestamp)
    update_time: Timestamp = field(default_factory=Timestamp)
    deleted: bool = False
    last: event_pb2.Event = field(default_factory=event_pb2.Event)
    replayed: int = 0
    """The number of events that were applied."""

    def apply(self, event: event_pb2.Event) -> None:
        """Apply the next event that changes the revision. The first one must have a snapshot."""
        payload = event.payload.fields
        if has_snapshot(event):
            content = plain(payload["snapshot"].struct_value)
            self.create_time = to_timestamp(datetime.fromisoformat(content.pop(_CREATE_TIME)))
            self.content = content
        elif event.entity_revision not in (self.revision, self.revision + 1):
            raise incomplete(
                event.entity_code,
                f"it has no events between revisions {self.revision} and {event.entity_revision}",
            )  # fmt: skip
        elif "changes" in payload:
            for name, change in payload["changes"].struct_value.fields.items():
                if name in self.codec.fields:
                    self._change(name, plain_value(change.struct_value.fields["to"]))
        if is_deletion(event):
            self.deleted = True
        elif event.entity_revision > self.revision:
            self.alive_revision = event.entity_revision
            self.update_time = event.emit_time
        self.uid = event.entity_uid
        self.revision = event.entity_revision
        self.last = event
        self.replayed += 1

    def _change(self, name: str, value: Any) -> None:
        if value is None and name in self.codec.optional:
            self.content.pop(name, None)
        else:
            self.content[name] = value

    def message(self) -> Message:
        """Return the entity as a read would have returned it."""
        message: Any = self.codec.message()
        for name, value in self.content.items():
            _set(message, name, value)
        message.uid = self.uid
        message.revision = self.alive_revision
        message.create_time.CopyFrom(self.create_time)
        message.update_time.CopyFrom(self.update_time)
        self.codec.derive(message, self.content)
        return message  # type: ignore[no-any-return]  # any message


def fold(codec: EntityCodec, events: Iterable[event_pb2.Event]) -> EntityState:
    """Return the state of an entity after its events, which come in the order of the log.

    The first event must have a snapshot. Raises FailedPrecondition, reason HISTORY_INCOMPLETE, if a revision
    between the events is missing.
    """
    state = EntityState(codec)
    for event in events:
        state.apply(event)
    return state


def incomplete(code: str, why: str) -> FailedPrecondition:
    """Return the error for a log that no longer has the events that a replay needs."""
    return FailedPrecondition(
        f"the log does not have the whole history of {code}: {why}",
        reason="HISTORY_INCOMPLETE",
        subject=code,
    )


def differences(rebuilt: Message, stored: Message) -> list[str]:
    """Return the names of the fields in which two messages of one type differ, in the order of the fields."""
    return [
        f.name
        for f in rebuilt.DESCRIPTOR.fields
        if _comparable(rebuilt, f.name) != _comparable(stored, f.name)
        or (f.has_presence and rebuilt.HasField(f.name) != stored.HasField(f.name))
    ]


def _comparable(message: Message, name: str) -> Any:
    """Return a field as events record it: -0 is 0, as in the canonical JSON of content hashes."""
    value = getattr(message, name)
    return to_struct(plain(value)) if isinstance(value, Struct) else value


def changes_of(event: event_pb2.Event) -> Struct:
    """Return an event's changes. A creation changes its non-empty fields from null."""
    payload = event.payload.fields
    if "changes" in payload:
        return payload["changes"].struct_value
    created = plain(payload["snapshot"].struct_value) if "snapshot" in payload else {}
    return to_struct(
        {
            name: {"from": None, "to": value}
            for name, value in created.items()
            if name != _CREATE_TIME and value not in _EMPTY
        }
    )


def _set(message: Any, name: str, value: Any) -> None:
    """Set a field to a plain value, the inverse of ``EntityCodec.content``."""
    described = message.DESCRIPTOR.fields_by_name[name]
    if described.enum_type is not None:
        setattr(message, name, _enum_numbers(described.enum_type)[value])
    elif described.message_type is Timestamp.DESCRIPTOR:
        getattr(message, name).CopyFrom(to_timestamp(datetime.fromisoformat(value)))
    elif described.message_type is task_pb2.RetryPolicy.DESCRIPTOR:
        getattr(message, name).CopyFrom(to_retry_policy(value))
    elif isinstance(value, dict):
        if value:
            getattr(message, name).CopyFrom(to_struct(value))
    elif isinstance(value, list):
        getattr(message, name).extend(value)
    else:
        setattr(message, name, value)


@cache
def _enum_numbers(enum: EnumDescriptor) -> dict[str, int]:
    """Return the numbers of an enum by their names in events, such as "in_progress" or "P2"."""
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    numbers = {value.name.removeprefix(prefix): value.number for value in enum.values}
    return {"": 0} | numbers | {name.lower(): number for name, number in numbers.items()}
