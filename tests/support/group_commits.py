"""A group commit beside that of a server, on a clock that a test moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Any

from orchestration.v1 import event_pb2
from orchestration_server.model import Call
from orchestration_server.rules.emission import AT_ONCE
from orchestration_server.writes.drafts import EmitRequest
from orchestration_server.writes.group_commit import Clock, GroupCommit
from tests.conftest import Server
from tests.support import factories


class StandingClock(Clock):
    """A clock that a test moves. It notifies the threads that wait by it."""

    def __init__(self) -> None:
        self._now = 0.0
        self._waiting: set[Condition] = set()

    def now(self) -> float:
        return self._now

    def wait(self, changed: Condition, end: float) -> None:
        self._waiting.add(changed)
        changed.wait()

    def goes_on(self, seconds: float) -> None:
        self._now += seconds
        for changed in list(self._waiting):
            with changed:
                changed.notify_all()


@contextmanager
def committing(server: Server, clock: Clock) -> Iterator[GroupCommit]:
    assert server.app is not None
    commits = GroupCommit(server.app.db, lambda: None, clock)
    commits.start()
    try:
        yield commits
    finally:
        commits.close()


def emission(number: int = 1, **fields: Any) -> EmitRequest:
    events = [factories.event(payload={"n": n}) for n in range(number)]
    request = event_pb2.EmitEventsRequest(events=events, **fields)
    return EmitRequest.from_message(Call("EmitEvents"), request, request.events, AT_ONCE)
