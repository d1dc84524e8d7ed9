"""Iterators that follow the timeline across broken connections, without gaps or repeats."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc
from grpc import aio

from orchestration.errors import ErrorDetails, LedgerError, error_details
from orchestration.retry import ENDED, Retry
from orchestration.v1.event_pb2 import (
    Event,
    EventFilter,
    StreamTimelineRequest,
    StreamTimelineResponse,
)
from orchestration.v1.event_pb2_grpc import EventServiceStub

if TYPE_CHECKING:
    from orchestration.v1.event_pb2_grpc import EventServiceAsyncStub


def timeline_request(
    event_filter: EventFilter | None,
    *,
    after_cursor: str,
    from_time: datetime | None,
    last: int | None,
    follow: bool,
    include_archived: bool,
) -> StreamTimelineRequest:
    """Return the request for a timeline. Raises ValueError for two starts or a time without a zone."""
    if bool(after_cursor) + (from_time is not None) + (last is not None) > 1:
        raise ValueError("give one of after_cursor, from_time and last, or none")
    request = StreamTimelineRequest(filter=event_filter, follow=follow, include_archived=include_archived)
    if after_cursor:
        request.after_cursor = after_cursor
    if from_time is not None:
        if from_time.tzinfo is None:
            raise ValueError("from_time needs a time zone")
        request.from_time.FromDatetime(from_time)
    if last is not None:
        request.last = last
    return request


class _Position:
    """The position of a reader: events that it has not returned yet, and the cursor before them."""

    def __init__(self, request: StreamTimelineRequest) -> None:
        self._request = request
        self._waiting: deque[Event] = deque()
        self.follow = request.follow
        self.cursor = request.after_cursor
        self.caught_up = False

    def resume(self) -> StreamTimelineRequest:
        """Return the request to continue with. Until a first cursor is known it has the original start."""
        self.caught_up = False
        request = StreamTimelineRequest()
        request.CopyFrom(self._request)
        if self.cursor:
            request.after_cursor = self.cursor
        return request

    def accept(self, message: StreamTimelineResponse, retry: Retry) -> None:
        # A message is read only after all events of the last one were returned, so no cursor is too early.
        before = self.cursor
        match message.WhichOneof("message"):
            case "events":
                self._waiting.extend(message.events.events)
            case "checkpoint":
                self.cursor = message.checkpoint.cursor or self.cursor
            case "caught_up":
                self.cursor = message.caught_up.cursor or self.cursor
                self.caught_up = True
            case "fell_behind":
                self.cursor = message.fell_behind.cursor or self.cursor
                self.caught_up = False
            case None:  # a message of a newer server
                pass
        if self._waiting or self.cursor != before:
            retry.progress()
        else:
            retry.heard()

    def take(self) -> Event | None:
        if not self._waiting:
            return None
        event = self._waiting.popleft()
        self.cursor = event.cursor
        return event

    def peek(self) -> Event | None:
        return self._waiting[0] if self._waiting else None


def _delay(retry: Retry, failure: ErrorDetails, closed: threading.Event | asyncio.Event) -> float:
    """Return the seconds to wait. If the error is not retryable, end the iteration and raise it."""
    try:
        return retry.pause(failure)
    except LedgerError:
        closed.set()
        raise


class Timeline:
    """An iterator over events, in the order of the log.

    One thread iterates. Any thread may read ``cursor`` or call ``close``, which ends the iteration. Raises
    LedgerError if the timeline cannot go on: the position is not live any more, the filter is invalid, the
    caller may not read it, or ``retry_timeout`` has passed.
    """

    def __init__(
        self, stub: EventServiceStub, request: StreamTimelineRequest, *, retry_timeout: float | None
    ) -> None:
        self._stub, self._position, self._retry = stub, _Position(request), Retry(retry_timeout)
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._call: grpc.Call | None = None
        self._messages: Iterator[StreamTimelineResponse] | None = None

    @property
    def cursor(self) -> str:
        """The position to store and to resume from, as ``after_cursor``.

        It is that of the last returned event. It also advances while no event matches the filter. It is empty
        until the server has sent a first one.
        """
        return self._position.cursor

    @property
    def caught_up(self) -> bool:
        """True if the history has been read and the following events are live."""
        return self._position.caught_up

    def peek(self) -> Event | None:
        """Return the next event if it is here already. It is returned by the iteration, too."""
        return self._position.peek()

    def close(self) -> None:
        """End the iteration, even if another thread waits in it."""
        with self._lock:
            self._closed.set()
            if self._call is not None:
                self._call.cancel()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while not self._closed.is_set():
            if (event := self._position.take()) is not None:
                return event
            self._read()
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> None:
        """Read one message. If the stream breaks, wait; the next read opens it again."""
        if (messages := self._open()) is None:
            return
        try:
            message = next(messages, None)
        except grpc.RpcError as broken:
            failure = error_details(broken)
        else:
            if message is not None:
                self._position.accept(message, self._retry)
                return
            failure = ENDED
            if not self._position.follow:
                self._closed.set()
        self._messages = self._call = None
        if not self._closed.is_set():
            self._closed.wait(_delay(self._retry, failure, self._closed))

    def _open(self) -> Iterator[StreamTimelineResponse] | None:
        with self._lock:
            if self._messages is None and not self._closed.is_set():
                call = self._stub.StreamTimeline(self._position.resume())
                self._call, self._messages = call, iter(call)
            return self._messages


class AsyncTimeline:
    """An async iterator over events, in the order of the log. It raises the same errors as ``Timeline``.

    One task iterates. Any task of its loop may read ``cursor`` or call ``close``. If a wait is cancelled, for
    example by ``asyncio.timeout``, no event is lost: the next wait continues from there.
    """

    def __init__(
        self,
        stub: EventServiceAsyncStub,
        request: StreamTimelineRequest,
        *,
        retry_timeout: float | None,
    ) -> None:
        self._stub, self._position, self._retry = stub, _Position(request), Retry(retry_timeout)
        self._closed = asyncio.Event()
        self._call: aio.UnaryStreamCall[StreamTimelineRequest, StreamTimelineResponse] | None = None
        self._messages: AsyncIterator[StreamTimelineResponse] | None = None

    @property
    def cursor(self) -> str:
        """The position to store and to resume from, as ``Timeline.cursor``."""
        return self._position.cursor

    @property
    def caught_up(self) -> bool:
        """True if the history has been read and the following events are live."""
        return self._position.caught_up

    def peek(self) -> Event | None:
        """Return the next event if it is here already. It is returned by the iteration, too."""
        return self._position.peek()

    def close(self) -> None:
        """End the iteration, even if another task waits in it."""
        self._closed.set()
        if self._call is not None:
            self._call.cancel()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._closed.is_set():
            if (event := self._position.take()) is not None:
                return event
            await self._read()
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def _read(self) -> None:
        if self._messages is None:
            self._call = self._stub.StreamTimeline(self._position.resume())
            self._messages = aiter(self._call)
        try:
            message = await anext(self._messages, None)
        except asyncio.CancelledError:
            # close() and the cancellation of the task, such as by the caller's timeout, raise the same error.
            # After a cancellation the next read opens the stream again.
            self._messages = self._call = None
            task = asyncio.current_task()
            if self._closed.is_set() and not (task is not None and task.cancelling()):
                return
            raise
        except grpc.RpcError as broken:
            failure = error_details(broken)
        else:
            if message is not None:
                self._position.accept(message, self._retry)
                return
            failure = ENDED
            if not self._position.follow:
                self._closed.set()
        self._messages = self._call = None
        if not self._closed.is_set():
            await self._wait(_delay(self._retry, failure, self._closed))

    async def _wait(self, delay: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._closed.wait()
