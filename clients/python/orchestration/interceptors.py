"""Interceptors that add the caller's metadata, its trace, a deadline and a request_id to every call."""

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
    """Return a new id for one mutation and its retries."""
    return uuid.uuid4().hex


def with_request_id(request: RequestT) -> RequestT:
    """Return the request, or a copy with a new request_id if it has a field for one that is empty."""
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
    """An interceptor that adds metadata to every call, and a deadline and a request_id to unary calls.

    Values that the call itself sets take precedence. Messages of a stream stay unchanged, because the caller
    matches answers by their ids.
    """

    def __init__(self, metadata: Metadata, timeout: float | None) -> None:
        self._metadata, self._timeout = metadata, timeout

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """Call with the client's metadata, its default deadline and a ``request_id``."""
        details = self._complete(client_call_details, self._timeout)
        return continuation(details, with_request_id(request))

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """Open a stream of responses with the client's metadata, without a default deadline."""
        return continuation(self._complete(client_call_details, None), request)

    def intercept_stream_stream(
        self,
        continuation: Callable[..., Any],
        client_call_details: Any,
        request_iterator: Iterator[Any],
    ) -> Any:
        """Open a stream both ways with the client's metadata, without a default deadline."""
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
    """Return the metadata of the caller's trace, which the server continues; empty without OpenTelemetry."""
    if "opentelemetry.trace" not in sys.modules:
        return ()
    from opentelemetry.trace.propagation.tracecontext import (  # pyright: ignore[reportMissingImports]  # optional
        TraceContextTextMapPropagator,
    )

    carried: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carried)
    return tuple(carried.items())


def _absent(defaults: Metadata, own: Iterable[tuple[str, Any]]) -> Metadata:
    keys = {key for key, _ in own}
    return tuple(pair for pair in defaults if pair[0] not in keys)


class _AsyncInterceptor:
    """The common part of three interceptors: a channel registers an interceptor for one kind of call only."""

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
    """Return interceptors for an async channel that together do what ``CallInterceptor`` does."""
    return [
        _AsyncUnary(metadata, timeout),
        _AsyncServerStream(metadata),
        _AsyncBothStream(metadata),
    ]
