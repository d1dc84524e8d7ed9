"""Debounced changes of a status: one event logs many, by the policy of the server or of the call."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, LiteralString

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import common_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import TaskStatus
from orchestration_server.embedded.engines import Engines
from orchestration_server.store import writes
from orchestration_server.store.pending_changes import MAX_PENDING
from orchestration_server.telemetry import metrics
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.automation import history as log_of
from tests.support.automation import payload
from tests.support.debounced_server import by, types_of
from tests.support.debounced_server import ledger as ledger
from tests.support.debounced_server import server as server
from tests.support.emission import Clock, serving, tell_all, teller
from tests.support.histories import SPRINT, create, get, rebuild, replay, status, update
from tests.support.ledger import Ledger
from tests.support.rpc_errors import refused
from tests.support.waits import turns

PENDING = TaskStatus.TASK_STATUS_PENDING
IN_PROGRESS = TaskStatus.TASK_STATUS_IN_PROGRESS
BLOCKED = TaskStatus.TASK_STATUS_BLOCKED
COMPLETED = TaskStatus.TASK_STATUS_COMPLETED
UPDATED = "orchestration.task.status_updated"


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
