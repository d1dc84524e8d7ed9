"""Callers' events on their way into the log: one message of them, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from google.protobuf.message import Message
from uuid_utils import UUID, uuid7

from orchestration.v1 import common_pb2, event_pb2
from orchestration_server import convert
from orchestration_server.model import PRIORITY_DEFAULT, Call, Request


class Draft(NamedTuple):
    """A caller's event as far as it is known before the database is asked.

    ``body`` lacks what a group's events share: who calls, and when it is recorded.
    """

    event_id: UUID
    name: str
    type: str
    entity_type: int
    entity_code: str
    sprint_code: str
    priority: int
    actor: str
    occur_time: datetime | None
    dedup_key: str
    body: bytes


@dataclass(slots=True)
class Emission:
    """Events of one caller's message, on their way into the log."""

    call: Call
    request: Request
    drafts: Sequence[Draft]
    size: int
    done: Future[Emitted] = field(default_factory=Future)

    @staticmethod
    def of(call: Call, request: Message, events: Iterable[event_pb2.NewEvent]) -> Emission:
        """Made on the caller's own thread, while the group before it is being stored."""
        # The events are kept as they came: a field unknown to NewEvent may mean something in Event.
        request.DiscardUnknownFields()
        drafts = [_draft(call, new) for new in events]
        size = sum([len(draft.body) for draft in drafts])
        return Emission(call, convert.request_of(call, request), drafts, size)


_DEFAULT_PRIORITY = event_pb2.Event(priority=common_pb2.PRIORITY_P2).SerializeToString()
_ID = b"\x0a\x24"
UID = b"\x32\x24"
SPRINT_CODE = 8
OCCUR_TIME = 15


def _draft(call: Call, new: event_pb2.NewEvent) -> Draft:
    event_id = uuid7()
    name = str(event_id)
    body = new.SerializeToString() + _ID + name.encode()
    priority = int(new.priority)
    if not priority:
        priority = PRIORITY_DEFAULT
        body += _DEFAULT_PRIORITY
    return Draft(
        event_id,
        name,
        new.type,
        new.entity_type,
        new.entity_code,
        new.sprint_code,
        priority,
        new.actor or call.agent,
        convert.moment(new.occur_time) if new.HasField("occur_time") else None,
        new.dedup_key,
        body,
    )


@dataclass(frozen=True, slots=True)
class Emitted:
    """What became of a message: ids in its order, which of them were there before, and the new rows."""

    ids: list[str]
    stored: int
    duplicates: int

    def body(self) -> bytes:
        """As it is remembered under the message's request_id."""
        answer: Any = event_pb2.EmitEventsResponse(
            stored=self.stored, duplicates=self.duplicates, event_ids=self.ids
        )
        body: bytes = answer.SerializeToString()
        return body

    @staticmethod
    def of(body: bytes) -> Emitted:
        """The other way round."""
        answer = event_pb2.EmitEventsResponse.FromString(body)
        return Emitted(list(answer.event_ids), answer.stored, answer.duplicates)
