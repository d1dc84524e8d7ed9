"""What is added to every call: who calls, the caller's trace, a deadline, and a request_id."""

from __future__ import annotations

import sys
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from grpc import aio

RequestT = TypeVar("RequestT")

Metadata = tuple[tuple[str, str], ...]


def new_request_id() -> str:
    """Returns an id that names one mutation, for its retries."""
    return uuid.uuid4().hex


def with_request_id(request: RequestT) -> RequestT:
    """Returns the request, or where it has an empty request_id a copy with one made."""
    if not isinstance(request, Message) or "request_id" not in request.DESCRIPTOR.fields_by_name:
        return request
    if getattr(request, "request_id"):  # noqa: B009 - a field that only some messages have
        return request
    copy = type(request)()
    copy.CopyFrom(request)
    setattr(copy, "request_id", new_request_id())  # noqa: B010 - as above
    return copy


@dataclass
class _Details(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class CallInterceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds metadata to every call, and a deadline and a request_id to a unary one.

    What the call itself gives wins. The messages of a stream are left as they are: their caller
    knows the answers by their ids.
    """

    def __init__(self, metadata: Metadata, timeout: float | None) -> None:
        self._metadata, self._timeout = metadata, timeout

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        details = self._complete(client_call_details, self._timeout)
        return continuation(details, with_request_id(request))

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return continuation(self._complete(client_call_details, None), request)

    def intercept_stream_stream(
        self,
        continuation: Callable[..., Any],
        client_call_details: Any,
        request_iterator: Iterator[Any],
    ) -> Any:
        return continuation(self._complete(client_call_details, None), request_iterator)

    def _complete(self, given: Any, timeout: float | None) -> _Details:
        own = tuple(given.metadata or ())
        return _Details(
            method=given.method,
            timeout=timeout if given.timeout is None else given.timeout,
            metadata=own + _absent(self._metadata + trace_metadata(), own),
            credentials=given.credentials,
            wait_for_ready=given.wait_for_ready,
            compression=given.compression,
        )


def trace_metadata() -> Metadata:
    """The trace that the caller is in, where it uses OpenTelemetry; the server goes on with it."""
    if "opentelemetry.trace" not in sys.modules:
        return ()
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carried: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carried)
    return tuple(carried.items())


def _absent(defaults: Metadata, own: Iterable[tuple[str, Any]]) -> Metadata:
    keys = {key for key, _ in own}
    return tuple(pair for pair in defaults if pair[0] not in keys)


class _AsyncInterceptor:
    """The part that the three kinds share; a channel files an interceptor under one kind only."""

    def __init__(self, metadata: Metadata, timeout: float | None = None) -> None:
        self._metadata, self._timeout = metadata, timeout

    def complete(self, given: aio.ClientCallDetails) -> aio.ClientCallDetails:
        own = tuple(given.metadata or ())
        return aio.ClientCallDetails(
            method=given.method,
            timeout=self._timeout if given.timeout is None else given.timeout,
            metadata=aio.Metadata(*own, *_absent(self._metadata + trace_metadata(), own)),
            credentials=given.credentials,
            wait_for_ready=given.wait_for_ready,
        )


class _AsyncUnary(_AsyncInterceptor, aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self,
        continuation: Callable[..., Awaitable[Any]],
        client_call_details: aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        return await continuation(self.complete(client_call_details), with_request_id(request))


class _AsyncServerStream(_AsyncInterceptor, aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self,
        continuation: Callable[..., Awaitable[Any]],
        client_call_details: aio.ClientCallDetails,
        request: Any,
    ) -> AsyncIterator[Any] | Any:
        return await continuation(self.complete(client_call_details), request)


class _AsyncBothStream(_AsyncInterceptor, aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self,
        continuation: Callable[..., Awaitable[Any]],
        client_call_details: aio.ClientCallDetails,
        request_iterator: AsyncIterable[Any] | Iterable[Any],
    ) -> AsyncIterator[Any] | Any:
        return await continuation(self.complete(client_call_details), request_iterator)


def async_interceptors(metadata: Metadata, timeout: float | None) -> list[aio.ClientInterceptor]:
    """Returns what ``CallInterceptor`` is, for an async channel."""
    return [
        _AsyncUnary(metadata, timeout),
        _AsyncServerStream(metadata),
        _AsyncBothStream(metadata),
    ]
