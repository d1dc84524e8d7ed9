"""An event whose month has no partition is still stored: the write that needs it makes the partition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import psycopg
import pytest
from psycopg import sql

from orchestration.v1 import common_pb2, event_pb2, session_pb2, sprint_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.db.partitions import MONTHS_AHEAD
from tests.conftest import open_channel
from tests.support import factories
from tests.support.rpc_errors import refused

SECONDS = 20
WRITERS = 16
EACH = 8


def partitions(url: str) -> set[str]:
    with psycopg.connect(url) as conn:
        rows = conn.execute(
            "select inhrelid::regclass::text from pg_inherits where inhparent = 'events_rest'::regclass"
        )
        return {name for (name,) in rows}


def drop_all(url: str) -> None:
    """Drop the partitions ahead, as if the server had been off for longer than they reach."""
    with psycopg.connect(url, autocommit=True) as conn:
        for name in partitions(url):
            conn.execute(sql.SQL("drop table {}").format(sql.Identifier(name)))


@pytest.fixture
def stubs(start_app: Callable[..., App], database_url: str) -> Iterator[list[grpc.Channel]]:
    """Open channels to two servers of one database."""
    with ExitStack() as stack:
        apps = [start_app(database_url=database_url) for _ in range(2)]
        yield [stack.enter_context(open_channel(app.address)) for app in apps]


def write(channel: grpc.Channel, number: int) -> None:
    """Return one write for each way in which events are written."""
    tasks, events = TaskServiceStub(channel), EventServiceStub(channel)
    tasks.CreateTask(
        task_pb2.CreateTaskRequest(task=factories.task(f"t{number}"), request_id=f"c{number}"),
        timeout=SECONDS,
    )
    events.EmitEvent(
        event_pb2.EmitEventRequest(event=factories.event(), request_id=f"e{number}"), timeout=SECONDS
    )
    tasks.UpdateTaskStatus(
        task_pb2.UpdateTaskStatusRequest(task_code=f"t{number}", status=common_pb2.TASK_STATUS_IN_PROGRESS),
        timeout=SECONDS,
    )


@pytest.mark.connections(12)
def test_writers_of_two_servers_make_missing_partitions_and_lose_no_event(
    stubs: list[grpc.Channel], database_url: str
) -> None:
    drop_all(database_url)
    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(lambda n: write(stubs[n % 2], n), range(WRITERS * EACH)))
    assert len(partitions(database_url)) == MONTHS_AHEAD + 2
    stream = EventServiceStub(stubs[0]).StreamTimeline(event_pb2.StreamTimelineRequest(), timeout=SECONDS)
    kinds = [event.type for message in stream for event in message.events.events]
    for kind in ("orchestration.task.created", "orchestration.task.status_updated", "agents.note.taken"):
        assert kinds.count(kind) == WRITERS * EACH


def test_a_stream_of_events_continues(stubs: list[grpc.Channel], database_url: str) -> None:
    drop_all(database_url)
    messages = [
        event_pb2.EmitEventsRequest(request_id=f"m{number}", events=[factories.event() for _ in range(20)])
        for number in range(5)
    ]
    answers = list(EventServiceStub(stubs[0]).EmitEvents(iter(messages), timeout=SECONDS))
    assert [answer.stored for answer in answers] == [20] * 5


def test_sessions_and_sprints_too(stubs: list[grpc.Channel], database_url: str) -> None:
    write(stubs[0], 0)
    drop_all(database_url)
    SessionServiceStub(stubs[0]).InitAgent(
        session_pb2.InitAgentRequest(task_code="t0", agent="a"), timeout=SECONDS
    )
    drop_all(database_url)
    sprint = factories.sprint("s", metadata={"a": 1})
    SprintServiceStub(stubs[1]).CreateSprint(sprint_pb2.CreateSprintRequest(sprint=sprint), timeout=SECONDS)


def test_a_start_makes_missing_partitions(start_app: Callable[..., App], database_url: str) -> None:
    drop_all(database_url)
    start_app(database_url=database_url)
    assert len(partitions(database_url)) == MONTHS_AHEAD + 2


def test_a_role_without_the_right_names_the_command_that_helps(
    stubs: list[grpc.Channel], database_url: str
) -> None:
    """The same happens if a table of that name exists and is not attached."""
    names = partitions(database_url)
    drop_all(database_url)
    with psycopg.connect(database_url, autocommit=True) as conn:
        for name in names:
            conn.execute(sql.SQL("create table {} ()").format(sql.Identifier(name)))
    with refused(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE") as caught:
        write(stubs[0], 0)
    assert "orchestration migrate" in str(caught.value)
