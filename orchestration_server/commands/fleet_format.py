"""The JSONL form of a fleet's tasks and events, and what each line becomes in the ledger.

Nothing here talks to a server. A line that cannot be taken raises BadRow with the reason; the
fields are described in docs/import.md.
"""

import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, task_pb2

# Longer lines are not read into memory; the largest row that the ledger takes is far below this.
MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16

TOMBSTONE = "tombstone"
ORIGINAL_STATUS = "original_status"
ORIGINAL_PRIORITY = "original_priority"

# A tombstone is created as cancelled, so that nobody takes it up before it is deleted.
_STATUSES = {
    "open": common_pb2.TASK_STATUS_PENDING,
    "pending": common_pb2.TASK_STATUS_PENDING,
    "in_progress": common_pb2.TASK_STATUS_IN_PROGRESS,
    "blocked": common_pb2.TASK_STATUS_BLOCKED,
    "closed": common_pb2.TASK_STATUS_COMPLETED,
    "completed": common_pb2.TASK_STATUS_COMPLETED,
    "cancelled": common_pb2.TASK_STATUS_CANCELLED,
    TOMBSTONE: common_pb2.TASK_STATUS_CANCELLED,
}
_PRIORITIES = {
    "P0": common_pb2.PRIORITY_P0,
    "P1": common_pb2.PRIORITY_P1,
    "P2": common_pb2.PRIORITY_P2,
    "P3": common_pb2.PRIORITY_P3,
    "P4": common_pb2.PRIORITY_P4,
}
KINDS = {
    "blocks": coordination_pb2.DEPENDENCY_KIND_BLOCKS,
    "parent-child": coordination_pb2.DEPENDENCY_KIND_PARENT_CHILD,
    "discovered-from": coordination_pb2.DEPENDENCY_KIND_DISCOVERED_FROM,
    "related": coordination_pb2.DEPENDENCY_KIND_RELATED,
}
# What has a field of its own in the ledger; everything else goes into the metadata.
_TASK_FIELDS = {
    "code", "title", "description", "status", "priority", "assignee", "labels", "created_at",
    "depends_on",
}  # fmt: skip
# Everything else goes into the payload, beside what stands in data.
_EVENT_FIELDS = {"at", "type", "code", "data"}


class BadRow(ValueError):
    """A line, or a part of one, that cannot be taken; its text says why."""


@dataclass(frozen=True)
class Line:
    """A line of a file."""

    number: int
    # None where the line is longer than MAX_LINE_BYTES.
    data: bytes | None
    # How much of the file, as it lies on the disk, was read so far.
    position: int


@dataclass(frozen=True)
class Link:
    """One entry of depends_on."""

    code: str
    kind: str


@dataclass(frozen=True)
class TaskRow:
    """A line of the tasks file."""

    line: int
    new: task_pb2.NewTask
    links: tuple[Link, ...] = ()
    bad_links: tuple[str, ...] = ()
    tombstone: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        return self.new.task.code

    @property
    def message(self) -> task_pb2.NewTask:
        return self.new


@dataclass(frozen=True)
class EventRow:
    """A line of the events file."""

    line: int
    event: event_pb2.NewEvent

    @property
    def message(self) -> event_pb2.NewEvent:
        return self.event


def read_lines(path: Path) -> Iterator[Line]:
    """Yields the lines of a file, plain or gzip (told by its first bytes), without the empty ones.

    Raises BadRow where a compressed file is damaged: what came before it has been yielded.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if packed else raw
        number = 0
        try:
            while data := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(data) > MAX_LINE_BYTES:
                    while data and not data.endswith(b"\n"):
                        data = stream.readline(MAX_LINE_BYTES)
                    yield Line(number, None, raw.tell())
                    continue
                data = (data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data).strip()
                if data:
                    yield Line(number, data, raw.tell())
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadRow(f"the compressed file is damaged after line {number}") from error


def parse_object(line: Line) -> dict[str, Any]:
    """Returns the JSON object of a line."""
    if line.data is None:
        raise BadRow(f"longer than {MAX_LINE_BYTES:,} bytes")
    try:
        value = orjson.loads(line.data)
    except orjson.JSONDecodeError as error:
        raise BadRow(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRow("not a JSON object")
    return value


def parse_task(line: Line) -> TaskRow:
    """Returns the task of a line."""
    row = parse_object(line)
    code, title = _text(row, "code", required=True), _text(row, "title", required=True)
    metadata = {name: value for name, value in row.items() if name not in _TASK_FIELDS}
    warnings: list[str] = []
    status = _status(row.get("status"), metadata, warnings)
    priority = _priority(row.get("priority"), metadata, warnings)
    labels = _labels(row, warnings)
    links, bad_links = links_of(row.get("depends_on"))
    new = task_pb2.NewTask(
        task=task_pb2.Task(
            code=code,
            title=title,
            description=_text(row, "description"),
            status=status,
            priority=priority,
            assignee=_text(row, "assignee"),
            labels=labels,
            metadata=struct_of(metadata, "the fields kept as metadata"),
        ),
        occur_time=_time(row, "created_at") if row.get("created_at") is not None else None,
    )
    tombstone = row.get("status") == TOMBSTONE
    return TaskRow(line.number, new, links, bad_links, tombstone, tuple(warnings))


class EventReader:
    """Turns lines into events; counts equal lines, so use one for one file, from its start."""

    def __init__(self) -> None:
        self._seen: Counter[bytes] = Counter()

    def parse(self, line: Line) -> EventRow:
        """Returns the event of a line."""
        row = parse_object(line)
        data = row.get("data")
        if data is not None and not isinstance(data, dict):
            raise BadRow("data is not an object")
        payload = {name: value for name, value in row.items() if name not in _EVENT_FIELDS}
        if both := sorted(payload.keys() & (data or {}).keys()):
            raise BadRow(f"{both[0]} stands both beside data and in it")
        payload |= data or {}
        event = event_pb2.NewEvent(
            type="import." + _text(row, "type", required=True),
            entity_type=common_pb2.ENTITY_TYPE_TASK,
            entity_code=_text(row, "code", required=True),
            payload=struct_of(payload, "data"),
            occur_time=_time(row, "at"),
        )
        digest = content_digest(row)
        event.dedup_key = f"import:{digest.hex()}:{self._seen[digest]}"
        self._seen[digest] += 1
        return EventRow(line.number, event)


def content_digest(row: dict[str, Any]) -> bytes:
    """SHA-256 of an object's content, whatever the order of its fields and the space between them.

    It lives on in stored dedup keys: to change it would import every event a second time.
    """
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).digest()


def _text(row: dict[str, Any], name: str, *, required: bool = False) -> str:
    value = row.get(name)
    if value is None or value == "":
        if required:
            raise BadRow(f"{name} is missing")
        return ""
    if not isinstance(value, str):
        raise BadRow(f"{name} is not a string")
    return value


def _time(row: dict[str, Any], name: str) -> Timestamp:
    text = _text(row, name, required=True)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise BadRow(f"{name} has no time zone: {text[:40]!r}")
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        if isinstance(error, BadRow):
            raise
        raise BadRow(f"{name} is not an ISO 8601 time: {text[:40]!r}") from None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _status(value: object, metadata: dict[str, Any], warnings: list[str]) -> common_pb2.TaskStatus.ValueType:
    if value is None:
        return common_pb2.TASK_STATUS_PENDING
    status = _STATUSES.get(value) if isinstance(value, str) else None
    if status is None:
        warnings.append(f"status {_brief(value)} is not known: taken as pending")
        metadata[ORIGINAL_STATUS] = value
        return common_pb2.TASK_STATUS_PENDING
    if value == TOMBSTONE:
        metadata[ORIGINAL_STATUS] = value
    return status


def _priority(value: object, metadata: dict[str, Any], warnings: list[str]) -> common_pb2.Priority.ValueType:
    if value is None:
        return common_pb2.PRIORITY_P2
    priority = _PRIORITIES.get(value) if isinstance(value, str) else None
    if priority is None:
        warnings.append(f"priority {_brief(value)} is not known: taken as P2")
        metadata[ORIGINAL_PRIORITY] = value
        return common_pb2.PRIORITY_P2
    return priority


def _labels(row: dict[str, Any], warnings: list[str]) -> list[str]:
    value = row.get("labels")
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        raise BadRow("labels is not a list of strings")
    once = list(dict.fromkeys(value))
    if len(once) < len(value):
        warnings.append("a label stands twice: taken once")
    return once


def links_of(value: object) -> tuple[tuple[Link, ...], tuple[str, ...]]:
    """The links that can be asked for, and what is wrong with each of the others."""
    if value is None:
        return (), ()
    if not isinstance(value, list):
        return (), ("depends_on is not a list",)
    links: list[Link] = []
    bad: list[str] = []
    for entry in value:
        if not isinstance(entry, dict) or not isinstance(entry.get("code"), str):
            bad.append(f"depends_on: {_brief(entry)} is not an object with a code")
        elif (kind := entry.get("kind", "blocks")) not in list(KINDS):
            bad.append(f"depends_on {entry['code']}: kind {_brief(kind)} is not known")
        else:
            links.append(Link(entry["code"], kind))
    return tuple(dict.fromkeys(links)), tuple(bad)


def struct_of(value: dict[str, Any], what: str) -> Struct:
    """A JSON object as a Struct; ``what`` is what a refusal calls it."""
    if _depth(value) > MAX_DEPTH:
        raise BadRow(f"{what}: more than {MAX_DEPTH} levels deep")
    struct = Struct()
    struct.update(value)
    return struct


def _depth(value: object) -> int:
    """How many objects and lists lie within each other; stops counting just past MAX_DEPTH."""
    depth, level = 0, [value]
    while level and depth <= MAX_DEPTH:
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(v for v in item.values() if isinstance(v, dict | list))
            elif isinstance(item, list):
                inner.extend(v for v in item if isinstance(v, dict | list))
        depth, level = depth + 1, inner
    return depth


def _brief(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."
