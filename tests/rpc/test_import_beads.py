"""A `.beads/issues.jsonl` in the form that the tracker documents is loaded unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestration.v1 import common_pb2
from tests.rpc.test_import import Server, run, tasks_of, timeline, write
from tests.rpc.test_import_readiness import ready

TIME = "2026-01-02T03:04:05.123456789-07:00"


def issue(name: str, status: str = "open", **fields: Any) -> dict[str, Any]:
    return {
        "id": f"bd-{name}",
        "title": f"Issue {name}",
        "description": "As written",
        "status": status,
        "priority": 1,
        "issue_type": "task",
        "created_at": TIME,
        "updated_at": TIME,
        **fields,
    }


def needs(name: str, other: str, kind: str = "blocks") -> dict[str, Any]:
    return {
        "issue_id": f"bd-{name}",
        "depends_on_id": f"bd-{other}",
        "type": kind,
        "created_at": TIME,
        "created_by": "ann",
    }


ISSUES = [
    issue("epic", issue_type="epic", priority=0),
    issue("epic.1", dependencies=[needs("epic.1", "epic", "parent-child")], labels=["garden", "spring"]),
    issue("a3f8", "closed", closed_at=TIME, close_reason="done", assignee="ann"),
    issue("1", dependencies=[needs("1", "a3f8"), needs("1", "epic.1", "related")], priority=4),
    issue("2", dependencies=[needs("2", "1")], acceptance_criteria="- [ ] dry\n- [ ] warm", design="# Plan"),
    issue("3", "in_progress", assignee="bob", dependencies=[needs("3", "1", "discovered-from")]),
    issue("4", "blocked"),
    issue("5", "deferred", defer_until="2027-01-01T00:00:00Z"),
    issue("6", "hooked"),
    issue("7", "pinned"),
    issue("8", "tombstone", deleted_at=TIME, deleted_by="ann", delete_reason="twice", original_type="task"),
    issue("9", dependencies=[needs("9", "8")], comments=[
        {"id": 1, "issue_id": "bd-9", "author": "ann", "text": "Mind the pipe", "created_at": TIME},
    ]),
    issue("10", dependencies=[needs("10", "2", "waits-for")], estimated_minutes=30, external_ref="gh-9"),
    issue("11", dependencies=[needs("11", "1", "replies-to"), needs("11", "2", "duplicates")]),
]  # fmt: skip


def test_a_file_of_beads_loads_whole(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".beads").mkdir()
    file = write(tmp_path / ".beads" / "issues.jsonl", ISSUES)
    result = run(server, "--tasks", file)
    assert result.exit_code == 0, result.output
    assert "14 read, 14 created, 0 already there, 1 deleted" in result.output
    assert "0 refused, 0 unresolved, 0 changed, 0 warnings" in result.output
    stored = tasks_of(server)
    assert len(stored) == 13
    assert stored["bd-epic"].priority == common_pb2.PRIORITY_P0
    assert stored["bd-1"].priority == common_pb2.PRIORITY_P4
    assert list(stored["bd-2"].acceptance_criteria) == ["- [ ] dry", "- [ ] warm"]
    assert stored["bd-a3f8"].create_time.ToJsonString() == "2026-01-02T10:04:05.123456Z"
    assert stored["bd-5"].metadata["defer_until"] == "2027-01-01T00:00:00Z"
    # Exactly the issues that the tracker calls ready: those that are open and blocked by no open issue.
    assert ready(server) == {"bd-epic", "bd-epic.1", "bd-1", "bd-9", "bd-11"}
    log = timeline(server)
    again = run(server, "--tasks", file)
    assert again.exit_code == 0, again.output
    assert timeline(server) == log
