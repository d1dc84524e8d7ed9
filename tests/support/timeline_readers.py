"""Clients of a server's hub in this process, and events for them."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from orchestration.v1 import event_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration_server.model import EventFilter
from orchestration_server.timeline.hub import Hub
from orchestration_server.timeline.reply import Reply
from orchestration_server.timeline.subscription import Subscription, TimelineRequest
from tests.conftest import Server

SECONDS = 10


@dataclass
class Reader:
    """A client of a hub in this process, which takes each message as it comes.

    After it has stopped it takes none; the message in flight is then in ``untaken``.
    """

    stopped: threading.Event = field(default_factory=threading.Event)
    untaken: queue.SimpleQueue[Callable[[], None]] = field(default_factory=queue.SimpleQueue)
    cancelled: threading.Event = field(default_factory=threading.Event)
    messages: queue.SimpleQueue[event_pb2.StreamTimelineResponse] = field(default_factory=queue.SimpleQueue)
    kinds: list[str] = field(default_factory=list)

    def stream(self, project: str, batch: int = 500, types: tuple[str, ...] = ()) -> Subscription:
        request = TimelineRequest(
            project=project, filter=EventFilter(types=list(types)), follow=True, batch=batch
        )
        return Subscription(request, Reply(self._send, lambda error: None, self.cancelled.set))

    def _send(self, body: bytes, done: Callable[[], None]) -> bool:
        self.messages.put(event_pb2.StreamTimelineResponse.FromString(body))
        if self.stopped.is_set():
            self.untaken.put(done)
        else:
            done()
        return True

    def go_on(self) -> None:
        """Take the message in flight, and then each as it comes."""
        self.stopped.clear()
        self.untaken.get(timeout=SECONDS)()

    def _next(self) -> list[str]:
        message = self.messages.get(timeout=SECONDS)
        self.kinds.append(message.WhichOneof("message") or "")
        return [event.id for event in message.events.events]

    def until(self, kind: str) -> list[str]:
        """Return the events before the next message of this kind."""
        found: list[str] = []
        while True:
            found += self._next()
            if self.kinds[-1] == kind:
                return found

    def take(self, last: str) -> list[str]:
        """Return the events up to this one. Checkpoints come even if it does not, so the wait has a limit."""
        found: list[str] = []
        deadline = monotonic() + SECONDS
        while last not in found:
            assert monotonic() < deadline, f"{last} did not come"
            found += self._next()
        return found


@pytest.fixture
def hub(server: Server) -> Hub:
    assert server.app is not None
    return server.app.hub


@pytest.fixture
def open_reader(hub: Hub) -> Iterator[Callable[..., Reader]]:
    opened: list[Subscription] = []

    def start(project: str, reader: Reader | None = None, **fields: Any) -> Reader:
        reader = reader or Reader()
        opened.append(reader.stream(project, **fields))
        hub.open(opened[-1])
        return reader

    yield start
    for stream in opened:
        hub.discard(stream)


def emit(events: EventServiceStub, project: str, new: list[event_pb2.NewEvent]) -> list[str]:
    """Store the events in one commit; return their ids."""
    message = event_pb2.EmitEventsRequest(request_id=uuid4().hex, events=new)
    metadata = (("orchestration-project", project),)
    (answer,) = events.EmitEvents(iter([message]), metadata=metadata, timeout=SECONDS)
    assert answer.stored == len(new), answer.error
    return list(answer.event_ids)
