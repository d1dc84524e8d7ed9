"""What a server logs of its calls: who called what and how it ended, and nothing of what they held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.embedded.engines import Engines
from orchestration_server.rpc.server import SERVICES
from tests.conftest import open_channel
from tests.support import factories
from tests.support.waits import read_ready, turns

SECONDS = 30
CANARY = "canary-7f3a"
DEPTH = 3
WHO = (
    ("orchestration-project", "p"),
    ("orchestration-session", "s"),
    ("orchestration-agent", "a"),
    ("orchestration-correlation-id", "c"),
)
Start = Callable[..., str]
Line = dict[str, Any]


@pytest.fixture
def start(engines: Engines, database_url: str, tmp_path: Path) -> Iterator[Start]:
    """Runs `serve`, which logs to what is given; its address. It has ended with the test."""
    with ExitStack() as stack:

        def run(*arguments: str, log: int) -> str:
            ready = tmp_path / "ready"
            process = subprocess.Popen(
                [Path(sys.executable).with_name("orchestration"), "serve", "--address", "127.0.0.1:0",
                 "--ready-file", ready, *arguments],
                env={"DATABASE_URL": database_url, "REDIS_URL": engines.redis_url or ""},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )  # fmt: skip
            stack.callback(process.wait, SECONDS)
            stack.callback(process.terminate)
            return read_ready(process, ready, SECONDS)["address"]

        yield run


def until(log: Path, enough: Callable[[list[Line]], bool]) -> list[Line]:
    """The lines of a log, once there are enough: they are written a moment after their calls have ended."""
    for _ in turns(SECONDS):
        text = log.read_text()
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        if enough(lines):
            break
    return lines


def filled(kind: type[Message], depth: int = DEPTH) -> Message:
    """A message with the canary in each of its texts and bytes, down to a depth."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is not None and message.WhichOneof(oneof.name) is not None:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            with suppress(AttributeError, TypeError):
                getattr(message, field.name)[CANARY].string_value = CANARY
            continue
        if field.type == FieldDescriptor.TYPE_STRING:
            value: Any = CANARY
        elif field.type == FieldDescriptor.TYPE_BYTES:
            value = CANARY.encode()
        elif field.message_type is not None and depth:
            value = filled(GetMessageClass(field.message_type), depth - 1)  # type: ignore[arg-type]  # one of two names
        else:
            continue
        if field.is_repeated:
            getattr(message, field.name).append(value)
        elif isinstance(value, Message):
            getattr(message, field.name).CopyFrom(value)
        else:
            setattr(message, field.name, value)
    return message


def call_all(channel: grpc.Channel) -> list[str]:
    """Calls every rpc that takes one request; how each ended."""
    codes = []
    for service in SERVICES.values():
        for method in service.methods:
            if method.client_streaming or method.server_streaming:
                continue
            call: grpc.UnaryUnaryMultiCallable[Message, bytes] = channel.unary_unary(
                f"/{service.full_name}/{method.name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=None,
            )
            try:
                call(filled(GetMessageClass(method.input_type)), metadata=WHO, timeout=SECONDS)
                codes.append("OK")
            except grpc.RpcError as error:
                codes.append(error.code().name)
    return codes


def test_no_text_of_a_request_is_ever_logged(start: Start, database_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        address = start(
            "--log-calls", "all", "--log-level", "debug", "--slow-statement-seconds", "1e-9",
            "--workspace", str(tmp_path), log=file.fileno(),
        )  # fmt: skip
    with open_channel(address) as channel:
        task = factories.task(CANARY, title=CANARY, description=CANARY, labels=[CANARY])
        request = task_pb2.CreateTaskRequest(task=task, request_id=CANARY, sync_to_file=True)
        TaskServiceStub(channel).CreateTask(request, metadata=WHO)
        emit: grpc.StreamStreamMultiCallable[event_pb2.EmitEventsRequest, bytes] = channel.stream_stream(
            "/orchestration.v1.EventService/EmitEvents",
            request_serializer=event_pb2.EmitEventsRequest.SerializeToString,
            response_deserializer=None,
        )
        events = [factories.event(f"agents.{CANARY}", entity_code=CANARY, dedup_key=CANARY)] * 40
        messages = [
            event_pb2.EmitEventsRequest(events=events),
            event_pb2.EmitEventsRequest(request_id=CANARY),
        ]
        assert len(list(emit(iter(messages), metadata=WHO, timeout=SECONDS))) == 2
        before = call_all(channel)
        with psycopg.connect(database_url, autocommit=True) as conn:
            # Both make Postgres quote what it refuses.
            conn.execute("alter table requests add check (length(request_id) < 3) not valid")
            conn.execute("alter table tasks rename to elsewhere")
        after = call_all(channel)
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= set(before)
    assert "INTERNAL" in after
    calls = len(before) + len(after) + 2
    lines = until(log, lambda found: sum(line["event"].startswith("call") for line in found) >= calls)
    assert CANARY not in log.read_text()
    assert {"call", "call failed", "slow statement", "rpc failed"} <= {line["event"] for line in lines}
    traces = [line["exception"] for line in lines if line["event"] == "rpc failed"]
    assert any("UndefinedTable 42P01" in trace for trace in traces)
    known = next(line for line in lines if line.get("rpc") == "TaskService/CreateTask")
    assert known["seconds"] > 0
    assert known.items() >= {
        "project": "p", "session": "s", "agent": "a", "correlation_id": "c", "code": "OK", "event": "call",
    }.items()  # fmt: skip


def test_a_log_that_nobody_reads_holds_no_call_up(start: Start) -> None:
    read, write = os.pipe()
    address = start("--log-calls", "all", "--slow-statement-seconds", "1e-9", log=write)
    os.close(write)
    with open_channel(address) as channel:
        tasks = TaskServiceStub(channel)
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t")), timeout=SECONDS)
        # A line of each call and one of its statement: several times what a pipe holds.
        for _ in range(500):
            tasks.GetTask(task_pb2.GetTaskRequest(task_code="t"), timeout=SECONDS)
        # Now that somebody reads, nothing is missing.
        found = 0
        with os.fdopen(read, "rb") as reader:
            while found < 500:
                found += b'"TaskService/GetTask"' in reader.readline()
