"""Emission of many events over one stream. Each message is stored once, even if connections break."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from orchestration.errors import ErrorDetails, error_details, status_code
from orchestration.interceptors import new_request_id
from orchestration.reasons import ledger_error
from orchestration.retry import ENDED, Retry
from orchestration.v1.event_pb2 import EmitError, EmitEventsRequest, EmitEventsResponse, NewEvent
from orchestration.v1.event_pb2_grpc import EventServiceStub

if TYPE_CHECKING:
    from orchestration.v1.event_pb2_grpc import EventServiceAsyncStub

MAX_BATCH = 500
IN_FLIGHT = 4
# Below the 4 MB that a gRPC server accepts by default.
_MAX_BYTES = 2 * 1024 * 1024
# If a server stops answering, the stream ends after this time, and unanswered messages are sent again.
_STREAM_SECONDS = 120.0


@dataclass(frozen=True)
class EmitTotals:
    """The numbers of events that were stored, were duplicates by dedup_key, or were left out by sampling."""

    stored: int = 0
    duplicates: int = 0
    sampled_out: int = 0


class _Batcher:
    """A packer of events into messages of limited length and size."""

    def __init__(self, size: int) -> None:
        if not 1 <= size <= MAX_BATCH:
            raise ValueError(f"batch must be from 1 to {MAX_BATCH}, not {size}")
        self._size, self._bytes, self._events = size, 0, list[NewEvent]()

    def add(self, event: NewEvent) -> EmitEventsRequest | None:
        """Add an event. If it does not fit into the current message, return that message."""
        length = event.ByteSize()
        full = len(self._events) >= self._size or self._bytes + length > _MAX_BYTES
        message = self.flush() if full else None
        self._events.append(event)
        self._bytes += length
        return message

    def flush(self) -> EmitEventsRequest | None:
        """Return a message of the remaining events; None if there are none."""
        if not self._events:
            return None
        message = EmitEventsRequest(request_id=new_request_id(), events=self._events)
        self._events, self._bytes = [], 0
        return message


def _messages(events: Iterable[NewEvent], batch: int) -> Iterator[EmitEventsRequest]:
    batcher = _Batcher(batch)
    for event in events:
        if (message := batcher.add(event)) is not None:
            yield message
    if (message := batcher.flush()) is not None:
        yield message


async def _async_messages(
    events: Iterable[NewEvent] | AsyncIterable[NewEvent], batch: int
) -> AsyncIterator[EmitEventsRequest]:
    if not isinstance(events, AsyncIterable):
        for message in _messages(events, batch):
            yield message
        return
    batcher = _Batcher(batch)
    async for event in events:
        if (ready := batcher.add(event)) is not None:
            yield ready
    if (ready := batcher.flush()) is not None:
        yield ready


class _Outbox:
    """The messages that wait for an answer, oldest first, and the totals of the answers so far."""

    def __init__(self, retry_timeout: float | None) -> None:
        self.pending: dict[str, EmitEventsRequest] = {}
        self._retry = Retry(retry_timeout)
        self._offsets: dict[str, int] = {}
        self._taken = self._stored = self._duplicates = self._sampled_out = 0

    @property
    def full(self) -> bool:
        return len(self.pending) >= IN_FLIGHT

    @property
    def totals(self) -> EmitTotals:
        return EmitTotals(self._stored, self._duplicates, self._sampled_out)

    def add(self, message: EmitEventsRequest) -> None:
        self.pending[message.request_id] = message
        self._offsets[message.request_id] = self._taken
        self._taken += len(message.events)

    def take_answer(self, answer: EmitEventsResponse | ErrorDetails) -> float | None:
        """Process an answer, or the error that broke the stream.

        Return the seconds after which to send all waiting messages again, or None if there is no need. Raises
        LedgerError if sending again would not help.
        """
        if isinstance(answer, ErrorDetails):
            return self._retry.pause(answer)
        if answer.request_id not in self.pending:
            return None
        if answer.HasField("error"):
            return self._refused(answer)
        self._retry.progress()
        self._stored += answer.stored
        self._duplicates += answer.duplicates
        self._sampled_out += answer.sampled_out
        del self.pending[answer.request_id], self._offsets[answer.request_id]
        return None

    def _refused(self, answer: EmitEventsResponse) -> float:
        error = answer.error
        details = emit_error_details(
            error, request_id=answer.request_id, first_event=str(self._offsets[answer.request_id])
        )
        if not error.retryable:
            raise ledger_error(details)
        return self._retry.pause(details, retryable=True)


def emit_error_details(error: EmitError, **metadata: str) -> ErrorDetails:
    """Return the error of a message that the server refused."""
    return ErrorDetails(
        code=status_code(error.code),
        message=error.message,
        reason=error.reason,
        metadata=metadata,
        violations=dict(error.violations),
    )


class EmitStream:
    """A call of EmitEvents. Messages wait in a queue that a thread of grpc empties."""

    def __init__(self, stub: EventServiceStub, first: Iterable[EmitEventsRequest]) -> None:
        self._queue: queue.SimpleQueue[EmitEventsRequest | None] = queue.SimpleQueue()
        for message in first:
            self.send(message)
        self._call = stub.EmitEvents(iter(self._queue.get, None), timeout=_STREAM_SECONDS)

    def send(self, message: EmitEventsRequest) -> None:
        """Send a message, without waiting for its answer."""
        self._queue.put(message)

    def receive(self) -> EmitEventsResponse | ErrorDetails:
        """Wait for the next answer. If the stream has ended, return the error."""
        try:
            return next(self._call, ENDED)
        except grpc.RpcError as broken:
            return error_details(broken)

    def finish(self) -> None:
        """Tell the server that there are no more messages, and wait for the end of the stream."""
        self._queue.put(None)
        with contextlib.suppress(grpc.RpcError):  # all messages are answered, so the outcome is irrelevant
            for _ in self._call:
                pass

    def abandon(self) -> None:
        """Cancel the call."""
        # None also frees the thread of grpc that waits for messages.
        self._queue.put(None)
        self._call.cancel()


def emit_all(
    stub: EventServiceStub, events: Iterable[NewEvent], *, batch: int, retry_timeout: float | None
) -> EmitTotals:
    """Implement ``Client.emit_all``."""
    outbox, messages = _Outbox(retry_timeout), _messages(events, batch)
    stream: EmitStream | None = None
    try:
        while True:
            while not outbox.full and (message := next(messages, None)) is not None:
                outbox.add(message)
                if stream is not None:
                    stream.send(message)
            if not outbox.pending:
                break
            stream = stream or EmitStream(stub, outbox.pending.values())
            answer = stream.receive()
            if (delay := outbox.take_answer(answer)) is not None:
                stream.abandon()
                stream = None
                time.sleep(delay)
        if stream is not None:
            stream.finish()
            stream = None
        return outbox.totals
    finally:
        if stream is not None:
            stream.abandon()


class _AsyncStream:
    """A call of EmitEvents for asyncio."""

    def __init__(self, stub: EventServiceAsyncStub, first: Iterable[EmitEventsRequest]) -> None:
        self._queue: asyncio.Queue[EmitEventsRequest | None] = asyncio.Queue()
        for message in first:
            self.send(message)
        self._call = stub.EmitEvents(self._outgoing(), timeout=_STREAM_SECONDS)
        self._answers = aiter(self._call)

    async def _outgoing(self) -> AsyncIterator[EmitEventsRequest]:
        while (message := await self._queue.get()) is not None:
            yield message

    def send(self, message: EmitEventsRequest) -> None:
        self._queue.put_nowait(message)

    async def receive(self) -> EmitEventsResponse | ErrorDetails:
        try:
            return await anext(self._answers, ENDED)
        except grpc.RpcError as broken:
            return error_details(broken)

    async def finish(self) -> None:
        """Tell the server that there are no more messages, and wait for the end of the stream."""
        self._queue.put_nowait(None)
        with contextlib.suppress(grpc.RpcError):  # all messages are answered, so the outcome is irrelevant
            async for _ in self._answers:
                pass

    def abandon(self) -> None:
        self._queue.put_nowait(None)
        self._call.cancel()


async def async_emit_all(
    stub: EventServiceAsyncStub,
    events: Iterable[NewEvent] | AsyncIterable[NewEvent],
    *,
    batch: int,
    retry_timeout: float | None,
) -> EmitTotals:
    """Implement ``AsyncClient.emit_all``."""
    outbox, messages = _Outbox(retry_timeout), _async_messages(events, batch)
    stream: _AsyncStream | None = None
    try:
        while True:
            while not outbox.full and (message := await anext(messages, None)) is not None:
                outbox.add(message)
                if stream is not None:
                    stream.send(message)
            if not outbox.pending:
                break
            stream = stream or _AsyncStream(stub, outbox.pending.values())
            answer = await stream.receive()
            if (delay := outbox.take_answer(answer)) is not None:
                stream.abandon()
                stream = None
                await asyncio.sleep(delay)
        if stream is not None:
            await stream.finish()
            stream = None
        return outbox.totals
    finally:
        if stream is not None:
            stream.abandon()
