"""One message of callers' events before it is stored, and the result of storing it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from uuid_utils import UUID, uuid7

from orchestration.v1 import common_pb2, event_pb2
from orchestration_server.codec.requests import request_key
from orchestration_server.codec.timestamps import to_datetime
from orchestration_server.codec.wire import VARINT, tag, varint
from orchestration_server.model import PRIORITY_DEFAULT, Call, Request
from orchestration_server.rules.emission import Batch, Policies, Sample, sample_position


class Draft(NamedTuple):
    """A caller's event before the database is read.

    ``body`` lacks the fields that a group's events share: the caller and the time of recording.
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
    sampled_out: bool = False
    """True if the event is only counted, not stored."""
    follows_task: bool = False
    """True if the event gets the sprint and the priority of its task when it is stored."""


@dataclass(slots=True)
class EmitRequest:
    """The events of one message of a caller, to be stored."""

    call: Call
    request: Request
    drafts: Sequence[Draft]
    size: int
    batch: Batch | None = None
    """The limits of its wait for other messages. None if it does not wait."""
    accepted: bool = False
    """True if its caller is answered before it is stored."""
    done: Future[EmitResult] = field(default_factory=Future)

    @staticmethod
    def from_message(
        call: Call,
        request: event_pb2.EmitEventRequest | event_pb2.EmitEventsRequest,
        events: Iterable[event_pb2.NewEvent],
        policies: Policies,
    ) -> EmitRequest:
        """Return the request for a message. It runs on the caller's thread, beside the storing of a group."""
        # The event is stored as it came. A field that NewEvent does not know may have a meaning in Event.
        request.DiscardUnknownFields()
        batch = None
        drafts = [_draft(call, new) for new in events]
        if policies.sorts_emitted or request.emission_policy:
            drafts, batch = _sorted(call, drafts, policies, request.emission_policy)
        return EmitRequest(
            call,
            request_key(call, request),
            drafts,
            sum([len(draft.body) for draft in drafts]),
            batch,
            accepted=request.durability == event_pb2.DURABILITY_ACCEPTED,
        )

    @staticmethod
    def from_activity(
        call: Call, request: Request, new: event_pb2.NewEvent, uid: str, batch: Batch
    ) -> EmitRequest:
        """Return the request for an activity, which is an event of the server. ``uid`` is its sprint's."""
        draft = _draft(call, new)
        if uid:
            draft = draft._replace(body=draft.body + UID + uid.encode())
        else:
            draft = draft._replace(follows_task=True)
        return EmitRequest(call, request, [draft], len(draft.body), batch)

    def accept(self) -> EmitResult:
        """Return the result for an answer that is given before the events are stored."""
        ids = ["" if draft.sampled_out else draft.name for draft in self.drafts]
        left_out = ids.count("")
        return EmitResult(ids, 0, 0, left_out, accepted=len(ids) - left_out)


_DEFAULT_PRIORITY = event_pb2.Event(priority=common_pb2.PRIORITY_P2).SerializeToString()
_FIELD = event_pb2.Event.DESCRIPTOR.fields_by_name
_UUID_BYTES = 36
_ID = varint(tag(_FIELD["id"].number)) + varint(_UUID_BYTES)
UID = varint(tag(_FIELD["entity_uid"].number)) + varint(_UUID_BYTES)
PRIORITY = varint(tag(_FIELD["priority"].number, VARINT))
SPRINT_CODE = _FIELD["sprint_code"].number
OCCUR_TIME = _FIELD["occur_time"].number


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
        to_datetime(new.occur_time) if new.HasField("occur_time") else None,
        new.dedup_key,
        body,
    )


def _sorted(
    call: Call, drafts: Sequence[Draft], policies: Policies, requested: int
) -> tuple[list[Draft], Batch | None]:
    """Return the drafts, marked if sampling leaves them out, and the batch that the message waits for.

    An event with a ``dedup_key`` is never left out. A message waits if all its stored events may wait.
    """
    place = sample_position(call.project, call.session_key, call.correlation_id)
    found: list[Draft] = []
    batches: list[Batch | None] = []
    for draft in drafts:
        policy = policies.policy_for(draft.type, draft.priority, requested)
        if isinstance(policy, Sample) and place >= policy.rate and not draft.dedup_key:
            found.append(draft._replace(sampled_out=True, body=b""))
            continue
        found.append(draft)
        batches.append(policy if isinstance(policy, Batch) else None)
    waiting = [batch for batch in batches if batch is not None]
    if not waiting or len(waiting) < len(batches):
        return found, None
    return found, Batch(min(b.events for b in waiting), min(b.seconds for b in waiting))


@dataclass(frozen=True, slots=True)
class EmitResult:
    """The result of a message: the ids in its order, and the numbers of new and known events."""

    ids: list[str]
    stored: int
    duplicates: int
    sampled_out: int = 0
    accepted: int = 0
    """The number of events that wait in memory. If set, nothing of the message is stored yet."""

    def body(self) -> bytes:
        """Return the bytes that are stored for the message's ``request_id``."""
        answer: Any = self.answer("")
        body: bytes = answer.SerializeToString()
        return body

    def answer(self, request_id: str) -> event_pb2.EmitEventsResponse:
        """Return the response to the message."""
        return event_pb2.EmitEventsResponse(
            request_id=request_id,
            stored=self.stored,
            duplicates=self.duplicates,
            event_ids=self.ids,
            sampled_out=self.sampled_out,
            accepted=self.accepted,
        )

    @staticmethod
    def from_body(body: bytes) -> EmitResult:
        """Return the result of stored bytes."""
        answer = event_pb2.EmitEventsResponse.FromString(body)
        return EmitResult(list(answer.event_ids), answer.stored, answer.duplicates, answer.sampled_out)
