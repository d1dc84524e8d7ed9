"""The workspace: a tree of files below one root. No name and no link in it leads out of the root.

The server walks every path from the root one directory at a time, by open file descriptors. It follows no
link on the way, not even one that stays inside. So it uses the directory that it checked, even if another
process swaps that directory for a link meanwhile. The root itself may be a link, if the operator wants that.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from urllib.parse import quote, unquote

NAME_BYTES = 255
PATH_PARTS = 32
LOCK_SECONDS = 5.0
"""Longest wait for the lock of a directory."""
LOCK_PAUSE = 0.01
READ_BYTES = 1024 * 1024
HASHED_BYTES = 16 * 1024 * 1024
"""Size of the largest file that is hashed. The ledger writes no larger file."""
READ_SECONDS = 5.0
"""Longest time that reading a file may take."""
SWEPT = 10_000
"""Most directory entries that are searched for files that killed writers left behind."""
TOO_LARGE = ""
"""The value in place of a SHA-256 for a file that is too large to be hashed."""
DEFAULT_PROJECT = "default"
TEMPORARY = ".write-"
"""Prefix of the names of files that are being written."""
_FOLLOW_NOTHING = os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | _FOLLOW_NOTHING
PROJECTS_DIRECTORY = "projects"
"""Directory below the root that has the directories of all projects but the default one."""
_FILES = frozenset(("sprint.md", "task.md", "agent.yml"))


class UnsafePath(ValueError):
    """A name or a link would lead out of the workspace. Nothing was read or written."""


def name_of(code: str) -> str:
    """Return the name of a code's directory. Raises UnsafePath if no file can have the name.

    The name is the code, with each character that a name cannot have as % and two hexadecimal digits;
    ``code_of`` reads them back. Two codes never share a name, and no code has the name of a file that the
    ledger writes.
    """
    try:
        name = quote(code, safe="")
    except UnicodeEncodeError:
        name = ""
    if name.startswith(".") or name.casefold() in _FILES:
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if not name or len(name) > NAME_BYTES:
        raise UnsafePath(f"no file can be named for {code[:40]!r}")
    return name


def code_of(name: str) -> str:
    """Return the code whose directory has a name."""
    return unquote(name)


def parts_of(path: str) -> tuple[str, ...]:
    """Return the names along a path below the root. Raises UnsafePath if it is absolute or could leave it."""
    parts = tuple(path.split("/"))
    if path.startswith("/"):
        raise UnsafePath("the path is absolute")
    if len(parts) > PATH_PARTS:
        raise UnsafePath(f"the path has more than {PATH_PARTS} parts")
    for part in parts:
        if part in ("", ".", ".."):
            raise UnsafePath(f"the path has a part {part!r}")
        if "\0" in part:
            raise UnsafePath("the path contains NUL")
        try:
            length = len(part.encode())
        except UnicodeEncodeError as error:
            raise UnsafePath("the path is not Unicode") from error
        if length > NAME_BYTES:
            raise UnsafePath(f"the path has a part of more than {NAME_BYTES} bytes")
    return parts


def sprint_directory(code: str) -> str:
    """Return the directory of a sprint's files, below the root of its project."""
    return f"delegation/sprints/{name_of(code)}"


def task_directory(code: str, sprint_code: str) -> str:
    """Return the directory of a task's files, below its sprint's or among the tasks without a sprint."""
    return f"{sprint_directory(sprint_code) if sprint_code else 'delegation/tasks'}/{name_of(code)}"


class Directory:
    """An open directory. It stays the same directory even if another process moves it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def read(self, name: str, limit: int) -> bytes | None:
        """Return a file's content, or None if there is no file. Raises OSError if it exceeds ``limit``."""
        with self._opened(name) as fd:
            if fd is None:
                return None
            content = b"".join(_pieces(fd, limit + 1, name))
        if len(content) > limit:
            raise OSError(errno.EFBIG, f"longer than {limit:,} bytes", name)
        return content

    def digest(self, name: str) -> str | None:
        """Return the SHA-256 of a file; None if there is no file, TOO_LARGE if it is too large to be read.

        Raises OSError, ETIMEDOUT, if reading takes longer than READ_SECONDS.
        """
        with self._opened(name) as fd:
            if fd is None:
                return None
            if os.fstat(fd).st_size > HASHED_BYTES:
                return TOO_LARGE
            digest, size = sha256(), 0
            # The file may grow while it is read.
            for piece in _pieces(fd, HASHED_BYTES + 1, name):
                digest.update(piece)
                size += len(piece)
        return digest.hexdigest() if size <= HASHED_BYTES else TOO_LARGE

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all, even if the machine stops in the middle."""
        self._write(name, content, None)

    def replace(self, name: str, content: bytes, known: Collection[str]) -> str | None:
        """Write a file unless that overwrites a file whose SHA-256 is not in ``known``.

        Return None if the file was written, else the SHA-256 of the existing file. The check comes right
        before the rename, so that an edit while the new content is being written counts too.
        """
        return self._write(name, content, known)

    def _write(self, name: str, content: bytes, known: Collection[str] | None) -> str | None:
        temporary = TEMPORARY + secrets.token_hex(8)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FOLLOW_NOTHING, 0o666, dir_fd=self.fd)
        try:
            try:
                with memoryview(content) as rest:
                    done = 0
                    while done < len(rest):
                        done += os.write(fd, rest[done:])
                os.fsync(fd)
            finally:
                os.close(fd)
            if known is not None:
                found = self.digest(name)
                if found is not None and found not in known:
                    os.unlink(temporary, dir_fd=self.fd)
                    return found
            os.rename(temporary, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=self.fd)
            raise
        os.fsync(self.fd)
        return None

    def sweep(self) -> None:
        """Remove the files that killed writers left behind. The caller must hold the directory's lock."""
        with os.scandir(self.fd) as entries:
            looked = islice(entries, SWEPT)
            left = [entry.name for entry in looked if entry.name.startswith(TEMPORARY)]
        for name in left:
            os.unlink(name, dir_fd=self.fd)

    @contextmanager
    def _opened(self, name: str) -> Iterator[int | None]:
        try:
            # Without O_NONBLOCK, opening a named pipe would wait for someone to write into it.
            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _FOLLOW_NOTHING, dir_fd=self.fd)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise UnsafePath(f"{name} is a link") from error
            raise
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise UnsafePath(f"{name} is not a file")
            yield fd
        finally:
            os.close(fd)


class Workspace:
    """The files of one project below a root. The root is never created: it may be a mount that is missing."""

    def __init__(self, root: Path, project: str = DEFAULT_PROJECT) -> None:
        self._root = root
        self._within = () if project == DEFAULT_PROJECT else (PROJECTS_DIRECTORY, name_of(project))

    @contextmanager
    def directory(self, path: str, *, make: bool = False) -> Iterator[Directory]:
        """Open a directory. With ``make``, create it and the directories on the way to it.

        Raises UnsafePath if the path leaves the root or leads through a link, FileNotFoundError if the
        directory does not exist and ``make`` is not set, or another OSError.
        """
        parts = (*self._within, *parts_of(path))
        fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                following = _enter(fd, part, make=make)
                os.close(fd)
                fd = following
            yield Directory(fd)
        finally:
            os.close(fd)

    @contextmanager
    def locked(self, path: str) -> Iterator[Directory]:
        """Open a directory, created if necessary, and lock it against other writers.

        Writers on one machine wait for each other, and so do writers on several machines if the file system
        has locks. A writer that is killed releases its lock. Raises TimeoutError after LOCK_SECONDS.
        """
        with self.directory(path, make=True) as directory:
            end = time.monotonic() + LOCK_SECONDS
            while not _lock(directory.fd):
                if time.monotonic() > end:
                    raise TimeoutError(errno.ETIMEDOUT, "another process holds the directory's lock", path)
                time.sleep(LOCK_PAUSE)
            yield directory


def _enter(fd: int, part: str, *, make: bool) -> int:
    try:
        return os.open(part, _DIRECTORY, dir_fd=fd)
    except FileNotFoundError:
        if not make:
            raise
    except OSError as error:
        raise _refused(part, fd, error) from error
    with suppress(FileExistsError):
        os.mkdir(part, dir_fd=fd)
        os.fsync(fd)
    try:
        return os.open(part, _DIRECTORY, dir_fd=fd)
    except OSError as error:
        raise _refused(part, fd, error) from error


def _refused(part: str, fd: int, error: OSError) -> Exception:
    """Return UnsafePath if the part is a link, else the error as it is.

    A part that was no directory a moment ago, and is one now or is gone, may have been a link.
    """
    try:
        mode = os.stat(part, dir_fd=fd, follow_symlinks=False).st_mode
    except OSError:
        mode = 0
    if stat.S_ISLNK(mode):
        return UnsafePath(f"{part} is a link")
    if error.errno in (errno.ENOTDIR, errno.ELOOP) and (not mode or stat.S_ISDIR(mode)):
        return UnsafePath(f"{part} changed while it was opened")
    return error


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pieces(fd: int, limit: int, name: str) -> Iterator[bytes]:
    end = time.monotonic() + READ_SECONDS
    left = limit
    while left > 0:
        piece = os.read(fd, min(READ_BYTES, left))
        if not piece:
            return
        left -= len(piece)
        yield piece
        if time.monotonic() > end:
            raise TimeoutError(errno.ETIMEDOUT, "the file takes too long to be read", name)
