"""The assumptions of rpc/executor.py and rpc/pending_call.py about private parts of grpcio.

If a test fails here after an upgrade of grpcio, compare grpc._server._unary_request with rpc/pending_call.py.
"""

from __future__ import annotations  # grpc's classes take type arguments in its stubs alone

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, cast

import grpc
import pytest

from orchestration_server.rpc.executor import TOO_MUCH, RequestExecutor
from orchestration_server.rpc.pending_call import FAILED, NO_MESSAGE, NOT_READ, RETRY_SECONDS
from orchestration_server.telemetry import metrics
from tests.conftest import open_channel
from tests.support.rpc_errors import details, refused

SECONDS = 10
ECHO = "Receiving/Echo"
THREADS = 2
WAITING = 10_000
"""Bytes of requests that may wait for a thread."""
WAITING_CALLS = 30
SILENT = 20
"""Calls that send nothing: many more than the pool has threads."""


@dataclass
class Calls:
    """A server with the methods Echo, which can be blocked, Stream, and Picky, which parses no request."""

    server: grpc.Server
    channel: grpc.Channel
    entered: SimpleQueue[str]
    """The name of the thread of each call whose handler ran."""
    go_on: threading.Event

    def method(self, name: str) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
        return self.channel.unary_unary(f"/test.Receiving/{name}")

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Block every thread of the pool in a call of Echo until the end of the block."""
        self.go_on.clear()
        echo = self.method("Echo")
        held = [echo.future(b"held", timeout=SECONDS) for _ in range(THREADS)]
        for _ in held:
            self.entered.get(timeout=SECONDS)
        try:
            yield
        finally:
            self.go_on.set()
        assert [call.result() for call in held] == [b"held"] * THREADS

    def silent(self, messages: Iterator[bytes]) -> Any:
        """Start a call of Echo that sends these messages, as a client that takes Echo for a stream."""
        call: grpc.StreamUnaryMultiCallable[bytes, bytes]
        call = self.channel.stream_unary("/test.Receiving/Echo")
        return call.future(messages, timeout=SECONDS)

    def state(self) -> Any:
        return cast(Any, self.server)._state

    def wait_for_none(self) -> None:
        """Wait until the server has forgotten every call."""
        self.wait_for(0)
        self.wait_for(0, active=True)

    def wait_for(self, calls: int, *, active: bool = False) -> None:
        """Wait until the server knows `calls` calls, or counts `calls` of them as active."""
        settled = threading.Event()
        state = self.state()
        for _ in range(SECONDS * 100):
            with state.lock:
                if (state.active_rpc_count if active else len(state.rpc_states)) == calls:
                    return
            settled.wait(0.01)
        raise AssertionError(f"{len(state.rpc_states)} calls, {state.active_rpc_count} active")


def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
    raise ValueError(request)


def abort(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.set_trailing_metadata((("why", "told"),))
    context.abort(grpc.StatusCode.ABORTED, "told to")
    raise AssertionError("abort raises")


def unread(body: bytes) -> bytes:
    raise ValueError(body)


@pytest.fixture
def calls() -> Iterator[Calls]:
    with serving() as found:
        yield found


@contextmanager
def serving(waiting_seconds: float = SECONDS, receive_seconds: float = SECONDS) -> Iterator[Calls]:
    """Run a server with these limits on the wait for a thread and on the time to send a request."""
    entered: SimpleQueue[str] = SimpleQueue()
    go_on = threading.Event()
    go_on.set()

    def echo(request: bytes, context: grpc.ServicerContext) -> bytes:
        entered.put(threading.current_thread().name)
        assert go_on.wait(SECONDS)
        return request

    echo.calls = metrics.rpc(ECHO)  # type: ignore[attr-defined]  # as the interceptor does

    def stream(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        entered.put(threading.current_thread().name)
        yield from [request] * 3

    with ExitStack() as stack:
        pool = RequestExecutor(
            THREADS,
            name="unary",
            waiting_calls=WAITING_CALLS,
            waiting_bytes=WAITING,
            waiting_seconds=waiting_seconds,
            receive_seconds=receive_seconds,
        )
        stack.callback(pool.shutdown)
        pool.start()
        server = grpc.server(pool)
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Echo": grpc.unary_unary_rpc_method_handler(echo),
            "Stream": grpc.unary_stream_rpc_method_handler(stream),
            "Fail": grpc.unary_unary_rpc_method_handler(fail),
            "Abort": grpc.unary_unary_rpc_method_handler(abort),
            "Picky": grpc.unary_unary_rpc_method_handler(echo, request_deserializer=unread),
        }
        server.add_registered_method_handlers("test.Receiving", handlers)
        generic = grpc.method_handlers_generic_handler("test.Receiving", handlers)
        server.add_generic_rpc_handlers((generic,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        stack.callback(lambda: server.stop(None).wait(SECONDS))
        channel = stack.enter_context(open_channel(f"127.0.0.1:{port}"))
        yield Calls(server, channel, entered, go_on)


def held_back(release: threading.Event) -> Iterator[bytes]:
    """Return a stream without a message that ends when it is released."""
    release.wait(SECONDS)
    yield from ()


def failed(call: Callable[[], object]) -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error = cast(grpc.Call, caught.value)
    return error.code(), error.details()


def test_a_handler_runs_on_a_thread_of_the_pool(calls: Calls) -> None:
    assert calls.method("Echo")(b"hello", timeout=SECONDS) == b"hello"
    assert calls.entered.get().startswith("unary-")
    calls.wait_for_none()


def test_a_handler_of_a_server_stream_runs_on_a_thread_of_the_pool(calls: Calls) -> None:
    call: grpc.UnaryStreamMultiCallable[bytes, bytes] = calls.channel.unary_stream("/test.Receiving/Stream")
    assert list(call(b"hello", timeout=SECONDS)) == [b"hello"] * 3
    assert calls.entered.get().startswith("unary-")
    calls.wait_for_none()


def test_calls_that_send_nothing_hold_no_thread(calls: Calls) -> None:
    release = threading.Event()
    silent = [calls.silent(held_back(release)) for _ in range(SILENT)]
    assert calls.method("Echo")(b"hello", timeout=SECONDS) == b"hello"
    release.set()
    for call in silent:
        assert failed(call.result) == (grpc.StatusCode.UNIMPLEMENTED, NO_MESSAGE.decode())
    calls.wait_for_none()


def test_calls_that_are_cancelled_before_they_send_leave_nothing_behind(calls: Calls) -> None:
    release = threading.Event()
    silent = [calls.silent(held_back(release)) for _ in range(SILENT)]
    # The server has seen all of them: they came before this call on the same connection.
    assert calls.method("Echo")(b"hello", timeout=SECONDS) == b"hello"
    for call in silent:
        call.cancel()
    release.set()
    calls.wait_for_none()


def test_calls_that_are_cancelled_while_they_wait_for_a_thread_leave_nothing_behind(calls: Calls) -> None:
    with calls.hold():
        echo = calls.method("Echo")
        waiting = [echo.future(b"waiting", timeout=SECONDS) for _ in range(SILENT)]
        for call in waiting:
            call.cancel()
        # The server refuses this call without a thread, so it has seen the cancellations sent before.
        assert failed(lambda: calls.method("None")(b"", timeout=SECONDS))[0] == grpc.StatusCode.UNIMPLEMENTED
        calls.wait_for(THREADS)
    calls.wait_for_none()
    assert calls.entered.empty(), "a handler ran for a cancelled call"


def test_the_bytes_of_waiting_requests_are_bounded(calls: Calls) -> None:
    echo = calls.method("Echo")
    with calls.hold():
        fits = echo.future(bytes(WAITING), timeout=SECONDS)
        with refused(
            grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", TOO_MUCH.details.decode()
        ) as caught:
            echo(b"one more", timeout=SECONDS)
        assert details(caught.value)["RetryInfo"].retry_delay.ToTimedelta().total_seconds() == RETRY_SECONDS
    assert len(fits.result()) == WAITING
    assert len(echo(bytes(WAITING), timeout=SECONDS)) == WAITING
    calls.wait_for_none()


def test_the_number_of_waiting_calls_is_bounded(calls: Calls) -> None:
    echo = calls.method("Echo")
    ended: SimpleQueue[Any] = SimpleQueue()
    with calls.hold():
        many = [echo.future(b"many", timeout=SECONDS) for _ in range(WAITING_CALLS + SILENT)]
        for call in many:
            call.add_done_callback(ended.put)
        # No thread is free, so the calls that end now were refused without one.
        for _ in range(SILENT):
            call = ended.get(timeout=SECONDS)
            with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS") as caught:
                call.result()
            assert "RetryInfo" in details(caught.value)
        assert ended.empty()
    assert Counter(call.code() for call in many) == {
        grpc.StatusCode.OK: WAITING_CALLS,
        grpc.StatusCode.RESOURCE_EXHAUSTED: SILENT,
    }
    calls.wait_for_none()


def test_the_number_of_calls_without_their_request_is_bounded(calls: Calls) -> None:
    release, ended = threading.Event(), SimpleQueue[Any]()
    silent = [calls.silent(held_back(release)) for _ in range(WAITING_CALLS + THREADS + SILENT)]
    for call in silent:
        call.add_done_callback(ended.put)
    for _ in range(SILENT):
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS"):
            ended.get(timeout=SECONDS).result()
    assert ended.empty()
    release.set()
    codes = Counter(call.exception().code() for call in silent)
    assert codes[grpc.StatusCode.UNIMPLEMENTED] == WAITING_CALLS + THREADS
    calls.wait_for_none()
    assert calls.method("Echo")(b"hello", timeout=SECONDS) == b"hello"


def test_a_call_that_does_not_send_in_time_is_refused() -> None:
    with serving(receive_seconds=0.1) as calls:
        release = threading.Event()
        silent = [calls.silent(held_back(release)) for _ in range(SILENT)]
        for call in silent:
            with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "SENT_TOO_SLOWLY"):
                call.result()
        release.set()
        calls.wait_for_none()
        assert calls.method("Echo")(b"hello", timeout=SECONDS) == b"hello"


def test_a_call_that_waits_too_long_is_refused_while_all_threads_are_held() -> None:
    with serving(waiting_seconds=0.1) as calls:
        echo = calls.method("Echo")
        with calls.hold():
            late = [echo.future(b"late") for _ in range(SILENT)]
            for call in late:
                with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "WAITED_TOO_LONG") as caught:
                    call.result()
                assert "RetryInfo" in details(caught.value)
            calls.wait_for(THREADS)
        assert echo(b"hello", timeout=SECONDS) == b"hello"
        calls.wait_for_none()
        assert calls.entered.qsize() == 1, "a handler ran for a refused call"


def test_calls_that_end_before_their_handler_runs_are_counted(calls: Calls) -> None:
    def counted(code: str) -> float:
        labels = {"rpc": ECHO, "code": code}
        return metrics.REGISTRY.get_sample_value("orchestration_rpc_calls_total", labels) or 0.0

    refused, left = counted("RESOURCE_EXHAUSTED"), counted("CANCELLED")
    echo = calls.method("Echo")
    with calls.hold():
        waiting = echo.future(bytes(WAITING), timeout=SECONDS)
        # This call is refused, so the one before is in the queue.
        failed(lambda: echo(b"one more", timeout=SECONDS))
        waiting.cancel()
        calls.wait_for(THREADS)
    calls.wait_for_none()
    assert counted("RESOURCE_EXHAUSTED") == refused + 1
    assert counted("CANCELLED") == left + 1


def test_a_request_that_cannot_be_parsed_fails_alone(calls: Calls) -> None:
    picky = calls.method("Picky")
    for _ in range(THREADS + 1):
        found = failed(lambda: picky(b"?", timeout=SECONDS))
        assert found == (grpc.StatusCode.INTERNAL, NOT_READ.decode())
    assert calls.method("Echo")(b"hello", timeout=SECONDS) == b"hello"
    calls.wait_for_none()


def test_a_handler_that_fails_gives_the_client_no_details(calls: Calls) -> None:
    found = failed(lambda: calls.method("Fail")(b"secret", timeout=SECONDS))
    assert found == (grpc.StatusCode.UNKNOWN, FAILED.decode())
    calls.wait_for_none()


def test_a_handler_that_aborts_sets_the_status(calls: Calls) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        calls.method("Abort")(b"", timeout=SECONDS)
    error = cast(grpc.Call, caught.value)
    assert (error.code(), error.details()) == (grpc.StatusCode.ABORTED, "told to")
    assert ("why", "told") in [tuple(pair) for pair in error.trailing_metadata() or ()]
    calls.wait_for_none()


def test_a_shutdown_waits_for_running_calls() -> None:
    entered, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
        entered.set()
        assert go_on.wait(SECONDS)
        return request

    pool = RequestExecutor(1, name="only")
    pool.start()
    server = grpc.server(pool)
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]]
    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(handle)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Receiving", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def end() -> None:
        server.stop(SECONDS).wait(SECONDS)
        pool.shutdown()
        ended.set()

    with open_channel(f"127.0.0.1:{port}") as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Receiving/Echo")
        answer = call.future(b"hello", timeout=SECONDS)
        assert entered.wait(SECONDS)
        ending = threading.Thread(target=end)
        ending.start()
        assert not ended.wait(0.05)
        go_on.set()
        assert answer.result() == b"hello"
        ending.join(SECONDS)
    assert ended.is_set()
    assert not [t for t in threading.enumerate() if t.name == "only-0"]
