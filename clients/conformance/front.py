"""A gRPC server in front of the ledger that records each call and injects faults."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message

from clients.conformance.faults import CODES, Fault, Faults
from clients.conformance.protos import Rpc, decode, from_json, rpc_of_path
from clients.conformance.recording import RecordedCall, Recorder

DETAILS = "grpc-status-details-bin"
MAX_BYTES = 64 * 1024 * 1024
OPTIONS = [
    ("grpc.max_receive_message_length", MAX_BYTES),
    ("grpc.max_send_message_length", MAX_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]
SERVER_OPTIONS = [
    *OPTIONS,
    ("grpc.so_reuseport", 0),
    # Clients may send pings as often as they like: the ledger allows it, too.
    ("grpc.http2.min_ping_interval_without_data_ms", 1),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
]
STREAMS = 48
"""The most calls at once of one case."""


def open_upstream(address: str) -> grpc.Channel:
    """Open the channel to the ledger, which forwards bytes."""
    return grpc.insecure_channel(address, OPTIONS)


class Front:
    """A server on a free port of loopback. All fronts of a case share its faults and its recorder."""

    def __init__(
        self,
        upstream: grpc.Channel,
        faults: Faults,
        recorder: Recorder,
        cut: Callable[[], None],
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self._pool = ThreadPoolExecutor(STREAMS)
        self._server = grpc.server(
            self._pool, handlers=[_Handlers(upstream, faults, recorder, cut)], options=SERVER_OPTIONS
        )
        if credentials is None:
            port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.address = f"127.0.0.1:{port}"
        self._server.start()

    def stop(self, grace: float) -> threading.Event:
        """Send GOAWAY, and end the remaining calls after the grace. Return what is set at the end."""
        return self._server.stop(grace)


class _Handlers(grpc.GenericRpcHandler):
    """The handlers of all rpcs, on bytes."""

    def __init__(
        self, upstream: grpc.Channel, faults: Faults, recorder: Recorder, cut: Callable[[], None]
    ) -> None:
        # Typed as Any: the types of grpc ask for messages, and here all are bytes.
        self._upstream: Any
        self._upstream, self._faults, self._recorder, self._cut = upstream, faults, recorder, cut

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        rpc = rpc_of_path(handler_call_details.method)
        if rpc is None:
            return None
        if rpc.request_stream:
            return grpc.stream_stream_rpc_method_handler(
                lambda requests, context: self._both(rpc, requests, context)
            )
        if rpc.response_stream:
            return grpc.unary_stream_rpc_method_handler(
                lambda request, context: self._server_stream(rpc, request, context)
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._unary(rpc, request, context)
        )

    def _unary(self, rpc: Rpc, request: bytes, context: grpc.ServicerContext) -> bytes:
        call, gone = self._record(rpc, context)
        call.sent.append(request)
        self._recorder.add(call)
        fault = self._faults.take(rpc.name)
        if fault is None:
            answer = self._forward(call, request, context)
            self._end(call, "OK")
            return answer
        answer = b""
        if fault.after:
            answer = self._forward(call, request, context)
        gone.wait(fault.delay)
        if fault.hang:
            gone.wait()
            return answer
        if not fault.after and not (fault.code or fault.cut or fault.reply is not None):
            answer = self._forward(call, request, context)
        if fault.cut:
            self._end(call, "CUT")
            self._cut()
        if fault.code:
            self._abort(call, fault, context)
        if fault.reply is not None:
            answer = from_json(rpc.response, dict(fault.reply)).SerializeToString()
        if fault.patch is not None:
            answer = patched(rpc.response, answer, fault.patch)
        self._end(call, "OK")
        return answer

    def _forward(self, call: RecordedCall, request: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            answer = self._upstream.unary_unary(call.rpc.path).future(
                request, timeout=call.deadline, metadata=_passed_on(context)
            )
            if not context.add_callback(answer.cancel):
                answer.cancel()
            found: bytes = answer.result()
        except grpc.FutureCancelledError:
            context.abort(grpc.StatusCode.CANCELLED, "the client left")
        except grpc.RpcError as error:
            self._pass_error(call, error, context)
        else:
            return found

    def _server_stream(self, rpc: Rpc, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        call, gone = self._record(rpc, context)
        call.sent.append(request)
        self._recorder.add(call)
        fault = self._faults.take(rpc.name)
        if fault is not None and fault.delay:
            gone.wait(fault.delay)
        if fault is not None and fault.replies is not None:
            for reply in fault.replies:
                yield from_json(rpc.response, dict(reply)).SerializeToString()
        elif fault is None or fault.messages != 0:
            stream = self._upstream.unary_stream(rpc.path)(
                request, timeout=call.deadline, metadata=_passed_on(context)
            )
            yield from self._pass_messages(call, stream, fault, context)
        self._end_stream(call, fault, gone, context)

    def _both(self, rpc: Rpc, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        call, gone = self._record(rpc, context)
        self._recorder.add(call)
        fault = self._faults.take(rpc.name)
        received = self._received(call, requests)
        if fault is not None and fault.replies is not None:
            for reply, message in zip(fault.replies, received, strict=False):
                yield _answer_to(rpc, message, reply)
        elif fault is None or fault.messages != 0:
            stream = self._upstream.stream_stream(rpc.path)(
                received, timeout=call.deadline, metadata=_passed_on(context)
            )
            if fault is not None and fault.delay:
                gone.wait(fault.delay)
            yield from self._pass_messages(call, stream, fault, context)
        elif fault.ends_stream:
            next(received, None)
        self._end_stream(call, fault, gone, context)

    def _received(self, call: RecordedCall, requests: Iterator[bytes]) -> Iterator[bytes]:
        def note(message: bytes) -> None:
            call.sent.append(message)
            call.most_waiting = max(call.most_waiting, len(call.sent) - call.answered)

        try:
            for message in requests:
                self._recorder.note(lambda m=message: note(m))  # type: ignore[misc]
                yield message
        except Exception:  # the client left: grpc raises a bare Exception
            return

    def _pass_messages(
        self, call: RecordedCall, stream: Any, fault: Fault | None, context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        left = None if fault is None or fault.messages is None else fault.messages
        if not context.add_callback(stream.cancel):
            stream.cancel()
        try:
            for message in stream:
                call.answered += 1
                yield message
                if left is not None and call.answered >= left:
                    stream.cancel()
                    return
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.CANCELLED and call.left:
                return
            self._pass_error(call, error, context)

    def _end_stream(
        self, call: RecordedCall, fault: Fault | None, gone: threading.Event, context: grpc.ServicerContext
    ) -> None:
        if fault is not None and fault.hang:
            gone.wait()
        if fault is not None and fault.cut:
            self._end(call, "CUT")
            self._cut()
        if fault is not None and fault.code:
            self._abort(call, fault, context)
        self._end(call, "OK")

    def _record(self, rpc: Rpc, context: grpc.ServicerContext) -> tuple[RecordedCall, threading.Event]:
        call = RecordedCall(rpc, context.invocation_metadata(), context.time_remaining())
        gone = threading.Event()

        def leave() -> None:
            def note() -> None:
                call.left = not call.code
                call.code = call.code or "LEFT"

            self._recorder.note(note)
            gone.set()

        context.add_callback(leave)
        return call, gone

    def _end(self, call: RecordedCall, code: str) -> None:
        def note() -> None:
            call.code = call.code or code

        self._recorder.note(note)

    def _abort(self, call: RecordedCall, fault: Fault, context: grpc.ServicerContext) -> NoReturn:
        self._end(call, fault.code)
        status = fault.status()
        if fault.broken_details:
            context.set_trailing_metadata(((DETAILS, b"\xff\xfe\xfd no status"),))
        elif status.details:
            context.set_trailing_metadata(((DETAILS, status.SerializeToString()),))
        context.abort(CODES[fault.code], fault.message)

    def _pass_error(
        self, call: RecordedCall, error: grpc.RpcError, context: grpc.ServicerContext
    ) -> NoReturn:
        code, text = error.code(), error.details()
        trailing: Any = tuple(error.trailing_metadata() or ())
        self._end(call, code.name)
        context.set_trailing_metadata(trailing)
        context.abort(code, text or "")


def _passed_on(context: grpc.ServicerContext) -> Any:
    """Return the metadata of a call that goes on to the ledger."""
    return tuple(
        (key, value)
        for key, value in context.invocation_metadata()
        if key != "user-agent" and not key.startswith("grpc-")
    )


def _answer_to(rpc: Rpc, message: bytes, reply: Mapping[str, Any]) -> bytes:
    request_id = decode(rpc.request, message)["requestId"]
    return from_json(rpc.response, {"requestId": request_id, **reply}).SerializeToString()


def patched(kind: type[Message], answer: bytes, patch: Mapping[str, Any]) -> bytes:
    """Return an answer with parts replaced. An object of the patch applies to all items of a list."""
    value = json_format.MessageToDict(kind.FromString(answer))
    _merge(value, patch)
    return from_json(kind, value).SerializeToString()


def _merge(value: dict[str, Any], patch: Mapping[str, Any]) -> None:
    for key, new in patch.items():
        old = value.get(key)
        if isinstance(new, Mapping) and isinstance(old, list):
            for item in old:
                _merge(item, new)
        elif isinstance(new, Mapping) and isinstance(old, dict):
            _merge(old, new)
        else:
            value[key] = new
