"""A connection to a running ledger: calls and a stream of events, both retried.

`Client.emit_all` ends at the first message that the server refuses. Here the stream goes on, and the refused
rows are looked for. This module knows nothing of files: `loader.py` decides what to send and what a refusal
means.
"""

from __future__ import annotations

import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Protocol, TypeVar

import grpc

from orchestration import Client, ErrorDetails, LedgerError, error_details
from orchestration.emitting import EmitStream, emit_error_details
from orchestration.interceptors import new_request_id, with_request_id
from orchestration.retry import Retry
from orchestration.v1 import event_pb2
from orchestration.v1.sprint_pb2 import ListSprintsRequest, Sprint
from orchestration.v1.task_pb2 import ListTasksRequest, Task
from orchestration_server.model import IMPORT_AGENT

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")

RETRY_TIMEOUT = 12.0
"""Seconds for which a call is retried: longer than a graceful restart takes."""
FIRST_RETRY_TIMEOUT = 1.5
"""Seconds for which a call is retried before any server has answered: the address may be wrong."""
RATE_WAITS = 7
"""The number of times that a call above a rate is sent again; a message of events has no such limit."""
_RATE_LIMITED = frozenset(("RATE_LIMITED", "EVENTS_RATE_LIMITED"))
# The first wait of this many seconds is reported.
_LONG_WAIT = 1.0
_CALL_TIMEOUT = 60.0
_PAGE = 200
# Messages of events that are sent ahead of their answers.
_WINDOW = 6

# These codes are about the rows that were sent. Any other code is about the server or the caller, and the
# import ends.
_ABOUT_ROWS = frozenset(
    {
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


class CallFailed(Exception):
    """A call or a message that failed and is not retried any more."""

    def __init__(self, details: ErrorDetails, *, retryable: bool = False) -> None:
        super().__init__(f"{details.code.name}: {details.message or 'no message'}")
        self.details = details
        self._retryable = retryable or details.retry_delay is not None

    @property
    def code(self) -> grpc.StatusCode:
        """The status code."""
        return self.details.code

    @property
    def about_rows(self) -> bool:
        """True if the server refused the rows, and would refuse them again."""
        return self.code in _ABOUT_ROWS and not self._retryable

    @property
    def unreachable(self) -> bool:
        """True if no server answered: a ledger that answers UNAVAILABLE says when to retry."""
        return self.code is grpc.StatusCode.UNAVAILABLE and not self.details.retry_delay

    def by_row(self, count: int) -> dict[int, str]:
        """Return the reasons by row of a batch of `count` rows; empty if the violations name no row of it."""
        return {
            row: "; ".join(f"{path}: {text}" for path, text in fields.items())
            for row, fields in self.fields_by_row(count).items()
        }

    def fields_by_row(self, count: int) -> dict[int, dict[str, str]]:
        """Return the violations of each row by their path in it; empty if one names no row of the batch.

        A path names its row by the first number in brackets: `tasks[3].task.title`.
        """
        rows: dict[int, dict[str, str]] = {}
        for path, text in self.details.violations.items():
            match = re.match(r"[a-z_]+\[(\d+)\]\.?(.*)", path)
            if match is None or int(match[1]) >= count:
                return {}
            rows.setdefault(int(match[1]), {})[match[2] or path] = text
        return rows


class ImportClient:
    """A connection to one project. Every call carries the correlation id of the run.

    `on_wait` is called before the first long wait, with the error that led to it.
    """

    def __init__(
        self, address: str, project: str, on_wait: Callable[[ErrorDetails], None] | None = None
    ) -> None:
        self.correlation_id = f"import-{uuid.uuid4()}"
        self._client = Client(
            address,
            project=project,
            agent=IMPORT_AGENT,
            correlation_id=self.correlation_id,
            timeout=_CALL_TIMEOUT,
            # Answers repeat what was sent, and pages hold long descriptions.
            options=[("grpc.max_receive_message_length", -1)],
        )
        self._answered = False
        self._on_wait = on_wait
        self.sprints = self._client.sprints
        self.tasks = self._client.tasks
        self.coordination = self._client.coordination
        self.events = self._client.events

    def __enter__(self) -> ImportClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def list_tasks(self) -> Iterator[Task]:
        """Yield every task of the project."""
        return self._client.pages(
            lambda request: self.call(self.tasks.ListTasks, request), ListTasksRequest(page_size=_PAGE)
        )

    def list_sprints(self) -> Iterator[Sprint]:
        """Yield every sprint of the project."""
        return self._client.pages(
            lambda request: self.call(self.sprints.ListSprints, request), ListSprintsRequest(page_size=_PAGE)
        )

    def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        *,
        final: grpc.StatusCode | None = None,
    ) -> _Response:
        """Call a method, and retry if that may help and the code is not `final`. Raises CallFailed.

        A mutation without a request_id gets a random one for the call and its retries. It is not made of the
        content, for then a later run would be answered from what the server remembers instead of what it has
        now; codes and dedup keys see to it that a second run changes nothing.
        """
        request = with_request_id(request)
        retries = Retries(self)
        while True:
            try:
                answer = method(request)
            except grpc.RpcError as error:
                failure = CallFailed(error_details(error))
                if failure.code is final:
                    raise failure from None
                retries.wait(failure)
            else:
                self.answered()
                return answer

    def answered(self) -> None:
        """Note that a server was reached."""
        self._answered = True

    def new_retry(self, *, endless: bool = False) -> Retry:
        """Return the policy of a call: how long to wait after each failure, and when to give up."""
        timeout = None if endless else RETRY_TIMEOUT if self._answered else FIRST_RETRY_TIMEOUT
        return Retry(timeout, on_retry=self._report_wait)

    def _report_wait(self, error: ErrorDetails, seconds: float) -> None:
        if seconds >= _LONG_WAIT and self._on_wait is not None:
            self._on_wait(error)
            self._on_wait = None


class Retries:
    """The retries of one call or message.

    Above a rate the server says how long to wait, which may exceed any timeout. `rate_waits` limits the
    number of such waits; None sets no limit.
    """

    def __init__(self, client: ImportClient, *, rate_waits: int | None = RATE_WAITS) -> None:
        self._retry = client.new_retry()
        self._above_rate = client.new_retry(endless=True)
        self._rate_waits = rate_waits

    def wait(self, failure: CallFailed, *, retryable: bool = False) -> None:
        """Wait before the next attempt. Raises `failure` if another attempt would not help."""
        retry = self._retry
        if failure.details.reason in _RATE_LIMITED:
            retry = self._above_rate
            if self._rate_waits == 0:
                raise failure
            self._rate_waits = None if self._rate_waits is None else self._rate_waits - 1
        try:
            seconds = retry.pause(failure.details, retryable=retryable)
        except LedgerError:
            raise failure from None
        time.sleep(seconds)


class EventItem(Protocol):
    """An item that is sent as an event."""

    @property
    def message(self) -> event_pb2.NewEvent:
        """Return the event to emit."""


_Item = TypeVar("_Item", bound=EventItem)


class AnswerHandler(Protocol[_Item]):
    """A receiver of the answers to the messages of a stream."""

    def stored(self, stored: int, duplicates: int) -> None:
        """Count the events that a message stored, and its duplicates."""

    def refused(self, items: Sequence[_Item], failure: CallFailed) -> Sequence[Sequence[_Item]]:
        """Take a refused message, and return the parts of it to send again, each as a message."""


@dataclass
class _Message(Generic[_Item]):
    items: Sequence[_Item]
    retries: Retries
    request_id: str = field(default_factory=new_request_id)

    def request(self) -> event_pb2.EmitEventsRequest:
        return event_pb2.EmitEventsRequest(
            request_id=self.request_id, events=[item.message for item in self.items]
        )


class EventStream(Generic[_Item]):
    """EmitEvents with several messages under way. A stream that breaks is reopened, and nothing is lost."""

    def __init__(self, client: ImportClient, handler: AnswerHandler[_Item]) -> None:
        self._client = client
        self._handler = handler
        self._waiting: deque[_Message[_Item]] = deque()
        self._stream: EmitStream | None = None
        self._breaks = Retries(client)

    def __enter__(self) -> EventStream[_Item]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is None:
            return
        if error is None:
            self._stream.finish()
        else:
            self._stream.abandon()

    def send(self, items: Sequence[_Item]) -> None:
        """Send one message; wait while too many are unanswered."""
        self._post(_Message(items, Retries(self._client, rate_waits=None)))
        while len(self._waiting) >= _WINDOW:
            self._take_answer()

    def drain(self) -> None:
        """Wait for the answers to all messages."""
        while self._waiting:
            self._take_answer()

    def _post(self, message: _Message[_Item]) -> None:
        self._waiting.append(message)
        if self._stream is None:
            self._open()
        else:
            self._stream.send(message.request())

    def _open(self) -> EmitStream:
        self._stream = EmitStream(self._client.events, (message.request() for message in self._waiting))
        return self._stream

    def _take_answer(self) -> None:
        stream = self._stream or self._open()
        answer = stream.receive()
        if isinstance(answer, ErrorDetails):
            stream.abandon()
            self._stream = None
            self._breaks.wait(CallFailed(answer))
            return
        self._client.answered()
        self._breaks = Retries(self._client)
        message = self._waiting.popleft()
        if answer.request_id != message.request_id:
            raise CallFailed(ErrorDetails(grpc.StatusCode.INTERNAL, "an answer came out of turn"))
        if not answer.HasField("error"):
            self._handler.stored(answer.stored, answer.duplicates)
            return
        retryable = answer.error.retryable
        failure = CallFailed(emit_error_details(answer.error), retryable=retryable)
        if failure.about_rows:
            for part in self._handler.refused(message.items, failure):
                self._post(_Message(part, Retries(self._client, rate_waits=None)))
            return
        message.retries.wait(failure, retryable=retryable)
        self._post(message)
