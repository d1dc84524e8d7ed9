"""The cost of a call before its caller is known, and of any request."""

from __future__ import annotations

import gzip
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from orchestration.v1 import event_pb2, session_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.auth.api_keys import new_key
from orchestration_server.telemetry import metrics
from orchestration_server.validation import request_parser
from tests.conftest import open_channel
from tests.support import factories
from tests.support.credentials import Reads, bearer, make_key, revoke
from tests.support.rpc_errors import Metadata, refused
from tests.support.waits import turns

SECONDS = 20
INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
GET = "/orchestration.v1.TaskService/GetTask"
BATCH = "/orchestration.v1.TaskService/BatchCreateTasks"
EMIT = "/orchestration.v1.EventService/EmitEvents"
EMPTY_TASKS = b"\x0a\x02\x0a\x00"
MILLIONS = EMPTY_TASKS * (4_000_000)


class Parsed:
    """Counts the requests that are parsed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.requests = 0
        make = request_parser.Parser.__init__

        def init(parser: request_parser.Parser, message: type[Message], *given: Any, **named: Any) -> None:
            make(parser, message, *given, **named)
            inner: Any = parser._parse

            def parse(body: bytes) -> Any:
                self.requests += 1
                return inner(body)

            vars(parser)["_parse"] = parse

        monkeypatch.setattr(request_parser.Parser, "__init__", init)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Parsed:
    return Parsed(monkeypatch)


@pytest.fixture
def serve(start_app: Callable[..., App]) -> Iterator[Callable[..., grpc.Channel]]:
    with ExitStack() as stack:

        def start(compression: grpc.Compression | None = None, **settings: Any) -> grpc.Channel:
            app = start_app(**settings)
            if compression is None:
                return stack.enter_context(open_channel(app.address))
            options = [("grpc.max_send_message_length", 64 << 20)]
            return stack.enter_context(grpc.insecure_channel(app.address, options, compression=compression))

        yield start


def raw(channel: grpc.Channel, path: str, body: bytes, metadata: Metadata = ()) -> bytes:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    return call(body, metadata=metadata, timeout=SECONDS)


def silent(channel: grpc.Channel, path: str, metadata: Metadata = ()) -> Any:
    """A call that opens and sends nothing until a test ends it."""
    ending = threading.Event()

    def nothing() -> Iterator[bytes]:
        ending.wait(SECONDS)
        yield from ()

    call: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(path)
    future: Any = call.future(nothing(), metadata=metadata, timeout=SECONDS)
    future.add_done_callback(lambda _: ending.set())
    return future


@pytest.mark.parametrize("path", [GET, BATCH, "/orchestration.v1.AdminService/GetStorageStats"])
def test_a_call_without_a_credential_is_refused_before_its_request_arrives(
    serve: Callable[..., grpc.Channel], parsed: Parsed, path: str
) -> None:
    channel = serve(auth="required")
    with refused(UNAUTHENTICATED, "CREDENTIALS_MISSING"):
        silent(channel, path).result()
    with refused(UNAUTHENTICATED, "CREDENTIALS_MISSING"):
        raw(channel, path, MILLIONS[: 1 << 20])
    assert parsed.requests == 0


@pytest.mark.parametrize(
    "header", ["Bearer " + new_key()[1], "Bearer x", "nothing"], ids=["key", "word", "scheme"]
)
def test_a_call_with_an_unknown_credential_is_refused_before_its_request_arrives(
    serve: Callable[..., grpc.Channel], parsed: Parsed, header: str
) -> None:
    channel = serve(auth="required")
    with refused(UNAUTHENTICATED, "CREDENTIALS_INVALID"):
        silent(channel, BATCH, (("authorization", header),)).result()
    assert parsed.requests == 0


def test_a_revoked_key_is_refused_before_its_request_arrives(
    serve: Callable[..., grpc.Channel], database_url: str, parsed: Parsed
) -> None:
    channel, key = serve(auth="required"), make_key(database_url)
    with refused(grpc.StatusCode.NOT_FOUND):
        raw(channel, GET, task_pb2.GetTaskRequest(task_code="a").SerializeToString(), bearer(key))
    assert parsed.requests == 1
    revoke(database_url, key)
    end = threading.Event()
    for _ in range(SECONDS * 10):
        call = silent(channel, GET, bearer(key))
        try:
            call.result(timeout=0.2)
        except grpc.FutureTimeoutError:
            # The server does not know of the revocation yet, so it waits for the request.
            call.cancel()
        except grpc.RpcError:
            break
        end.wait(0.1)
    with refused(UNAUTHENTICATED, "KEY_REVOKED"):
        silent(channel, GET, bearer(key)).result()
    assert parsed.requests == 1


def test_a_new_key_is_looked_up_once_and_then_its_request_is_received(
    serve: Callable[..., grpc.Channel], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, key, reads = serve(auth="required"), make_key(database_url), Reads(monkeypatch)
    request = task_pb2.ListTasksRequest()
    tasks = TaskServiceStub(channel)
    assert not tasks.ListTasks(request, metadata=bearer(key), timeout=SECONDS).tasks
    before = reads.count
    assert not tasks.ListTasks(request, metadata=bearer(key), timeout=SECONDS).tasks
    assert reads.count <= before + 1, "looked at by the one that looks again at keys in use, at the most"


def test_calls_refused_before_their_request_arrives_are_counted(serve: Callable[..., grpc.Channel]) -> None:
    def counted(name: str, **labels: str) -> float:
        return metrics.REGISTRY.get_sample_value(f"orchestration_{name}_total", labels) or 0.0

    def both() -> tuple[float, float]:
        return (
            counted("rpc_calls", rpc="TaskService/GetTask", code="UNAUTHENTICATED"),
            counted("rpc_refused", reason="CREDENTIALS_MISSING"),
        )

    channel = serve(auth="required")
    calls, refusals = both()
    with refused(UNAUTHENTICATED):
        raw(channel, GET, b"")
    # The answer comes before it is counted.
    for _ in turns(SECONDS):
        if both() >= (calls + 1, refusals + 1):
            break
    assert both() == (calls + 1, refusals + 1)


@pytest.mark.parametrize("auth", ["required", "open"])
def test_a_decompression_bomb_is_refused_unparsed(
    serve: Callable[..., grpc.Channel], database_url: str, parsed: Parsed, auth: str
) -> None:
    channel = serve(grpc.Compression.Gzip, auth=auth)
    metadata = bearer(make_key(database_url)) if auth == "required" else ()
    with refused(INVALID, "REQUEST_TOO_LARGE"):
        raw(channel, BATCH, MILLIONS, metadata)
    assert parsed.requests == 0


def test_too_many_items_are_refused_unparsed_even_uncompressed(
    serve: Callable[..., grpc.Channel], parsed: Parsed
) -> None:
    channel = serve()
    for count in (1_001, 5_000):
        with refused(INVALID, "INVALID_ARGUMENT", "tasks"):
            raw(channel, BATCH, EMPTY_TASKS * count)
    assert parsed.requests == 1, "what is small costs little to parse; the answer is the same"


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.NoCompression])
def test_a_compressed_request_is_accepted(
    serve: Callable[..., grpc.Channel], compression: grpc.Compression
) -> None:
    channel = serve(compression)
    tasks, events = TaskServiceStub(channel), EventServiceStub(channel)
    text = os.urandom(6_000).hex()
    made = tasks.CreateTask(
        task_pb2.CreateTaskRequest(task=factories.task("a", description=text)), timeout=SECONDS
    )
    assert made.task.description == text
    message = event_pb2.EmitEventsRequest(request_id="r", events=[factories.event() for _ in range(400)])
    answers = list(events.EmitEvents(iter([message]), timeout=SECONDS))
    assert answers[0].stored == 400


def test_deflate_is_refused(serve: Callable[..., grpc.Channel]) -> None:
    channel = serve(grpc.Compression.Deflate)
    with refused(grpc.StatusCode.UNIMPLEMENTED):
        raw(channel, GET, task_pb2.GetTaskRequest(task_code="a" * 100).SerializeToString())


@pytest.mark.parametrize(
    "body",
    [
        b"\x1f\x8b",
        gzip.compress(b"\x0a\x01a")[:-1],
        gzip.compress(b"\x0a\x01a") + b"x",
        b"\x1f\x8b" + zlib.compress(b"\x0a\x01a"),
    ],
    ids=["nothing", "cut", "more", "zlib"],
)
def test_what_only_looks_compressed_is_refused(serve: Callable[..., grpc.Channel], body: bytes) -> None:
    with refused(INVALID, "UNPARSABLE"):
        raw(serve(), GET, body)


def test_each_rpc_has_a_limit_of_bytes_from_its_fields(
    serve: Callable[..., grpc.Channel], parsed: Parsed
) -> None:
    channel = serve()
    for body in (b"\x0a\x80\x20" + b"a" * 4_096, gzip.compress(b"\x0a\x80\x20" + b"a" * 4_096)):
        with refused(INVALID, "REQUEST_TOO_LARGE", "at most 1,024 bytes"):
            raw(channel, GET, body)
    assert parsed.requests == 0


def test_a_message_of_a_stream_is_refused_alone(serve: Callable[..., grpc.Channel], parsed: Parsed) -> None:
    channel = serve()
    good = event_pb2.EmitEventsRequest(request_id="good", events=[factories.event()])
    many = event_pb2.EmitEventsRequest.DESCRIPTOR.fields_by_name["events"].number << 3 | 2
    bombs = [bytes([many, 0]) * 100_000, gzip.compress(bytes([many, 0]) * 4_000_000, 9)]
    call: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(EMIT)
    answers = [
        event_pb2.EmitEventsResponse.FromString(answer)
        for answer in call(iter([*bombs, good.SerializeToString()]), timeout=SECONDS)
    ]
    reasons = [answer.error.reason for answer in answers]
    assert reasons == ["INVALID_ARGUMENT", "REQUEST_TOO_LARGE", ""]
    assert parsed.requests == 1


def test_json_with_too_many_values_is_refused_unparsed(
    serve: Callable[..., grpc.Channel], parsed: Parsed
) -> None:
    channel = serve()
    number = task_pb2.Task.DESCRIPTOR.fields_by_name["metadata"].number
    nulls = field(6, field(1, b"\x08\x00") * 200_000)
    task = field(1, field(number, field(1, b"\x0a\x01k" + field(2, nulls))))
    with refused(INVALID, "REQUEST_TOO_COMPLEX"):
        raw(channel, BATCH, field(1, task) * 4)
    assert parsed.requests == 0


def test_json_nested_too_deeply_is_refused(serve: Callable[..., grpc.Channel]) -> None:
    channel = serve()
    number = session_pb2.LogActivityRequest.DESCRIPTOR.fields_by_name["payload"].number
    for depth in (20, 40, 5_000):
        deep = b"\x08\x00"
        for _ in range(depth):
            deep = field(6, field(1, deep))
        entry = field(1, b"\x0a\x01k" + field(2, deep))
        with refused(INVALID):
            raw(channel, "/orchestration.v1.SessionService/LogActivity", field(number, entry))


def field(number: int, body: bytes) -> bytes:
    """Return a field of bytes in the wire format."""
    size, prefix = len(body), bytearray()
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *prefix, size]) + body


def test_calls_that_send_nothing_give_way_to_one_that_sends(
    serve: Callable[..., grpc.Channel], start_app: Callable[..., App]
) -> None:
    app = start_app(threads=2, waiting_calls=8)
    with ExitStack() as stack:
        quiet = [stack.enter_context(open_channel(app.address)) for _ in range(2)]
        calls = [silent(channel, GET) for channel in quiet for _ in range(5)]
        good = stack.enter_context(open_channel(app.address))
        for _ in range(20):
            with refused(grpc.StatusCode.NOT_FOUND):
                raw(good, GET, task_pb2.GetTaskRequest(task_code="a").SerializeToString())
        for call in calls:
            call.cancel()


def test_a_connection_has_a_limit_of_open_calls(serve: Callable[..., grpc.Channel]) -> None:
    channel = serve(connection_calls=5)
    # Calls that are opened before there is a connection are sent in any order.
    grpc.channel_ready_future(channel).result(timeout=SECONDS)
    open_calls = [silent(channel, GET) for _ in range(5)]
    request = task_pb2.GetTaskRequest(task_code="a").SerializeToString()
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(GET)
    later: Any = call.future(request, timeout=SECONDS)
    with pytest.raises(grpc.FutureTimeoutError):
        later.result(timeout=0.05)
    open_calls[0].cancel()
    with refused(grpc.StatusCode.NOT_FOUND):
        later.result()
    for one in open_calls:
        one.cancel()
