"""Imports of delegation trees that a test writes: what they find, and what the server has then."""

import json
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner, Result

from orchestration import Client
from orchestration.v1 import coordination_pb2, sprint_pb2, task_pb2
from orchestration_server.cli.importing.jsonl import import_files
from tests.conftest import Server

app = typer.Typer()
app.command()(import_files)


def run(server: Server, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["--address", server.address, *map(str, arguments)])


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def tasks_of(server: Server) -> dict[str, task_pb2.Task]:
    with Client(server.address) as client:
        pages = client.pages(client.tasks.ListTasks, task_pb2.ListTasksRequest(page_size=500))
        return {task.code: task for task in pages}


def sprints_of(server: Server) -> dict[str, sprint_pb2.Sprint]:
    with Client(server.address) as client:
        pages = client.pages(client.sprints.ListSprints, sprint_pb2.ListSprintsRequest(page_size=500))
        return {sprint.code: sprint for sprint in pages}


def findings(report: Path) -> dict[str, list[tuple[str, str]]]:
    kinds = ("refused", "unresolved", "conflict", "changed", "warning")
    found: dict[str, list[tuple[str, str]]] = {kind: [] for kind in kinds}
    for line in report.read_text().splitlines():
        row = json.loads(line)
        assert row["line"] is None
        found[row["kind"]].append((row["file"], row["reason"]))
    return found


def ready(server: Server, project: str = "default") -> set[str]:
    with Client(server.address, project=project) as client:
        request = coordination_pb2.ListReadyTasksRequest(page_size=500, include_not_due=True)
        return {task.code for task in client.pages(client.coordination.ListReadyTasks, request)}


def load(server: Server, root: Path, files: dict[str, str | bytes]) -> tuple[int, dict[str, Any]]:
    """Import a tree. Return the exit code and the findings."""
    report = root / "report.jsonl"
    result = run(server, "--delegation", write(root / "tree", files), "--report", report)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, findings(report)
