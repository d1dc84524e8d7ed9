"""ReplayEvents through its stub."""

import grpc
import psycopg
import pytest

from orchestration.v1 import coordination_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import Priority
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.conftest import Server
from tests.support import factories
from tests.support.histories import (
    BLOCKED,
    CHAIN,
    IN_PROGRESS,
    OLDEST,
    OTHER,
    SPRINT,
    TASK,
    create,
    delete,
    history,
    replay,
    status,
    update,
)
from tests.support.rpc_errors import refused, violations
from tests.support.statements import counted

pytestmark = pytest.mark.shared_server

Code = event_pb2.ReplayFindingCode


def test_a_complete_chain_is_consistent(
    sprints: SprintServiceStub,
    tasks: TaskServiceStub,
    coordination: CoordinationServiceStub,
    events: EventServiceStub,
) -> None:
    request = sprint_pb2.CreateSprintRequest(sprint=factories.sprint("S"))
    sprints.CreateSprint(request, metadata=CHAIN)
    create(tasks, "A", sprint_code="S")
    create(tasks, "B")
    link = coordination_pb2.Dependency(task_code="A", depends_on_code="B")
    coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=link), metadata=CHAIN)
    status(tasks, "A", IN_PROGRESS)
    update(tasks, "A", title="New", assignee="ann", priority=Priority.PRIORITY_P1)
    note = factories.event("agents.note.taken", entity_type=TASK, entity_code="planned")
    events.EmitEvent(event_pb2.EmitEventRequest(event=note), metadata=CHAIN)
    delete(tasks, "B")

    found = replay(events)

    assert list(found.findings) == []
    assert found.consistent
    assert not found.truncated
    assert (found.events, found.entities) == (10, 4)
    assert [(t.key, t.count) for t in found.types][:2] == [
        ("orchestration.task.created", 2),
        ("agents.note.taken", 1),
    ]
    entries = history(events, "B", order=OLDEST)
    assert found.last_cursor == entries[-1].cursor
    assert found.first_cursor == history(events, "S", kind=SPRINT)[0].cursor


def test_events_of_other_chains_leave_no_gap(
    tasks: TaskServiceStub, events: EventServiceStub, server: Server
) -> None:
    create(tasks, "A")
    status(tasks, "A", IN_PROGRESS, metadata=OTHER)
    update(tasks, "A", OTHER, title="Theirs")
    update(tasks, "A", title="Ours")
    status(tasks, "A", BLOCKED)
    assert replay(events).consistent
    assert replay(events, "other").consistent

    theirs = history(events, "A", order=OLDEST)[2].event_id
    with psycopg.connect(server.database_url, autocommit=True) as conn:
        conn.execute("delete from events where event_id = %s", (theirs,))
    found = replay(events)
    assert [f.code for f in found.findings] == [Code.REPLAY_FINDING_CODE_REVISION_GAP]
    assert not found.consistent
    assert found.findings[0].event_id == history(events, "A", order=OLDEST)[2].event_id


def by_a_rule(server: Server, type_: str) -> None:
    """Make stored events name a rule as their cause, which no caller can do."""
    agent = event_pb2.Event(agent="orchestration.automation").SerializeToString()
    with psycopg.connect(server.database_url, autocommit=True) as conn:
        conn.execute("update events set body = body || %s where type = %s", (agent, type_))


def test_unknown_entities_and_missing_causes_are_found(
    tasks: TaskServiceStub, events: EventServiceStub, server: Server
) -> None:
    create(tasks, "A")
    update(tasks, "A", title="x")
    cause = history(events, "A")[0].event_id
    for named in (cause, "01890000-0000-7000-8000-000000000000", "no id"):
        automation = {"automation": {"rule": "r", "cause": named, "depth": 1}}
        event = factories.event("rules.fired", payload=automation)
        events.EmitEvent(event_pb2.EmitEventRequest(event=event), metadata=CHAIN)
    assert replay(events).consistent, "a caller's own field names no cause"
    by_a_rule(server, "rules.fired")
    with psycopg.connect(server.database_url, autocommit=True) as conn:
        conn.execute("delete from tasks")

    found = replay(events)

    assert [f.code for f in found.findings] == [
        Code.REPLAY_FINDING_CODE_ENTITY_UNKNOWN,
        Code.REPLAY_FINDING_CODE_CAUSE_MISSING,
        Code.REPLAY_FINDING_CODE_CAUSE_MISSING,
    ]


def test_a_chain_is_checked_up_to_10_000_events(
    events: EventServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def message(n: int, size: int) -> event_pb2.EmitEventsRequest:
        return event_pb2.EmitEventsRequest(request_id=f"r{n}", events=[factories.event()] * size)

    def send(sizes: list[int], first: int) -> None:
        answers = events.EmitEvents(
            (message(first + n, size) for n, size in enumerate(sizes)), metadata=CHAIN
        )
        assert all(not answer.HasField("error") for answer in answers)

    send([500] * 20, 0)
    # The first cursor that a server makes takes one more statement.
    replay(events)
    with counted(monkeypatch) as statements:
        found = replay(events)
    assert (found.events, found.truncated, found.consistent) == (10_000, False, True)
    # Pending changes, nine full pages and a short one.
    # The server refreshes its keys now and then, independent of calls.
    assert sum("api_keys" not in statement for statement in statements) == 11
    send([1], 20)
    found = replay(events)
    assert (found.events, found.truncated, found.consistent) == (10_000, True, False)


def test_a_batch_is_checked_in_a_few_statements(
    tasks: TaskServiceStub, events: EventServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = [f"t-{n}" for n in range(200)]
    new = [task_pb2.NewTask(task=factories.task(code)) for code in codes]
    tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new), metadata=CHAIN)
    for to, metadata in ((IN_PROGRESS, OTHER), (BLOCKED, CHAIN)):
        changes = [task_pb2.TaskStatusChange(task_code=code, status=to) for code in codes]
        request = task_pb2.BatchUpdateTaskStatusRequest(changes=changes)
        tasks.BatchUpdateTaskStatus(request, metadata=metadata)
    replay(events)
    with counted(monkeypatch) as statements:
        found = replay(events)
    assert (found.events, found.entities, found.consistent) == (400, 200, True)
    # Pending changes, the chain, its entities, the other chain's events, and the edge of deletion.
    assert len(statements) == 5


def test_bad_requests(events: EventServiceStub) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        replay(events, "none")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        events.ReplayEvents(event_pb2.ReplayEventsRequest(correlation_id="chain"))
    assert "dry_run" in violations(caught.value)


def test_events_deleted_from_the_archive_are_not_missing(
    tasks: TaskServiceStub, events: EventServiceStub, server: Server
) -> None:
    create(tasks, "A")
    for n in range(6):
        update(tasks, "A", title=f"t{n}")
    entries = history(events, "A", order=OLDEST)
    automation = {"automation": {"rule": "r", "cause": entries[3].event_id, "depth": 1}}
    fired = factories.event("rules.fired", payload=automation)
    events.EmitEvent(event_pb2.EmitEventRequest(event=fired), metadata=CHAIN)
    by_a_rule(server, "rules.fired")
    assert replay(events).consistent

    with psycopg.connect(server.database_url, autocommit=True) as conn:
        gone = [entries[2].event_id, entries[3].event_id]
        conn.execute(
            "insert into archive_edges (project, deleted, epoch, xid, seq, upto)"
            " select project, true, epoch, xid, seq, now() from events where event_id = %s::uuid",
            (gone[-1],),
        )
        conn.execute("delete from events where event_id = any(%s::uuid[])", (gone,))
        found = replay(events)
        assert list(found.findings) == []
        assert (found.truncated, found.consistent) == (True, False)
        assert found.events == 6

        # Younger events must not be missing.
        conn.execute("delete from events where event_id = %s::uuid", (entries[5].event_id,))
        conn.execute("update archive_edges set upto = now() - interval '1 day'")
        assert [f.code for f in replay(events).findings] == [
            Code.REPLAY_FINDING_CODE_REVISION_GAP,
            Code.REPLAY_FINDING_CODE_CAUSE_MISSING,
        ]
