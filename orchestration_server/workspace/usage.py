"""The number of files in a workspace, and their size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orchestration.v1 import admin_pb2
from orchestration_server.workspace.tree import PROJECTS_DIRECTORY

LARGE_BYTES = 100 * 1024
"""A larger file counts as large."""


def usage(root: Path) -> admin_pb2.WorkspaceStats:
    """Count the files under ``delegation/sprints`` of all projects, without links."""
    counted = admin_pb2.WorkspaceStats()
    projects = root / PROJECTS_DIRECTORY
    for project in (root, *(projects / name for name in _directories(projects))):
        for name, size in _files(project / "delegation" / "sprints"):
            counted.files += 1
            counted.bytes += size
            counted.markdown_files += name.endswith(".md")
            counted.large_files += size > LARGE_BYTES
    return counted


def _directories(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _files(top: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and the size of each file. Files that are deleted meanwhile are skipped."""
    if top.is_symlink() or top.parent.is_symlink():
        return
    left = [top]
    while left:
        path = left.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        left.append(path / entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        yield entry.name, entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
