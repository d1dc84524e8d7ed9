"""Sentences of the command: wrapped at the edge of a terminal, and told once."""

from __future__ import annotations

import pytest

from orchestration.cli.options import Common
from orchestration.cli.output import Output, wrap
from orchestration.cli.refusal import Refusal
from orchestration.cli.sentences import repeats, sentence
from orchestration.structs import struct
from orchestration.timeline import Timeline
from orchestration.v1 import event_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two", ["one two"]),
        ("one two three", ["one two", "  three"]),
        ("  - one two three", ["  - one two", "  three"]),
        ("a_word_that_is_wide and", ["a_word_that_is_wide", "  and"]),
        ("und 漢字漢 x", ["und 漢字漢", "  x"]),
        ("08:00  a  b", ["08:00  a  b"]),
    ],
)
def test_a_sentence_is_wrapped_between_words(text: str, lines: list[str]) -> None:
    assert wrap(text, 11, "  ") == lines


def test_nothing_is_wrapped_in_a_pipe() -> None:
    assert Output(Common()).wrapped("word " * 60, "  ") == ["word " * 60]


def test_an_error_fits_into_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    Output(Common(color="always")).refuse(Refusal("the task is held by somebody else until tomorrow"))
    assert capsys.readouterr().err == (
        "\x1b[31merror:\x1b[0m the task is held by somebody else\n  until tomorrow\n"
    )


def event(name: str, /, revision: int = 2, **payload: object) -> event_pb2.Event:
    return event_pb2.Event(
        type=f"orchestration.{name}", entity_code="w1", entity_revision=revision, agent="bob",
        payload=struct("payload", payload),
    )  # fmt: skip


def test_a_change_of_status_is_told_by_the_claim_or_the_end_that_makes_it() -> None:
    change = event("task.status_updated")
    assert repeats(change, event("task.claimed"))
    assert repeats(event("task.blocked"), event("task.released"))
    assert not repeats(change, None)
    assert not repeats(change, event("task.claimed", revision=3))
    assert not repeats(change, event("task.updated"))
    assert not repeats(event("task.created"), event("task.claimed"))


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("completed", "bob completed w1: why"),
        ("failed", "bob failed at w1: why"),
        ("returned", "bob gave w1 back: why"),
        ("blocked", "bob blocked w1: why"),
        ("timed_out", "bob released w1 (timed out): why"),
    ],
)
def test_the_end_of_an_attempt_is_told_by_its_outcome(outcome: str, said: str) -> None:
    assert sentence(event("task.released", outcome=outcome, attempt_reason="why")) == said


def test_what_an_agent_logged_is_told_as_an_activity_is() -> None:
    logged = event("x", kind="note", message="half done")
    logged.type = "agent.work.logged"
    activity = event("activity.logged", kind="note", message="half done")
    assert sentence(logged) == sentence(activity) == "bob on w1 (note): half done"


def test_a_timeline_shows_the_next_event_without_waiting() -> None:
    class Stub(EventServiceStub):
        def __init__(self) -> None:
            pass

        def StreamTimeline(self, request: object) -> object:  # type: ignore[override]
            batch = event_pb2.EventBatch(events=[event("task.claimed"), event("task.released")])
            yield event_pb2.StreamTimelineResponse(events=batch)

    timeline = Timeline(Stub(), event_pb2.StreamTimelineRequest(), retry_timeout=1.0)
    assert timeline.peek() is None
    assert next(timeline).type == "orchestration.task.claimed"
    following = timeline.peek()
    assert following is not None
    assert following.type == "orchestration.task.released"
    assert next(timeline) == following
    assert timeline.peek() is None
