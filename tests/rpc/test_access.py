"""Keys: when the ledger takes them, how soon one is good no more, and what one that is held opens."""

import queue
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from orchestration.v1 import common_pb2, event_pb2, report_pb2, session_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.report_pb2_grpc import ReportServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server import admission, held
from orchestration_server.app import App
from orchestration_server.credentials import Credentials
from orchestration_server.errors import Unauthenticated, Unavailable
from orchestration_server.keys import new_key
from orchestration_server.model import Role
from orchestration_server.rates import Rates
from orchestration_server.store import keys as store
from tests import factories
from tests.conftest import Server, open_channel
from tests.keying import bearer, make_key, revoke
from tests.ledger import Ledger
from tests.status import details, refused

UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
LIST = task_pb2.ListTasksRequest()


@pytest.fixture
def app(server: Server) -> App:
    assert server.app is not None
    return server.app


@pytest.fixture
def closed(app: App, database_url: str) -> App:
    """A server that takes keys, as a first one was made."""
    make_key(database_url, project="another")
    app.credentials.look()
    return app


def test_without_keys_a_server_on_loopback_is_open(tasks: TaskServiceStub) -> None:
    tasks.ListTasks(LIST)


def test_a_credential_that_is_given_is_judged_where_it_is_open_too(tasks: TaskServiceStub) -> None:
    with refused(UNAUTHENTICATED, "CREDENTIALS_INVALID"):
        tasks.ListTasks(LIST, metadata=bearer(new_key()[1]))


def test_the_first_key_closes_the_ledger_and_its_end_does_not_open_it(
    app: App, tasks: TaskServiceStub, database_url: str
) -> None:
    key = make_key(database_url)
    tasks.ListTasks(LIST, metadata=bearer(key))
    with refused(UNAUTHENTICATED, "CREDENTIALS_MISSING"):
        tasks.ListTasks(LIST)
    revoke(database_url, key)
    app.credentials.look()
    with refused(UNAUTHENTICATED, "CREDENTIALS_MISSING"):
        tasks.ListTasks(LIST)
    with refused(UNAUTHENTICATED, "KEY_REVOKED"):
        tasks.ListTasks(LIST, metadata=bearer(key))


def test_another_server_learns_of_the_first_key(app: App, tasks: TaskServiceStub, database_url: str) -> None:
    make_key(database_url)
    tasks.ListTasks(LIST)
    app.credentials.look()
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
    closed.credentials.look()
    for stream in (ended, emitting):
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        assert caught.value.code() is grpc.StatusCode.CANCELLED  # type: ignore[attr-defined]
    messages.put(None)
    events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event()), metadata=bearer(other))
    assert next(stays).WhichOneof("message") == "events"
    stays.cancel()


def test_a_stream_that_ended_is_not_watched(closed: App, events: EventServiceStub, database_url: str) -> None:
    key = make_key(database_url)
    list(events.StreamTimeline(event_pb2.StreamTimelineRequest(), metadata=bearer(key), timeout=20))
    # The callback that takes it off runs before the client's next call begins.
    events.ListEvents(event_pb2.ListEventsRequest(), metadata=bearer(key))
    assert closed.credentials.streams == 0


def test_the_project_is_that_of_the_key(closed: App, channel: grpc.Channel, database_url: str) -> None:
    tasks = TaskServiceStub(channel)
    key = bearer(make_key(database_url, project="p2"))
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("mine")), metadata=key)
    everywhere = make_key(database_url, project="*", role=Role.READER)
    inside = bearer(everywhere, ("orchestration-project", "p2"))
    assert [t.code for t in tasks.ListTasks(LIST, metadata=inside).tasks] == ["mine"]
    assert not tasks.ListTasks(LIST, metadata=bearer(everywhere)).tasks


def test_what_was_refused_stands_in_the_log_once_and_counted(
    closed: App, channel: grpc.Channel, database_url: str
) -> None:
    tasks, events = TaskServiceStub(channel), EventServiceStub(channel)
    key = make_key(database_url, role=Role.READER)
    made = task_pb2.CreateTaskRequest(task=factories.task())
    for _ in range(5):
        with refused(DENIED, "ROLE_TOO_LOW"):
            tasks.CreateTask(made, metadata=bearer(key))
        closed.refusals.flush()
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
    assert closed.refusals.flush(last=True) == 1
    told = events.ListEvents(listed, metadata=bearer(key)).events[0]
    assert told.payload["count"] == 4


# --- Held to a sprint or a session ---


@pytest.fixture
def admin(closed: App, channel: grpc.Channel, database_url: str) -> Iterator["As"]:
    one = As(channel, make_key(database_url, role=Role.ADMIN))
    for sprint, task in (("s", "t"), ("s2", "t2")):
        one.ledger.sprint(sprint, status=2)
        one.ledger.task(task, sprint_code=sprint)
    one.ledger.session("k", task_code="t")
    one.ledger.session("k2", task_code="t2")
    yield one


class As:
    """Calls with a key."""

    def __init__(self, channel: grpc.Channel, key: str) -> None:
        self.channel = grpc.intercept_channel(channel, _Bearing(key))
        self.ledger = Ledger(self.channel)
        self.reports = ReportServiceStub(self.channel)


class _Bearing(grpc.UnaryUnaryClientInterceptor):
    def __init__(self, key: str) -> None:
        self._key = key

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(client_call_details._replace(metadata=bearer(self._key)), request)


@pytest.fixture
def of_sprint(admin: As, channel: grpc.Channel, database_url: str) -> As:
    return As(channel, make_key(database_url, sprint_code="s"))


@pytest.fixture
def of_session(admin: As, channel: grpc.Channel, database_url: str) -> As:
    return As(channel, make_key(database_url, session_key="k"))


@pytest.mark.parametrize("moved_to", ["s2", ""])
def test_a_task_that_leaves_the_sprint_before_the_write_is_not_written(
    of_sprint: As, admin: As, monkeypatch: pytest.MonkeyPatch, moved_to: str
) -> None:
    """The request is checked, then the task moves, then the write decides."""
    checked = held.bounds

    def then_move(*given: Any) -> Any:
        found = checked(*given)
        monkeypatch.setattr(held, "bounds", checked)
        request = task_pb2.UpdateTaskRequest(
            task=task_pb2.Task(code="t", sprint_code=moved_to),
            update_mask={"paths": ["sprint_code"]},  # type: ignore[arg-type]
        )
        admin.ledger.tasks.UpdateTask(request)
        return found

    monkeypatch.setattr(held, "bounds", then_move)
    with refused(DENIED, "OUT_OF_BOUNDS"):
        of_sprint.ledger.set_status("t", common_pb2.TASK_STATUS_IN_PROGRESS)
    task = admin.ledger.tasks.GetTask(task_pb2.GetTaskRequest(task_code="t")).task
    assert (task.sprint_code, task.status) == (moved_to, common_pb2.TASK_STATUS_PENDING)


@pytest.mark.parametrize("sprint", ["s", "s2", ""])
def test_a_held_key_moves_no_task(of_sprint: As, sprint: str) -> None:
    request = task_pb2.UpdateTaskRequest(
        task=task_pb2.Task(code="t", sprint_code=sprint),
        update_mask={"paths": ["sprint_code"]},  # type: ignore[arg-type]
    )
    with refused(DENIED, "OUT_OF_BOUNDS"):
        of_sprint.ledger.tasks.UpdateTask(request)


def test_one_item_outside_refuses_the_batch(of_sprint: As, admin: As) -> None:
    new = [task_pb2.NewTask(task=factories.task(c, sprint_code=s)) for c, s in (("a", "s"), ("b", "s2"))]
    with refused(DENIED, "OUT_OF_BOUNDS"):
        of_sprint.ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
    with refused(grpc.StatusCode.NOT_FOUND):
        admin.ledger.tasks.GetTask(task_pb2.GetTaskRequest(task_code="a"))
    of_sprint.ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new[:1]))


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"sprint_code": "s2"},
        {"entity_type": common_pb2.ENTITY_TYPE_TASK, "entity_code": "t2"},
        {"entity_type": common_pb2.ENTITY_TYPE_TASK, "entity_code": "t", "sprint_code": "s2"},
        {"entity_type": common_pb2.ENTITY_TYPE_TASK, "entity_code": "t2", "sprint_code": "s"},
        {"entity_type": common_pb2.ENTITY_TYPE_SPRINT, "entity_code": "s", "sprint_code": "s2"},
        {"entity_type": common_pb2.ENTITY_TYPE_SESSION, "entity_code": "k2"},
        {"entity_type": common_pb2.ENTITY_TYPE_ADR, "entity_code": "ADR-1", "sprint_code": "s"},
    ],
)
def test_events_of_something_outside_are_refused_one_by_one(of_sprint: As, about: dict[str, Any]) -> None:
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


def test_a_known_dedup_key_shows_nothing_of_outside(of_sprint: As, admin: As) -> None:
    admin.ledger.emit("t2", dedup_key="d")
    with refused(DENIED, "OUT_OF_BOUNDS"):
        of_sprint.ledger.emit("t", dedup_key="d")


def test_a_known_bug_shows_nothing_of_outside(of_sprint: As, of_session: As, admin: As) -> None:
    def report(task: str) -> report_pb2.CreateBugReportRequest:
        return report_pb2.CreateBugReportRequest(title="It breaks", description="d", task_code=task)

    known = admin.reports.CreateBugReport(report("t2")).bug_report
    for one in (of_sprint, of_session):
        with refused(DENIED, "OUT_OF_BOUNDS"):
            one.reports.CreateBugReport(report("t"))
    assert admin.reports.CreateBugReport(report("t2")).bug_report.count == known.count + 1


def test_a_session_s_key_works_in_its_session_and_on_its_task(of_session: As, admin: As) -> None:
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


@pytest.mark.parametrize(
    "start",
    [{"short_form": "SESSION:k2"}, {"task_code": "t2"}, {"sprint_code": "s2"}, {"short_form": "S:s2"}],
)
def test_a_held_key_starts_nothing_outside(of_session: As, of_sprint: As, start: dict[str, str]) -> None:
    for one in (of_session, of_sprint):
        with refused(DENIED, "OUT_OF_BOUNDS"):
            one.ledger.sessions.InitAgent(session_pb2.InitAgentRequest(agent="a", **start))  # type: ignore[arg-type]


def test_a_session_of_the_sprint_is_inside(of_sprint: As) -> None:
    of_sprint.ledger.session("new", task_code="t")
    of_sprint.ledger.sessions.GetSession(session_pb2.GetSessionRequest(session_key="k"))
    with refused(DENIED, "OUT_OF_BOUNDS"):
        of_sprint.ledger.sessions.GetSession(session_pb2.GetSessionRequest(session_key="k2"))


# --- What is known of credentials, and for how long ---


class Reads:
    """Counts the looks at keys, and fails them where it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.away = 0, False
        get = store.get

        def counted(*given: Any, **named: Any) -> Any:
            self.count += 1
            if self.away:
                raise Unavailable
            return get(*given, **named)

        monkeypatch.setattr(store, "get", counted)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


class Clock:
    """Says what it is told."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def credentials(app: App, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Credentials]:
    """Those of a process of its own, which looks when a test says so."""
    monkeypatch.setattr(Credentials, "_run", lambda _: None)
    made = Credentials(app.db, clock=clock)
    yield made
    made.close()


def test_a_key_that_is_known_is_not_read_again(
    credentials: Credentials, reads: Reads, clock: Clock, database_url: str
) -> None:
    header = f"Bearer {make_key(database_url)}"
    identity = credentials.verify(header)
    assert reads.count == 1
    clock.now += 9
    assert credentials.known(header) is identity
    clock.now += 2
    assert credentials.known(header) is None
    credentials.check(identity)
    credentials.look()
    assert credentials.known(header) is identity
    assert reads.count == 2


def test_a_key_is_taken_no_longer_than_the_database_can_say_so(
    credentials: Credentials, reads: Reads, clock: Clock, database_url: str
) -> None:
    header = f"Bearer {make_key(database_url)}"
    credentials.verify(header)
    reads.away = True
    with pytest.raises(Unavailable):
        credentials.look()
    clock.now += 11
    assert credentials.known(header) is None
    with pytest.raises(Unavailable):
        credentials.verify(header)


def test_an_unknown_key_is_read_once_for_a_while(
    credentials: Credentials, reads: Reads, clock: Clock
) -> None:
    header = f"Bearer {new_key()[1]}"
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            credentials.verify(header)
    assert reads.count == 1
    clock.now += 3
    with pytest.raises(Unauthenticated):
        credentials.verify(header)
    assert reads.count == 2


def test_what_is_kept_in_mind_has_a_bound(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr(credentials._known, "_most", 2)
    monkeypatch.setattr(credentials._unknown, "_most", 2)
    for _ in range(4):
        credentials.verify(f"Bearer {make_key(database_url)}")
        with pytest.raises(Unauthenticated):
            credentials.verify(f"Bearer {new_key()[1]}")
    assert len(credentials._known) == len(credentials._unknown) == 2


def test_it_is_noted_now_and_then_which_keys_are_used(
    credentials: Credentials, clock: Clock, database_url: str
) -> None:
    used, idle = make_key(database_url), make_key(database_url)
    credentials.check(credentials.verify(f"Bearer {used}"))
    credentials.look()
    with store.Connection.connect(database_url, autocommit=True) as conn:
        assert {row.last_used_time for row in store.list_all(conn)} == {None}
        clock.now += 61
        credentials.look()
        noted = {row.id: row.last_used_time is not None for row in store.list_all(conn)}
    assert noted == {used.split("_")[1]: True, idle.split("_")[1]: False}


def test_a_key_ends_at_its_time(tasks: TaskServiceStub, database_url: str) -> None:
    key = make_key(database_url, expire_time=datetime.now(UTC) - timedelta(microseconds=1))
    with refused(UNAUTHENTICATED, "KEY_EXPIRED"):
        tasks.ListTasks(LIST, metadata=bearer(key))


# --- Rates, as seen by a caller from elsewhere ---


@pytest.fixture
def from_elsewhere(
    database_url: str, start_server: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch
) -> Iterator[grpc.Channel]:
    """A channel to a server that takes its callers for others than this machine's."""
    monkeypatch.setattr(admission, "address_of", lambda _: "192.0.2.1")
    started = start_server(database_url)
    assert started.app is not None
    guard = started.app.admission
    guard._rates = Rates(started.app.link, identity=b"test")
    make_key(database_url, project="another")
    started.app.credentials.look()
    with open_channel(started.address) as channel:
        yield channel


def test_a_key_has_so_many_calls_a_minute(from_elsewhere: grpc.Channel, database_url: str) -> None:
    tasks = TaskServiceStub(from_elsewhere)
    key, other = make_key(database_url, per_minute=5), make_key(database_url)
    for _ in range(5):
        tasks.ListTasks(LIST, metadata=bearer(key))
    with refused(EXHAUSTED, "RATE_LIMITED") as caught:
        tasks.ListTasks(LIST, metadata=bearer(key))
    wait = details(caught.value)["RetryInfo"].retry_delay
    assert 0 < wait.seconds + wait.nanos / 1e9 <= 60
    tasks.ListTasks(LIST, metadata=bearer(other))


def test_events_have_a_limit_of_their_own(from_elsewhere: grpc.Channel, database_url: str) -> None:
    events = EventServiceStub(from_elsewhere)
    key = bearer(make_key(database_url, events_per_minute=10))
    messages = [
        event_pb2.EmitEventsRequest(request_id=str(n), events=[factories.event() for _ in range(4)])
        for n in range(3)
    ]
    answers = list(events.EmitEvents(iter(messages), metadata=key, timeout=20))
    assert [a.error.reason for a in answers] == ["", "", "EVENTS_RATE_LIMITED"]
    assert answers[2].error.retryable
    events.ListEvents(event_pb2.ListEventsRequest(), metadata=key)


def test_who_is_refused_too_often_is_not_looked_up(
    from_elsewhere: grpc.Channel, reads: Reads, database_url: str
) -> None:
    tasks = TaskServiceStub(from_elsewhere)
    known = bearer(make_key(database_url))
    tasks.ListTasks(LIST, metadata=known)
    for _ in range(60):
        with refused(UNAUTHENTICATED):
            tasks.ListTasks(LIST, metadata=bearer(new_key()[1]))
    before = reads.count
    for metadata in (bearer(new_key()[1]), (), bearer("x")):
        with refused(EXHAUSTED, "RATE_LIMITED") as caught:
            tasks.ListTasks(LIST, metadata=metadata)
        assert "RetryInfo" in details(caught.value)
    assert reads.count <= before + 1
    # Who is known is let in all the same.
    tasks.ListTasks(LIST, metadata=known)


def test_a_good_key_that_is_new_counts_as_no_refusal(from_elsewhere: grpc.Channel, database_url: str) -> None:
    tasks = TaskServiceStub(from_elsewhere)
    for _ in range(70):
        tasks.ListTasks(LIST, metadata=bearer(make_key(database_url)))
