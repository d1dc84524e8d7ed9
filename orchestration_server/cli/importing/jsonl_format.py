"""Parsers of tasks and events in JSONL.

Nothing here talks to a server. A line whose essential fields cannot be used raises BadRow with the reason.
The other fields are made to fit the ledger, with notes. docs/import.md describes the fields.
"""

import gzip
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from google.protobuf import json_format

from orchestration.v1 import common_pb2, event_pb2, task_pb2
from orchestration_server.cli.importing import task_fields, values
from orchestration_server.cli.importing.row_notes import RowNotes, brief
from orchestration_server.cli.importing.words import DEFAULT, Words

# Longer lines are not read into memory. The largest row that the ledger accepts is far smaller.
MAX_LINE_BYTES = 4 * 1024 * 1024
# At most this many bytes of a line that is too long are skipped.
MOST_SKIPPED_BYTES = 256 * 1024 * 1024

# Other trackers' names for depends_on.
_LINKS = ("depends_on", "dependencies", "blocked_by", "depends")
# The fields of the ledger. All others go into the metadata.
_TASK_FIELDS = {
    "code", "title", "description", "status", "priority", "assignee", "labels", "created_at", "sprint_code",
    "phase", "objectives", "deliverables", "acceptance_criteria", "agent_config", "metadata", "capabilities",
    "not_before", "due_time", "retry_policy", "completed_by_children", *_LINKS,
}  # fmt: skip
# All other fields go into the payload, beside those of data.
_EVENT_FIELDS = {"at", "type", "code", "data"}
_NO_LINKS = frozenset(("", "none", "n/a", "-"))


class BadRow(ValueError):
    """Raised for a line, or a part of one, that cannot be used. The message says why."""


@dataclass(frozen=True)
class Line:
    """A line of a file."""

    number: int
    # None if the line is longer than MAX_LINE_BYTES.
    data: bytes | None
    # The bytes of the file on disk that were read so far.
    position: int


@dataclass(frozen=True)
class TaskLink:
    """An entry of depends_on. If `reverse` is set, the other task depends on this one."""

    code: str
    kind: str
    reverse: bool = False


@dataclass(frozen=True)
class ImportTaskRow:
    """A task from a line of a file or from a file of a tree."""

    line: int
    new: task_pb2.NewTask
    links: tuple[TaskLink, ...] = ()
    bad_links: tuple[str, ...] = ()
    tombstone: bool = False
    warnings: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """Return the code of the task."""
        return self.new.task.code

    @property
    def message(self) -> task_pb2.NewTask:
        """Return the task to create."""
        return self.new

    def without(self, names: Iterable[str]) -> "ImportTaskRow":
        """Return the row without some optional fields, which the metadata keeps unchanged."""
        new = task_pb2.NewTask()
        new.CopyFrom(self.new)
        notes = RowNotes(json_format.MessageToDict(new.task.metadata))
        for name in names:
            holder = new if name == "occur_time" else new.task
            left = json_format.MessageToDict(holder, preserving_proto_field_name=True).get(name)
            holder.ClearField(name)  # type: ignore[arg-type]  # a name that the server gave
            if name == "metadata":
                notes.metadata = {}
            elif left is not None:
                notes.keep(name, left)
        new.task.metadata.CopyFrom(task_fields.metadata(notes))
        return replace(self, new=new)


@dataclass(frozen=True)
class ImportEventRow:
    """An event from a line of a file."""

    line: int
    event: event_pb2.NewEvent
    warnings: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    @property
    def message(self) -> event_pb2.NewEvent:
        """Return the event to emit."""
        return self.event


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a file, without the empty ones. A gzip file is recognized by its first bytes.

    Raises BadRow if a compressed file is damaged, after the lines before the damage.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if packed else raw
        number, begins = 0, True
        try:
            while data := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if begins and data.strip():
                    begins = False
                    _check_lines(data)
                if len(data) > MAX_LINE_BYTES:
                    skipped = 0
                    while data and not data.endswith(b"\n"):
                        data = stream.readline(MAX_LINE_BYTES)
                        skipped += len(data)
                        if skipped > MOST_SKIPPED_BYTES:
                            raise BadRow(f"line {number} does not end: this is no file of JSON lines")
                    yield Line(number, None, raw.tell())
                    continue
                data = (data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data).strip()
                if data:
                    yield Line(number, data, raw.tell())
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadRow(f"the compressed file is damaged after line {number}") from error


def _check_lines(first: bytes) -> None:
    """Raise BadRow if the file that begins with `first` is a single JSON document."""
    first = first.removeprefix(b"\xef\xbb\xbf").strip()
    if first[:1] == b"[":
        raise BadRow("a JSON array instead of lines; convert it with: jq -c '.[]'")
    if first == b"{":
        raise BadRow("a JSON object that spans several lines; convert it with: jq -c .")


def parse_object(line: Line) -> dict[str, Any]:
    """Return the JSON object of a line. A number that a double would change is a text."""
    if line.data is None:
        raise BadRow(f"longer than {MAX_LINE_BYTES:,} bytes")
    try:
        value = values.parse_json(line.data)
    except ValueError as error:
        raise BadRow(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRow("not a JSON object")
    return value


def parse_task(line: Line, words: Words = DEFAULT) -> ImportTaskRow:
    """Return the task of a line."""
    row = parse_object(line)
    named = "code" if row.get("code") not in (None, "") else "id"
    code = _code(row.get(named))
    notes = RowNotes({name: value for name, value in row.items() if name not in _TASK_FIELDS | {named}})
    title = _title(row, notes)
    _take_metadata(row.get("metadata"), notes)
    status, tombstone = notes.task_status(words, row.get("status"))
    links, bad_links = _links(row, words, notes)
    task = task_pb2.Task(
        code=code,
        title=title,
        description=_text(row, "description", notes),
        sprint_code=_sprint(row.get("sprint_code"), notes),
        priority=notes.priority(words, row.get("priority")),  # type: ignore[arg-type]  # the numbers are the same
        phase=_text(row, "phase", notes),
        assignee=task_fields.assignee(row.get("assignee"), notes),
        labels=task_fields.labels(row.get("labels"), notes),
        agent_config=task_fields.settings(row.get("agent_config"), "agent_config", notes),
        objectives=task_fields.lines(row.get("objectives"), "objectives", notes),
        deliverables=task_fields.lines(row.get("deliverables"), "deliverables", notes),
        acceptance_criteria=task_fields.lines(row.get("acceptance_criteria"), "acceptance_criteria", notes),
        capabilities=task_fields.capabilities(row.get("capabilities"), notes),
        not_before=task_fields.not_before(row.get("not_before"), notes, zone_needed=True),
        due_time=task_fields.moment(row.get("due_time"), "due_time", notes, zone_needed=True, past=False),
        retry_policy=task_fields.retry_policy(row.get("retry_policy"), notes),
        completed_by_children=task_fields.flag(
            row.get("completed_by_children"), "completed_by_children", notes
        ),
    )
    created = task_fields.moment(row.get("created_at"), "created_at", notes, zone_needed=True)
    task.status = notes.final_status(status)  # type: ignore[assignment]  # the numbers are the same
    task.metadata.CopyFrom(task_fields.metadata(notes))
    new = task_pb2.NewTask(task=task, occur_time=created)
    return ImportTaskRow(
        line.number, new, links, bad_links, tombstone, tuple(notes.warnings), tuple(notes.changes)
    )


class EventReader:
    """A parser of events that counts equal lines. Use one per file, from its start."""

    def __init__(self) -> None:
        self._seen: Counter[bytes] = Counter()

    def parse(self, line: Line) -> ImportEventRow:
        """Return the event of a line."""
        row = parse_object(line)
        notes = RowNotes()
        occurred = task_fields.moment(row.get("at"), "at", notes, zone_needed=True)
        if occurred is None:
            raise BadRow(notes.changes[0].removesuffix(": left out") if notes.changes else "at is missing")
        notes = RowNotes({name: value for name, value in row.items() if name not in _EVENT_FIELDS})
        _take_data(row.get("data"), notes)
        event = event_pb2.NewEvent(
            type="import." + _event_type(row.get("type"), notes),
            entity_type=common_pb2.ENTITY_TYPE_TASK,
            entity_code=_code(row.get("code")),
            occur_time=occurred,
        )
        event.payload.CopyFrom(values.struct(notes.metadata, "the payload", notes))
        digest = content_digest(_as_first_read(line, row))
        event.dedup_key = f"import:{digest.hex()}:{self._seen[digest]}"
        self._seen[digest] += 1
        return ImportEventRow(line.number, event, tuple(notes.warnings), tuple(notes.changes))


def content_digest(row: dict[str, Any]) -> bytes:
    """Return the SHA-256 of an object's content, independent of the order of its fields and of white space.

    Stored dedup keys contain it: changing it would import every event a second time.
    """
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).digest()


def _as_first_read(line: Line, row: dict[str, Any]) -> dict[str, Any]:
    """Return the object with its numbers as doubles, as in the digests of stored events."""
    try:
        value: dict[str, Any] = orjson.loads(line.data or b"")
    except orjson.JSONDecodeError:
        return row
    return value


def _code(value: Any) -> str:
    if value is None or value == "":
        raise BadRow("code is missing")
    code = task_fields.usable_code(value)
    if not code:
        raise BadRow(f"{brief(value)} is no code: 1 to 128 characters of [A-Za-z0-9._-]")
    return code


def _title(row: dict[str, Any], notes: RowNotes) -> str:
    value = row.get("title")
    if value is None or (isinstance(value, str) and not value.strip()):
        raise BadRow("title is missing")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadRow("title is no text")
    return _text(row, "title", notes)


def _text(row: dict[str, Any], name: str, notes: RowNotes) -> str:
    return task_fields.text(row.get(name), name, notes, most=task_fields.limit(name))


def _sprint(value: Any, notes: RowNotes) -> str:
    if value is None or value == "":
        return ""
    code = task_fields.usable_code(value)
    if not code:
        notes.keep("sprint_code", value)
        notes.changes.append(f"sprint_code {brief(value)} is no code: left out")
    return code


def _take_metadata(value: Any, notes: RowNotes) -> None:
    """Merge a row's own metadata with the fields that the ledger does not have."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in notes.metadata:
                notes.keep(name, item)
            else:
                notes.metadata[name] = item
    elif value is not None:
        notes.metadata["metadata"] = value


def _take_data(value: Any, notes: RowNotes) -> None:
    """Merge an event's data with the fields beside it. A field in both is kept twice."""
    if value is None:
        return
    if not isinstance(value, dict):
        notes.warnings.append("data is not an object: kept as data in the payload")
        value = {"data": value}
    for name, item in value.items():
        if name in notes.metadata:
            notes.warnings.append(
                f"{name} is both beside data and in it: the first is kept as original_{name}"
            )
            notes.keep(name, notes.metadata[name])
        notes.metadata[name] = item


def _event_type(value: Any, notes: RowNotes) -> str:
    """Return the type, with only the characters that the ledger allows."""
    if value is None or value == "":
        raise BadRow("type is missing")
    if not isinstance(value, str):
        raise BadRow("type is no text")
    kind = re.sub(r"[^a-z0-9_.-]+", "_", value.strip().lower())
    kind = re.sub(r"\.{2,}", ".", kind).strip(".")[:100].strip(".")
    if not re.search(r"[a-z0-9]", kind):
        raise BadRow(f"type {brief(value)} has no letter of [a-z]")
    if kind != value:
        notes.keep("type", value)
        notes.warnings.append(f"type {brief(value)} is read as {kind}")
    return kind


def _links(
    row: dict[str, Any], words: Words, notes: RowNotes
) -> tuple[tuple[TaskLink, ...], tuple[str, ...]]:
    links: list[TaskLink] = []
    bad: list[str] = []
    for name in _LINKS:
        if row.get(name) is not None:
            found, wrong = links_of(row[name], words, notes, name=name)
            links.extend(found)
            bad.extend(wrong)
    return tuple(dict.fromkeys(links)), tuple(bad)


def links_of(
    value: Any, words: Words, notes: RowNotes, *, name: str = "depends_on"
) -> tuple[tuple[TaskLink, ...], tuple[str, ...]]:
    """Return the valid links, and what is wrong with each of the others.

    An invalid link may be to a task that this one waits for, so this task is not ready.
    """
    if isinstance(value, str):
        value = [part for part in map(str.strip, value.split(",")) if part.lower() not in _NO_LINKS]
    entries = value if isinstance(value, list) else [] if value is None or value == {} else [value]
    links: list[TaskLink] = []
    bad: list[str] = []
    keep = False
    for entry in entries:
        code, kind = _entry(entry)
        meaning = words.kind(kind)
        if not code:
            bad.append(f"{name}: {brief(entry)} names no task")
        elif meaning is None:
            bad.append(f"{name} {code}: kind {brief(kind)} is not known")
        else:
            links.append(TaskLink(code, meaning.value.kind, meaning.value.reverse))
            keep |= not meaning.exact
    notes.not_ready.extend(bad)
    if keep or bad:
        notes.keep(name, value)
    return tuple(dict.fromkeys(links)), tuple(bad)


def _entry(entry: Any) -> tuple[str, Any]:
    """Return the other task's code and the kind of an entry. The code is empty if the entry has none."""
    if not isinstance(entry, dict):
        return task_fields.usable_code(entry), "blocks"
    code = next((entry[key] for key in ("code", "depends_on_id", "id") if entry.get(key) is not None), None)
    kind = next((entry[key] for key in ("kind", "type") if entry.get(key) is not None), "blocks")
    return task_fields.usable_code(code), kind
