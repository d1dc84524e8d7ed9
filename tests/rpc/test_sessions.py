"""SessionService through its stub."""

from collections.abc import Callable
from datetime import datetime

import grpc
import pytest

from orchestration.v1 import common_pb2, context_pb2, event_pb2, session_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.codec.content import session_content
from orchestration_server.codec.timestamps import to_datetime
from tests.support.rpc_errors import Metadata, details, refused, violations
from tests.support.sessions import close, get, init, listed, log, logged, pause, payload, populate

pytestmark = pytest.mark.shared_server

ACTIVE = common_pb2.SESSION_STATUS_ACTIVE
PAUSED = common_pb2.SESSION_STATUS_PAUSED
COMPLETED = common_pb2.SESSION_STATUS_COMPLETED
SPRINT, TASK = common_pb2.ENTITY_TYPE_SPRINT, common_pb2.ENTITY_TYPE_TASK
NEXT_STEPS = context_pb2.CONTEXT_SECTION_NEXT_STEPS


@pytest.fixture
def sessions(
    sessions: SessionServiceStub, tasks: TaskServiceStub, sprints: SprintServiceStub
) -> SessionServiceStub:
    """Return a stub of a ledger that has a task and a sprint."""
    populate(tasks, sprints)
    return sessions


def test_a_session_starts_on_a_task(sessions: SessionServiceStub, events: EventServiceStub) -> None:
    answer = init(sessions, call=(("orchestration-correlation-id", "chain"),), metadata={"n": 1})

    session = answer.session
    assert not answer.resumed
    assert (session.status, session.agent, session.revision) == (ACTIVE, "ann", 1)
    assert (session.target_type, session.target_code) == (TASK, "a")
    assert session.key == "ses_" + session.uid.replace("-", "")
    assert session.correlation_id == "chain"
    assert session.create_time == session.update_time == session.last_activity_time
    assert not session.HasField("close_time")
    assert get(sessions, session.key) == session
    [started] = logged(events, session_key=session.key)
    assert started.type == "orchestration.session.started"
    assert (started.entity_type, started.entity_code) == (common_pb2.ENTITY_TYPE_SESSION, session.key)
    assert (started.entity_uid, started.entity_revision) == (session.uid, 1)
    assert (started.sprint_code, started.priority) == ("s", common_pb2.PRIORITY_P1)
    assert (started.agent, started.correlation_id) == ("ann", "chain")
    snapshot = payload(started)["snapshot"]
    assert datetime.fromisoformat(snapshot.pop("create_time")) == to_datetime(session.create_time)
    assert snapshot == session_content(session)


@pytest.mark.parametrize("options", [{"since_cursor": "nonsense"}, {"page_token": "nonsense"}])
def test_invalid_options_start_and_resume_no_session(
    sessions: SessionServiceStub, events: EventServiceStub, options: dict[str, str]
) -> None:
    wrong = context_pb2.ContextOptions(**options)  # type: ignore[arg-type]  # both are texts
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        init(sessions, context_options=wrong)
    assert not listed(sessions)
    key = init(sessions).session.key
    for short_form in ("T:a", f"SESSION:{key}"):
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            init(sessions, short_form, context_options=wrong)
    assert len(logged(events, session_key=key)) == 1


def test_the_response_has_the_sessions_context(sessions: SessionServiceStub) -> None:
    answer = init(sessions)

    assert answer.context.target_code == answer.session.key
    assert answer.context.target_type == common_pb2.ENTITY_TYPE_SESSION
    without = common_pb2.Session()
    without.CopyFrom(answer.session)
    without.ClearField("last_activity_time")
    for time in (without.create_time, without.update_time):
        time.nanos = 0
    without.uid = without.correlation_id = ""
    assert answer.context.session == without
    assert answer.next_steps
    assert answer.next_steps == answer.context.next_steps
    request = session_pb2.GetSessionContextRequest(session_key=answer.session.key)
    assert sessions.GetSessionContext(request).context.session == without


def test_all_next_steps_are_returned_even_if_the_context_omits_them(sessions: SessionServiceStub) -> None:
    steps = list(init(sessions).next_steps)
    options = context_pb2.ContextOptions(omit_sections=[NEXT_STEPS])

    answer = init(sessions, context_options=options)

    assert not answer.context.next_steps
    assert answer.next_steps == steps


@pytest.mark.parametrize(
    ("short", "target", "kind"),
    [("T:a", {"task_code": "a"}, TASK), ("S:s", {"sprint_code": "s"}, SPRINT)],
)
def test_the_short_form_and_the_fields_are_equivalent(
    sessions: SessionServiceStub, short: str, target: dict[str, str], kind: int
) -> None:
    first = init(sessions, short).session
    request = session_pb2.InitAgentRequest(agent="ann", **target)  # type: ignore[arg-type]  # a target's name
    named = session_pb2.InitAgentRequest(agent="ann", session_key=first.key)

    assert first.target_type == kind
    assert sessions.InitAgent(request).session.key == first.key
    assert sessions.InitAgent(named).session.key == first.key
    assert init(sessions, f"SESSION:{first.key}").session.key == first.key


def test_an_agent_resumes_its_newest_open_session(
    sessions: SessionServiceStub, events: EventServiceStub
) -> None:
    first = init(sessions).session
    newest = init(sessions, force_new=True).session
    others = init(sessions, agent="bob").session
    elsewhere = init(sessions, "T:b").session
    pause(sessions, newest.key, "lunch")

    answer = init(sessions)

    assert len({first.key, newest.key, others.key, elsewhere.key}) == 4
    assert answer.resumed
    assert answer.session.key == newest.key
    assert (answer.session.status, answer.session.pause_reason, answer.session.revision) == (ACTIVE, "", 3)
    *_, resumed = logged(events, session_key=newest.key)
    assert resumed.type == "orchestration.session.resumed"
    assert resumed.entity_revision == 3
    assert payload(resumed)["changes"] == {
        "status": {"from": "paused", "to": "active"},
        "pause_reason": {"from": "lunch", "to": ""},
    }
    close(sessions, newest.key)
    assert init(sessions).session.key == first.key
    close(sessions, first.key)
    assert init(sessions).session.key not in (first.key, newest.key)


def test_a_session_belongs_to_the_agent_that_resumed_it_last(
    sessions: SessionServiceStub, events: EventServiceStub
) -> None:
    session = init(sessions).session
    call = (("orchestration-agent", "bob"),)

    answer = init(sessions, f"SESSION:{session.key}", call=call, agent="")

    assert answer.resumed
    assert answer.session.agent == "bob"
    assert answer.session.correlation_id == session.correlation_id
    *_, resumed = logged(events, session_key=session.key)
    assert payload(resumed)["changes"] == {"agent": {"from": "ann", "to": "bob"}}
    assert (resumed.agent, resumed.correlation_id) == ("bob", session.correlation_id)
    assert init(sessions).session.key != session.key
    assert init(sessions, agent="bob").session.key == session.key


def test_the_agent_is_named_in_the_request_or_the_call(sessions: SessionServiceStub) -> None:
    call = (("orchestration-agent", "bob"),)

    assert init(sessions, call=call).session.agent == "ann"
    assert init(sessions, call=call, agent="").session.agent == "bob"
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        init(sessions, agent="")
    assert list(violations(caught.value)) == ["agent"]


def test_a_key_is_used_once(sessions: SessionServiceStub) -> None:
    assert init(sessions, new_session_key="mine").session.key == "mine"
    again = init(sessions, new_session_key="mine")
    assert (again.resumed, again.session.key) == (True, "mine")

    for other in ({"agent": "bob"}, {"force_new": True}, {"short_form": "T:b"}):
        with refused(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS") as caught:
            init(sessions, **{"new_session_key": "mine", **other})  # type: ignore[arg-type]  # any field
        assert details(caught.value)["ResourceInfo"].resource_name == "mine"
    close(sessions, "mine")
    with refused(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS"):
        init(sessions, new_session_key="mine")


@pytest.mark.parametrize(
    ("short", "kind"), [("T:none", "task"), ("S:none", "sprint"), ("SESSION:none", "session")]
)
def test_a_session_needs_an_existing_target(sessions: SessionServiceStub, short: str, kind: str) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND") as caught:
        init(sessions, short)
    found = details(caught.value)["ResourceInfo"]
    assert (found.resource_type, found.resource_name) == (kind, "none")


def test_a_session_outlives_its_task_but_cannot_be_resumed(
    sessions: SessionServiceStub, tasks: TaskServiceStub
) -> None:
    key = init(sessions).session.key
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="a"))

    for short in ("T:a", f"SESSION:{key}"):
        with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND") as caught:
            init(sessions, short)
        assert details(caught.value)["ResourceInfo"].resource_name == "a"
    assert log(sessions, key).entity_code == "a"
    assert close(sessions, key).status == COMPLETED


def test_an_activity_is_an_event_of_the_target(
    sessions: SessionServiceStub, tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    session = init(sessions).session
    task = tasks.GetTask(task_pb2.GetTaskRequest(task_code="a")).task

    event = log(sessions, session.key, kind="decision", message="This way", payload={"why": [1, "é"]})

    assert event.type == "orchestration.activity.logged"
    assert (event.entity_type, event.entity_code, event.entity_uid) == (TASK, "a", task.uid)
    assert (event.sprint_code, event.priority) == ("s", common_pb2.PRIORITY_P1)
    assert (event.session_key, event.correlation_id) == (session.key, session.correlation_id)
    assert (event.agent, event.entity_revision) == ("ann", 0)
    assert payload(event) == {"kind": "decision", "message": "This way", "payload": {"why": [1, "é"]}}
    assert events.GetEvent(event_pb2.GetEventRequest(event_id=event.id)).event == event
    assert logged(events, "orchestration.activity.", task_code="a") == [event]
    assert logged(events, "orchestration.activity.", session_key=session.key) == [event]
    assert get(sessions, session.key).revision == 1


def test_an_activity_on_a_sprint_shows_in_its_events(
    sessions: SessionServiceStub, events: EventServiceStub
) -> None:
    key = init(sessions, "S:s").session.key
    event = log(sessions, key)

    assert (event.entity_type, event.entity_code, event.sprint_code) == (SPRINT, "s", "s")
    assert payload(event) == {"kind": "progress", "message": "Half of it"}
    assert logged(events, "orchestration.activity.", sprint_code="s") == [event]


def test_pausing_a_paused_session_changes_nothing(
    sessions: SessionServiceStub, events: EventServiceStub
) -> None:
    key = init(sessions).session.key

    paused = pause(sessions, key, "lunch")

    assert (paused.status, paused.pause_reason, paused.revision) == (PAUSED, "lunch", 2)
    assert pause(sessions, key, "dinner") == paused == get(sessions, key)
    *_, event = logged(events, session_key=key)
    assert event.type == "orchestration.session.paused"
    assert payload(event)["changes"]["status"] == {"from": "active", "to": "paused"}
    assert len(logged(events, session_key=key)) == 2
    assert log(sessions, key).session_key == key


def test_a_closed_session_stays_closed(sessions: SessionServiceStub, events: EventServiceStub) -> None:
    key = init(sessions).session.key
    pause(sessions, key, "lunch")

    closed = close(sessions, key, summary="Done", outcome=common_pb2.SESSION_OUTCOME_HANDED_OVER)

    assert (closed.status, closed.summary, closed.pause_reason) == (COMPLETED, "Done", "")
    assert closed.outcome == common_pb2.SESSION_OUTCOME_HANDED_OVER
    assert closed.close_time == closed.update_time
    assert get(sessions, key) == closed
    *_, event = logged(events, session_key=key)
    assert event.type == "orchestration.session.closed"
    assert payload(event)["changes"] == {
        "status": {"from": "paused", "to": "completed"},
        "pause_reason": {"from": "lunch", "to": ""},
        "summary": {"from": "", "to": "Done"},
        "outcome": {"from": "", "to": "handed_over"},
    }
    refusing: list[Callable[[], object]] = [
        lambda: init(sessions, f"SESSION:{key}"),
        lambda: log(sessions, key),
        lambda: pause(sessions, key),
        lambda: close(sessions, key),
    ]
    for call in refusing:
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "SESSION_CLOSED", key):
            call()
    assert get(sessions, key) == closed
    context = sessions.GetSessionContext(session_pb2.GetSessionContextRequest(session_key=key)).context
    assert context.session.status == COMPLETED


def test_a_session_succeeds_by_default(sessions: SessionServiceStub) -> None:
    assert close(sessions, init(sessions).session.key).outcome == common_pb2.SESSION_OUTCOME_SUCCEEDED


def test_an_unknown_session_is_not_found(sessions: SessionServiceStub) -> None:
    key = init(sessions).session.key
    other: Metadata = (("orchestration-project", "other"),)
    asking: list[Callable[[str], object]] = [
        lambda key: sessions.GetSession(session_pb2.GetSessionRequest(session_key=key), metadata=other),
        lambda key: sessions.GetSessionContext(
            session_pb2.GetSessionContextRequest(session_key=key), metadata=other
        ),
        lambda key: log(sessions, key, other),
        lambda key: sessions.PauseSession(session_pb2.PauseSessionRequest(session_key=key), metadata=other),
        lambda key: sessions.CloseSession(session_pb2.CloseSessionRequest(session_key=key), metadata=other),
    ]
    for ask in asking:
        with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND") as caught:
            ask(key)
        assert details(caught.value)["ResourceInfo"].resource_type == "session"


def test_sessions_are_listed_newest_first(sessions: SessionServiceStub) -> None:
    for key, short, agent in (
        ("1", "T:a", "ann"),
        ("2", "T:a", "bob"),
        ("3", "S:s", "ann"),
        ("4", "T:b", "ann"),
    ):
        init(sessions, short, agent=agent, new_session_key=key)
    pause(sessions, "2")
    close(sessions, "3")

    assert listed(sessions) == ["4", "3", "2", "1"]
    assert listed(sessions, page_size=1) == ["4", "3", "2", "1"]
    assert listed(sessions, agent="ann") == ["4", "3", "1"]
    assert listed(sessions, task_code="a") == ["2", "1"]
    assert listed(sessions, sprint_code="s") == ["3"]
    assert listed(sessions, statuses=[PAUSED, COMPLETED]) == ["3", "2"]
    assert listed(sessions, statuses=[ACTIVE, PAUSED], agent="ann", page_size=1) == ["4", "1"]
    assert listed(sessions, statuses=[ACTIVE], task_code="a", agent="ann") == ["1"]
    assert listed(sessions, agent="none") == []
    page = sessions.ListSessions(session_pb2.ListSessionsRequest())
    assert [session for session in page.sessions if session.key == "2"] == [get(sessions, "2")]


def test_a_page_token_belongs_to_its_filters(sessions: SessionServiceStub) -> None:
    for key in "12":
        init(sessions, new_session_key=key, force_new=True)
    token = sessions.ListSessions(session_pb2.ListSessionsRequest(page_size=1)).next_page_token

    with refused(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_FOREIGN"):
        sessions.ListSessions(session_pb2.ListSessionsRequest(page_token=token, agent="ann"))
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID"):
        sessions.ListSessions(session_pb2.ListSessionsRequest(page_token=token[:-4]))
