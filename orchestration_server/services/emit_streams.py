"""The implementation of EventService.EmitEvents."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import grpc
import structlog

from orchestration.v1 import event_pb2
from orchestration_server.codec.status import code_of
from orchestration_server.errors import InvalidArgument, LedgerError, ServerStopping, Unavailable
from orchestration_server.model import Call
from orchestration_server.rules.emission import Policies
from orchestration_server.store.database_clock import DatabaseClock
from orchestration_server.validation import check
from orchestration_server.validation.occur_time import check_occur_times
from orchestration_server.writes.drafts import EmitRequest, EmitResult
from orchestration_server.writes.group_commit import GroupCommit

log = structlog.get_logger()

IN_FLIGHT = 12
"""Messages of one EmitEvents stream that the server reads before it answers the first of them. They fill the
next group while one is committed."""

Answer = tuple[str, "Future[EmitResult] | LedgerError"] | Unavailable | None
"""A message's request_id and its result; an error that ends the stream; or None for the end of the stream."""


class EmitStreams:
    """The open EmitEvents streams of a server."""

    def __init__(self, commits: GroupCommit, policies: Policies, clock: DatabaseClock) -> None:
        self._commits = commits
        self._policies = policies
        self._clock = clock
        self._open: set[SimpleQueue[Answer]] = set()
        """The queue of answers of each EmitEvents stream."""
        self._stopping = False
        self._lock = threading.Lock()

    def stop(self) -> None:
        """End the streams, each after the answers to the messages it has read."""
        with self._lock:
            self._stopping = True
            for waiting in self._open:
                waiting.put(_stopping())

    def answers(self, requests: Iterator[Any], call: Call) -> Iterator[event_pb2.EmitEventsResponse]:
        """Answer messages in order, each after its commit, while a thread reads the next ones."""
        waiting: SimpleQueue[Answer] = SimpleQueue()
        slots = threading.Semaphore(IN_FLIGHT)
        ended = threading.Event()

        def read() -> None:
            try:
                for request in requests:
                    slots.acquire()
                    if ended.is_set():
                        return
                    waiting.put(self._submit(request, call))
            except grpc.RpcError:
                log.debug("emit stream broken", correlation_id=call.correlation_id)
            finally:
                waiting.put(None)

        with self._lock:
            self._open.add(waiting)
            if self._stopping:
                waiting.put(_stopping())
        # The thread ends with the call, which may be after this method.
        threading.Thread(target=read, name="emit-read", daemon=True).start()
        try:
            while (one := waiting.get()) is not None:
                if isinstance(one, Unavailable):
                    try:
                        raise one
                    finally:
                        del one
                yield _answer(*one)
                slots.release()
        finally:
            ended.set()
            slots.release()
            with self._lock:
                self._open.discard(waiting)

    def _submit(self, request: Any, call: Call) -> tuple[str, Future[EmitResult] | LedgerError]:
        try:
            check(request)
            call = call.authorized(request)
            check_occur_times(request, self._clock.now())
            emission = EmitRequest.from_message(call, request, request.events, self._policies)
            return request.request_id, self._commits.submit(emission)
        except LedgerError as error:
            # The traceback would keep the call until the garbage collector runs.
            return getattr(request, "request_id", ""), error.with_traceback(None)


def _stopping() -> ServerStopping:
    return ServerStopping("the server is stopping: send the unanswered messages again")


def _answer(request_id: str, result: Future[EmitResult] | LedgerError) -> event_pb2.EmitEventsResponse:
    try:
        if isinstance(result, LedgerError):
            raise result
        emitted = result.result()
    except LedgerError as error:
        return event_pb2.EmitEventsResponse(request_id=request_id, error=_refusal(error))
    return emitted.answer(request_id)


def _refusal(error: LedgerError) -> event_pb2.EmitError:
    code = code_of(error)
    return event_pb2.EmitError(
        code=code.value[0],
        message=error.message,
        reason=error.reason,
        violations=dict(error.violations) if isinstance(error, InvalidArgument) else {},
        retryable=code
        in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.ABORTED,
        ),
    )
