"""Rules of automation that a test runs by hand, and the events that they caused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from orchestration.v1 import event_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration_server.jobs.automation import Automation
from orchestration_server.rules.automation import Rule, load
from tests.conftest import Server

ROUNDS = 100


def nobody() -> None:
    """Wake nobody."""


def automation(
    server: Server, rules: Sequence[Rule] | None = None, *, wake: Callable[[], None] = nobody
) -> Automation:
    """Return a runner beside the server's own; it calls ``wake`` after each commit."""
    assert server.app is not None
    return Automation(server.app.db, load() if rules is None else rules, wake)


def rules_of(folder: Path, text: str) -> Sequence[Rule]:
    """Return the built-in rules with those of a file."""
    path = folder / "rules.yaml"
    path.write_text(text)
    return load(path)


def drain(runner: Automation) -> int:
    """Let the runner read the log to its end; return the number of events."""
    handled = 0
    for _ in range(ROUNDS):
        step = runner.run_once()
        handled += step
        if not step:
            return handled
    raise AssertionError("it has no end")


def history(events: EventServiceStub, project: str = "default") -> list[event_pb2.Event]:
    """Return all events of the project in the order of the log."""
    stream = events.StreamTimeline(
        event_pb2.StreamTimelineRequest(), metadata=(("orchestration-project", project),), timeout=20
    )
    return [event for message in stream for event in message.events.events]


def payload(event: event_pb2.Event) -> dict[str, Any]:
    """Return the event's payload as plain values."""
    found: dict[str, Any] = json_format.MessageToDict(event.payload)
    return found


def by_rules(told: Sequence[event_pb2.Event]) -> list[event_pb2.Event]:
    """Return the events that the rules caused."""
    return [event for event in told if event.agent == "orchestration.automation"]
