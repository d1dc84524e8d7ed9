"""Lists and reads the files of a task or a sprint.

Names that begin with a dot belong to the synchronization and count as absent.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from orchestration_server.cache.lru import LruDict
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
"""Most files of one listing."""
ENTRIES = 10_000
"""Most directory entries that one listing looks at, in all of its directories together."""
DEPTH = 8
"""Levels of directories that a listing goes down."""
READ_BYTES = 16 * 1024 * 1024
"""Size of the largest file that is read."""
CHUNK_BYTES = 64 * 1024
PATH_CHARACTERS = 512
HASHED_BYTES = 256 * 1024 * 1024
"""Bytes that are hashed of the files of one listing."""
HASHES = 10_000
"""Hashes that are kept in memory."""
_NO_LINK = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class FileState(NamedTuple):
    """The state of a file as its directory shows it. Files with equal states have equal contents."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @staticmethod
    def of(path: str, found: os.stat_result) -> FileState:
        """Return the state of a file from its stat result."""
        return FileState(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


class WorkspaceFiles:
    """The readable files below a root. Without a root there are no files."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._hashes: LruDict[tuple[str, FileState], str] = LruDict(HASHES)
        self._lock = Lock()

    def list_files(self, project: str, directory: str) -> list[FileState]:
        """Return the plain files below a directory, at most LISTED, ordered by path. Links are left out."""
        if self._root is None:
            return []
        try:
            with Workspace(self._root, project).directory(directory) as found:
                return list(islice(_walk(found.fd, directory, DEPTH, count(1)), LISTED))
        except (OSError, UnsafePath):
            return []

    def hashes(self, call: Call, files: list[FileState]) -> dict[FileState, str]:
        """Return the SHA-256 of files in hexadecimal, without the files that changed or were deleted.

        The hash is empty for a file that is too large to be read, and for the files after the first
        HASHED_BYTES, because a context should not wait for gigabytes.

        Raises DeadlineExceeded if the caller's deadline passes. The hashes made until then are kept for the
        next call.
        """
        found = {}
        left = HASHED_BYTES
        for file in files:
            left -= min(file.size, READ_BYTES)
            if file.size > READ_BYTES or left < 0:
                found[file] = ""
                continue
            unreadable = suppress(FileChanged, InvalidArgument, NotFound)
            with unreadable, self._opened(call.project, file.path) as (fd, state):
                if state == file:
                    found[file] = self._hash(call, fd, state)
        return found

    def read(self, call: Call, path: str, *, directory: str) -> Iterator[tuple[bytes, int, str]]:
        """Yield a file in pieces of up to 64 KiB, each with the size and the SHA-256 of the whole file.

        Raises:
            NotFound: The file does not exist or is not below ``directory``.
            InvalidArgument: The path is unsafe or leads through a link.
            FailedPrecondition: The server has no workspace, or the file is too large.
            FileChanged: The file changed while it was read.
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
            offset = 0
            while True:
                data = os.pread(fd, min(CHUNK_BYTES, state.size - offset), offset)
                digest.update(data)
                offset += len(data)
                last = offset >= state.size
                if (not data and not last) or (last and digest.hexdigest() != whole):
                    raise FileChanged(path)
                yield data, state.size, whole
                if last:
                    return

    @contextmanager
    def _opened(self, project: str, path: str) -> Iterator[tuple[int, FileState]]:
        """Open a plain file and yield it with its state at that moment."""
        if self._root is None:
            raise FailedPrecondition(
                "this server has no workspace and so no files", reason="NO_WORKSPACE", subject="workspace"
            )
        directory, _, name = path.rpartition("/")
        try:
            parts_of(path)
        except UnsafePath as error:
            raise InvalidArgument({"path": str(error)}) from error
        if not directory and (self._root / name).is_symlink():
            raise InvalidArgument({"path": f"{name} is a link"})
        if not directory or any(part.startswith(".") for part in path.split("/")):
            # No target has files directly in the root.
            raise NotFound("file", path)
        try:
            with Workspace(self._root, project).directory(directory) as parent:
                # Without O_NONBLOCK, opening a named pipe would block until another process writes to it.
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
        offset = 0
        # Reading stops one byte behind the known size: the file may grow faster than it is read.
        while offset <= state.size and (
            data := os.pread(fd, min(CHUNK_BYTES, state.size + 1 - offset), offset)
        ):
            digest.update(data)
            offset += len(data)
            if call.seconds_left() == 0:
                raise DeadlineExceeded("the deadline passed while a file was read")
        if FileState.of(state.path, os.fstat(fd)) != state:
            raise FileChanged(state.path)
        found = digest.hexdigest()
        with self._lock:
            self._hashes[key] = found
        return found


def _walk(fd: int, path: str, depth: int, looked: Iterator[int]) -> Iterator[FileState]:
    """Yield the plain files below an open directory, ordered by path. ``looked`` counts the entries seen."""
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
        # A file that was deleted meanwhile is left out.
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
    """Return whether ReadContextFile accepts the path of a directory entry."""
    plain = name.isprintable() and "\\" not in name and not name.startswith(".")
    return plain and len(path) + len(name) < PATH_CHARACTERS
