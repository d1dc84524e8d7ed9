"""Keys that are scoped to a sprint or a session open nothing else."""

import gc
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

import grpc
import psycopg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, report_pb2, session_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.report_pb2_grpc import ReportServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.auth import scopes
from orchestration_server.db import cancellation
from orchestration_server.model import Role
from orchestration_server.telemetry.metrics import RPC_REFUSED
from tests.conftest import Server
from tests.support import factories
from tests.support.credentials import bearer, calling_with, make_key
from tests.support.emission import DEBOUNCE
from tests.support.ledger import Ledger
from tests.support.rpc_errors import Metadata, refused

UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture
def server(
    start_app: Callable[..., App], database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Server:
    """Start a server, with emission policies if a test has some."""
    policies = None
    if hasattr(request, "param"):
        policies = tmp_path / "emission.yaml"
        policies.write_text(request.param)
    app = start_app(emission_file=policies)
    return Server(app.address, database_url, app)


@pytest.fixture
def admin(closed: App, channel: grpc.Channel, database_url: str) -> "As":
    one = As(channel, make_key(database_url, role=Role.ADMIN))
    for sprint, task in (("s", "t"), ("s2", "t2")):
        one.ledger.sprint(sprint, status=2)
        one.ledger.task(task, sprint_code=sprint)
    one.ledger.session("k", task_code="t")
    one.ledger.session("k2", task_code="t2")
    return one


class As:
    """Stubs whose calls carry a key."""

    def __init__(self, channel: grpc.Channel, key: str) -> None:
        self.channel = calling_with(channel, key)
        self.ledger = Ledger(self.channel)
        self.reports = ReportServiceStub(self.channel)


@pytest.fixture
def of_sprint(admin: As, channel: grpc.Channel, database_url: str) -> As:
    return As(channel, make_key(database_url, sprint_code="s"))


@pytest.fixture
def of_session(admin: As, channel: grpc.Channel, database_url: str) -> As:
    return As(channel, make_key(database_url, session_key="k"))


def _moved(task: str, sprint: str) -> task_pb2.UpdateTaskRequest:
    return task_pb2.UpdateTaskRequest(
        task=task_pb2.Task(code=task, sprint_code=sprint), update_mask=FieldMask(paths=["sprint_code"])
    )


def _moves_once_admitted(admin: As, monkeypatch: pytest.MonkeyPatch, moved_to: str) -> None:
    """Move the task after the next request is authorized and before its write is decided."""
    checked = scopes.resolve_scope

    def then_move(*given: Any) -> Any:
        found = checked(*given)
        monkeypatch.setattr(scopes, "resolve_scope", checked)
        admin.ledger.tasks.UpdateTask(_moved("t", moved_to))
        return found

    monkeypatch.setattr(scopes, "resolve_scope", then_move)


@pytest.mark.parametrize("server", ["policies: []", DEBOUNCE], indirect=True, ids=["at_once", "debounced"])
@pytest.mark.parametrize("moved_to", ["s2", ""])
def test_a_task_that_leaves_the_sprint_before_the_write_is_not_written(
    of_sprint: As, admin: As, monkeypatch: pytest.MonkeyPatch, moved_to: str
) -> None:
    _moves_once_admitted(admin, monkeypatch, moved_to)
    counted = RPC_REFUSED.labels(reason="OUT_OF_BOUNDS")
    before = counted._value.get()
    with refused(DENIED, "OUT_OF_BOUNDS"):
        of_sprint.ledger.set_status("t", common_pb2.TASK_STATUS_IN_PROGRESS)
    assert counted._value.get() == before + 1
    task = admin.ledger.tasks.GetTask(task_pb2.GetTaskRequest(task_code="t")).task
    assert (task.sprint_code, task.status) == (moved_to, common_pb2.TASK_STATUS_PENDING)


@pytest.mark.parametrize("about", [{}, {"sprint_code": "s"}])
@pytest.mark.parametrize("moved_to", ["s2", ""])
def test_no_event_is_stored_for_a_task_that_left_the_sprint(
    of_sprint: As, admin: As, monkeypatch: pytest.MonkeyPatch, moved_to: str, about: dict[str, str]
) -> None:
    _moves_once_admitted(admin, monkeypatch, moved_to)
    with refused(DENIED, "OUT_OF_BOUNDS"):
        of_sprint.ledger.emit("t", dedup_key="d", **about)
    own = event_pb2.EventFilter(task_code="t", types=["agents.note.taken"])
    assert not admin.ledger.events.ListEvents(event_pb2.ListEventsRequest(filter=own)).events
    # The dedup_key stays free.
    admin.ledger.emit("t", dedup_key="d")


def test_a_scoped_key_moves_no_task(of_sprint: As) -> None:
    for sprint in ("s", "s2", ""):
        with refused(DENIED, "OUT_OF_BOUNDS"):
            of_sprint.ledger.tasks.UpdateTask(_moved("t", sprint))


def test_one_item_outside_refuses_the_batch(of_sprint: As, admin: As) -> None:
    new = [task_pb2.NewTask(task=factories.task(c, sprint_code=s)) for c, s in (("a", "s"), ("b", "s2"))]
    with refused(DENIED, "OUT_OF_BOUNDS"):
        of_sprint.ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
    with refused(grpc.StatusCode.NOT_FOUND):
        admin.ledger.tasks.GetTask(task_pb2.GetTaskRequest(task_code="a"))
    of_sprint.ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new[:1]))


OUTSIDE: list[dict[str, Any]] = [
    {},
    {"sprint_code": "s2"},
    {"entity_type": common_pb2.ENTITY_TYPE_TASK, "entity_code": "t2"},
    {"entity_type": common_pb2.ENTITY_TYPE_TASK, "entity_code": "t", "sprint_code": "s2"},
    {"entity_type": common_pb2.ENTITY_TYPE_TASK, "entity_code": "t2", "sprint_code": "s"},
    {"entity_type": common_pb2.ENTITY_TYPE_SPRINT, "entity_code": "s", "sprint_code": "s2"},
    {"entity_type": common_pb2.ENTITY_TYPE_SESSION, "entity_code": "k2"},
    {"entity_type": common_pb2.ENTITY_TYPE_ADR, "entity_code": "ADR-1", "sprint_code": "s"},
]


def test_events_outside_the_scope_are_refused(of_sprint: As) -> None:
    for about in OUTSIDE:
        with refused(DENIED, "OUT_OF_BOUNDS"):
            of_sprint.ledger.emit(**about)


def test_a_message_of_a_stream_is_refused_alone(admin: As, channel: grpc.Channel, database_url: str) -> None:
    key = bearer(make_key(database_url, sprint_code="s"))
    messages = [
        event_pb2.EmitEventsRequest(request_id=sprint, events=[factories.event(sprint_code=sprint)])
        for sprint in ("s", "s2", "s")
    ]
    messages[2].request_id = "again"
    answers = list(EventServiceStub(channel).EmitEvents(iter(messages), metadata=key, timeout=20))
    assert [(a.request_id, a.stored, a.error.reason) for a in answers] == [
        ("s", 1, ""), ("s2", 0, "OUT_OF_BOUNDS"), ("again", 1, ""),
    ]  # fmt: skip


def test_a_known_dedup_key_shows_no_event_outside_the_scope(of_sprint: As, admin: As) -> None:
    admin.ledger.emit("t2", dedup_key="d")
    with refused(DENIED, "OUT_OF_BOUNDS"):
        of_sprint.ledger.emit("t", dedup_key="d")


def streamed(
    channel: grpc.Channel, key: Metadata, *events: event_pb2.NewEvent
) -> event_pb2.EmitEventsResponse:
    request = event_pb2.EmitEventsRequest(request_id=f"r-{uuid4().hex}", events=events)
    return next(EventServiceStub(channel).EmitEvents(iter([request]), metadata=key, timeout=20))


def test_a_stream_returns_no_id_of_an_event_outside_the_scope(
    admin: As, channel: grpc.Channel, database_url: str
) -> None:
    key = bearer(make_key(database_url, sprint_code="s"))
    admin.ledger.emit("t2", dedup_key="d")
    inside = admin.ledger.emit("t", dedup_key="e")
    about: dict[str, Any] = {"entity_type": common_pb2.ENTITY_TYPE_TASK, "entity_code": "t"}
    fresh = factories.event(dedup_key="f", **about)
    answer = streamed(channel, key, fresh, factories.event(dedup_key="d", **about))
    assert (answer.error.reason, list(answer.event_ids)) == ("OUT_OF_BOUNDS", [])
    answer = streamed(channel, key, fresh, factories.event(dedup_key="e", **about))
    assert (answer.stored, answer.duplicates, answer.event_ids[1]) == (1, 1, inside.id)


def test_an_event_that_retention_deleted_is_shown_to_no_scoped_key(
    of_sprint: As, admin: As, channel: grpc.Channel, database_url: str
) -> None:
    admin.ledger.emit("t", dedup_key="d")
    with psycopg.connect(database_url) as conn:
        conn.execute("delete from events where type = 'agents.note.taken'")
    about: dict[str, Any] = {"entity_type": common_pb2.ENTITY_TYPE_TASK, "entity_code": "t"}
    with refused(DENIED, "OUT_OF_BOUNDS"):
        of_sprint.ledger.emit("t", dedup_key="d")
    key = bearer(make_key(database_url, sprint_code="s"))
    answer = streamed(channel, key, factories.event(dedup_key="d", **about))
    assert answer.error.reason == "OUT_OF_BOUNDS"


def test_a_session_key_sees_a_known_dedup_key_of_its_task(of_session: As, admin: As) -> None:
    known = admin.ledger.emit("t", dedup_key="d")
    assert of_session.ledger.emit("t", dedup_key="d").id == known.id


def test_an_answer_to_another_key_is_never_returned(of_session: As, of_sprint: As, admin: As) -> None:
    """A key with another scope sends the same body under the same request_id."""
    asked: list[Callable[[As], Any]] = [
        lambda by: by.ledger.sessions.InitAgent(
            session_pb2.InitAgentRequest(request_id="r", agent="a", task_code="t")
        ),
        lambda by: by.ledger.tasks.UpdateTaskStatus(
            task_pb2.UpdateTaskStatusRequest(
                request_id="r", task_code="t", status=common_pb2.TASK_STATUS_IN_PROGRESS
            )
        ),
        lambda by: by.ledger.events.EmitEvent(
            event_pb2.EmitEventRequest(
                request_id="r",
                event=factories.event(entity_type=common_pb2.ENTITY_TYPE_TASK, entity_code="t"),
            )
        ),
    ]
    for ask in asked:
        answer = ask(admin)
        assert _same(ask(admin), answer)
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
            ask(of_sprint)
    for ask in asked[1:]:
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
            ask(of_session)


def _same(one: Any, other: Any) -> bool:
    """Return whether two answers are equal, without the briefing, which is made again."""
    if isinstance(one, session_pb2.InitAgentResponse):
        return bool(one.session.key == other.session.key)
    return bool(one == other)


def test_a_retry_of_a_scoped_key_gets_the_first_answer(of_sprint: As) -> None:
    request = task_pb2.UpdateTaskStatusRequest(
        request_id="r", task_code="t", status=common_pb2.TASK_STATUS_IN_PROGRESS
    )
    once = of_sprint.ledger.tasks.UpdateTaskStatus(request)
    assert of_sprint.ledger.tasks.UpdateTaskStatus(request) == once


def test_a_known_bug_outside_the_scope_is_not_shown(of_sprint: As, of_session: As, admin: As) -> None:
    def report(task: str) -> report_pb2.CreateBugReportRequest:
        return report_pb2.CreateBugReportRequest(title="It breaks", description="d", task_code=task)

    known = admin.reports.CreateBugReport(report("t2")).bug_report
    for one in (of_sprint, of_session):
        with refused(DENIED, "OUT_OF_BOUNDS"):
            one.reports.CreateBugReport(report("t"))
    assert admin.reports.CreateBugReport(report("t2")).bug_report.count == known.count + 1


def test_a_session_key_works_in_its_session_and_on_its_task(of_session: As, admin: As) -> None:
    of_session.ledger.set_status("t", common_pb2.TASK_STATUS_IN_PROGRESS)
    of_session.ledger.emit()
    admin.ledger.emit()
    own = event_pb2.ListEventsRequest(filter=event_pb2.EventFilter(session_key="k"), page_size=100)
    found = of_session.ledger.events.ListEvents(own).events
    assert {event.session_key for event in found} == {"k"}
    assert {"orchestration.task.status_updated", "agents.note.taken"} <= {event.type for event in found}
    for filter_ in (event_pb2.EventFilter(), event_pb2.EventFilter(session_key="k2")):
        with refused(DENIED, "OUT_OF_BOUNDS"):
            of_session.ledger.events.ListEvents(event_pb2.ListEventsRequest(filter=filter_))
    with refused(DENIED, "OUT_OF_BOUNDS"):
        of_session.ledger.set_status("t2", common_pb2.TASK_STATUS_IN_PROGRESS)


def test_a_scoped_key_starts_nothing_outside_its_scope(of_session: As, of_sprint: As) -> None:
    starts = [
        session_pb2.InitAgentRequest(agent="a", short_form="SESSION:k2"),
        session_pb2.InitAgentRequest(agent="a", short_form="S:s2"),
        session_pb2.InitAgentRequest(agent="a", sprint_code="s2"),
        session_pb2.InitAgentRequest(agent="a", task_code="t2"),
    ]
    for start in starts:
        for one in (of_session, of_sprint):
            with refused(DENIED, "OUT_OF_BOUNDS"):
                one.ledger.sessions.InitAgent(start)


def test_a_timeline_of_a_scoped_key_has_to_name_the_sprint(
    admin: As, channel: grpc.Channel, database_url: str
) -> None:
    """A task may leave the sprint while the stream is open."""
    key = bearer(make_key(database_url, sprint_code="s"))
    events = EventServiceStub(channel)
    alone = event_pb2.StreamTimelineRequest(filter=event_pb2.EventFilter(task_code="t"))
    with refused(DENIED, "OUT_OF_BOUNDS"):
        list(events.StreamTimeline(alone, metadata=key, timeout=20))
    alone.filter.sprint_code = "s"
    admin.ledger.tasks.UpdateTask(_moved("t", "s2"))
    with refused(DENIED, "OUT_OF_BOUNDS"):
        list(events.StreamTimeline(alone, metadata=key, timeout=20))
    alone.filter.task_code = ""
    (batch, _) = events.StreamTimeline(alone, metadata=key, timeout=20)
    assert {event.sprint_code for event in batch.events.events} == {"s"}


def test_a_call_with_a_session_outside_the_sprint_is_refused(
    admin: As, closed: App, channel: grpc.Channel, database_url: str
) -> None:
    tasks = TaskServiceStub(channel)
    key = make_key(database_url, sprint_code="s")
    listed = task_pb2.ListTasksRequest(sprint_code="s")
    closed.session_tracker._active.clear()
    tasks.ListTasks(listed, metadata=bearer(key, ("orchestration-session", "k")))
    assert ("default", "k") in closed.session_tracker._active
    for other in ("k2", "none"):
        with refused(DENIED, "OUT_OF_BOUNDS") as caught:
            tasks.ListTasks(listed, metadata=bearer(key, ("orchestration-session", other)))
        assert "orchestration-correlation-id" not in str(caught.value.trailing_metadata())
        assert ("default", other) not in closed.session_tracker._active


def test_a_reader_does_not_make_a_session_active(
    admin: As, closed: App, channel: grpc.Channel, database_url: str
) -> None:
    key = make_key(database_url, role=Role.READER)
    closed.session_tracker._active.clear()
    named = bearer(key, ("orchestration-session", "k"))
    TaskServiceStub(channel).ListTasks(task_pb2.ListTasksRequest(), metadata=named)
    assert not closed.session_tracker._active


def test_a_message_of_a_scoped_stream_registers_nothing_on_its_call(
    admin: As, channel: grpc.Channel, database_url: str
) -> None:
    key = bearer(make_key(database_url, session_key="k"))
    messages: SimpleQueue[event_pb2.EmitEventsRequest | None] = SimpleQueue()
    answers = EventServiceStub(channel).EmitEvents(iter(messages.get, None), metadata=key, timeout=20)

    def watches(sent: int) -> int:
        for n in range(sent):
            request = event_pb2.EmitEventsRequest(request_id=f"{sent}-{n}", events=[factories.event()])
            messages.put(request)
            assert next(answers).stored == 1
        gc.collect()
        return sum(type(one) is cancellation.CancelHandle for one in gc.get_objects())

    before = watches(1)
    assert watches(30) < before + 10
    messages.put(None)
    assert not list(answers)


def test_a_session_of_the_sprint_is_inside(of_sprint: As) -> None:
    of_sprint.ledger.session("new", task_code="t")
    of_sprint.ledger.sessions.GetSession(session_pb2.GetSessionRequest(session_key="k"))
    with refused(DENIED, "OUT_OF_BOUNDS"):
        of_sprint.ledger.sessions.GetSession(session_pb2.GetSessionRequest(session_key="k2"))


def test_a_scoped_key_sees_only_its_sprint_among_dependent_tasks(of_sprint: As, admin: As) -> None:
    admin.ledger.task("in", sprint_code="s")
    admin.ledger.link("in", "t")
    admin.ledger.link("t2", "t")
    request = coordination_pb2.ListDependenciesRequest(
        task_code="t", direction=coordination_pb2.DEPENDENCY_DIRECTION_DEPENDENTS
    )
    answers = [by.ledger.coordination.ListDependencies(request).dependencies for by in (admin, of_sprint)]
    assert [[link.task_code for link in links] for links in answers] == [["in", "t2"], ["in"]]
    with refused(DENIED, "OUT_OF_BOUNDS"):
        of_sprint.ledger.coordination.ListDependencies(
            coordination_pb2.ListDependenciesRequest(task_code="t2")
        )
