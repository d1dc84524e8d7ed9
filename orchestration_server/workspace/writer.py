"""Writes an entity's files and leaves those alone that somebody else has changed.

A record beside the files says what was written last: their SHA-256, and the entity's uid and revision.
Before files are written it also says what they are about to be, so that a worker that is killed in the middle
leaves none that looks edited. All of it happens with the directory's lock held. A state that was read before
the lock was taken may be older than the one that the record has: that one is of a later revision, or of the
same one with other files, because a task's links change without its revision. Then it is read again, and what
is read now is no older than anything that was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson

from orchestration_server.telemetry import metrics
from orchestration_server.workspace.rendering import Document
from orchestration_server.workspace.tree import Directory, Workspace

RECORD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class EditedFile:
    """A file left alone: the SHA-256 of what was written there last, if anything was, and of what it is.

    The latter is empty if the file is too large to be hashed.
    """

    path: str
    written: str
    found: str


@dataclass(frozen=True, slots=True)
class Written:
    """An entity's files that are as the ledger has them, by path with their SHA-256, and the others."""

    document: Document
    files: Mapping[str, str]
    changed: frozenset[str]
    """Paths of files that were not so before."""
    edited: tuple[EditedFile, ...]
    skipped: str = ""
    """Why nothing was written, if so."""


@dataclass(slots=True)
class _Record:
    uid: str = ""
    revision: int = 0
    files: dict[str, str] = field(default_factory=dict)
    writing: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def read(directory: Directory, name: str) -> _Record:
        """The record that is there. One that cannot be read says nothing: files that differ are conflicts."""
        content = directory.read(name, RECORD_BYTES)
        try:
            values = orjson.loads(content or b"{}")
            return _Record(
                str(values.get("uid", "")),
                int(values.get("revision", 0)),
                _hashes(values.get("files")),
                _hashes(values.get("writing")),
            )
        except (AttributeError, TypeError, ValueError):
            return _Record()

    def write(self, directory: Directory, name: str) -> None:
        values: dict[str, Any] = {"uid": self.uid, "revision": self.revision, "files": self.files}
        if self.writing:
            values["writing"] = self.writing
        options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
        directory.write(name, orjson.dumps(values, option=options))

    def may_be_later(self, document: Document) -> bool:
        """Return True if what was written last may be of a later state than the document."""
        if self.uid != document.uid or self.revision < document.revision:
            return False
        digests = {name: sha256(content).hexdigest() for name, content in document.files.items()}
        return self.revision > document.revision or digests != self.files

    def knows(self, name: str) -> set[str]:
        """The SHA-256 of what was, or may have been, written."""
        return {known[name] for known in (self.files, self.writing) if known.get(name)}


def _hashes(values: Any) -> dict[str, str]:
    return {str(name): str(digest) for name, digest in dict(values or {}).items()}


def accept(workspace: Workspace, path: str, name: str, found: Mapping[str, str]) -> bool:
    """Note in the record of a directory that its files may be written over, edited as they are.

    ``name`` is that of the record, ``found`` the SHA-256 of each file. Return False, and note nothing, if
    there is no record, if it has all of them, or if a file has another content by now. Raises OSError and
    UnsafePath as ``write`` does.
    """
    with workspace.locked(path) as directory:
        record = _Record.read(directory, name)
        if not record.uid or found.items() <= record.files.items():
            return False
        if any(directory.digest(file) != digest for file, digest in found.items()):
            return False
        record.files |= found
        record.write(directory, name)
        return True


def write(workspace: Workspace, document: Document, *, again: Callable[[], Document | None]) -> Written:
    """Brings a document's files into the workspace. ``again`` reads it once more; None where it is gone.

    Raises OSError where the workspace cannot be written, and UnsafePath where a link stands in the way.
    """
    with workspace.locked(document.directory) as directory:
        directory.sweep()
        record = _Record.read(directory, document.record)
        if record.may_be_later(document):
            latest = again()
            if latest is None or latest.directory != document.directory:
                skipped = "deleted" if latest is None else "moved"
                return Written(document, {}, frozenset(), (), skipped)
            document = latest
        return _bring(directory, record, document)


def _bring(directory: Directory, record: _Record, document: Document) -> Written:
    wanted = {name: sha256(content).hexdigest() for name, content in document.files.items()}
    found = {name: directory.digest(name) for name in wanted}
    edited = {
        name: digest
        for name, digest in found.items()
        if digest is not None and digest != wanted[name] and digest not in record.knows(name)
    }
    changed = [name for name in wanted if name not in edited and found[name] != wanted[name]]
    if changed:
        # What is there may come from a writing that did not end: it counts as synced, whatever comes next.
        record.files |= {name: digest for name in changed if (digest := found[name]) is not None}
        record.writing = {name: wanted[name] for name in changed}
        record.write(directory, document.record)
        for name in changed:
            digest = directory.replace(name, document.files[name], record.knows(name))
            if digest is not None:
                edited[name] = digest
    done = {name: digest for name, digest in wanted.items() if name not in edited}
    conflicts = tuple(
        EditedFile(f"{document.directory}/{name}", record.files.get(name, ""), digest)
        for name, digest in edited.items()
    )
    after = _Record(document.uid, document.revision, {**record.files, **done})
    if changed or after != record:
        after.write(directory, document.record)
    files = {f"{document.directory}/{name}": digest for name, digest in done.items()}
    written = frozenset(f"{document.directory}/{name}" for name in changed if name in done)
    metrics.FILES.labels("written").inc(len(written))
    metrics.FILES.labels("unchanged").inc(len(done) - len(written))
    metrics.FILES.labels("conflict").inc(len(edited))
    return Written(document, files, written, conflicts)
