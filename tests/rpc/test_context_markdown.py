"""Contexts as Markdown through the stubs: their fields, sections, changes, cache, claims and sessions."""

from __future__ import annotations

import re

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from grpc import StatusCode

from orchestration.v1 import context_pb2, coordination_pb2, session_pb2, task_pb2
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.context.token_estimate import estimate_markdown, tokens
from orchestration_server.embedded.engines import Engines
from tests.conftest import Server, open_channel
from tests.support import tokenizer
from tests.support.ledger import TARGETS, Ledger, S, Target
from tests.support.markdown_reader import missing
from tests.support.rpc_errors import refused, violations

pytestmark = pytest.mark.shared_server

MARKDOWN = context_pb2.CONTEXT_FORMAT_MARKDOWN
HEADINGS = {
    "NEXT_STEPS": "## Do next", "ACCEPTANCE_CRITERIA": "## Done when", "BLOCKERS": "## Block",
    "DEPENDENCIES": "## Linked tasks", "NOTES": "## Notes for you", "DECISIONS": "## Decisions",
    "SPRINT": "## Sprint\n", "PROGRESS": "## Progress", "TASKS": "## Tasks",
    "SESSIONS": "## Earlier sessions", "AGENT_CONFIG": "## Settings for you", "EVENTS": "## History",
}  # fmt: skip
NAMES = {
    "NEXT_STEPS": "next_steps", "ACCEPTANCE_CRITERIA": "acceptance_criteria", "BLOCKERS": "blockers",
    "DEPENDENCIES": "dependencies", "NOTES": "notes", "DECISIONS": "decisions", "SPRINT": "sprint",
    "PROGRESS": "progress", "TASKS": "tasks", "SESSIONS": "sessions", "AGENT_CONFIG": "agent_config",
    "EVENTS": "events",
}  # fmt: skip


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    found = Ledger(channel)
    found.plan()
    found.session("before", task_code="t")
    for kind in ("handover", "decision", "progress"):
        message = f"a {kind} of the session before"
        found.sessions.LogActivity(
            session_pb2.LogActivityRequest(session_key="before", kind=kind, message=message)
        )
    found.sessions.CloseSession(session_pb2.CloseSessionRequest(session_key="before", summary="half done"))
    found.session("k", task_code="t", force_new=True)
    return found


def fields(message: Message) -> set[str]:
    return {field.name for field, _ in message.ListFields()}


@pytest.mark.parametrize("target", TARGETS)
def test_the_text_has_what_json_has(ledger: Ledger, target: Target) -> None:
    json, found = ledger.context(target), ledger.context(target, format=MARKDOWN)
    assert fields(found) == {
        "target_type", "target_code", "as_of_cursor", "version", "token_estimate", "markdown",
    }  # fmt: skip
    assert (found.target_type, found.target_code) == (json.target_type, json.target_code)
    assert found.as_of_cursor == json.as_of_cursor
    assert found.version != json.version
    assert found.token_estimate == tokens(estimate_markdown(found.markdown))
    assert found.token_estimate < json.token_estimate / 2
    logged = list(json.events)
    json.ClearField("events")
    assert not missing(json, logged, found.markdown), found.markdown
    shown = {name for name, heading in HEADINGS.items() if heading in found.markdown}
    own_sprint = json.HasField("sprint") and not json.HasField("task")
    expected = {name for name, field in NAMES.items() if field in fields(json)} | {"EVENTS"}
    assert shown == expected - ({"SPRINT"} if own_sprint else set())
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-|[0-9a-f]{64}", found.markdown)
    assert "None" not in found.markdown
    assert ledger.ask(context_pb2.ContextOptions(format=MARKDOWN), **target).from_cache


@pytest.mark.parametrize("target", TARGETS)
def test_a_section_that_is_omitted_is_in_neither_format(ledger: Ledger, target: Target) -> None:
    for name, heading in HEADINGS.items():
        whole = ledger.context(target, format=MARKDOWN).markdown
        found = ledger.context(target, format=MARKDOWN, omit_sections=[S.Value(f"CONTEXT_SECTION_{name}")])
        assert heading not in found.markdown
        others = [other for other in HEADINGS.values() if other != heading and other in whole]
        assert all(other in found.markdown for other in others), found.markdown


@pytest.mark.parametrize("target", TARGETS)
def test_with_a_cursor_the_text_has_what_changed(ledger: Ledger, target: Target) -> None:
    first = ledger.context(target)
    same = ledger.context(target, format=MARKDOWN, since_cursor=first.as_of_cursor)
    lines = same.markdown.splitlines()
    assert len(lines) == 2
    assert lines[0] == f"# {target[next(iter(target))]}"
    assert lines[1].startswith("Unchanged since the context that you have: target, ")
    unchanged = [S.Name(s).removeprefix("CONTEXT_SECTION_").lower().replace("_", " ") for s in same.unchanged]
    assert lines[1].endswith(": " + ", ".join(unchanged) + ".")

    ledger.emit("t", type_="agents.note.x", sprint_code="s")
    event = ledger.context(target, format=MARKDOWN, since_cursor=same.as_of_cursor)
    assert list(event.unchanged) == [s for s in same.unchanged if s != S.CONTEXT_SECTION_EVENTS]
    assert "agents.note.x" in event.markdown
    assert event.markdown.count("\n## ") == 1
    # The cursor of a text is good for JSON, too.
    json = ledger.context(target, since_cursor=event.as_of_cursor)
    assert S.CONTEXT_SECTION_TARGET in json.unchanged
    assert not json.events


def test_the_budget_limits_the_text(ledger: Ledger) -> None:
    for number in range(40):
        ledger.emit("t", payload={"text": f"note {number} " * 9}, type_=f"agents.note.n{number}")
    complete = ledger.context({"task_code": "t"}, format=MARKDOWN)
    for budget in (200, 350, 700, 1_000):
        found = ledger.context({"task_code": "t"}, format=MARKDOWN, token_budget=budget)
        assert found.token_estimate == tokens(estimate_markdown(found.markdown))
        assert (0.9 if budget >= 500 else 0.8) * budget <= found.token_estimate <= budget
        assert "a handover of the session before" in found.markdown
        left = {trim.section: trim.left_out for trim in found.trimmed}
        assert left
        assert budget < 500 or f"{left[S.CONTEXT_SECTION_EVENTS]} older events" in found.markdown
        assert found == ledger.context({"task_code": "t"}, format=MARKDOWN, token_budget=budget)
    assert not complete.trimmed
    assert "older event" not in complete.markdown


def test_the_text_says_that_tasks_follow_on_the_next_page(ledger: Ledger) -> None:
    found = ledger.context({"sprint_code": "s"}, format=MARKDOWN, page_size=1)
    assert "## Tasks (more on the next page)\n- t (pending, P0" in found.markdown
    second = ledger.context(
        {"sprint_code": "s"}, format=MARKDOWN, page_size=1, page_token=found.next_page_token
    )
    assert "## Tasks\n- u (pending, P2" in second.markdown


def test_ids_are_refused(ledger: Ledger) -> None:
    with refused(StatusCode.INVALID_ARGUMENT) as caught:
        ledger.context({"task_code": "t"}, format=MARKDOWN, include_ids=True)
    assert list(violations(caught.value)) == ["options.include_ids"]


def test_claims_and_sessions_return_the_text(ledger: Ledger) -> None:
    ledger.set_status("u", 4)
    request = coordination_pb2.ClaimTaskRequest(
        task_code="t", agent="a", context=context_pb2.ContextOptions(format=MARKDOWN)
    )
    (claimed,) = ledger.coordination.ClaimTask(request).claims
    assert claimed.context.markdown.startswith("# t Task t\nTask, in_progress, P0, assigned to a, sprint s\n")
    assert not claimed.context.HasField("task")

    options = context_pb2.ContextOptions(format=MARKDOWN)
    begun = ledger.sessions.InitAgent(
        session_pb2.InitAgentRequest(agent="b", task_code="t", force_new=True, context_options=options)
    )
    assert "## Your session" in begun.context.markdown
    assert begun.next_steps
    assert all(f"- {step}" in begun.context.markdown for step in begun.next_steps)
    again = ledger.sessions.GetSessionContext(
        session_pb2.GetSessionContextRequest(session_key=begun.session.key, options=options)
    )
    assert again.context.markdown == begun.context.markdown


def test_the_text_of_a_session_whose_task_is_deleted(ledger: Ledger) -> None:
    ledger.session("on-v", task_code="v")
    ledger.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="v"))
    text = ledger.context({"session_key": "on-v"}, format=MARKDOWN).markdown
    assert text.startswith("# v\n\n## Your session\non-v, active, agent a, on task v\n")
    assert "The task v was deleted: close this session." in text


def test_a_servers_tokenizer_counts_the_text(server: Server, engines: Engines) -> None:
    app = App(
        Settings(
            address="127.0.0.1:0", database_url=server.database_url, redis_url=engines.redis_url or "",
            tokenizer="tests.support.tokenizer:count", grace_seconds=0,
        )
    )  # fmt: skip
    try:
        with open_channel(app.start()) as channel:
            ledger = Ledger(channel)
            ledger.task("w", description="a word " * 400)
            for budget in (0, 200):
                found = ledger.context({"task_code": "w"}, token_budget=budget, format=MARKDOWN)
                assert found.token_estimate == tokenizer.count(found.markdown)
                assert not budget or 0.8 * budget <= found.token_estimate <= budget
    finally:
        app.stop()


def test_a_text_is_half_a_json_or_less(ledger: Ledger) -> None:
    """Of the plan of this module, by a real tokenizer. The fleet's figures are in docs/context.md."""
    count = tokenizer.real_tokenizer("o200k_base")
    json = MessageToDict(ledger.context({"task_code": "t"}), preserving_proto_field_name=True)
    text = ledger.context({"task_code": "t"}, format=MARKDOWN).markdown
    assert count(text) < count(str(json)) / 2
