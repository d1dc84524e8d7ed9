"""An entity as it was, folded from its events: pure functions over the messages of the log.

A change's event carries ``changes: {field: {from, to}}``; the first revision and each 32nd also carry a
snapshot, so that a fold is short (docs/decisions/0006). What stands in neither follows from the event:
uid, revision, and update_time, which is when it was recorded.
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
from orchestration.v1 import event_pb2
from orchestration_server.codec.content import (
    plain,
    to_struct,
)
from orchestration_server.codec.entities import EntityCodec
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.errors import FailedPrecondition

_CREATE_TIME = "create_time"
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def has_snapshot(event: event_pb2.Event) -> bool:
    """Whether a fold may begin with the event."""
    return "snapshot" in event.payload.fields


def is_deletion(event: event_pb2.Event) -> bool:
    """Whether the entity was deleted with the event."""
    return event.type.endswith(".deleted")


def changes_revision(codec: EntityCodec, event: event_pb2.Event) -> bool:
    """Whether the event is a part of a revision of the entity.

    Others are about the entity and leave it as it is: a dependency, an activity. A change of nothing, such as
    the resuming of a session that is active, is a revision too.
    """
    if has_snapshot(event) or is_deletion(event):
        return True
    if "changes" not in event.payload.fields:
        return False
    told = event.payload.fields["changes"].struct_value.fields
    return not told or any(name in codec.fields for name in told)


@dataclass(slots=True)
class EntityState:
    """An entity as of its last event. ``revision`` is one more than the message's where it was deleted."""

    codec: EntityCodec
    content: dict[str, Any] = field(default_factory=dict)
    uid: str = ""
    revision: int = 0
    alive_revision: int = 0
    create_time: Timestamp = field(default_factory=Timestamp)
    update_time: Timestamp = field(default_factory=Timestamp)
    deleted: bool = False
    last: event_pb2.Event = field(default_factory=event_pb2.Event)
    replayed: int = 0

    def apply(self, event: event_pb2.Event) -> None:
        """Takes the next event that moves the entity; the first one must have a snapshot."""
        payload = event.payload.fields
        if has_snapshot(event):
            content = plain(payload["snapshot"].struct_value)
            self.create_time = to_timestamp(datetime.fromisoformat(content.pop(_CREATE_TIME)))
            self.content = content
        elif event.entity_revision not in (self.revision, self.revision + 1):
            raise incomplete(
                event.entity_code, f"it lacks what is between revisions {self.revision}"
                f" and {event.entity_revision}",
            )  # fmt: skip
        elif "changes" in payload:
            for name, change in payload["changes"].struct_value.fields.items():
                if name in self.codec.fields:
                    self.content[name] = plain_value(change.struct_value.fields["to"])
        if is_deletion(event):
            self.deleted = True
        elif event.entity_revision > self.revision:
            self.alive_revision = event.entity_revision
            self.update_time = event.emit_time
        self.uid = event.entity_uid
        self.revision = event.entity_revision
        self.last = event
        self.replayed += 1

    def message(self) -> Message:
        """The entity as it was read."""
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
    """The state after events that move one entity, in the order of the log, the first one with a snapshot.

    FAILED_PRECONDITION, reason HISTORY_INCOMPLETE, where a revision between them is missing.
    """
    state = EntityState(codec)
    for event in events:
        state.apply(event)
    return state


def incomplete(code: str, why: str) -> FailedPrecondition:
    """The log no longer has all that it takes."""
    return FailedPrecondition(
        f"the log does not have the whole history of {code}: {why}",
        reason="HISTORY_INCOMPLETE",
        subject=code,
    )


def differences(rebuilt: Message, stored: Message) -> list[str]:
    """Names of the fields that two messages of one type do not have in common, in their order."""
    return [
        f.name
        for f in rebuilt.DESCRIPTOR.fields
        if _comparable(rebuilt, f.name) != _comparable(stored, f.name)
        or (f.has_presence and rebuilt.HasField(f.name) != stored.HasField(f.name))
    ]


def _comparable(message: Message, name: str) -> Any:
    """A field as events tell of it: -0 is 0, as in the canonical JSON of content hashes."""
    value = getattr(message, name)
    return to_struct(plain(value)) if isinstance(value, Struct) else value


def changes_of(event: event_pb2.Event) -> Struct:
    """An event's changes; those of a creation are its fields that are not empty, from null."""
    payload = event.payload.fields
    if "changes" in payload:
        return payload["changes"].struct_value
    told = plain(payload["snapshot"].struct_value) if "snapshot" in payload else {}
    return to_struct(
        {
            name: {"from": None, "to": value}
            for name, value in told.items()
            if name != _CREATE_TIME and value not in _EMPTY
        }
    )


def _set(message: Any, name: str, value: Any) -> None:
    """Sets a field from its plain value: the other way round than ``content``."""
    described = message.DESCRIPTOR.fields_by_name[name]
    if described.enum_type is not None:
        setattr(message, name, _enum_numbers(described.enum_type)[value])
    elif isinstance(value, dict):
        if value:
            getattr(message, name).CopyFrom(to_struct(value))
    elif isinstance(value, list):
        getattr(message, name).extend(value)
    else:
        setattr(message, name, value)


@cache
def _enum_numbers(enum: EnumDescriptor) -> dict[str, int]:
    """The numbers of an enum by the names that events have for them, such as "in_progress" or "P2"."""
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    numbers = {value.name.removeprefix(prefix): value.number for value in enum.values}
    return {"": 0} | numbers | {name.lower(): number for name, number in numbers.items()}
