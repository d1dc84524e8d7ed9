"""What a caller is told when a request cannot be taken, whatever the rpc."""

from collections.abc import Callable
from time import monotonic

import grpc
import psycopg
import pytest
from psycopg import sql

from orchestration.v1 import coordination_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.conftest import MAX_MESSAGE, Server, open_channel
from tests.support import factories
from tests.support.rpc_errors import details, reason, refused, violations

pytestmark = pytest.mark.shared_server

FILES = (sprint_pb2, task_pb2, event_pb2, coordination_pb2)
METHODS = [
    (f"/{service.full_name}/{method.name}", method)
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
# A field 1 that claims more bytes than follow.
UNPARSABLE = b"\x0a\xff\x01"


def _raw(message: bytes) -> bytes:
    return message


@pytest.mark.parametrize("path", [path for path, method in METHODS if not method.client_streaming])
def test_bytes_that_do_not_parse_are_refused(channel: grpc.Channel, path: str) -> None:
    streams = path.endswith("/StreamTimeline")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "UNPARSABLE"):
        if streams:
            list(channel.unary_stream(path, _raw, _raw)(UNPARSABLE, timeout=5))
        else:
            channel.unary_unary(path, _raw, _raw)(UNPARSABLE, timeout=5)


def test_a_message_that_does_not_parse_fails_alone(channel: grpc.Channel) -> None:
    good = event_pb2.EmitEventsRequest(request_id="good", events=[factories.event()])
    messages = [UNPARSABLE, good.SerializeToString()]
    call = channel.stream_stream("/orchestration.v1.EventService/EmitEvents", _raw, _raw)

    answers = [event_pb2.EmitEventsResponse.FromString(answer) for answer in call(iter(messages), timeout=5)]

    assert answers[0].error.reason == "UNPARSABLE"
    assert (answers[1].request_id, answers[1].stored) == ("good", 1)


def test_a_message_past_the_limit_is_refused_and_harms_nothing(
    channel: grpc.Channel, tasks: TaskServiceStub
) -> None:
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
        channel.unary_unary("/orchestration.v1.TaskService/GetTask", _raw, _raw)(
            b"\x00" * (MAX_MESSAGE + 1), timeout=10
        )
    assert not tasks.ListTasks(task_pb2.ListTasksRequest()).tasks


def test_an_rpc_that_is_not_there_is_unimplemented(channel: grpc.Channel) -> None:
    with refused(grpc.StatusCode.UNIMPLEMENTED):
        channel.unary_unary("/orchestration.v1.TaskService/Nothing", _raw, _raw)(b"", timeout=5)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"code": ""}, "task.code"),
        ({"code": "-a"}, "task.code"),
        ({"code": "a b"}, "task.code"),
        ({"code": "a\n"}, "task.code"),
        ({"code": "é"}, "task.code"),
        ({"code": "a" * 129}, "task.code"),
        ({"title": ""}, "task.title"),
        ({"title": "x" * 501}, "task.title"),
        ({"title": "nul\0"}, "task.title"),
        ({"description": "x" * 100_001}, "task.description"),
        ({"sprint_code": "no spaces"}, "task.sprint_code"),
        ({"status": 6}, "task.status"),
        ({"priority": -1}, "task.priority"),
        ({"phase": "x" * 101}, "task.phase"),
        ({"assignee": "x" * 201}, "task.assignee"),
        ({"labels": ["x"] * 2}, "task.labels"),
        ({"labels": [""]}, "task.labels"),
        ({"labels": [str(number) for number in range(51)]}, "task.labels"),
        ({"objectives": ["x" * 2_001]}, "task.objectives"),
        ({"deliverables": ["x"] * 101}, "task.deliverables"),
        ({"metadata": {"k": "x" * 66_000}}, "task.metadata"),
        ({"metadata": {"k": float("nan")}}, "task.metadata"),
        ({"metadata": {"k": "nul\0"}}, "task.metadata"),
        ({"agent_config": {"k": "x" * 66_000}}, "task.agent_config"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_field_that_breaks_its_rule_is_named(
    tasks: TaskServiceStub, fields: dict[str, object], wrong: str
) -> None:
    task = factories.task("a")
    for name, value in fields.items():
        task.ClearField(name)  # type: ignore[arg-type]  # a name of the table above
        task.MergeFrom(task_pb2.Task(**{name: value}))  # type: ignore[arg-type]
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=task), timeout=5)
    assert any(field.startswith(wrong) for field in violations(caught.value))


def test_all_fields_that_are_wrong_are_named_at_once(tasks: TaskServiceStub) -> None:
    task = task_pb2.Task(code="a b", labels=["x", "x"])
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=task, request_id="x" * 129))
    named = {field.partition("[")[0] for field in violations(caught.value)}
    assert named == {"task.code", "task.title", "task.labels", "request_id"}


def test_a_request_without_its_message_is_refused(channel: grpc.Channel) -> None:
    for path, method in METHODS:
        if method.client_streaming or not method.name.startswith(("Create", "Update", "Add")):
            continue
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            channel.unary_unary(path, _raw, _raw)(b"", timeout=5)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("orchestration-project", "no spaces"),
        ("orchestration-project", "x" * 65),
        ("orchestration-session", "x" * 129),
        ("orchestration-agent", "x" * 129),
        ("orchestration-correlation-id", "x" * 129),
    ],
)
def test_metadata_that_breaks_its_rule_is_refused(tasks: TaskServiceStub, key: str, value: str) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        tasks.ListTasks(task_pb2.ListTasksRequest(), metadata=((key, value),))
    assert f"metadata.{key}" in violations(caught.value)


def test_a_postgres_that_is_away_is_unavailable_and_says_when_to_try_again(
    start_server: Callable[[str], Server], database_url: str
) -> None:
    """Here the database refuses new connections and ends those that are there."""
    server = start_server(database_url)
    admin = database_url.replace(_name(database_url), "postgres")
    name = sql.Identifier(_name(database_url))
    allow = sql.SQL("alter database {} allow_connections {}")
    end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"
    request = task_pb2.ListTasksRequest()
    with open_channel(server.address) as channel, psycopg.connect(admin, autocommit=True) as conn:
        stub = TaskServiceStub(channel)
        stub.ListTasks(request, timeout=5)
        conn.execute(allow.format(name, sql.SQL("false")))
        conn.execute(end, (_name(database_url),))
        with refused(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE") as caught:
            stub.ListTasks(request, timeout=5)
        assert "RetryInfo" in details(caught.value)
        conn.execute(allow.format(name, sql.SQL("true")))

        deadline = monotonic() + 2
        while True:
            try:
                stub.ListTasks(request, timeout=5)
                break
            except grpc.RpcError as error:
                if reason(error) != "DATABASE_UNAVAILABLE" or monotonic() > deadline:
                    raise


def _name(database_url: str) -> str:
    return database_url.removeprefix("postgresql:///").partition("?")[0]
