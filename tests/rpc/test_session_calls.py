"""The link of calls to a session, and the statements that a session's calls run."""

from collections.abc import Callable

import pytest

from orchestration.v1 import context_pb2, event_pb2, session_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.context.broker import Assembled, Broker
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.sessions import carrying, close, get, init, listed, log, logged, pause, populate
from tests.support.statements import counted

pytestmark = pytest.mark.shared_server


@pytest.fixture
def sessions(
    sessions: SessionServiceStub, tasks: TaskServiceStub, sprints: SprintServiceStub
) -> SessionServiceStub:
    """Return a stub of a ledger that has a task and a sprint."""
    populate(tasks, sprints)
    return sessions


def test_a_call_in_a_session_is_linked_by_its_correlation_id(
    sessions: SessionServiceStub, tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    session = init(sessions, call=(("orchestration-correlation-id", "chain"),)).session
    request = task_pb2.CreateTaskRequest(task=factories.task("new"))

    _, call = tasks.CreateTask.with_call(request, metadata=carrying(session.key))
    emitted = events.EmitEvent(
        event_pb2.EmitEventRequest(event=factories.event()), metadata=carrying(session.key)
    ).event
    own = carrying(session.key, ("orchestration-correlation-id", "own"))
    request.task.code = "newer"
    tasks.CreateTask(request, metadata=own)
    log(sessions, session.key, own)

    assert dict(call.trailing_metadata())["orchestration-correlation-id"] == "chain"
    assert (emitted.correlation_id, emitted.session_key) == ("chain", session.key)
    linked = [(event.type, event.correlation_id) for event in logged(events, "", session_key=session.key)]
    assert linked == [
        ("orchestration.session.started", "chain"),
        ("orchestration.task.created", "chain"),
        ("agents.note.taken", "chain"),
        ("orchestration.task.created", "own"),
        ("orchestration.activity.logged", "own"),
    ]


def test_calls_about_a_session_are_linked_without_its_key_in_metadata(
    sessions: SessionServiceStub,
) -> None:
    session = init(sessions).session
    request = session_pb2.LogActivityRequest(session_key=session.key, kind="note", message="x")

    answer, call = sessions.LogActivity.with_call(request)

    assert answer.event.correlation_id == session.correlation_id
    assert dict(call.trailing_metadata())["orchestration-correlation-id"] == session.correlation_id


def test_an_unknown_session_key_is_kept_as_the_callers_label(
    tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    for number, key in enumerate(("unknown", "any text, even this")):
        request = task_pb2.CreateTaskRequest(task=factories.task(f"t{number}"))
        tasks.CreateTask(request, metadata=carrying(key))
        tasks.GetTask(task_pb2.GetTaskRequest(task_code=f"t{number}"), metadata=carrying(key))
        [created] = logged(events, "", session_key=key)
        assert created.correlation_id


def test_a_session_is_known_from_its_start_on(sessions: SessionServiceStub, tasks: TaskServiceStub) -> None:
    """That holds even if a call named the key before the session existed."""
    ask = task_pb2.GetTaskRequest(task_code="a")
    tasks.GetTask(ask, metadata=carrying("mine"))
    session = init(sessions, new_session_key="mine").session

    _, call = tasks.GetTask.with_call(ask, metadata=carrying("mine"))

    assert dict(call.trailing_metadata())["orchestration-correlation-id"] == session.correlation_id


def test_a_server_reads_a_sessions_correlation_id_once(
    sessions: SessionServiceStub,
    start_server: Callable[[str], Server],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = init(sessions).session.key
    with open_channel(start_server(database_url).address) as channel:
        other = TaskServiceStub(channel)
        ask = task_pb2.GetTaskRequest(task_code="a")
        numbers = []
        for _ in range(3):
            with counted(monkeypatch) as seen:
                other.GetTask(ask, metadata=carrying(key))
            numbers.append(len([text for text in seen if "from sessions" in text]))
    assert numbers == [1, 0, 0]


def test_statements_of_each_session_call(
    sessions: SessionServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Count the statements without those of the context. Finding a session on a target takes a lock."""
    context = Assembled(context_pb2.Context().SerializeToString(), from_cache=False)
    monkeypatch.setattr(Broker, "assemble", lambda *_: context)
    key = init(sessions).session.key
    calls: dict[str, tuple[int, Callable[[], object]]] = {
        "start": (3, lambda: init(sessions, "T:b")),
        "resume": (2, lambda: init(sessions, f"SESSION:{key}")),
        "log": (3, lambda: log(sessions, key)),
        "pause": (2, lambda: pause(sessions, key)),
        "get": (1, lambda: get(sessions, key)),
        "list": (1, lambda: listed(sessions)),
        "close": (2, lambda: close(sessions, key)),
    }
    for name, (expected, call) in calls.items():
        with counted(monkeypatch) as seen:
            call()
        own = [text for text in seen if _is_own(text)]
        assert len(own) == expected, (name, own)


def _is_own(text: str) -> bool:
    """Return whether a statement is of the session store or the write gate, or reads back an event."""
    marks = (
        "c_key",
        "from sessions where",
        "left join sessions",
        "pg_advisory_xact_lock(k) from",
        "event_id =",
    )
    return any(mark in text for mark in marks)
