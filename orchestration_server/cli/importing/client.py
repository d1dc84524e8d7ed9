"""A connection to a running ledger: calls tried again where that can help, and a stream of events.

The client package's own `emit_all` ends at the first refused message; here the stream goes on and
the bad rows of the message are looked for. Nothing is known here of files; `loading.py` decides
what is sent and what a refusal means.
"""

from __future__ import annotations

import itertools
import queue
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Protocol, TypeVar

import grpc

from orchestration import Client, error_details
from orchestration.v1 import event_pb2
from orchestration.v1.sprint_pb2 import ListSprintsRequest, Sprint
from orchestration.v1.task_pb2 import ListTasksRequest, Task
from orchestration_server.model import IMPORT_AGENT

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")

# Between two tries of one call, in seconds; in all about 12, longer than a graceful restart takes.
_PAUSES = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0, 4.0)
_FIRST_PAUSES = _PAUSES[:4]
# After those, a message of events above its rate is sent again this often: its answer gives no time.
_RATE_PAUSE = 10.0
_RATE_LIMITED = "EVENTS_RATE_LIMITED"
# A wait of this many seconds is reported, if it is the first one.
_LONG_WAIT = 1.0
_CALL_TIMEOUT = 60.0
# A stream that lives longer is opened anew; what was not answered is sent again.
_STREAM_TIMEOUT = 300.0
_PAGE = 200
# Messages of events sent ahead of their answers.
_WINDOW = 6

_PASSING = frozenset(
    {
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNAVAILABLE,
    }
)
# About the rows that were sent; any other code is about the server or the caller: the end.
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
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class CallFailed(Exception):
    """A call that failed, in the end."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        violations: Mapping[str, str] | None = None,
        retryable: bool = False,
        pause: float = 0.0,
        rate_limited: bool = False,
    ) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.violations = violations or {}
        self.retryable = retryable
        self.pause = pause
        self.rate_limited = rate_limited

    @property
    def about_rows(self) -> bool:
        return self.code in _ABOUT_ROWS

    @property
    def unreachable(self) -> bool:
        """Return True if no server answered: a ledger that answers UNAVAILABLE says when to try again."""
        return self.code is grpc.StatusCode.UNAVAILABLE and not self.pause

    @classmethod
    def from_rpc_error(cls, error: grpc.RpcError) -> CallFailed:
        """Reads a failed call's status with its details."""
        details = error_details(error)
        return cls(
            details.code,
            details.message or "no message",
            violations=details.violations,
            retryable=details.code in _PASSING or details.retry_delay is not None,
            pause=details.retry_delay or 0.0,
        )

    @classmethod
    def from_emit_error(cls, error: event_pb2.EmitError) -> CallFailed:
        """Reads the answer to a refused message of events."""
        code = _CODES.get(error.code, grpc.StatusCode.UNKNOWN)
        return cls(
            code,
            error.message,
            violations=dict(error.violations),
            retryable=error.retryable,
            rate_limited=error.reason == _RATE_LIMITED,
        )

    def by_row(self, count: int) -> dict[int, str]:
        """The rows of a batch of `count` that the violations name, and why; empty if none.

        A path names its row by the first number in brackets: `tasks[3].task.title`.
        """
        return {
            row: "; ".join(f"{path}: {text}" for path, text in fields.items())
            for row, fields in self.fields_by_row(count).items()
        }

    def fields_by_row(self, count: int) -> dict[int, dict[str, str]]:
        """Return the violations of each row by their path in it; empty if one names no row of the batch."""
        rows: dict[int, dict[str, str]] = {}
        for path, text in self.violations.items():
            match = re.match(r"[a-z_]+\[(\d+)\]\.?(.*)", path)
            if match is None or int(match[1]) >= count:
                return {}
            rows.setdefault(int(match[1]), {})[match[2] or path] = text
        return rows


class ImportClient:
    """A connection in one project. Every call carries the run's correlation id.

    `on_wait` is called before the first long wait, with the fault that it follows.
    """

    def __init__(
        self, address: str, project: str, on_wait: Callable[[CallFailed], None] | None = None
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
        # Whether the server was reached at all: a wrong address is given up on sooner.
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
        """Yields every task of the project."""
        request = ListTasksRequest(page_size=_PAGE)
        while True:
            page = self.call(self.tasks.ListTasks, request)
            yield from page.tasks
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def list_sprints(self) -> Iterator[Sprint]:
        """Yield every sprint of the project."""
        request = ListSprintsRequest(page_size=_PAGE)
        while True:
            page = self.call(self.sprints.ListSprints, request)
            yield from page.sprints
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        *,
        final: grpc.StatusCode | None = None,
    ) -> _Response:
        """Call, again if that may help and the code is not `final`. A mutation must carry a request_id.

        Raises Fault.
        """
        for attempt in itertools.count():
            try:
                answer = method(request)
            except grpc.RpcError as error:
                failure = CallFailed.from_rpc_error(error)
                if failure.code is final:
                    raise failure from None
                self.wait_after(failure, attempt)
            else:
                self._answered = True
                return answer
        raise AssertionError("the last try returns or raises")

    def answered(self) -> None:
        """Notes that the server was reached."""
        self._answered = True

    def wait_after(self, failure: CallFailed, attempt: int) -> None:
        """Wait before the next attempt, counted from 0. Raises the fault if another would not help."""
        pauses = _PAUSES if self._answered else _FIRST_PAUSES
        again = attempt < len(pauses)
        if not failure.retryable or not (again or failure.rate_limited):
            raise failure
        seconds = max(pauses[attempt] if again else _RATE_PAUSE, failure.pause)
        if seconds >= _LONG_WAIT and self._on_wait is not None:
            self._on_wait(failure)
            self._on_wait = None
        time.sleep(seconds)


def new_request_id() -> str:
    """An id for one call and its retries.

    Not made of the content: a later run would be answered from what was remembered, instead of by
    what is there now. That a second run changes nothing is the work of codes and dedup keys.
    """
    return f"import-{uuid.uuid4()}"


class EventItem(Protocol):
    """Something that is sent as an event."""

    @property
    def message(self) -> event_pb2.NewEvent: ...


_Item = TypeVar("_Item", bound=EventItem)


class AnswerHandler(Protocol[_Item]):
    """What becomes of the messages of a stream."""

    def stored(self, stored: int, duplicates: int) -> None: ...

    def refused(self, items: Sequence[_Item], failure: CallFailed) -> Sequence[Sequence[_Item]]:
        """Takes a refused message; returns the parts that should be sent again by themselves."""


@dataclass
class _Message(Generic[_Item]):
    items: Sequence[_Item]
    tries: int = 0
    request_id: str = field(default_factory=new_request_id)

    def request(self) -> event_pb2.EmitEventsRequest:
        return event_pb2.EmitEventsRequest(
            request_id=self.request_id, events=[item.message for item in self.items]
        )


class EventStream(Generic[_Item]):
    """EmitEvents with several messages under way; opened anew where it breaks, nothing is lost."""

    def __init__(self, client: ImportClient, answers: AnswerHandler[_Item]) -> None:
        self._client = client
        self._answers = answers
        self._waiting: deque[_Message[_Item]] = deque()
        self._outbox: queue.SimpleQueue[event_pb2.EmitEventsRequest | None] = queue.SimpleQueue()
        self._call: Iterator[event_pb2.EmitEventsResponse] | None = None
        self._breaks = 0

    def __enter__(self) -> EventStream[_Item]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The sentinel also frees the thread that grpc reads the requests in.
        self._outbox.put(None)

    def send(self, items: Sequence[_Item]) -> None:
        """Sends one message; waits while too many are unanswered."""
        self._send_message(_Message(items))
        while len(self._waiting) >= _WINDOW:
            self._take_answer()

    def drain(self) -> None:
        """Waits for the answers to all that was sent."""
        while self._waiting:
            self._take_answer()

    def _send_message(self, message: _Message[_Item]) -> None:
        if self._call is None:
            self._open()
        self._waiting.append(message)
        self._outbox.put(message.request())

    def _open(self) -> None:
        self._outbox.put(None)
        self._outbox = queue.SimpleQueue()
        self._call = self._client.events.EmitEvents(iter(self._outbox.get, None), timeout=_STREAM_TIMEOUT)
        for message in self._waiting:
            self._outbox.put(message.request())

    def _take_answer(self) -> None:
        assert self._call is not None, "something waits, so it was sent"
        try:
            answer = next(self._call)
        except StopIteration:
            self._reopen(CallFailed(grpc.StatusCode.UNAVAILABLE, "the stream ended", retryable=True))
            return
        except grpc.RpcError as error:
            self._reopen(CallFailed.from_rpc_error(error))
            return
        self._breaks = 0
        self._client.answered()
        message = self._waiting.popleft()
        if answer.request_id != message.request_id:
            raise CallFailed(grpc.StatusCode.INTERNAL, "an answer came out of turn")
        if not answer.HasField("error"):
            self._answers.stored(answer.stored, answer.duplicates)
            return
        failure = CallFailed.from_emit_error(answer.error)
        if failure.about_rows and not failure.retryable:
            for part in self._answers.refused(message.items, failure):
                self._send_message(_Message(part))
            return
        self._client.wait_after(failure, message.tries)
        message.tries += 1
        self._send_message(message)

    def _reopen(self, failure: CallFailed) -> None:
        self._client.wait_after(failure, self._breaks)
        self._breaks += 1
        self._open()
