"""Debounced changes of a status: one event logs many, none is lost, and history is always complete."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, LiteralString

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from psycopg.pq import TransactionStatus

from orchestration.v1 import common_pb2, event_pb2, report_pb2, session_pb2, sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import TaskStatus
from orchestration.v1.report_pb2_grpc import ReportServiceStub
from orchestration_server.db.database import Connection
from orchestration_server.embedded.engines import Engines
from orchestration_server.errors import Unavailable
from orchestration_server.jobs.file_sync import FileSync
from orchestration_server.model import Call
from orchestration_server.rules.emission import AT_ONCE
from orchestration_server.store import writes
from orchestration_server.store.pending_changes import MAX_PENDING
from orchestration_server.telemetry import metrics
from orchestration_server.writes.batch import COPY_EVENTS, EmitBatch
from orchestration_server.writes.drafts import EmitRequest
from orchestration_server.writes.group_commit import GroupCommit
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.automation import automation, drain, payload, rules_of
from tests.support.automation import history as log_of
from tests.support.emission import DEBOUNCE, Clock, serving, tell_all, teller
from tests.support.histories import (
    SPRINT,
    TASK,
    create,
    delete,
    get,
    history,
    plain,
    rebuild,
    replay,
    status,
    update,
)
from tests.support.ledger import Ledger
from tests.support.rpc_errors import Metadata, refused
from tests.support.waits import turns

PENDING = TaskStatus.TASK_STATUS_PENDING
IN_PROGRESS = TaskStatus.TASK_STATUS_IN_PROGRESS
BLOCKED = TaskStatus.TASK_STATUS_BLOCKED
COMPLETED = TaskStatus.TASK_STATUS_COMPLETED
UPDATED = "orchestration.task.status_updated"


def by(agent: str, chain: str = "chain") -> Metadata:
    return (("orchestration-agent", agent), ("orchestration-correlation-id", chain))


@pytest.fixture
def server(engines: Engines, database_url: str, tmp_path: Path) -> Iterator[Server]:
    with serving(engines, database_url, tmp_path, DEBOUNCE) as found:
        yield found


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


def types_of(ledger: Ledger) -> list[str]:
    return [event.type.removeprefix("orchestration.") for event in log_of(ledger.events)]


def test_one_event_logs_all_changes_once_the_status_is_stable(server: Server, ledger: Ledger) -> None:
    clock = Clock()
    service = teller(server, clock)
    create(ledger.tasks, "A")
    status(ledger.tasks, "A", IN_PROGRESS, "on it", by("ann"))
    status(ledger.tasks, "A", PENDING, metadata=by("bob", "other"))
    last = status(ledger.tasks, "A", COMPLETED, "done", by("cyd"))
    assert get(ledger.tasks, "A") == last

    clock.goes_on(4)
    assert service.run_once() == 0
    assert types_of(ledger) == ["task.created"]
    clock.goes_on(2)
    assert service.run_once() == 1
    assert service.run_once() == 0

    event = log_of(ledger.events)[-1]
    assert (event.type, event.entity_revision, event.agent, event.correlation_id) == (
        UPDATED,
        4,
        "cyd",
        "chain",
    )
    assert event.occur_time == last.update_time
    told = payload(event)
    assert told["changes"] == {"status": {"from": "pending", "to": "completed"}}
    assert (told["reason"], told["step_count"]) == ("done", 3)
    assert [(s["revision"], s["from"], s["to"], s["agent"], s["correlation_id"]) for s in told["steps"]] == [
        (2, "pending", "in_progress", "ann", "chain"),
        (3, "in_progress", "pending", "bob", "other"),
        (4, "pending", "completed", "cyd", "chain"),
    ]


def test_a_status_that_never_rests_is_logged_after_a_minute(server: Server, ledger: Ledger) -> None:
    """Each change adds 5 s to the wait, but the first one waits for at most 60 s."""
    clock = Clock()
    service = teller(server, clock)
    create(ledger.tasks, "A")
    status(ledger.tasks, "A", IN_PROGRESS)
    assert server.app is not None
    with server.app.db.connection() as conn:
        # The first change now seems to be 58 s old, and the last one is new.
        conn.execute("update held_changes set latest_time = latest_time - interval '58 seconds'")
    status(ledger.tasks, "A", PENDING)
    clock.goes_on(1)
    assert service.run_once() == 0
    clock.goes_on(2)
    assert service.run_once() == 1
    assert payload(log_of(ledger.events)[-1])["step_count"] == 2


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


def test_sprints_are_debounced_too(server: Server, ledger: Ledger) -> None:
    ledger.sprint("S")
    for to in (common_pb2.SPRINT_STATUS_ACTIVE, common_pb2.SPRINT_STATUS_COMPLETED):
        ledger.sprints.UpdateSprint(
            sprint_pb2.UpdateSprintRequest(
                sprint=sprint_pb2.Sprint(code="S", status=to), update_mask=FieldMask(paths=["status"])
            )
        )
    assert types_of(ledger) == ["sprint.created"]
    ledger.sprints.DeleteSprint(sprint_pb2.DeleteSprintRequest(sprint_code="S"))
    assert types_of(ledger) == ["sprint.created", "sprint.status_changed", "sprint.deleted"]
    assert rebuild(ledger.events, "S", SPRINT, revision=2).sprint.status == common_pb2.SPRINT_STATUS_ACTIVE


def test_urgent_events_are_never_debounced(server: Server, ledger: Ledger) -> None:
    for priority in (common_pb2.PRIORITY_P0, common_pb2.PRIORITY_P1):
        code = f"p{priority}"
        create(ledger.tasks, code, priority=priority)
        request = task_pb2.UpdateTaskStatusRequest(
            task_code=code, status=IN_PROGRESS, emission_policy=common_pb2.EMISSION_POLICY_DEBOUNCE
        )
        ledger.tasks.UpdateTaskStatus(request)
        assert types_of(ledger)[-1] == "task.status_updated"


def test_a_change_of_more_than_the_status_is_logged_at_once(server: Server, ledger: Ledger) -> None:
    create(ledger.tasks, "A")
    update(ledger.tasks, "A", status=IN_PROGRESS, title="new")
    assert types_of(ledger) == ["task.created", "task.status_updated", "task.updated"]


def test_a_call_may_request_another_policy(server: Server, ledger: Ledger) -> None:
    create(ledger.tasks, "A")
    status(ledger.tasks, "A", IN_PROGRESS)
    at_once = task_pb2.UpdateTaskStatusRequest(
        task_code="A", status=COMPLETED, emission_policy=common_pb2.EMISSION_POLICY_IMMEDIATE
    )
    ledger.tasks.UpdateTaskStatus(at_once)
    assert types_of(ledger) == ["task.created", "task.status_updated", "task.status_updated"]
    assert "steps" not in payload(log_of(ledger.events)[-1])


def test_a_retry_adds_no_pending_change(server: Server, ledger: Ledger) -> None:
    create(ledger.tasks, "A")
    request = task_pb2.UpdateTaskStatusRequest(task_code="A", status=IN_PROGRESS, request_id="once")
    assert ledger.tasks.UpdateTaskStatus(request) == ledger.tasks.UpdateTaskStatus(request)
    assert tell_all(server) == 1
    assert ledger.tasks.UpdateTaskStatus(request).task.revision == 2
    assert payload(log_of(ledger.events)[-1])["step_count"] == 1


def test_an_attempt_that_finds_its_response_counts_no_change(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(ledger.tasks, "A")
    request = task_pb2.UpdateTaskStatusRequest(task_code="A", status=IN_PROGRESS, request_id="once")
    apply = writes.apply

    def after_its_twin(*given: Any, **named: Any) -> None:
        monkeypatch.setattr(writes, "apply", apply)
        ledger.tasks.UpdateTaskStatus(request)
        apply(*given, **named)

    monkeypatch.setattr(writes, "apply", after_its_twin)
    before = metrics.EVENTS_DEBOUNCED._value.get()
    assert ledger.tasks.UpdateTaskStatus(request).task == get(ledger.tasks, "A")
    assert metrics.EVENTS_DEBOUNCED._value.get() == before + 1


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


def test_many_changes_are_logged_at_once(server: Server, ledger: Ledger) -> None:
    create(ledger.tasks, "A")
    service = teller(server, Clock())
    for n in range(MAX_PENDING + 1):
        status(ledger.tasks, "A", IN_PROGRESS if n % 2 == 0 else PENDING)
    # They are due by number, long before the status is stable.
    assert service.run_once() == 2
    counts = [payload(event).get("step_count") for event in log_of(ledger.events)]
    assert counts == [None, MAX_PENDING, 1]
    assert replay(ledger.events).consistent


def test_the_service_skips_an_entity_that_is_being_written(server: Server, ledger: Ledger) -> None:
    """It logs other entities, and this one in a later run."""
    clock = Clock()
    service = teller(server, clock)
    for code in ("A", "B"):
        create(ledger.tasks, code)
        status(ledger.tasks, code, IN_PROGRESS)
    clock.goes_on(6)
    assert server.app is not None
    with server.app.db.connection() as conn, conn.transaction():
        writes.lock(conn, [writes.lock_key("default", "task", "A")])
        assert service.run_once() == 1
        assert [event.entity_code for event in log_of(ledger.events)] == ["A", "B", "B"]
        assert service.run_once() == 0
    assert service.run_once() == 1
    assert [event.entity_code for event in log_of(ledger.events)] == ["A", "B", "B", "A"]


def test_the_service_waits_for_the_writer_of_a_late_entity(server: Server, ledger: Ledger) -> None:
    """Otherwise an entity that is written all the time would never be logged."""
    clock = Clock()
    create(ledger.tasks, "A")
    status(ledger.tasks, "A", IN_PROGRESS)
    clock.goes_on(61)
    assert server.app is not None
    with ThreadPoolExecutor(1) as pool:
        with server.app.db.connection() as conn, conn.transaction():
            writes.lock(conn, [writes.lock_key("default", "task", "A")])
            told = pool.submit(teller(server, clock).run_once)
            for _ in turns(10):
                if told.done() or _waits(server):
                    break
            assert not told.done()
        assert told.result(10) == 1


def _waits(server: Server) -> bool:
    """Return whether a session waits for an advisory lock of this database."""
    query: LiteralString = """select exists (select from pg_locks l join pg_database d on d.oid = l.database
        where l.locktype = 'advisory' and not l.granted and d.datname = current_database())"""
    assert server.app is not None
    with server.app.db.connection() as conn:
        row = conn.execute(query).fetchone()
    return row is not None and row[0]


def test_a_batch_update_defers_only_debounced_events(server: Server, ledger: Ledger) -> None:
    for code, priority in (("A", 1), ("B", 3), ("C", 3)):
        create(ledger.tasks, code, priority=priority)
    status(ledger.tasks, "B", IN_PROGRESS)
    turns = (("A", IN_PROGRESS), ("B", PENDING), ("C", BLOCKED))
    changes = [task_pb2.TaskStatusChange(task_code=code, status=to) for code, to in turns]
    ledger.tasks.BatchUpdateTaskStatus(task_pb2.BatchUpdateTaskStatusRequest(changes=changes))
    assert types_of(ledger)[3:] == ["task.status_updated", "task.blocked"]
    assert tell_all(server) == 1
    last = log_of(ledger.events)[-1]
    assert (last.entity_code, payload(last)["step_count"]) == ("B", 2)


def test_a_call_may_request_debounce_without_configuration(
    engines: Engines, database_url: str, tmp_path: Path
) -> None:
    with (
        serving(engines, database_url, tmp_path, "policies: []") as server,
        open_channel(server.address) as channel,
    ):
        ledger = Ledger(channel)
        create(ledger.tasks, "A")
        for to in (IN_PROGRESS, PENDING, COMPLETED):
            request = task_pb2.UpdateTaskStatusRequest(
                task_code="A", status=to, emission_policy=common_pb2.EMISSION_POLICY_DEBOUNCE
            )
            ledger.tasks.UpdateTaskStatus(request)
        assert types_of(ledger) == ["task.created"]
        # The next call requests no policy, and is logged after the pending change.
        status(ledger.tasks, "A", PENDING)
        assert [event.entity_revision for event in log_of(ledger.events)] == [1, 4, 5]


def test_a_policy_of_another_rpc_is_rejected(ledger: Ledger) -> None:
    create(ledger.tasks, "A")
    request = task_pb2.UpdateTaskStatusRequest(
        task_code="A", status=IN_PROGRESS, emission_policy=common_pb2.EMISSION_POLICY_SAMPLE
    )
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
        ledger.tasks.UpdateTaskStatus(request)
    emitted = event_pb2.EmitEventRequest(
        event=factories.event(), emission_policy=common_pb2.EMISSION_POLICY_DEBOUNCE
    )
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
        ledger.events.EmitEvent(emitted)


def test_a_report_counts_a_pending_change_as_the_start_of_work(ledger: Ledger, channel: grpc.Channel) -> None:
    made = factories.sprint("S")
    ledger.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=made))
    create(ledger.tasks, "A", sprint_code="S")
    began = status(ledger.tasks, "A", IN_PROGRESS).update_time
    request = report_pb2.GetSprintStatusReportRequest(sprint_code="S")
    reports = ReportServiceStub(channel)
    assert reports.GetSprintStatusReport(request).oldest_in_progress_time == began
