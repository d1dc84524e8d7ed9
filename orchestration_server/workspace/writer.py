"""Writes an entity's files, except the files that a person has edited.

A record beside the files has the SHA-256 of each file as it was written last, and the entity's uid and
revision. Before the worker writes files, it also records what they are about to be. So if it is killed in the
middle, none of them looks edited.

The worker holds the lock of the directory all the while. The state that it read before it got the lock may be
older than the recorded one. That is so if the record has a later revision, or the same revision with other
files, because a task's links change without its revision. The worker then reads the state again. What it
reads under the lock is no older than anything that was written.
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
    """A file that was left alone because a person has edited it."""

    path: str
    written: str
    """The SHA-256 of what the server wrote there last; empty if it wrote nothing."""
    found: str
    """The SHA-256 of the file; empty if it is too large to be hashed."""


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of writing one entity's files."""

    document: Document
    files: Mapping[str, str]
    """The SHA-256 of each file that is as the ledger has it, by path."""
    changed: frozenset[str]
    """The paths of those that were different before."""
    edited: tuple[EditedFile, ...]
    skipped: str = ""
    """The reason if nothing was written."""


@dataclass(slots=True)
class _Record:
    uid: str = ""
    revision: int = 0
    files: dict[str, str] = field(default_factory=dict)
    writing: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def read(directory: Directory, name: str) -> _Record:
        """Return the record of a directory. If it cannot be parsed it is empty, and files count as edited."""
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
        """Return whether the files written last may be of a later state than the document."""
        if self.uid != document.uid or self.revision < document.revision:
            return False
        digests = {name: sha256(content).hexdigest() for name, content in document.files.items()}
        return self.revision > document.revision or digests != self.files

    def known_hashes(self, name: str) -> set[str]:
        """Return the SHA-256 of all contents of a file that the server wrote or may have written."""
        return {known[name] for known in (self.files, self.writing) if known.get(name)}


def _hashes(values: Any) -> dict[str, str]:
    return {str(name): str(digest) for name, digest in dict(values or {}).items()}


def accept(workspace: Workspace, path: str, name: str, found: Mapping[str, str]) -> bool:
    """Record that the server may overwrite edited files of a directory.

    ``name`` is the name of the record, ``found`` has the SHA-256 of each file. Return False, and record
    nothing, if there is no record, if it has all of these already, or if a file has changed again. Raises
    OSError and UnsafePath as ``write`` does.
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
    """Write a document's files into the workspace.

    ``again`` reads the document once more, and returns None if its entity was deleted. Raises OSError if the
    workspace cannot be written, and UnsafePath if a path leads through a link.
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
        return _write_files(directory, record, document)


def _write_files(directory: Directory, record: _Record, document: Document) -> Written:
    wanted = {name: sha256(content).hexdigest() for name, content in document.files.items()}
    found = {name: directory.digest(name) for name in wanted}
    edited = {
        name: digest
        for name, digest in found.items()
        if digest is not None and digest != wanted[name] and digest not in record.known_hashes(name)
    }
    changed = [name for name in wanted if name not in edited and found[name] != wanted[name]]
    if changed:
        # These contents may be of a write that was killed. They count as written, whatever is written next.
        record.files |= {name: digest for name in changed if (digest := found[name]) is not None}
        record.writing = {name: wanted[name] for name in changed}
        record.write(directory, document.record)
        for name in changed:
            digest = directory.replace(name, document.files[name], record.known_hashes(name))
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
