"""GetEntityHistory and ReconstructState through their stubs."""

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import coordination_pb2, event_pb2, task_pb2
from orchestration.v1.common_pb2 import EntityType, Priority
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.conftest import Server
from tests.support import factories
from tests.support.histories import (
    BLOCKED,
    CHAIN,
    OLDEST,
    SESSION,
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
from tests.support.rpc_errors import refused, violations
from tests.support.sessions import close, init, pause, populate
from tests.support.statements import counted

pytestmark = pytest.mark.shared_server

# GetEntityHistory


def test_each_change_has_values_caller_time_and_reason(
    tasks: TaskServiceStub, coordination: CoordinationServiceStub, events: EventServiceStub
) -> None:
    created = create(tasks, "A", labels=["x"])
    create(tasks, "B")
    link = coordination_pb2.Dependency(task_code="A", depends_on_code="B")
    coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=link), metadata=CHAIN)
    blocked = status(tasks, "A", BLOCKED, "waits for a key")
    update(tasks, "A", title="New", priority=Priority.PRIORITY_P0, assignee="ann")
    delete(tasks, "A")

    entries = history(events, "A", order=OLDEST)

    assert [(c.type.removeprefix("orchestration.task."), c.revision) for c in entries] == [
        ("created", 1),
        ("dependency_added", 1),
        ("blocked", 2),
        ("priority_changed", 3),
        ("assigned", 3),
        ("updated", 3),
        ("deleted", 4),
    ]
    assert plain(entries[0].changes) == {
        "code": {"from": None, "to": "A"},
        "title": {"from": None, "to": "Task A"},
        "status": {"from": None, "to": "pending"},
        "priority": {"from": None, "to": "P2"},
        "labels": {"from": None, "to": ["x"]},
    }
    assert plain(entries[1].changes) == {"depends_on": {"from": None, "to": "B"}}
    assert plain(entries[2].changes) == {"status": {"from": "pending", "to": "blocked"}}
    assert plain(entries[5].changes) == {"title": {"from": "Task A", "to": "New"}}
    assert plain(entries[6].changes) == {}
    assert entries[2].reason == "waits for a key"
    assert {(c.agent, c.correlation_id) for c in entries} == {("builder", "chain")}
    assert entries[0].emit_time == created.create_time
    assert entries[2].emit_time == blocked.update_time
    event = events.GetEvent(event_pb2.GetEventRequest(event_id=entries[2].event_id)).event
    assert event.cursor == entries[2].cursor


@pytest.mark.parametrize("order", [OLDEST, event_pb2.EVENT_ORDER_NEWEST_FIRST])
def test_history_comes_in_pages_in_either_order(
    tasks: TaskServiceStub, events: EventServiceStub, order: event_pb2.EventOrder.ValueType
) -> None:
    create(tasks, "A")
    for n in range(10):
        update(tasks, "A", title=f"Title {n}")

    revisions = [c.revision for c in history(events, "A", 3, order=order)]

    assert revisions == (list(range(1, 12)) if order == OLDEST else list(range(11, 0, -1)))


def test_a_page_ends_before_it_grows_too_large(tasks: TaskServiceStub, events: EventServiceStub) -> None:
    create(tasks, "A")
    for n in range(30):
        update(tasks, "A", description=str(n % 10) * 100_000)

    page = events.GetEntityHistory(
        event_pb2.GetEntityHistoryRequest(entity_type=TASK, entity_code="A", page_size=500)
    )

    assert 15 < len(page.changes) < 31
    assert page.ByteSize() <= 4 * 1024 * 1024
    assert page.next_page_token
    assert len(history(events, "A", 500)) == 31


def test_events_about_an_entity_that_change_nothing_are_no_history(
    tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    create(tasks, "A")
    note = factories.event("agents.note.taken", entity_type=TASK, entity_code="A")
    events.EmitEvent(event_pb2.EmitEventRequest(event=note))

    assert [c.type for c in history(events, "A")] == ["orchestration.task.created"]


def test_history_is_of_one_project(tasks: TaskServiceStub, events: EventServiceStub) -> None:
    request = task_pb2.CreateTaskRequest(task=factories.task("A"))
    tasks.CreateTask(request, metadata=(("orchestration-project", "another"),))
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        history(events, "A")
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        rebuild(events, "A")


def test_a_page_token_is_valid_for_its_own_request(tasks: TaskServiceStub, events: EventServiceStub) -> None:
    create(tasks, "A")
    create(tasks, "B")
    update(tasks, "A", title="x")
    request = event_pb2.GetEntityHistoryRequest(entity_type=TASK, entity_code="A", page_size=1)
    token = events.GetEntityHistory(request).next_page_token
    other = event_pb2.GetEntityHistoryRequest(
        entity_type=TASK, entity_code="B", page_size=1, page_token=token
    )
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_FOREIGN"):
        events.GetEntityHistory(other)


# ReconstructState


def test_an_entity_is_rebuilt_as_of_now_a_revision_a_time_and_a_cursor(
    tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    first = create(tasks, "A", labels=["x"])
    second = update(tasks, "A", title="New", priority=Priority.PRIORITY_P0)
    entries = history(events, "A", order=OLDEST)

    assert rebuild(events, "A").task == second
    assert rebuild(events, "A", revision=1).task == first
    assert rebuild(events, "A", time=first.update_time).task == first
    assert rebuild(events, "A", cursor=entries[0].cursor).task == first
    # As of either event of a change the whole change is there: no reader ever saw a part of it.
    assert rebuild(events, "A", cursor=entries[1].cursor).task == second
    found = rebuild(events, "A", cursor=entries[2].cursor)
    assert found.task == second
    assert (found.revision, found.deleted, found.events_replayed) == (2, False, 3)
    assert (found.event_id, found.cursor) == (entries[2].event_id, entries[2].cursor)
    assert found.emit_time == second.update_time


def test_a_deleted_entity_is_rebuilt_in_its_last_state(
    tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    last = create(tasks, "A")
    delete(tasks, "A")

    found = rebuild(events, "A", verify=True)

    assert found.task == last
    assert (found.revision, found.deleted) == (2, True)
    assert found.verification.equal, found.verification
    assert not rebuild(events, "A", revision=1).deleted


def test_a_state_before_the_creation_is_not_found(tasks: TaskServiceStub, events: EventServiceStub) -> None:
    create(tasks, "earlier")
    earlier = history(events, "earlier")[0]
    occurred = Timestamp(seconds=earlier.emit_time.seconds - 3600)
    request = task_pb2.CreateTaskRequest(task=factories.task("A"), occur_time=occurred)
    tasks.CreateTask(request)
    for as_of in ({"time": earlier.emit_time}, {"cursor": earlier.cursor}):
        with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
            rebuild(events, "A", **as_of)
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "'A' has no revision 3 yet; the present one is 1"):
        rebuild(events, "A", revision=3)
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        rebuild(events, "none")


def test_a_cursor_has_to_be_of_this_log(
    tasks: TaskServiceStub, events: EventServiceStub, server: Server
) -> None:
    create(tasks, "A")
    cursor = history(events, "A")[0].cursor
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID") as caught:
        rebuild(events, "A", cursor=cursor[::-1])
    assert "cursor" in violations(caught.value)
    with psycopg.connect(server.database_url, autocommit=True) as conn:
        conn.execute("update events set seq = seq + 100")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_FOREIGN"):
        rebuild(events, "A", cursor=cursor)


def test_a_log_with_missing_events_is_reported(
    tasks: TaskServiceStub, events: EventServiceStub, server: Server
) -> None:
    create(tasks, "A")
    for n in range(40):
        update(tasks, "A", title=f"Title {n}")
    whole = get(tasks, "A")
    entries = history(events, "A", order=OLDEST)
    with psycopg.connect(server.database_url, autocommit=True) as conn:
        conn.execute(
            "delete from events where event_id = any(%s::uuid[])", ([c.event_id for c in entries[:5]],)
        )

    # The snapshot of revision 32 replaces the events before it.
    assert rebuild(events, "A", verify=True).task == whole
    assert rebuild(events, "A", revision=32).revision == 32
    for as_of in (
        {"revision": 3},
        {"revision": 31},
        {"cursor": entries[20].cursor},
        {"time": entries[0].emit_time},
    ):
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "HISTORY_INCOMPLETE"):
            rebuild(events, "A", **as_of)

    with psycopg.connect(server.database_url, autocommit=True) as conn:
        conn.execute("delete from events where event_id = %s", (entries[35].event_id,))
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "HISTORY_INCOMPLETE", "between revisions 35 and 37"):
        rebuild(events, "A")
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "HISTORY_INCOMPLETE"):
        rebuild(events, "A", revision=36)

    with psycopg.connect(server.database_url, autocommit=True) as conn:
        conn.execute("delete from events")
    assert history(events, "A") == []
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "HISTORY_INCOMPLETE"):
        rebuild(events, "A")


def test_verify_names_the_fields_that_differ(
    tasks: TaskServiceStub, events: EventServiceStub, server: Server
) -> None:
    create(tasks, "A")
    task = update(tasks, "A", title="New")
    assert rebuild(events, "A", revision=1, verify=True).verification.equal
    task.title, task.metadata["n"] = "Changed by hand", 1
    with psycopg.connect(server.database_url, autocommit=True) as conn:
        conn.execute("update tasks set body = %s, revision = 7", (task.SerializeToString(),))

    found = rebuild(events, "A", revision=1, verify=True)

    assert found.task.title == "Task A"
    assert not found.verification.equal
    assert list(found.verification.fields) == ["title", "metadata", "revision"]
    assert not rebuild(events, "A").HasField("verification")


def test_values_keep_their_type(tasks: TaskServiceStub, events: EventServiceStub) -> None:
    """In Python ``True == 1``; in the ledger they differ."""
    create(tasks, "A", metadata={"flag": True, "zero": 0, "none": None, "deep": {"list": [False, 0.5]}})
    changed = update(tasks, "A", metadata={"flag": 1, "zero": False, "none": "", "deep": {}})
    assert changed.revision == 2
    assert rebuild(events, "A").task == changed
    emptied = update(tasks, "A", title="x", metadata={})
    assert not emptied.HasField("metadata")
    assert rebuild(events, "A").task == emptied


def test_minus_zero_is_zero(tasks: TaskServiceStub, events: EventServiceStub) -> None:
    """The row keeps -0. Its events have 0, as the canonical JSON of the hash does."""
    created = create(tasks, "A", metadata={"n": -0.0, "deep": [{"n": -0.0}]})
    assert rebuild(events, "A", verify=True).verification.equal
    assert update(tasks, "A", metadata={"n": 0, "deep": [{"n": 0}]}).hash == created.hash
    assert rebuild(events, "A", verify=True).verification.equal


def test_500_events_are_rebuilt_from_a_few_in_one_statement(
    tasks: TaskServiceStub, events: EventServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(tasks, "A")
    for n in range(250):
        update(tasks, "A", title=f"Title {n}", assignee=f"agent-{n}")
    assert len(history(events, "A", 500)) == 501
    with counted(monkeypatch) as statements:
        found = rebuild(events, "A", verify=True)
    assert found.verification.equal
    assert found.task == get(tasks, "A")
    assert found.events_replayed <= 64
    assert len(statements) == 1
    with counted(monkeypatch) as statements:
        assert rebuild(events, "A", time=found.emit_time).task == found.task
    assert len(statements) == 1
    with counted(monkeypatch) as statements:
        assert rebuild(events, "A", cursor=found.cursor, verify=True).verification.equal
    assert len(statements) == 3
    with counted(monkeypatch) as statements:
        assert len(history(events, "A", 500)) == 501
    assert len(statements) == 2


def test_a_session_is_rebuilt(
    sessions: SessionServiceStub, tasks: TaskServiceStub, sprints: SprintServiceStub, events: EventServiceStub
) -> None:
    populate(tasks, sprints)
    started = init(sessions, metadata={"n": 1}, call=CHAIN).session
    key = started.key
    resumed = init(sessions, f"SESSION:{key}", agent="bob").session
    again = init(sessions, f"SESSION:{key}", agent="bob").session
    paused = pause(sessions, key, reason="lunch")
    closed = close(sessions, key, summary="done")

    for revision, session in enumerate((started, resumed, again, paused, closed), 1):
        session.ClearField("last_activity_time")
        found = rebuild(events, key, SESSION, revision=revision, verify=True)
        assert found.session == session
        assert found.session.SerializeToString(deterministic=True) == session.SerializeToString(
            deterministic=True
        )
        assert found.verification.equal, found.verification
    assert [c.revision for c in history(events, key, kind=SESSION)] == [5, 4, 3, 2, 1]
    assert replay(events).consistent


def test_only_entities_with_revisions_are_rebuilt(events: EventServiceStub) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        rebuild(events, "A", EntityType.ENTITY_TYPE_ADR)
    assert "entity_type" in violations(caught.value)
