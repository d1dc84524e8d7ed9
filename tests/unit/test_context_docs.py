"""The example in docs/context.md is what the server writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from orchestration.v1 import common_pb2, context_pb2, event_pb2, lease_pb2, task_pb2
from orchestration_server.context import layout
from orchestration_server.context.markdown.document import MarkdownLayout
from tests.support.markdown_contexts import struct

DOCS = Path(__file__).parents[2] / "docs" / "context.md"
EXAMPLE = re.compile(r"^````markdown\n(.*?)\n````$", re.MULTILINE | re.DOTALL)
BUDGET = 1_000


def example() -> tuple[context_pb2.Context, list[event_pb2.Event]]:
    """Return the context of the example, and its events."""
    task = task_pb2.Task(
        code="T-9", title="Read quoted fields", sprint_code="S-1", status=common_pb2.TASK_STATUS_IN_PROGRESS,
        priority=common_pb2.PRIORITY_P1, assignee="builder-2", labels=["parser"], revision=7,
        description="The parser splits at each comma, also within quotation marks.",
        metadata=struct({"issue": 412, "limits": {"fields": 1_000, "line_bytes": 65_536}}),
    )  # fmt: skip
    task.due_time.FromJsonString("2026-11-06T17:00:00Z")
    context = context_pb2.Context(
        target_type=common_pb2.ENTITY_TYPE_TASK, target_code="T-9", task=task,
        next_steps=["Go on with task T-9, and log what you do."],
        acceptance_criteria=["`a,\"b,c\"` has two fields", "the benchmark is not slower"],
        agent_config=struct({"max_turns": 40, "tools": ["git", "pytest"]}),
    )  # fmt: skip
    note = context.notes.add(
        agent="builder-1", text="The lexer is done:\n- `lex()` keeps quotation marks\n- docs are not"
    )
    note.log_time.FromJsonString("2026-11-03T08:12:00Z")
    attempt = context.attempts.add(number=1, agent="builder-1", outcome=lease_pb2.ATTEMPT_OUTCOME_EXPIRED)
    attempt.end_time.FromJsonString("2026-11-03T08:30:00Z")
    attempt.usage.models.add(model="m-large", input_tokens=91_000, output_tokens=4_200, cost_micros=340_000)
    context.dependencies.add(
        depends_on_code="T-2", kind=common_pb2.DEPENDENCY_KIND_BLOCKS, title="Write the lexer",
        status=common_pb2.TASK_STATUS_COMPLETED, outcome="Tokens carry their position.",
    )  # fmt: skip
    decision = context.decisions.add(
        code="ADR-0003", status="accepted", title="Follow RFC 4180", agent="lead",
        text="Quotation marks in quoted fields are doubled.",
    )  # fmt: skip
    decision.log_time.FromJsonString("2026-11-01T10:00:00Z")
    events = [
        _event("02T14:05", "status_updated", "builder-1", **_change("status", "pending", "in_progress")),
        _event("02T14:05", "claimed", "builder-1", attempt=1),
        _event("02T14:20", "priority_changed", "lead", **_change("priority", "P2", "P1")),
        _event("03T08:31", "claimed", "builder-2", attempt=2),
    ]  # fmt: skip
    return context, events


def _change(field: str, before: str, after: str) -> dict[str, Any]:
    return {"changes": {field: {"from": before, "to": after}}}


def _event(at: str, name: str, agent: str, **payload: Any) -> event_pb2.Event:
    event = event_pb2.Event(type=f"orchestration.task.{name}", agent=agent, payload=struct(payload))
    event.occur_time.FromJsonString(f"2026-11-{at}:00Z")
    return event


def test_the_example_of_the_documentation_is_what_the_server_writes() -> None:
    context, events = example()
    made = MarkdownLayout(context, [event.SerializeToString() for event in events], subject="task")
    fitted = layout.fit(made, BUDGET)
    (shown,) = EXAMPLE.findall(DOCS.read_text())
    assert shown == fitted.context.markdown
    assert not fitted.context.trimmed
