"""Checks of this machine: Python, limits and disks."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from orchestration_server.doctor.findings import Finding, Installation, failed, format_size, ok, warning

OPEN_FILES = 4_096
"""Enough for one per client connection, and some for pools and files."""
LEAST_FREE, SMALL_FREE = 1024**3, 0.1
OLDEST = (3, 11)


def python(installation: Installation) -> Iterator[Finding]:
    """Check that the packages support this version of Python."""
    found = f"Python {platform.python_version()}"
    if sys.version_info < OLDEST:
        yield failed(f"{found} is too old", "make venv PYTHON=python3.11")
    else:
        yield ok(found)


def open_files(installation: Installation) -> Iterator[Finding]:
    """Check the limit of open files: each connection needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        more = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
        yield warning(
            f"{soft:,} files may be open at once, and each connection of a client needs one",
            f"ulimit -n {more}    # in a systemd unit: LimitNOFILE=65536",
        )
    else:
        yield ok(f"{soft:,} may be open at once" if soft != resource.RLIM_INFINITY else "no limit")


def workspace(installation: Installation) -> Iterator[Finding]:
    """Check that the workspace exists and can be written to."""
    root = installation.settings.workspace
    if root is None:
        yield ok("none: no files are written here")
        return
    if not root.is_dir():
        yield failed(f"{root} is not a directory, or is not mounted", f"mkdir -p {root}")
        return
    try:
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        yield failed(f"{root} cannot be written to: {error.strerror}", f"chown {os.geteuid()} {root}")
        return
    yield from _free(root)


def disk(installation: Installation) -> Iterator[Finding]:
    """Check the disk space of the built-in Postgres."""
    if not installation.settings.database_url:
        yield from _free(existing_parent(installation.settings.data_dir.expanduser()))


def _free(path: Path) -> Iterator[Finding]:
    usage = shutil.disk_usage(path)
    text = f"{path} has {format_size(usage.free)} free of {format_size(usage.total)}"
    if usage.free < LEAST_FREE:
        yield failed(text, f"du -xh --max-depth=2 {path} | sort -h | tail")
    elif usage.free < SMALL_FREE * usage.total:
        yield warning(text, f"du -xh --max-depth=2 {path} | sort -h | tail")
    else:
        yield ok(text)


def existing_parent(path: Path) -> Path:
    """Return the path, or its nearest parent that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
