"""Protobuf messages to rows and back, content hashes, pages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b, sha256
from typing import Any

import orjson
import rfc8785
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from uuid_utils import uuid7

from orchestration.structs import plain as plain
from orchestration.v1 import common_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration_server.codec import causers
from orchestration_server.model import (
    KEPT_PRIORITIES,
    Call,
    EntityType,
    EventRow,
    Request,
)
from orchestration_server.store.tasks import TaskColumns

PAGE_DEFAULT = 50
SNAPSHOT_EVERY = 32
"""Revisions of an entity between two events that hold all of it."""
EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)

TASK_TEXTS = ("title", "description", "sprint_code", "phase", "assignee")
TASK_LISTS = ("labels", "objectives", "deliverables", "acceptance_criteria")
TASK_STRUCTS = ("agent_config", "metadata")
SPRINT_TEXTS = ("title", "owner", "goal", "start_date", "end_date")

SPRINT_STATUS_NAMES = ("", "planning", "active", "completed", "cancelled")
TASK_STATUS_NAMES = ("", "pending", "in_progress", "blocked", "completed", "cancelled")
SESSION_STATUS_NAMES = ("", "active", "paused", "completed")
ADR_STATUS_NAMES = ("", "proposed", "accepted", "rejected", "deprecated", "superseded")
SESSION_OUTCOME_NAMES = ("", "succeeded", "failed", "handed_over", "abandoned")
SESSION_TEXTS = ("key", "agent", "target_code", "correlation_id", "pause_reason", "summary")
TARGET_NAMES = ("", "sprint", "task")
PRIORITY_NAMES = ("", "P0", "P1", "P2", "P3", "P4")


def new_uid() -> str:
    """A UUIDv7."""
    return str(uuid7())


def stamp(time: datetime) -> Timestamp:
    """An aware datetime as a Timestamp."""
    delta = time - EPOCH_START
    return Timestamp(seconds=delta.days * 86_400 + delta.seconds, nanos=delta.microseconds * 1_000)


def moment(time: Timestamp) -> datetime:
    """A Timestamp as an aware datetime, to the microsecond."""
    return EPOCH_START + timedelta(seconds=time.seconds, microseconds=time.nanos // 1_000)


def page_size(asked: int) -> int:
    """How many rows a page holds."""
    return asked or PAGE_DEFAULT


# Structs and content


def to_struct(values: dict[str, Any]) -> Struct:
    """Plain values as a Struct."""
    return Struct(fields={key: _value(item) for key, item in values.items()})


def _value(item: Any) -> Value:
    if item is None:
        return Value(null_value=0)  # type: ignore[arg-type]  # NULL_VALUE
    if isinstance(item, bool):
        return Value(bool_value=item)
    if isinstance(item, str):
        return Value(string_value=item)
    if isinstance(item, int | float):
        return Value(number_value=item)
    if isinstance(item, dict):
        return Value(struct_value=to_struct(item))
    return Value(list_value=ListValue(values=[_value(part) for part in item]))


def task_content(task: task_pb2.Task) -> dict[str, Any]:
    """All of a task but uid, revision, hash and times, as plain values."""
    content: dict[str, Any] = {
        "code": task.code,
        "status": TASK_STATUS_NAMES[task.status],
        "priority": PRIORITY_NAMES[task.priority],
    }
    for name in TASK_TEXTS:
        content[name] = getattr(task, name)
    for name in TASK_LISTS:
        content[name] = list(getattr(task, name))
    for name in TASK_STRUCTS:
        content[name] = plain(getattr(task, name)) if task.HasField(name) else {}  # type: ignore[arg-type]
    return content


def sprint_content(sprint: sprint_pb2.Sprint) -> dict[str, Any]:
    """All of a sprint but uid, revision, hash and times, as plain values."""
    content: dict[str, Any] = {"code": sprint.code, "status": SPRINT_STATUS_NAMES[sprint.status]}
    for name in SPRINT_TEXTS:
        content[name] = getattr(sprint, name)
    content["metadata"] = plain(sprint.metadata) if sprint.HasField("metadata") else {}
    return content


def session_content(session: common_pb2.Session) -> dict[str, Any]:
    """All of a session but uid, revision and times, as plain values; it is closed when its status says so."""
    content: dict[str, Any] = {
        "status": SESSION_STATUS_NAMES[session.status],
        "target_type": TARGET_NAMES[session.target_type],
        "outcome": SESSION_OUTCOME_NAMES[session.outcome],
    }
    for name in SESSION_TEXTS:
        content[name] = getattr(session, name)
    content["metadata"] = plain(session.metadata) if session.HasField("metadata") else {}
    return content


def content_hash(content: dict[str, Any]) -> str:
    """SHA-256 of the content as canonical JSON (RFC 8785).

    Strings alone are written alike by both libraries; numbers and the order of keys are not, so what a
    caller may nest goes through the canonical one.
    """
    parts = {
        key: orjson.Fragment(rfc8785.dumps(value)) if isinstance(value, dict) and value else value
        for key, value in content.items()
    }
    return sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The fields that differ, with both values."""
    return {
        key: {"from": before[key], "to": value}
        for key, value in after.items()
        if before[key] != value or (value and isinstance(value, dict) and not _alike(before[key], value))
    }


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether equal values are of equal types too: true is not 1."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)


def snapshot(content: dict[str, Any], *, revision: int, create_time: Timestamp) -> dict[str, Any]:
    """What the last event of a revision carries so that state is rebuilt from it: nothing for most.

    The first revision and each ``SNAPSHOT_EVERY``th one have the whole content (docs/decisions/0006).
    """
    if revision != 1 and revision % SNAPSHOT_EVERY:
        return {}
    return {"snapshot": content | {"create_time": moment(create_time).isoformat()}}


def task_columns(task: task_pb2.Task, *, revision: int, update_time: datetime) -> TaskColumns:
    """The row of a task; ``revision`` is the one it is made from."""
    return TaskColumns(
        code=task.code,
        uid=task.uid,
        sprint_code=task.sprint_code,
        status=task.status,
        priority=task.priority,
        assignee=task.assignee,
        labels=task.labels,
        revision=revision,
        create_time=moment(task.create_time),
        update_time=update_time,
        body=task.SerializeToString(),
    )


# Wire format: an answer made of parts that are serialized already


_SHORT = [bytes((number,)) for number in range(0x80)]


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    if number < 0x4000:
        return _SHORT[number] if number < 0x80 else bytes((number & 0x7F | 0x80, number >> 7))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def embed(field: int, body: bytes) -> bytes:
    """A serialized message as a field of another."""
    return varint(field << 3 | 2) + varint(len(body)) + body


def embed_all(field: int, bodies: Iterable[bytes]) -> bytes:
    """Serialized messages as a repeated field of another."""
    tag = varint(field << 3 | 2)
    return b"".join([tag + varint(len(body)) + body for body in bodies])


def request_of(call: Call, message: Message) -> Request:
    """The request's id and the fingerprint of its body, and of what its caller's key is held to.

    So a key is never shown the answer that one held to something else had.
    """
    request_id: str = getattr(message, "request_id", "")
    if not request_id:
        return Request(call.rpc, "", b"")
    body = message.SerializeToString(deterministic=True)
    holder = b""
    if call.principal is not None and call.principal.held:
        names = f"{call.principal.session_key}\0{call.principal.sprint_code}"
        holder = blake2b(names.encode(), digest_size=16).digest()
    return Request(call.rpc, request_id, blake2b(body, digest_size=16, key=holder).digest())


def change_event(
    call: Call,
    type_: str,
    now: datetime,
    *,
    entity: EntityType,
    code: str,
    uid: str,
    revision: int,
    payload: dict[str, Any],
    sprint_code: str = "",
    priority: int = 3,
    occur_time: datetime | None = None,
) -> EventRow:
    """An event of the ledger's own."""
    if call.automation is not None:
        payload = payload | {"automation": dict(call.automation)}
    event = event_pb2.Event(
        type=f"orchestration.{type_}",
        entity_type=int(entity),  # type: ignore[arg-type]  # the numbers are the same
        entity_code=code,
        entity_uid=uid,
        entity_revision=revision,
        sprint_code=sprint_code,
        priority=priority,  # type: ignore[arg-type]  # the numbers are the same
        payload=to_struct(payload),
    )
    return event_row(event, call, now=now, occur_time=occur_time, tail=event_tail(call, now))


def event_tail(call: Call, now: datetime) -> bytes:
    """What all events of one call share, serialized once: who calls, and when it is recorded."""
    return event_pb2.Event(
        correlation_id=call.correlation_id,
        session_key=call.session_key,
        agent=call.agent,
        emit_time=stamp(now),
    ).SerializeToString()


def event_row(
    event: event_pb2.Event, call: Call, *, now: datetime, occur_time: datetime | None, tail: bytes
) -> EventRow:
    """Completes an event with who calls and when, and makes its row."""
    happened = occur_time or now
    event_id = uuid7()
    event.id = str(event_id)
    event.occur_time.CopyFrom(stamp(happened))
    return EventRow(
        kept=event.priority in KEPT_PRIORITIES,
        project=call.project,
        event_id=event_id,
        type=event.type,
        entity_type=event.entity_type,
        entity_code=event.entity_code,
        sprint_code=event.sprint_code,
        priority=event.priority,
        correlation_id=call.correlation_id,
        session_key=call.session_key,
        actor=event.actor or call.agent,
        occur_time=happened,
        emit_time=now,
        body=event.SerializeToString() + tail,
        agent=call.agent,
        scopes=causers.recorded(call),
    )
