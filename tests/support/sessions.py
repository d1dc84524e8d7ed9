"""Short forms of the calls of SessionService."""

from typing import Any

from google.protobuf import json_format

from orchestration.v1 import common_pb2, event_pb2, session_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.sprint_pb2 import CreateSprintRequest
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2 import CreateTaskRequest
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support import factories
from tests.support.rpc_errors import Metadata


def populate(tasks: TaskServiceStub, sprints: SprintServiceStub) -> None:
    """Create a sprint "s", its task "a" of priority P1, and a task "b" outside of sprints."""
    sprints.CreateSprint(CreateSprintRequest(sprint=factories.sprint("s")))
    first = factories.task("a", sprint_code="s", priority=common_pb2.PRIORITY_P1)
    for task in (first, factories.task("b")):
        tasks.CreateTask(CreateTaskRequest(task=task))


def init(
    sessions: SessionServiceStub, short_form: str = "T:a", call: Metadata = (), **fields: Any
) -> session_pb2.InitAgentResponse:
    request = session_pb2.InitAgentRequest(short_form=short_form, **{"agent": "ann", **fields})
    return sessions.InitAgent(request, metadata=call)


def get(sessions: SessionServiceStub, key: str) -> common_pb2.Session:
    return sessions.GetSession(session_pb2.GetSessionRequest(session_key=key)).session


def pause(sessions: SessionServiceStub, key: str, reason: str = "") -> common_pb2.Session:
    request = session_pb2.PauseSessionRequest(session_key=key, reason=reason)
    return sessions.PauseSession(request).session


def close(sessions: SessionServiceStub, key: str, **fields: Any) -> common_pb2.Session:
    return sessions.CloseSession(session_pb2.CloseSessionRequest(session_key=key, **fields)).session


def log(sessions: SessionServiceStub, key: str, call: Metadata = (), **fields: Any) -> event_pb2.Event:
    request = session_pb2.LogActivityRequest(
        session_key=key, **{"kind": "progress", "message": "Half of it", **fields}
    )
    return sessions.LogActivity(request, metadata=call).event


def listed(sessions: SessionServiceStub, **fields: Any) -> list[str]:
    """Return the keys of all pages."""
    keys: list[str] = []
    token = ""
    while True:
        page = sessions.ListSessions(session_pb2.ListSessionsRequest(page_token=token, **fields))
        keys += [session.key for session in page.sessions]
        token = page.next_page_token
        if not token:
            return keys


def logged(events: EventServiceStub, prefix: str = "orchestration.session.", **chosen: Any) -> list[Any]:
    """Return the events of the session, oldest first."""
    stream = events.StreamTimeline(
        event_pb2.StreamTimelineRequest(filter=event_pb2.EventFilter(**chosen)), timeout=10
    )
    found = [event for message in stream for event in message.events.events]
    return [event for event in found if event.type.startswith(prefix)]


def payload(event: event_pb2.Event) -> dict[str, Any]:
    return json_format.MessageToDict(event.payload)


def carrying(key: str, *more: tuple[str, str]) -> Metadata:
    return (("orchestration-session", key), *more)
