"""A person's edits of files that the ledger wrote, sent with the revision that the file has.

An edit is accepted if the ledger still has that revision, or has the same content anyway. Else it is a
conflict, and neither side is changed. Links are edited as a set: links that were added to the file are added
in the ledger, links that were removed from it are removed, and all other links stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from orchestration.v1 import coordination_pb2, sprint_pb2, task_pb2
from orchestration_server.cli.importing.client import CallFailed, ImportClient
from orchestration_server.cli.importing.delegation_format import ParsedFile
from orchestration_server.cli.importing.jsonl_format import ImportTaskRow
from orchestration_server.cli.importing.tree_report import TreeListing
from orchestration_server.cli.importing.tree_tasks import ReadTask
from orchestration_server.codec.content import content_hash, field_changes, sprint_content, task_content
from orchestration_server.workspace import writer
from orchestration_server.workspace.rendering import LINK_KINDS, RECORD
from orchestration_server.workspace.tree import UnsafePath, Workspace

_TRIES = 5

Entity = sprint_pb2.Sprint | task_pb2.Task


@dataclass(slots=True)
class UpdateCounts:
    """Counts of the edits that were accepted."""

    sprints: int = 0
    tasks: int = 0
    links: int = 0


@dataclass(frozen=True, slots=True)
class _AcceptedFile:
    """A file whose content the ledger accepted."""

    line: int
    directory: Path
    digests: Mapping[str, str]
    entity: Entity


class TreeUpdates:
    """The edits of one tree."""

    def __init__(self, client: ImportClient, listing: TreeListing) -> None:
        self.counts = UpdateCounts()
        self._client = client
        self._listing = listing
        self._accepted_files: list[_AcceptedFile] = []

    def sprint(self, line: int, directory: Path, wanted: sprint_pb2.Sprint, parsed: ParsedFile) -> None:
        """Send the edit of an existing sprint."""
        if not parsed.stamps:
            return
        request = sprint_pb2.GetSprintRequest(sprint_code=wanted.code)
        current = self._client.call(self._client.sprints.GetSprint, request).sprint
        now = self._content(line, wanted, current, parsed)
        if now is not None:
            self.counts.sprints += now.revision != current.revision
            self._accepted_files.append(_AcceptedFile(line, directory, parsed.digests, now))

    def task(self, task: ReadTask, row: ImportTaskRow) -> ImportTaskRow | None:
        """Send the edit of a task. Return its row with the links to add; None if the task does not exist."""
        current = self._task(row.code)
        if current is None:
            return None
        wanted = row.new.task
        if task.found.agent is None and current.HasField("agent_config"):
            wanted.agent_config.CopyFrom(current.agent_config)
        now = self._content(task.line, wanted, current, task.parsed)
        if now is None:
            return _without_links(row)
        self.counts.tasks += now.revision != current.revision
        self._accepted_files.append(
            _AcceptedFile(task.line, task.found.file.parent, task.parsed.digests, now)
        )
        base = _base(task.parsed)
        if base is None or row.bad_links:
            return _without_links(row)
        listed = {(link.code, link.kind) for link in row.links if not link.reverse}
        self._remove(task.line, row.code, base - listed)
        added = [link for link in row.links if link.reverse or (link.code, link.kind) not in base]
        self.counts.links += len(added)
        return ImportTaskRow(row.line, row.new, tuple(added))

    def list_deleted(self, tasks: Iterable[ReadTask], deleted: frozenset[str]) -> None:
        """List as conflicts the files of tasks that were deleted in the ledger."""
        for task in tasks:
            if task.parsed.stamps and task.code in deleted:
                self._listing.conflict(task.line, f"task {task.code} was deleted in the ledger")

    def finish(self) -> Iterator[int]:
        """Request new files for all accepted edits, after their links were created."""
        for taken in self._accepted_files:
            if self._listing.complete(taken.line) and self._allow_overwrite(taken):
                self._sync(taken.entity)
            yield 1

    def _task(self, code: str) -> task_pb2.Task | None:
        try:
            request = task_pb2.GetTaskRequest(task_code=code)
            return self._client.call(self._client.tasks.GetTask, request).task
        except CallFailed as failure:
            if failure.code is not grpc.StatusCode.NOT_FOUND:
                raise
            return None

    def _content(self, line: int, wanted: Entity, current: Entity, parsed: ParsedFile) -> Entity | None:
        """Update the ledger to the content of the file, and return the entity after that.

        If the edit cannot be accepted, list it and return None.
        """
        what = f"{'task' if isinstance(wanted, task_pb2.Task) else 'sprint'} {wanted.code}"
        fields = _differing(wanted, current)
        stamp = str(parsed.stamps.get("revision", ""))
        if parsed.stamps.get("uid") != current.uid or not stamp.isdecimal():
            if fields:
                self._listing.conflict(line, f"{what}: the file is about another one: left as it is")
            return None
        if not fields or _hash(wanted) == parsed.stamps.get("hash"):
            # The file agrees with the ledger, or it was not edited and the ledger has a later revision.
            return current
        if parsed.notes.changes:
            self._listing.refused(line, f"{what}: not updated, because a value of the file is not valid")
            return None
        for _ in range(_TRIES):
            if current.revision != int(stamp):
                both = f"the file is an edit of revision {stamp}, but the ledger has {current.revision}"
                self._listing.conflict(line, f"{what}: {both}: they differ in {', '.join(fields)}")
                return None
            try:
                return self._send(wanted, fields, int(stamp))
            except CallFailed as failure:
                if failure.code is not grpc.StatusCode.ABORTED:
                    if not failure.about_rows:
                        raise
                    self._listing.refused(line, f"{what}: {failure}")
                    return None
            current = self._again(current)
        self._listing.refused(line, f"{what}: others keep changing it: run the import again")
        return None

    def _send(self, wanted: Entity, fields: list[str], revision: int) -> Entity:
        request: Any
        if isinstance(wanted, task_pb2.Task):
            request = task_pb2.UpdateTaskRequest(task=wanted, expected_revision=revision)
            request.update_mask.paths.extend(fields)
            method = self._client.tasks.UpdateTask
            return self._client.call(method, request, final=grpc.StatusCode.ABORTED).task
        request = sprint_pb2.UpdateSprintRequest(sprint=wanted, expected_revision=revision)
        request.update_mask.paths.extend(fields)
        change = self._client.sprints.UpdateSprint
        return self._client.call(change, request, final=grpc.StatusCode.ABORTED).sprint

    def _again(self, entity: Entity) -> Entity:
        if isinstance(entity, task_pb2.Task):
            return self._task(entity.code) or task_pb2.Task(code=entity.code)
        request = sprint_pb2.GetSprintRequest(sprint_code=entity.code)
        return self._client.call(self._client.sprints.GetSprint, request).sprint

    def _remove(self, line: int, code: str, links: set[tuple[str, str]]) -> None:
        """Remove links. A link that does not exist any more is no error."""
        for other, kind in sorted(links):
            link = coordination_pb2.Dependency(task_code=code, depends_on_code=other)
            link.kind = LINK_KINDS.index(kind)  # type: ignore[assignment]  # the numbers are the same
            request = coordination_pb2.RemoveDependencyRequest(dependency=link)
            try:
                self._client.call(self._client.coordination.RemoveDependency, request)
                self.counts.links += 1
            except CallFailed as failure:
                if not failure.about_rows:
                    raise
                if failure.code is not grpc.StatusCode.NOT_FOUND:
                    self._listing.refused(line, f"task {code} still depends on {other}: {failure}")

    def _allow_overwrite(self, taken: _AcceptedFile) -> bool:
        """Allow the file sync to overwrite an edited file. Return False if the sync does not manage it."""
        directory = taken.directory.resolve()
        try:
            if not (directory / RECORD).is_file():
                return False
            return writer.accept(Workspace(directory.parent), directory.name, RECORD, taken.digests)
        except (OSError, UnsafePath) as error:
            self._listing.warning(taken.line, f"it is updated, but {RECORD} cannot be written: {error}")
            return False

    def _sync(self, entity: Entity) -> None:
        """Request the files of an entity, by an update that changes nothing."""
        request: Any
        fields: dict[str, Any] = {
            "expected_revision": entity.revision, "sync_to_file": True,
        }  # fmt: skip
        try:
            if isinstance(entity, task_pb2.Task):
                request = task_pb2.UpdateTaskRequest(task=entity, **fields)
                request.update_mask.paths.append("title")
                self._client.call(self._client.tasks.UpdateTask, request, final=grpc.StatusCode.ABORTED)
            else:
                request = sprint_pb2.UpdateSprintRequest(sprint=entity, **fields)
                request.update_mask.paths.append("title")
                self._client.call(self._client.sprints.UpdateSprint, request, final=grpc.StatusCode.ABORTED)
        except CallFailed as failure:
            # Someone changed it meanwhile, and the sync of that change writes the files.
            if failure.code is not grpc.StatusCode.ABORTED:
                raise


def _without_links(row: ImportTaskRow) -> ImportTaskRow:
    return ImportTaskRow(row.line, row.new, bad_links=row.bad_links)


def _contents(entity: Entity) -> dict[str, Any]:
    return task_content(entity) if isinstance(entity, task_pb2.Task) else sprint_content(entity)


def _hash(entity: Entity) -> str:
    return content_hash(_contents(entity))


def _differing(wanted: Entity, current: Entity) -> list[str]:
    return list(field_changes(_contents(current), _contents(wanted)))


def _base(parsed: ParsedFile) -> set[tuple[str, str]] | None:
    """Return the links that the ledger wrote into the file; None if its stamp or its list is missing."""
    stamp = parsed.stamps.get("links")
    if not isinstance(stamp, str) or "depends_on" not in parsed.fields:
        return None
    pairs = [part.split(" ") for part in stamp.split(", ") if part]
    return (
        {(code, kind) for kind, code in pairs if kind in LINK_KINDS}
        if all(len(p) == 2 for p in pairs)
        else None
    )
