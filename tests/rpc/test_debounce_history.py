"""History and reports are complete while changes are pending and after they are logged."""

import grpc

from orchestration.v1 import common_pb2, event_pb2, report_pb2, sprint_pb2
from orchestration.v1.common_pb2 import TaskStatus
from orchestration.v1.report_pb2_grpc import ReportServiceStub
from tests.conftest import Server
from tests.support import factories
from tests.support.automation import history as log_of
from tests.support.automation import payload
from tests.support.debounced_server import by
from tests.support.debounced_server import ledger as ledger
from tests.support.debounced_server import server as server
from tests.support.emission import tell_all
from tests.support.histories import create, get, history, plain, rebuild, replay, status, update
from tests.support.ledger import Ledger

PENDING = TaskStatus.TASK_STATUS_PENDING
IN_PROGRESS = TaskStatus.TASK_STATUS_IN_PROGRESS
UPDATED = "orchestration.task.status_updated"


def test_history_has_pending_changes(server: Server, ledger: Ledger) -> None:
    create(ledger.tasks, "A")
    known = {1: get(ledger.tasks, "A")}
    for to in (IN_PROGRESS, PENDING, IN_PROGRESS):
        task = status(ledger.tasks, "A", to, "why", by("ann"))
        known[task.revision] = task

    def check(*, pending: bool) -> None:
        newest = history(ledger.events, "A", kind=common_pb2.ENTITY_TYPE_TASK)
        change = newest[0]
        assert [one.type for one in newest] == [UPDATED, "orchestration.task.created"]
        assert newest == history(ledger.events, "A", order=event_pb2.EVENT_ORDER_OLDEST_FIRST)[::-1]
        assert newest == history(ledger.events, "A", size=1)
        assert newest[::-1] == history(ledger.events, "A", size=1, order=event_pb2.EVENT_ORDER_OLDEST_FIRST)
        assert change.pending is pending
        assert bool(change.event_id) is bool(change.cursor) is not pending
        assert (change.revision, change.reason, change.agent) == (4, "why", "ann")
        assert plain(change.changes) == {"status": {"from": "pending", "to": "in_progress"}}
        assert [(s.revision, s.from_status, s.to_status, s.reason, s.agent) for s in change.steps] == [
            (2, "pending", "in_progress", "why", "ann"),
            (3, "in_progress", "pending", "why", "ann"),
            (4, "pending", "in_progress", "why", "ann"),
        ]
        for revision, task in known.items():
            found = rebuild(ledger.events, "A", revision=revision)
            assert found.task == task
            assert found.emit_time == task.update_time
            assert bool(found.event_id) is (revision == 1 or not pending)
            assert rebuild(ledger.events, "A", time=task.update_time).task == task
        now = rebuild(ledger.events, "A", verify=True)
        assert now.verification.equal
        assert now.task == known[4]
        checked = replay(ledger.events)
        assert checked.consistent, checked
        assert checked.events == 4

    check(pending=True)
    created = log_of(ledger.events)[0].cursor
    assert rebuild(ledger.events, "A", cursor=created).task == known[1]
    assert tell_all(server) == 1
    check(pending=False)
    assert rebuild(ledger.events, "A", cursor=created).task == known[1]
    assert rebuild(ledger.events, "A", cursor=log_of(ledger.events)[-1].cursor).task == known[4]


def test_a_status_that_comes_back_logs_its_steps_without_a_change(server: Server, ledger: Ledger) -> None:
    create(ledger.tasks, "A")
    status(ledger.tasks, "A", IN_PROGRESS)
    task = status(ledger.tasks, "A", PENDING)
    assert tell_all(server) == 1
    told = payload(log_of(ledger.events)[-1])
    assert told["changes"] == {}
    assert [step["revision"] for step in told["steps"]] == [2, 3]
    assert rebuild(ledger.events, "A", verify=True).task == task
    assert rebuild(ledger.events, "A", revision=2).task.status == IN_PROGRESS
    assert replay(ledger.events).consistent


def test_snapshots_continue_through_steps(server: Server, ledger: Ledger) -> None:
    create(ledger.tasks, "A")
    known = {}
    for n in range(70):
        task = status(ledger.tasks, "A", IN_PROGRESS if n % 2 == 0 else PENDING)
        known[task.revision] = task
        if n == 20:
            assert tell_all(server) == 1
    update(ledger.tasks, "A", title="new")
    events = log_of(ledger.events)
    assert [payload(event).get("step_count") for event in events] == [None, 21, 49, None]
    with_snapshot = [
        step["revision"] for event in events for step in payload(event).get("steps", ()) if "snapshot" in step
    ]
    assert with_snapshot == [32, 64]
    for revision, task in known.items():
        found = rebuild(ledger.events, "A", revision=revision)
        assert found.task == task
        assert found.events_replayed <= 32
    assert replay(ledger.events).consistent


def test_a_report_counts_a_pending_change_as_the_start_of_work(ledger: Ledger, channel: grpc.Channel) -> None:
    made = factories.sprint("S")
    ledger.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=made))
    create(ledger.tasks, "A", sprint_code="S")
    began = status(ledger.tasks, "A", IN_PROGRESS).update_time
    request = report_pb2.GetSprintStatusReportRequest(sprint_code="S")
    reports = ReportServiceStub(channel)
    assert reports.GetSprintStatusReport(request).oldest_in_progress_time == began
