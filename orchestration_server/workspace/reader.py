"""The files of a task or a sprint, named and read out of a workspace that no name and no link leads out of.

Names that begin with a dot are the synchronisation's own and count as absent.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from orchestration_server.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    FileChanged,
    InvalidArgument,
    NotFound,
)
from orchestration_server.model import Call
from orchestration_server.workspace.tree import UnsafePath, Workspace, parts_of

LISTED = 500
"""The most files of one listing."""
ENTRIES = 10_000
"""The most entries of one directory that are looked at, and of all directories of one listing."""
DEPTH = 8
"""How deep below the directory that is listed."""
READ_BYTES = 16 * 1024 * 1024
"""The largest file that is read."""
CHUNK_BYTES = 64 * 1024
PATH_CHARACTERS = 512
HASHED_BYTES = 256 * 1024 * 1024
"""Of the files of one listing so many bytes are hashed."""
HASHES = 10_000
"""So many hashes are kept in mind."""
_NO_LINK = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class FileState(NamedTuple):
    """A file as its directory shows it: two that are equal have equal contents."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @staticmethod
    def of(path: str, found: os.stat_result) -> FileState:
        """As the file system has it."""
        return FileState(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


class WorkspaceFiles:
    """Lists, hashes and reads files below a root; without a root there are none."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._hashes: OrderedDict[tuple[str, FileState], str] = OrderedDict()
        self._lock = Lock()

    def listed(self, project: str, directory: str) -> list[FileState]:
        """The files below a directory by path, at most 500, without links and what is no plain file."""
        if self._root is None:
            return []
        try:
            with Workspace(self._root, project).directory(directory) as found:
                return list(islice(_walk(found.fd, directory, DEPTH, count(1)), LISTED))
        except (OSError, UnsafePath):
            return []

    def hashes(self, call: Call, files: list[FileState]) -> dict[FileState, str]:
        """SHA-256 of these files in hexadecimal, without those that changed or went meanwhile.

        Empty for those that are too large to be read, and for those after the first HASHED_BYTES: a context
        would wait for gigabytes.

        DEADLINE_EXCEEDED where the caller's time runs out; what was hashed until then stays known.
        """
        found = {}
        left = HASHED_BYTES
        for file in files:
            left -= min(file.size, READ_BYTES)
            if file.size > READ_BYTES or left < 0:
                found[file] = ""
                continue
            gone = suppress(FileChanged, InvalidArgument, NotFound)
            with gone, self._opened(call.project, file.path) as (fd, state):
                if state == file:
                    found[file] = self._hash(call, fd, state)
        return found

    def read(self, call: Call, path: str, *, directory: str) -> Iterator[tuple[bytes, int, str]]:
        """A file of a directory in pieces of up to 64 KiB, each with the size and the SHA-256 of the whole.

        NOT_FOUND, also for one of another directory; INVALID_ARGUMENT for a path through a link;
        FAILED_PRECONDITION, NO_WORKSPACE or FILE_TOO_LARGE; ABORTED, FILE_CHANGED, where it changes.
        """
        with self._opened(call.project, path) as (fd, state):
            if not directory or not path.startswith(f"{directory}/"):
                raise NotFound("file", path)
            if state.size > READ_BYTES:
                raise FailedPrecondition(
                    f"the file {path} has {state.size} bytes; at most {READ_BYTES} are read",
                    reason="FILE_TOO_LARGE",
                    subject=path,
                )
            whole = self._hash(call, fd, state)
            digest = sha256()
            place = 0
            while True:
                data = os.pread(fd, min(CHUNK_BYTES, state.size - place), place)
                digest.update(data)
                place += len(data)
                last = place >= state.size
                if (not data and not last) or (last and digest.hexdigest() != whole):
                    raise FileChanged(path)
                yield data, state.size, whole
                if last:
                    return

    @contextmanager
    def _opened(self, project: str, path: str) -> Iterator[tuple[int, FileState]]:
        """A plain file, open, as it was when it was opened."""
        if self._root is None:
            raise FailedPrecondition(
                "this server has no workspace, and so no files", reason="NO_WORKSPACE", subject="workspace"
            )
        directory, _, name = path.rpartition("/")
        try:
            parts_of(path)
        except UnsafePath as error:
            raise InvalidArgument({"path": str(error)}) from error
        if not directory and (self._root / name).is_symlink():
            raise InvalidArgument({"path": f"{name} is a link"})
        if not directory or any(part.startswith(".") for part in path.split("/")):
            # No target's files stand in the root itself.
            raise NotFound("file", path)
        try:
            with Workspace(self._root, project).directory(directory) as parent:
                # Without O_NONBLOCK, opening a named pipe would wait for someone to write into it.
                fd = os.open(name, _NO_LINK | os.O_NONBLOCK, dir_fd=parent.fd)
        except UnsafePath as error:
            raise InvalidArgument({"path": str(error)}) from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise InvalidArgument({"path": f"{name} is a link"}) from error
            raise NotFound("file", path) from error
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise NotFound("file", path)
            yield fd, FileState.of(path, found)
        finally:
            os.close(fd)

    def _hash(self, call: Call, fd: int, state: FileState) -> str:
        key = (call.project, state)
        with self._lock:
            known = self._hashes.get(key)
        if known is not None:
            return known
        digest = sha256()
        place = 0
        # One byte more shows that it grows: it might do so faster than it is read.
        while place <= state.size and (data := os.pread(fd, min(CHUNK_BYTES, state.size + 1 - place), place)):
            digest.update(data)
            place += len(data)
            if call.seconds_left() == 0:
                raise DeadlineExceeded("the deadline passed while a file was read")
        if FileState.of(state.path, os.fstat(fd)) != state:
            raise FileChanged(state.path)
        found = digest.hexdigest()
        with self._lock:
            self._hashes[key] = found
            if len(self._hashes) > HASHES:
                self._hashes.popitem(last=False)
        return found


def _walk(fd: int, path: str, depth: int, looked: Iterator[int]) -> Iterator[FileState]:
    """Yield the plain files below an open directory, by their paths. ``looked`` counts entries."""
    names = []
    with os.scandir(fd) as entries:
        for entry in entries:
            if next(looked) > ENTRIES:
                break
            if not _nameable(path, entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                names.append(entry.name + "/")
            elif entry.is_file(follow_symlinks=False):
                names.append(entry.name)
    for name in sorted(names):
        # What went meanwhile is left out.
        with suppress(OSError):
            if not name.endswith("/"):
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISREG(found.st_mode):
                    yield FileState.of(f"{path}/{name}", found)
            elif depth:
                inner = os.open(name[:-1], _NO_LINK | os.O_DIRECTORY, dir_fd=fd)
                try:
                    yield from _walk(inner, path + "/" + name[:-1], depth - 1, looked)
                finally:
                    os.close(inner)


def _nameable(path: str, name: str) -> bool:
    """Whether ReadContextFile could be asked for it."""
    plain = name.isprintable() and "\\" not in name and not name.startswith(".")
    return plain and len(path) + len(name) < PATH_CHARACTERS
