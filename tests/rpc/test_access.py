"""Keys: when the ledger requires one, how soon a revoked one is refused, and the log of refusals."""

import queue
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from orchestration.v1 import admin_pb2, event_pb2, task_pb2
from orchestration.v1.admin_pb2_grpc import AdminServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.auth import credentials
from orchestration_server.auth.api_keys import new_key
from orchestration_server.errors import Unavailable
from orchestration_server.model import Role
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.credentials import Reads, bearer, make_key, revoke
from tests.support.rpc_errors import refused

UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
LIST = task_pb2.ListTasksRequest()


def test_without_keys_a_server_on_loopback_is_open(tasks: TaskServiceStub) -> None:
    tasks.ListTasks(LIST)


def test_an_open_server_verifies_a_credential_that_is_sent(tasks: TaskServiceStub) -> None:
    with refused(UNAUTHENTICATED, "CREDENTIALS_INVALID"):
        tasks.ListTasks(LIST, metadata=bearer(new_key()[1]))


def test_the_first_key_closes_the_ledger_for_good(
    app: App, tasks: TaskServiceStub, database_url: str
) -> None:
    key = make_key(database_url)
    tasks.ListTasks(LIST, metadata=bearer(key))
    with refused(UNAUTHENTICATED, "CREDENTIALS_MISSING"):
        tasks.ListTasks(LIST)
    revoke(database_url, key)
    app.credentials.refresh()
    with refused(UNAUTHENTICATED, "CREDENTIALS_MISSING"):
        tasks.ListTasks(LIST)
    with refused(UNAUTHENTICATED, "KEY_REVOKED"):
        tasks.ListTasks(LIST, metadata=bearer(key))


def test_another_server_notices_the_first_key(app: App, tasks: TaskServiceStub, database_url: str) -> None:
    make_key(database_url)
    tasks.ListTasks(LIST)
    app.credentials.refresh()
    with refused(UNAUTHENTICATED, "CREDENTIALS_MISSING"):
        tasks.ListTasks(LIST)


def test_a_revoked_key_ends_its_streams_and_no_others(
    closed: App, events: EventServiceStub, database_url: str
) -> None:
    key, other = make_key(database_url), make_key(database_url)
    follow = event_pb2.StreamTimelineRequest(follow=True)
    ended = events.StreamTimeline(follow, metadata=bearer(key), timeout=20)
    stays = events.StreamTimeline(follow, metadata=bearer(other), timeout=20)
    assert next(ended).WhichOneof("message") == "caught_up"
    assert next(stays).WhichOneof("message") == "caught_up"
    messages: queue.SimpleQueue[event_pb2.EmitEventsRequest | None] = queue.SimpleQueue()
    emitting = events.EmitEvents(iter(messages.get, None), metadata=bearer(key), timeout=20)
    messages.put(event_pb2.EmitEventsRequest(request_id="1", events=[factories.event()]))
    assert next(emitting).stored == 1
    revoke(database_url, key)
    closed.credentials.refresh()
    for stream in (ended, emitting):
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        assert caught.value.code() is grpc.StatusCode.CANCELLED
    messages.put(None)
    events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event()), metadata=bearer(other))
    assert next(stays).WhichOneof("message") == "events"
    stays.cancel()


def test_streams_without_a_credential_end_when_the_first_key_is_made(
    app: App, events: EventServiceStub, database_url: str
) -> None:
    stream = events.StreamTimeline(event_pb2.StreamTimelineRequest(follow=True), timeout=20)
    assert next(stream).WhichOneof("message") == "caught_up"
    messages: queue.SimpleQueue[event_pb2.EmitEventsRequest | None] = queue.SimpleQueue()
    emitting = events.EmitEvents(iter(messages.get, None), timeout=20)
    messages.put(event_pb2.EmitEventsRequest(request_id="1", events=[factories.event()]))
    assert next(emitting).stored == 1
    make_key(database_url)
    app.credentials.refresh()
    for ended in (stream, emitting):
        with refused(grpc.StatusCode.CANCELLED):
            list(ended)
    messages.put(None)


def test_reflection_ends_with_its_key(closed: App, channel: grpc.Channel, database_url: str) -> None:
    key = make_key(database_url)
    asked: queue.SimpleQueue[reflection_pb2.ServerReflectionRequest | None] = queue.SimpleQueue()
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    answers = stub.ServerReflectionInfo(iter(asked.get, None), metadata=bearer(key), timeout=20)
    asked.put(reflection_pb2.ServerReflectionRequest(list_services=""))
    next(answers)
    revoke(database_url, key)
    closed.credentials.refresh()
    with refused(grpc.StatusCode.CANCELLED):
        list(answers)
    asked.put(None)


def test_an_expired_key_ends_its_streams_while_the_database_is_away(
    closed: App, events: EventServiceStub, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(database_url, expire_time=datetime.now(UTC) + timedelta(minutes=1))
    follow = event_pb2.StreamTimelineRequest(follow=True)
    stream = events.StreamTimeline(follow, metadata=bearer(key), timeout=20)
    assert next(stream).WhichOneof("message") == "caught_up"
    Reads(monkeypatch).away = True
    monkeypatch.setattr(closed.clock, "timestamp", lambda: time.time() + 3600)
    with pytest.raises(Unavailable):
        closed.credentials.refresh()
    with refused(grpc.StatusCode.CANCELLED):
        list(stream)


@pytest.mark.parametrize("name", ["authorization", "orchestration-project", "orchestration-session"])
def test_credential_project_and_session_may_be_given_only_once(
    closed: App, tasks: TaskServiceStub, database_url: str, name: str
) -> None:
    key = make_key(database_url)
    once = {"authorization": f"Bearer {key}", name: f"Bearer {key}" if name == "authorization" else "default"}
    tasks.ListTasks(LIST, metadata=tuple(once.items()))
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
        tasks.ListTasks(LIST, metadata=(*once.items(), (name, "other")))


def test_a_known_key_under_another_scheme_is_refused(
    closed: App, tasks: TaskServiceStub, database_url: str
) -> None:
    key = make_key(database_url)
    tasks.ListTasks(LIST, metadata=bearer(key))
    with refused(UNAUTHENTICATED, "CREDENTIALS_INVALID"):
        tasks.ListTasks(LIST, metadata=(("authorization", f"Unknown{key}"),))


def test_a_refusal_of_a_ledger_wide_rpc_names_the_key_that_it_requires(
    closed: App, channel: grpc.Channel, database_url: str
) -> None:
    alerts = AdminServiceStub(channel).ListAlerts
    command = "orchestration keys create NAME --role admin --project '*'"
    fields: dict[str, Any]
    for fields, reason in (
        ({"role": Role.ADMIN}, "PROJECT_CLOSED"),
        ({"role": Role.ADMIN, "sprint_code": "s"}, "PROJECT_CLOSED"),
        ({"role": Role.AGENT}, "ROLE_TOO_LOW"),
    ):
        with refused(DENIED, reason) as error:
            alerts(admin_pb2.ListAlertsRequest(), metadata=bearer(make_key(database_url, **fields)))
        assert command in (error.value.details() or "")
    whole = make_key(database_url, role=Role.ADMIN, project="*")
    alerts(admin_pb2.ListAlertsRequest(), metadata=bearer(whole))


def test_a_refusal_is_logged_only_in_a_project_that_its_caller_may_open(
    closed: App, tasks: TaskServiceStub, database_url: str
) -> None:
    there = ("orchestration-project", "victim")
    with refused(UNAUTHENTICATED):
        tasks.ListTasks(LIST, metadata=(there,))
    with refused(DENIED, "PROJECT_CLOSED"):
        tasks.ListTasks(LIST, metadata=bearer(make_key(database_url), there))
    assert {kind.project for kind in closed.refusal_audit._counts} == {"default"}


def test_a_server_refreshes_credentials_by_itself(
    database_url: str, start_server: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "REFRESH_SECONDS", 0.05)
    key = make_key(database_url)
    with open_channel(start_server(database_url).address) as channel:
        stream = EventServiceStub(channel).StreamTimeline(
            event_pb2.StreamTimelineRequest(follow=True), metadata=bearer(key), timeout=20
        )
        assert next(stream).WhichOneof("message") == "caught_up"
        revoke(database_url, key)
        with refused(grpc.StatusCode.CANCELLED):
            list(stream)


def test_a_stream_that_ended_is_not_watched(
    closed: App, events: EventServiceStub, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: queue.SimpleQueue[None] = queue.SimpleQueue()
    forget = closed.credentials._forget

    def noted(stream: object) -> None:
        forget(stream)
        forgotten.put(None)

    monkeypatch.setattr(closed.credentials, "_forget", noted)
    key = bearer(make_key(database_url))
    list(events.StreamTimeline(event_pb2.StreamTimelineRequest(), metadata=key, timeout=20))
    forgotten.get(timeout=20)
    assert closed.credentials.streams == 0


def test_health_is_open_to_probes(closed: App, channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_project_is_that_of_the_key(closed: App, channel: grpc.Channel, database_url: str) -> None:
    tasks = TaskServiceStub(channel)
    key = bearer(make_key(database_url, project="p2"))
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("mine")), metadata=key)
    everywhere = make_key(database_url, project="*", role=Role.READER)
    inside = bearer(everywhere, ("orchestration-project", "p2"))
    assert [t.code for t in tasks.ListTasks(LIST, metadata=inside).tasks] == ["mine"]
    assert not tasks.ListTasks(LIST, metadata=bearer(everywhere)).tasks


def test_a_refusal_shows_in_the_timeline_by_itself(
    closed: App, channel: grpc.Channel, database_url: str
) -> None:
    key = bearer(make_key(database_url, role=Role.READER))
    wanted = event_pb2.EventFilter(types=["orchestration.access.*"])
    stream = EventServiceStub(channel).StreamTimeline(
        event_pb2.StreamTimelineRequest(filter=wanted, follow=True), metadata=key, timeout=20
    )
    assert next(stream).WhichOneof("message") == "caught_up"
    with refused(UNAUTHENTICATED):
        TaskServiceStub(channel).ListTasks(LIST)
    (event,) = next(one.events.events for one in stream if one.HasField("events"))
    assert event.payload["reason"] == "CREDENTIALS_MISSING"
    stream.cancel()


def test_refused_calls_are_logged_once_and_counted(
    closed: App, channel: grpc.Channel, database_url: str
) -> None:
    tasks, events = TaskServiceStub(channel), EventServiceStub(channel)
    key = make_key(database_url, role=Role.READER)
    made = task_pb2.CreateTaskRequest(task=factories.task())
    for _ in range(5):
        with refused(DENIED, "ROLE_TOO_LOW"):
            tasks.CreateTask(made, metadata=bearer(key))
        closed.refusal_audit.flush()
    listed = event_pb2.ListEventsRequest(filter=event_pb2.EventFilter(types=["orchestration.access.refused"]))
    (found,) = events.ListEvents(listed, metadata=bearer(key)).events
    said = dict(found.payload.items())
    assert said == {
        "rpc": "TaskService/CreateTask",
        "reason": "ROLE_TOO_LOW",
        "peer": "loopback",
        "count": 1.0,
        "caller": key.split("_")[1],
    }
    assert closed.refusal_audit.flush(last=True) == 1
    told = events.ListEvents(listed, metadata=bearer(key)).events[0]
    assert told.payload["count"] == 4
