"""Pending changes are logged before the events that follow them, and delay none."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from psycopg.pq import TransactionStatus

from orchestration.v1 import common_pb2, event_pb2, session_pb2, task_pb2
from orchestration.v1.common_pb2 import TaskStatus
from orchestration_server.db.database import Connection
from orchestration_server.errors import Unavailable
from orchestration_server.jobs.file_sync import FileSync
from orchestration_server.model import Call
from orchestration_server.rules.emission import AT_ONCE
from orchestration_server.writes.batch import COPY_EVENTS, EmitBatch
from orchestration_server.writes.drafts import EmitRequest
from orchestration_server.writes.group_commit import GroupCommit
from tests.conftest import Server
from tests.support import factories
from tests.support.automation import automation, drain, rules_of
from tests.support.automation import history as log_of
from tests.support.debounced_server import ledger as ledger
from tests.support.debounced_server import server as server
from tests.support.debounced_server import types_of
from tests.support.emission import tell_all
from tests.support.histories import TASK, create, delete, get, status, update
from tests.support.ledger import Ledger

PENDING = TaskStatus.TASK_STATUS_PENDING
IN_PROGRESS = TaskStatus.TASK_STATUS_IN_PROGRESS
BLOCKED = TaskStatus.TASK_STATUS_BLOCKED
COMPLETED = TaskStatus.TASK_STATUS_COMPLETED
UPDATED = "orchestration.task.status_updated"


def test_pending_changes_are_logged_before_other_events_of_their_task(server: Server, ledger: Ledger) -> None:
    others: dict[str, Any] = {
        "task.updated": lambda: update(ledger.tasks, "A", title="new"),
        "task.priority_changed": lambda: update(ledger.tasks, "A", priority=4),
        "task.blocked": lambda: status(ledger.tasks, "A", BLOCKED),
        "task.dependency_added": lambda: ledger.link("A", "B"),
        "agents.note.taken": lambda: ledger.emit("A"),
        "activity.logged": lambda: _log(ledger, "k"),
        "context.assembled": lambda: ledger.ask(task_code="A"),
        "task.deleted": lambda: delete(ledger.tasks, "A"),
    }
    create(ledger.tasks, "A")
    create(ledger.tasks, "B")
    ledger.session("k", task_code="A")
    for type_, act in others.items():
        before = len(types_of(ledger))
        if get(ledger.tasks, "A").status != IN_PROGRESS:
            status(ledger.tasks, "A", IN_PROGRESS)
        status(ledger.tasks, "A", PENDING)
        found = types_of(ledger)[before:]
        # A change from blocked has another type, which is not debounced.
        assert found in ([], ["task.unblocked"])
        act()
        assert types_of(ledger)[before:] == [*found, "task.status_updated", type_]
    revisions = [event.entity_revision for event in log_of(ledger.events) if event.entity_code == "A"]
    moving = [revision for revision in revisions if revision]
    assert moving == sorted(moving)
    assert tell_all(server) == 0


def _flip_after_each_reading(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Change task A whenever a group without locks has been read, and count the changes."""
    read, flips = EmitBatch.__init__, [0]

    def then_flip(self: EmitBatch, conn: Connection, group: Sequence[EmitRequest]) -> None:
        read(self, conn, group)
        if conn.info.transaction_status is TransactionStatus.IDLE:
            flips[0] += 1
            status(ledger.tasks, "A", IN_PROGRESS if flips[0] % 2 else PENDING)

    monkeypatch.setattr(EmitBatch, "__init__", then_flip)
    return flips


@pytest.mark.parametrize("events", [1, COPY_EVENTS])
def test_a_task_that_changes_all_the_time_blocks_no_event(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, events: int
) -> None:
    create(ledger.tasks, "A")
    flips = _flip_after_each_reading(ledger, monkeypatch)
    mine = factories.event(entity_type=TASK, entity_code="A")
    message = event_pb2.EmitEventsRequest(request_id="r", events=[mine] * events)
    (answer,) = ledger.events.EmitEvents(iter([message]), timeout=20)
    assert (answer.stored, answer.error.reason) == (events, "")
    assert types_of(ledger) == ["task.created", "task.status_updated"] + [mine.type] * events
    assert flips == [1]


def test_accepted_events_of_a_task_that_changes_all_the_time_are_stored(
    server: Server, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(ledger.tasks, "A")
    _flip_after_each_reading(ledger, monkeypatch)
    mine = factories.event(entity_type=TASK, entity_code="A")
    ledger.events.EmitEvent(event_pb2.EmitEventRequest(event=mine, durability=event_pb2.DURABILITY_ACCEPTED))
    assert server.app is not None
    server.app.commits.close()
    assert types_of(ledger) == ["task.created", "task.status_updated", mine.type]


def test_timelines_wake_for_changes_logged_before_a_failed_group(
    server: Server, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(ledger.tasks, "A")
    status(ledger.tasks, "A", IN_PROGRESS)

    def fails(*_: Any) -> None:
        raise Unavailable

    monkeypatch.setattr(EmitBatch, "commit", fails)
    assert server.app is not None
    woken = threading.Event()
    commits = GroupCommit(server.app.db, woken.set)
    commits.start()
    try:
        request = event_pb2.EmitEventRequest(event=factories.event(entity_type=TASK, entity_code="A"))
        one = EmitRequest.from_message(Call("EmitEvent"), request, [request.event], AT_ONCE)
        with pytest.raises(Unavailable):
            commits.submit(one).result(10)
    finally:
        commits.close()
    assert types_of(ledger) == ["task.created", "task.status_updated"]
    assert woken.is_set()


def test_pending_changes_are_recorded_before_the_event_after_them(ledger: Ledger) -> None:
    create(ledger.tasks, "A")
    status(ledger.tasks, "A", IN_PROGRESS)
    mine = ledger.emit("A")
    (told,) = ledger.log(UPDATED)
    assert told.emit_time.ToNanoseconds() <= mine.emit_time.ToNanoseconds()


def _log(ledger: Ledger, key: str) -> None:
    ledger.sessions.LogActivity(
        session_pb2.LogActivityRequest(session_key=key, kind="progress", message="so far")
    )


def test_events_of_files_and_rules_follow_pending_changes(
    server: Server, ledger: Ledger, tmp_path: Path
) -> None:
    """Their events report no change and take no locks."""
    rules = """
rules:
  - name: page
    on: agents.note.taken
    then:
      - emit: {type: team.pager.called, payload: {}}
"""
    runner = automation(server, rules_of(tmp_path, rules))
    ledger.task("A")
    drain(runner)
    ledger.emit("A")
    request = task_pb2.UpdateTaskStatusRequest(task_code="A", status=IN_PROGRESS, sync_to_file=True)
    ledger.tasks.UpdateTaskStatus(request)
    assert types_of(ledger)[-1] == "agents.note.taken"
    drain(runner)
    assert types_of(ledger)[-2:] == ["task.status_updated", "team.pager.called"]

    status(ledger.tasks, "A", PENDING)
    root = tmp_path / "workspace"
    root.mkdir()
    assert server.app is not None
    assert FileSync(server.app.db, root, lambda: None).run_once() == 1
    assert types_of(ledger)[-2:] == ["task.status_updated", "file.synced"]
    assert tell_all(server) == 0


def test_rules_see_the_coalesced_change(server: Server, ledger: Ledger) -> None:
    ledger.sprint("S", status=common_pb2.SPRINT_STATUS_ACTIVE)
    ledger.task("A", sprint_code="S")
    runner = automation(server)
    for to in (IN_PROGRESS, COMPLETED):
        status(ledger.tasks, "A", to)
    drain(runner)
    assert types_of(ledger) == ["sprint.created", "task.created"]
    tell_all(server)
    drain(runner)
    assert types_of(ledger)[2:] == ["task.status_updated", "sprint.status_changed"]
