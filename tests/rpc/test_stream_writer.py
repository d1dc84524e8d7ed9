"""The assumptions of rpc/stream_writer.py about private parts of grpcio.

If a test fails here after an upgrade of grpcio, compare grpc._server._send_response with the module.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from grpc._server import _RPCState

from orchestration_server.rpc.stream_writer import StreamWriter
from tests.conftest import open_channel
from tests.support.rpc_errors import must_be

SECONDS = 10
METHOD = "/test.Sending/Stream"
LARGE = b"x" * 12_000_000
"""More bytes than the transport takes of a stream whose client does not read."""


@dataclass
class Opened:
    """A call as the handler sees it."""

    context: grpc.ServicerContext
    end: Callable[[None], None]
    writer: StreamWriter
    taken: SimpleQueue[str] = field(default_factory=SimpleQueue)
    """The names of the threads that reported that a message was taken."""
    over: threading.Event = field(default_factory=threading.Event)

    def done(self) -> None:
        self.taken.put(threading.current_thread().name)

    def send(self, body: bytes) -> str:
        """Send a message and wait until it is taken. Return the name of the thread that reported it."""
        assert self.writer.send(body, self.done)
        return self.taken.get(timeout=SECONDS)


@dataclass
class Calls:
    """A server with one method, whose handler holds no thread."""

    server: grpc.Server
    open: Callable[[], tuple[Any, Opened]]

    def states(self) -> set[object]:
        found: set[object] = cast(Any, self.server)._state.rpc_states
        return found


@pytest.fixture
def calls() -> Iterator[Calls]:
    opened: SimpleQueue[Opened] = SimpleQueue()

    def handle(request: bytes, context: grpc.ServicerContext, end: Callable[[None], None]) -> None:
        found = Opened(context, end, StreamWriter(context))
        assert context.add_callback(found.over.set)
        opened.put(found)

    handle.experimental_non_blocking = True  # type: ignore[attr-defined]
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_stream_rpc_method_handler(handle)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(2))
        server = grpc.server(pool)
        generic = grpc.method_handlers_generic_handler("test.Sending", {"Stream": handler})
        server.add_generic_rpc_handlers((generic,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        stack.callback(lambda: server.stop(None).wait(SECONDS))
        channel = stack.enter_context(open_channel(f"127.0.0.1:{port}"))

        def start() -> tuple[Any, Opened]:
            rpc: Callable[..., Any] = channel.unary_stream(METHOD)
            call = rpc(b"", timeout=60)
            stack.callback(call.cancel)
            return call, opened.get(timeout=SECONDS)

        yield Calls(server, start)


def test_messages_arrive_in_order_and_then_the_status(calls: Calls) -> None:
    call, opened = calls.open()
    bodies = [b"%d" % number for number in range(500)]
    threads = {opened.send(body) for body in bodies}
    opened.context.set_trailing_metadata((("how", "well"),))
    opened.context.set_code(grpc.StatusCode.DATA_LOSS)
    opened.context.set_details("all was sent")
    opened.end(None)

    found = []
    with pytest.raises(grpc.RpcError) as caught:
        found.extend(call)
    must_be(caught.value, grpc.StatusCode.DATA_LOSS)
    assert found == bodies
    assert call.details() == "all was sent"
    assert dict(call.trailing_metadata())["how"] == "well"
    # One thread of grpc reports all of them, so the callback must not block it.
    assert len(threads) == 1
    assert threading.current_thread().name not in threads
    assert opened.over.wait(SECONDS)
    assert not opened.writer.send(b"late", opened.done)


def test_a_client_that_does_not_read_holds_no_thread(calls: Calls) -> None:
    call, opened = calls.open()
    assert opened.send(b"first")
    # The send returns although the client does not take the message.
    assert opened.writer.send(LARGE, opened.done)
    other, beside = calls.open()
    assert beside.send(b"beside")
    assert next(other) == b"beside"
    assert opened.taken.empty()

    assert next(call) == b"first"
    assert next(call) == LARGE
    assert opened.taken.get(timeout=SECONDS)
    opened.end(None)
    assert list(call) == []
    assert opened.over.wait(SECONDS)


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_call_that_is_cancelled_with_a_message_in_flight_leaves_nothing_behind(
    calls: Calls, who: str
) -> None:
    call, opened = calls.open()
    assert opened.send(b"first")
    assert opened.writer.send(LARGE, opened.done)
    assert opened.taken.empty()
    if who == "client":
        call.cancel()
    else:
        opened.context.cancel()
    # grpc drops the message, the call ends, and nothing more is taken.
    assert opened.taken.get(timeout=SECONDS)
    assert opened.over.wait(SECONDS)
    assert not opened.writer.send(b"late", opened.done)
    assert opened.taken.empty()
    if who == "server":
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        must_be(caught.value, grpc.StatusCode.CANCELLED)

    assert calls.server.stop(None).wait(SECONDS)
    assert calls.states() == set()


def test_a_server_that_stops_ends_calls_with_a_message_in_flight(calls: Calls) -> None:
    _, opened = calls.open()
    assert opened.writer.send(LARGE, opened.done)
    assert calls.server.stop(0.1).wait(SECONDS)
    assert opened.taken.get(timeout=SECONDS)
    assert calls.states() == set()


def test_a_batch_that_grpc_refuses_leaves_no_token_due() -> None:
    state: Any = _RPCState()  # type: ignore[no-untyped-call]  # grpcio's own
    event = SimpleNamespace(call=SimpleNamespace(start_server_batch=lambda operations, tag: 8))
    context = cast(Any, SimpleNamespace(_rpc_event=event, _state=state))
    with pytest.raises(RuntimeError, match="error 8"):
        StreamWriter(context).send(b"", lambda: None)
    assert state.due == set()
