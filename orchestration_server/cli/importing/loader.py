"""Loading of rows: batches, the search for the bad rows of a refused batch, links and deletions.

A second run finds existing rows by their code or dedup key and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import grpc

from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, task_pb2
from orchestration_server.cli.importing.client import CallFailed, EventStream, ImportClient
from orchestration_server.cli.importing.jsonl_format import ImportEventRow, ImportTaskRow, TaskLink
from orchestration_server.cli.importing.missing_sprints import MissingSprints
from orchestration_server.cli.importing.progress import Listing
from orchestration_server.cli.importing.row_notes import ORIGINAL_STATUS
from orchestration_server.cli.importing.unmet_blockers import UnmetBlockers
from orchestration_server.cli.importing.words import TOMBSTONE

# By default a server accepts messages of 4 MiB. A single row may be larger than BATCH_BYTES.
BATCH_ROWS = 500
BATCH_BYTES = 1024 * 1024

_KINDS = {
    "blocks": common_pb2.DEPENDENCY_KIND_BLOCKS,
    "parent-child": common_pb2.DEPENDENCY_KIND_PARENT_CHILD,
    "discovered-from": common_pb2.DEPENDENCY_KIND_DISCOVERED_FROM,
    "related": common_pb2.DEPENDENCY_KIND_RELATED,
}
# A task needs these. Any other field that the ledger refuses is left out.
_ESSENTIAL = frozenset(("task", "task.code", "task.title"))


class SizedRow(Protocol):
    """A row that is sent as one message."""

    @property
    def message(self) -> task_pb2.NewTask | event_pb2.NewEvent:
        """Return the task to create or the event to emit."""


_Row = TypeVar("_Row", bound=SizedRow)


@dataclass
class TaskCounts:
    """Counts of the tasks by their outcome."""

    read: int = 0
    created: int = 0
    already_there: int = 0
    deleted: int = 0


@dataclass
class LinkCounts:
    """Counts of the links by their outcome. A link that existed before counts as in place."""

    read: int = 0
    in_place: int = 0
    of_deleted: int = 0


@dataclass
class EventCounts:
    """Counts of the events by their outcome."""

    read: int = 0
    stored: int = 0
    duplicates: int = 0


def batches(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    """Yield batches of at most BATCH_ROWS rows and about BATCH_BYTES bytes."""
    batch: list[_Row] = []
    size = 0
    for row in rows:
        row_size = row.message.ByteSize()
        if batch and (len(batch) == BATCH_ROWS or size + row_size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row_size
    if batch:
        yield batch


def split_refused(
    rows: Sequence[_Row], failure: CallFailed
) -> tuple[list[tuple[_Row, str]], list[Sequence[_Row]]]:
    """Split a refused batch into the bad rows, with reasons, and the parts to send again.

    If the refusal names rows, the others are one part. Else the batch is halved, down to a single row.
    """
    named = failure.by_row(len(rows))
    if named:
        bad = [(rows[index], reason) for index, reason in sorted(named.items())]
        good = [row for index, row in enumerate(rows) if index not in named]
        return bad, [good] if good else []
    if len(rows) == 1:
        return [(rows[0], str(failure))], []
    middle = len(rows) // 2
    return [], [rows[:middle], rows[middle:]]


class TaskLoader:
    """A loader that creates tasks, then links them, then deletes the tombstones."""

    def __init__(self, client: ImportClient, listing: Listing) -> None:
        self.tasks = TaskCounts()
        self.links = LinkCounts()
        self._client = client
        self._listing = listing
        # The line, code and links of every row, for the second pass.
        self._to_link: list[tuple[int, str, tuple[TaskLink, ...]]] = []
        self._lines: dict[str, int] = {}
        # Codes of deleted tasks, which cannot be used again.
        self._deleted_codes: set[str] = set()
        # The codes in the ledger, with True if an import created the task for a tombstone. Read when
        # a code is first found in use.
        self._existing: dict[str, bool] | None = None
        self._refused: set[str] = set()
        self._created: set[str] = set()
        self._reduced: set[tuple[str, str]] = set()
        self._to_delete: list[tuple[int, str]] = []
        self._sprints = MissingSprints(client, listing)
        self._unmet_blockers = UnmetBlockers(client, listing)

    @property
    def deleted_codes(self) -> frozenset[str]:
        """The codes of rows whose task was deleted in the ledger."""
        return frozenset(self._deleted_codes)

    @property
    def deletion_count(self) -> int:
        """Return the number of tasks to delete."""
        return len(self._to_delete)

    def admit(self, row: ImportTaskRow) -> bool:
        """Note a row. If an earlier row has its code, list it as refused and return False."""
        first = self._lines.setdefault(row.code, row.line)
        if first != row.line:
            self._listing.refused(row.line, f"task {row.code} is on line {first} already")
            return False
        if row.links or row.bad_links:
            self._to_link.append((row.line, row.code, row.links))
        self.links.read += len(row.links) + len(row.bad_links)
        for reason in row.bad_links:
            self._listing.refused(row.line, f"task {row.code}: {reason}; the task is loaded as not ready")
        return True

    def create(self, rows: Sequence[ImportTaskRow]) -> None:
        """Create a batch of tasks, without those that exist or are refused."""
        todo: list[Sequence[ImportTaskRow]] = [self._sprints.with_usable_sprints(rows)]
        while todo:
            batch = [row for row in todo.pop() if not self._exists(row)]
            if not batch:
                continue
            try:
                self._create_batch(batch)
            except CallFailed as failure:
                if not failure.about_rows:
                    raise
                todo.extend(reversed(self._after_refusal(batch, failure)))

    def _create_batch(self, rows: Sequence[ImportTaskRow]) -> None:
        request = task_pb2.BatchCreateTasksRequest(tasks=[row.new for row in rows])
        self._client.call(self._client.tasks.BatchCreateTasks, request)
        self.tasks.created += len(rows)
        self._created.update(row.code for row in rows)
        self._to_delete.extend((row.line, row.code) for row in rows if row.tombstone)

    def _after_refusal(
        self, rows: Sequence[ImportTaskRow], failure: CallFailed
    ) -> Sequence[Sequence[ImportTaskRow]]:
        if failure.code is grpc.StatusCode.ALREADY_EXISTS:
            if self._existing is None:
                self._existing = self._list_codes()
                return [rows]
            if len(rows) == 1:
                self._found_in_use(rows[0])
                return []
        bad, again = split_refused(rows, failure)
        fields = {rows[index].code: named for index, named in failure.fields_by_row(len(rows)).items()}
        reduced: list[ImportTaskRow] = []
        for row, reason in bad:
            # The server checks fields first and times later, so a row may be refused for each of them.
            names = _optional(fields.get(row.code, {}))
            if names and not self._reduced.issuperset((row.code, name) for name in names):
                self._reduced |= {(row.code, name) for name in names}
                self._listing.changed(row.line, f"task {row.code}: {reason}: left out")
                reduced.append(row.without(names))
            else:
                self._refused.add(row.code)
                self._listing.refused(row.line, f"task {row.code}: {reason}")
        return [*again, reduced] if reduced else again

    def _found_in_use(self, row: ImportTaskRow) -> None:
        """Note a code that is in use but was not listed: its task was deleted, or was created just now."""
        self.tasks.already_there += 1
        request = task_pb2.GetTaskRequest(task_code=row.code)
        try:
            self._client.call(self._client.tasks.GetTask, request)
        except CallFailed as failure:
            if failure.code is not grpc.StatusCode.NOT_FOUND:
                raise
            self._deleted_codes.add(row.code)

    def _exists(self, row: ImportTaskRow) -> bool:
        if self._existing is None or row.code not in self._existing:
            return False
        self.tasks.already_there += 1
        # Complete an import that stopped before its deletions. A task that others created with the code of
        # a tombstone stays.
        if row.tombstone and self._existing[row.code]:
            self._to_delete.append((row.line, row.code))
        return True

    def _list_codes(self) -> dict[str, bool]:
        codes: dict[str, bool] = {}
        for task in self._client.list_tasks():
            original = task.metadata.fields.get(ORIGINAL_STATUS)
            codes[task.code] = original is not None and original.string_value == TOMBSTONE
        return codes

    def link(self) -> Iterator[int]:
        """Create the links, after all tasks. Yield the number of entries that are done."""
        for line, code, links in self._to_link:
            for link in links:
                self._link(line, code, link)
            yield len(links)
        self._unmet_blockers.apply(self._created)

    def _link(self, line: int, code: str, link: TaskLink) -> None:
        waiting, blocker = (link.code, code) if link.reverse else (code, link.code)
        what = f"task {waiting} depends on {blocker} ({link.kind})"
        if code in self._deleted_codes or link.code in self._deleted_codes:
            self.links.of_deleted += 1
            return
        for end in (code, link.code):
            if end in self._refused:
                self._listing.unresolved(line, f"{what}: {end} was refused")
                self._note_unmet(line, waiting, blocker, link)
                return
        dependency = coordination_pb2.Dependency(
            task_code=waiting, depends_on_code=blocker, kind=_KINDS[link.kind]
        )
        request = coordination_pb2.AddDependencyRequest(dependency=dependency)
        try:
            self._client.call(self._client.coordination.AddDependency, request)
            self.links.in_place += 1
        except CallFailed as failure:
            if not failure.about_rows:
                raise
            self._note_unmet(line, waiting, blocker, link)
            if failure.code is grpc.StatusCode.NOT_FOUND and link.code not in self._lines:
                reason = f"{what}: {link.code} is neither in the file nor in the ledger"
                self._listing.unresolved(line, reason)
            else:
                self._listing.refused(line, f"{what}: {failure}")

    def _note_unmet(self, line: int, waiting: str, blocker: str, link: TaskLink) -> None:
        """Note that a task waits for a task to which no link could be created."""
        if link.kind == "blocks":
            self._unmet_blockers.add(line, waiting, f"waits for {blocker}, and could not be linked to it")

    def delete_tombstones(self) -> Iterator[int]:
        """Delete the tombstones of the file, after their links were created.

        If the key may not delete tasks, list all tombstones as refused: they stay cancelled.
        """
        forbidden: CallFailed | None = None
        for line, code in self._to_delete:
            failure = forbidden or self._delete(code)
            if failure is not None and failure.code is grpc.StatusCode.PERMISSION_DENIED:
                forbidden = failure
            if failure is not None and failure.code is not grpc.StatusCode.NOT_FOUND:
                self._listing.refused(line, f"task {code} was not deleted: {failure}")
            yield 1

    def _delete(self, code: str) -> CallFailed | None:
        """Delete a task. Return the failure if it is about this task. Raises CallFailed for any other."""
        request = task_pb2.DeleteTaskRequest(task_code=code)
        try:
            self._client.call(self._client.tasks.DeleteTask, request)
        except CallFailed as failure:
            about_task = failure.about_rows or failure.code is grpc.StatusCode.PERMISSION_DENIED
            if not about_task:
                raise
            return failure
        self.tasks.deleted += 1
        return None


def _optional(violations: Mapping[str, str]) -> set[str]:
    """Return the fields that the violations name; empty if the task needs one of them."""
    names = {re.sub(r"[.\[].*", "", path.removeprefix("task.")) for path in violations}
    known = names <= {*task_pb2.Task.DESCRIPTOR.fields_by_name, "occur_time"}
    return names if known and not _ESSENTIAL & violations.keys() else set()


class EventLoader:
    """A loader that streams events, and lists the bad events of a refused message."""

    def __init__(self, client: ImportClient, listing: Listing) -> None:
        self.events = EventCounts()
        self._client = client
        self._listing = listing

    def load(self, groups: Iterable[list[ImportEventRow]]) -> None:
        """Send all batches and wait for their answers."""
        with EventStream[ImportEventRow](self._client, self) as stream:
            for group in groups:
                stream.send(group)
            stream.drain()

    def stored(self, stored: int, duplicates: int) -> None:
        """Count the events of a message."""
        self.events.stored += stored
        self.events.duplicates += duplicates

    def refused(
        self, items: Sequence[ImportEventRow], failure: CallFailed
    ) -> Sequence[Sequence[ImportEventRow]]:
        """List the bad events of a message, and return the others."""
        bad, again = split_refused(items, failure)
        for row, reason in bad:
            self._listing.refused(row.line, f"event about {row.event.entity_code}: {reason}")
        return again
