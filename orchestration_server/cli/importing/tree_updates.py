"""A person's edits of files that the ledger wrote: sent with the revision that the file was written of.

A file has a way in if the ledger still has that revision, or says the same anyway. Else it is a conflict, and
nothing is changed on either side. Links are edits of a set: those that the file has more than the ledger
wrote are added, those that it has less are removed, whatever others did to the rest.
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
from orchestration_server.codec.content import content_hash, sprint_content, task_content
from orchestration_server.workspace import writer
from orchestration_server.workspace.rendering import LINK_KINDS, RECORD
from orchestration_server.workspace.tree import UnsafePath, Workspace

_TRIES = 5

Entity = sprint_pb2.Sprint | task_pb2.Task


@dataclass(slots=True)
class UpdateCounts:
    """What became of the edits."""

    sprints: int = 0
    tasks: int = 0
    links: int = 0


@dataclass(frozen=True, slots=True)
class _AcceptedFile:
    """A file whose content the ledger has."""

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
        """Send the edit of a sprint that is there."""
        if not parsed.stamps:
            return
        request = sprint_pb2.GetSprintRequest(sprint_code=wanted.code)
        current = self._client.call(self._client.sprints.GetSprint, request).sprint
        now = self._content(line, wanted, current, parsed)
        if now is not None:
            self.counts.sprints += now.revision != current.revision
            self._accepted_files.append(_AcceptedFile(line, directory, parsed.digests, now))

    def task(self, task: ReadTask, row: ImportTaskRow) -> ImportTaskRow | None:
        """Send the edit of a task, and return its row with the links to add; None if it is not there."""
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
        """List the files of tasks that were deleted in the ledger: an edit of one has no way in."""
        for task in tasks:
            if task.parsed.stamps and task.code in deleted:
                self._listing.conflict(task.line, f"task {task.code} was deleted in the ledger")

    def finish(self) -> Iterator[int]:
        """Have the files written anew that the ledger has taken, after their links were made."""
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
        """Bring the ledger to what the file says; None, and listed, if that cannot be.

        Return the entity as the ledger has it then.
        """
        what = f"{'task' if isinstance(wanted, task_pb2.Task) else 'sprint'} {wanted.code}"
        fields = _differing(wanted, current)
        stamp = str(parsed.stamps.get("revision", ""))
        if parsed.stamps.get("uid") != current.uid or not stamp.isdecimal():
            if fields:
                self._listing.conflict(line, f"{what}: the file was written of another one: left as it is")
            return None
        if not fields or _hash(wanted) == parsed.stamps.get("hash"):
            # It says what the ledger says, or nobody has edited it and the ledger went on.
            return current
        if parsed.notes.changes:
            self._listing.refused(line, f"{what}: not updated, because a value of the file cannot be taken")
            return None
        for _ in range(_TRIES):
            if current.revision != int(stamp):
                both = f"the file is an edit of revision {stamp}, and the ledger has {current.revision}"
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
        self._listing.refused(line, f"{what}: others change it all the time: run the import again")
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
        """Remove links; one that is gone already is as it should be."""
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
                    self._listing.refused(line, f"task {code} depends on {other} still: {failure}")

    def _allow_overwrite(self, taken: _AcceptedFile) -> bool:
        """Tell the file sync that an edited file may be written over; False if it is not to know."""
        directory = taken.directory.resolve()
        try:
            if not (directory / RECORD).is_file():
                return False
            return writer.accept(Workspace(directory.parent), directory.name, RECORD, taken.digests)
        except (OSError, UnsafePath) as error:
            self._listing.warning(taken.line, f"the ledger has it, but {RECORD} cannot be written: {error}")
            return False

    def _sync(self, entity: Entity) -> None:
        """Ask for the files of an entity by a change that changes nothing."""
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
            # Another one changed it meanwhile: the next sync writes what is there then.
            if failure.code is not grpc.StatusCode.ABORTED:
                raise


def _without_links(row: ImportTaskRow) -> ImportTaskRow:
    return ImportTaskRow(row.line, row.new, bad_links=row.bad_links)


def _contents(entity: Entity) -> dict[str, Any]:
    return task_content(entity) if isinstance(entity, task_pb2.Task) else sprint_content(entity)


def _hash(entity: Entity) -> str:
    return content_hash(_contents(entity))


def _differing(wanted: Entity, current: Entity) -> list[str]:
    before, after = _contents(current), _contents(wanted)
    return [name for name in after if after[name] != before[name]]


def _base(parsed: ParsedFile) -> set[tuple[str, str]] | None:
    """Return the links that the file was written with; None if it does not say, or has no list any more."""
    stamp = parsed.stamps.get("links")
    if not isinstance(stamp, str) or "depends_on" not in parsed.fields:
        return None
    pairs = [part.split(" ") for part in stamp.split(", ") if part]
    return (
        {(code, kind) for kind, code in pairs if kind in LINK_KINDS}
        if all(len(p) == 2 for p in pairs)
        else None
    )
