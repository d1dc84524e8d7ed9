"""A Markdown context has all that an agent can use, keeps its budget, and lets texts forge nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.v1 import common_pb2, context_pb2, event_pb2, task_pb2
from orchestration_server.context import layout
from orchestration_server.context import tokenizer as tokenizers
from orchestration_server.context.layout import Fitted
from orchestration_server.context.markdown import escaping, items, sections
from orchestration_server.context.markdown.document import MarkdownLayout
from orchestration_server.context.token_estimate import estimate_markdown, tokens
from tests.support import markdown_contexts as made
from tests.support import markdown_reader as reader
from tests.support import tokenizer
from tests.unit.test_token_budget import SAMPLE, crowded, fleet

S = context_pb2.ContextSection
HEADINGS = (
    "## Description", "## Goal", "## Objectives", "## Deliverables", "## Metadata", "## Your session",
    "## Metadata of your session", "## Do next", "## Done when", "## Notes for you", "## Earlier attempts",
    "## Blocked by", "## Linked tasks", "## Decisions", "## Sprint", "## Progress of the sprint", "## Tasks",
    "## Earlier sessions", "## Settings for you", "## Files", "## History",
)  # fmt: skip
logs = st.lists(made.events, max_size=6)


def fit(whole: context_pb2.Context, logged: list[event_pb2.Event], budget: int = 0) -> Fitted:
    return layout.fit(markdown(whole, logged), budget)


def markdown(whole: context_pb2.Context, logged: list[event_pb2.Event]) -> MarkdownLayout:
    return MarkdownLayout(whole, [event.SerializeToString() for event in logged], subject="task")


def text_of(whole: context_pb2.Context, logged: list[event_pb2.Event], budget: int = 0) -> str:
    return fit(whole, logged, budget).context.markdown


@given(made.contexts, logs)
def test_no_value_that_an_agent_can_use_is_lost(
    whole: context_pb2.Context, logged: list[event_pb2.Event]
) -> None:
    text = text_of(whole, logged)
    assert not reader.missing(whole, logged, text), text


def test_control_a_value_that_is_lost_is_noticed() -> None:
    whole = crowded()
    assert not reader.missing(whole, [], text_of(whole, []))
    for field, _ in whole.ListFields():
        if field.name not in ("target_type", "target_code", "as_of_cursor", "version"):
            less = context_pb2.Context()
            less.CopyFrom(whole)
            less.ClearField(field.name)  # type: ignore[arg-type]  # any field
            assert reader.missing(whole, [], text_of(less, [])), field.name


def forged(whole: context_pb2.Context, text: str) -> list[str]:
    """Return what a text has that its context does not explain."""
    found = reader.headings(text)
    wrong = [line for line in found[1:] if line.partition(" (")[0] not in HEADINGS]
    wrong += [line for line in found if found.count(line) > 1]
    if not text.startswith(found[0]):
        wrong.append("the title")
    for heading, expected in (
        ("## Do next", whole.next_steps), ("## Done when", whole.acceptance_criteria),
        ("## Notes for you", whole.notes), ("## Earlier attempts", whole.attempts), ("## Files", whole.files),
        ("## Blocked by", whole.blockers), ("## Decisions", whole.decisions), ("## Tasks", whole.tasks),
    ):  # fmt: skip
        if reader.items(text, heading) != len(expected):
            wrong.append(heading)
    return wrong + (["an open fence"] if reader.unclosed(text) else [])


@given(made.contexts, logs)
def test_texts_of_callers_forge_no_heading_and_no_item(
    whole: context_pb2.Context, logged: list[event_pb2.Event]
) -> None:
    text = text_of(whole, logged)
    assert not forged(whole, text), text


@given(made.contexts, logs, st.integers(200, 900))
def test_texts_that_are_cut_forge_no_heading(
    whole: context_pb2.Context, logged: list[event_pb2.Event], budget: int
) -> None:
    text = text_of(whole, logged, budget)
    found = reader.headings(text)
    assert all(line.partition(" (")[0] in HEADINGS for line in found[1:]), text
    assert len(set(found)) == len(found)
    assert not reader.unclosed(text)


@pytest.mark.parametrize("hostile", made.HOSTILE)
def test_each_hostile_text_is_harmless_wherever_it_stands(hostile: str) -> None:
    whole = everywhere(hostile)
    text = text_of(whole, [])
    assert not forged(whole, text), text
    assert not reader.missing(whole, [], text)


def everywhere(text: str) -> context_pb2.Context:
    """Return a context with a text in each place that a caller can write."""
    task = task_pb2.Task(
        code="t", title=text, description=text, assignee=text, phase=text, labels=[text], objectives=[text],
        deliverables=[text], capabilities=[text],
        metadata=made.struct({text: {text: [text, {text: text}]}, "k": text}),
    )  # fmt: skip
    return context_pb2.Context(
        target_type=common_pb2.ENTITY_TYPE_TASK, target_code="t", task=task, acceptance_criteria=[text],
        next_steps=[text], agent_config=made.struct({text: text}),
        notes=[context_pb2.ContextNote(text=text, agent=text)],
        blockers=[context_pb2.ContextDependency(
            depends_on_code="u", title=text, description=text, outcome=text
        )],
        decisions=[context_pb2.ContextDecision(title=text, text=text, status=text, agent=text)],
        sessions=[context_pb2.ContextSession(agent=text, summary=text)],
        attempts=[context_pb2.ContextAttempt(number=1, agent=text, reason=text)],
        tasks=[task_pb2.TaskSummary(code="v", title=text, assignee=text, phase=text)],
        files=[context_pb2.ContextFile(path=text, size=1)],
    )  # fmt: skip


@pytest.mark.parametrize("name", ["one_line", "needs_fence", "fence", "word"])
def test_control_without_escaping_texts_forge_headings(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    instead = {"one_line": str, "word": str, "needs_fence": lambda text: False, "fence": lambda text: "```"}[
        name
    ]
    for module in (escaping, items, sections):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, instead)
    assert any(forged(everywhere(hostile), text_of(everywhere(hostile), [])) for hostile in made.HOSTILE)


@given(made.contexts, logs, st.integers(200, 2_000))
def test_any_context_fits_its_budget_and_names_what_it_lacks(
    whole: context_pb2.Context, logged: list[event_pb2.Event], budget: int
) -> None:
    fitted = fit(whole, logged, budget)
    text = fitted.context.markdown
    assert fitted.estimate == tokens(estimate_markdown(text)) <= budget
    complete = text_of(whole, logged)
    assert fitted.context.trimmed or text == complete or tokens(estimate_markdown(complete)) > budget
    for trim in fitted.context.trimmed:
        assert not trim.left_out or f"{trim.left_out} " in text
        assert trim.left_out or trim.shortened
    assert text.startswith(f"# {whole.task.code}")
    assert fitted.context.as_of_cursor == whole.as_of_cursor


@pytest.mark.parametrize("budget", [250, 500, 1_000, 2_000, 8_000])
def test_the_fleets_tasks_keep_and_fill_a_budget_by_estimate_and_by_o200k(budget: int) -> None:
    count = tokenizer.real_tokenizer("o200k_base")
    trimmed = 0
    for whole, logged in fleet(SAMPLE):
        fitted = layout.fit(MarkdownLayout(whole, [event.body for event in logged], subject="task"), budget)
        text = fitted.context.markdown
        assert fitted.estimate == tokens(estimate_markdown(text)) <= budget
        assert count(text) <= fitted.estimate
        if fitted.context.trimmed:
            trimmed += 1
            least = 0.9 if budget >= 500 else 0.8
            assert fitted.estimate >= least * budget, (whole.target_code, fitted.estimate, text)
    assert trimmed or budget >= 2_000


@pytest.mark.parametrize("budget", [300, 2_000])
def test_a_tokenizer_counts_instead(budget: int) -> None:
    def count(fitted: Fitted) -> int:
        return tokenizer.count(fitted.context.markdown)

    trimmed = 0
    for whole, logged in fleet(SAMPLE):
        made_ = MarkdownLayout(whole, [event.body for event in logged], subject="task")
        fitted = tokenizers.fit(made_, budget, count=count)
        assert fitted.estimate == count(fitted) <= budget
        if fitted.context.trimmed:
            trimmed += 1
            assert fitted.estimate >= 0.8 * budget, (whole.target_code, fitted.estimate)
    assert trimmed or budget > 300


@given(made.contexts, logs, st.integers(200, 900))
def test_equal_contexts_give_equal_bytes(
    whole: context_pb2.Context, logged: list[event_pb2.Event], budget: int
) -> None:
    """The maps of a context that was parsed have another order."""
    again = context_pb2.Context.FromString(whole.SerializeToString(deterministic=True))
    assert fit(whole, logged, budget) == fit(again, logged, budget)
    assert fit(whole, logged) == fit(again, logged)


def test_the_hand_over_note_survives_a_budget_of_500() -> None:
    text = text_of(crowded(), [event_pb2.Event(type="a.b")], 500)
    assert crowded().notes[0].text.strip() in text
    assert text.startswith("# t A title\n")
    assert "word word" in text
    assert "## Metadata" not in text
    assert "… left out: 1 older event" in text


def test_a_word_after_a_line_break_weighs_as_one_after_a_quotation_mark() -> None:
    """So the estimates of parts that begin with a line break add up."""
    pairs = (("one", "\ntwo"), ("ONE 2", "\n2 x"), ("é…", "\n- [ ] Y"), ("x", " 14:05"), ("x", "; y"))
    for first, second in pairs:
        assert estimate_markdown(first + second) == estimate_markdown(first) + estimate_markdown(second)
    assert estimate_markdown("\nx") - estimate_markdown("\n") == estimate_markdown("x")


def event(at: str, type_: str, agent: str = "builder-1", /, **payload: Any) -> event_pb2.Event:
    found = event_pb2.Event(type=type_, agent=agent, payload=made.struct(payload) if payload else None)
    found.occur_time.FromJsonString(f"2026-11-{at}:07Z")
    return found


def changed(field: str, before: str, after: str) -> dict[str, Any]:
    return {"changes": {field: {"from": before, "to": after}}}


def history(*logged: event_pb2.Event, budget: int = 0) -> list[str]:
    whole = context_pb2.Context(target_type=common_pb2.ENTITY_TYPE_TASK, target_code="t")
    return text_of(whole, list(logged), budget).partition("## ")[2].splitlines()


STATUS = "orchestration.task.status_updated"


def test_events_are_sentences_that_repeat_neither_day_nor_author() -> None:
    assert history(
        event("02T14:05", "orchestration.task.created"),
        event("02T14:05", STATUS, **changed("status", "pending", "in_progress")),
        event("02T14:09", "orchestration.activity.logged", kind="progress", message='half "done"'),
        event("02T14:10", STATUS, "", **changed("status", "in_progress", "blocked"), reason="no key"),
        event("03T00:00", "orchestration.task.dependency_added", depends_on="u", kind="blocks"),
    ) == [
        "History (UTC)",
        "- 2026-11-02 14:05 builder-1 created, set status pending → in_progress;"
        ' 14:09 progress: "half \\"done\\""',
        '- 11-02 14:10 set status in_progress → blocked (reason: "no key")',
        "- 11-03 00:00 builder-1 now depends on u (blocks)",
    ]  # fmt: skip


def test_times_in_events_are_in_utc_to_the_minute() -> None:
    claim = {"changes": {"assignee": {"to": "a"}}, "expire_time": "2026-11-02T14:06:07.123456+00:00"}
    due = changed("due_time", "2026-11-03T00:00:00+00:00", "2026-11-04T00:00:00+00:00")
    assert history(
        event("02T14:05", "orchestration.task.claimed", "a", fence="12", agent="a", **claim),
        event("02T14:06", "orchestration.task.updated", "a", **due),
        event("02T14:07", "bots.x", "a", due_time="2026-11-03T00:00:01Z"),
    ) == [
        "History (UTC)",
        "- 2026-11-02 14:05 a claimed;"
        " 14:06 set due_time 2026-11-03 00:00 → 2026-11-04 00:00;"
        " 14:07 bots.x (due_time: 2026-11-03T00:00:01Z)",
    ]  # fmt: skip


CLAIMED, RELEASED = "orchestration.task.claimed", "orchestration.task.released"


def attempt(number: int, agent: str, side: str, **more: Any) -> dict[str, Any]:
    return {"attempt": number, "agent": agent, "changes": {"assignee": {side: agent}}, **more}


def test_a_claim_and_its_end_are_told_without_what_goes_without_saying() -> None:
    expired = event(
        "02T14:08", "orchestration.task.lease_expired", "", **attempt(2, "b-2", "from", outcome="expired")
    )
    expired.actor = "orchestration.work"
    back = event("02T14:08", STATUS, "", **changed("status", "in_progress", "pending"))
    back.actor = expired.actor
    note = {"kind": "note", "message": "half done", "fence": "7", "payload": {"files": 3}}
    taken = attempt(1, "b-1", "to", expire_time="2026-11-02T14:09:00Z")
    failed = attempt(1, "b-1", "from", outcome="failed", attempt_reason="no disk")
    pending = changed("status", "in_progress", "pending") | {"reason": "no disk"}
    logged = [
        event("02T14:05", STATUS, "b-1", **changed("status", "pending", "in_progress")),
        event("02T14:05", CLAIMED, "b-1", **taken),
        event("02T14:06", "agent.work.logged", "b-1", **note),
        event("02T14:07", STATUS, "b-1", **pending),
        event("02T14:07", RELEASED, "b-1", **failed),
        back,
        expired,
    ]
    told = [
        '- 2026-11-02 14:05 b-1 claimed (attempt 1); 14:06 logged note: "half done" (files: 3);'
        ' 14:07 ended attempt 1: failed (attempt_reason: "no disk")',
        "- 11-02 14:08 orchestration.work ended attempt 2 of b-2: expired",
    ]
    assert history(*logged) == ["History (UTC)", *told]


def test_events_that_are_told_together_are_counted_one_by_one() -> None:
    logged = []
    for day in range(1, 31):
        logged.append(event(f"{day:02}T14:05", STATUS, **changed("status", "pending", "in_progress")))
        logged.append(event(f"{day:02}T14:05", CLAIMED, attempt=day))
    _, *shown, left_out = history(*logged, budget=300)
    assert 5 < len(shown) < 25
    assert left_out == f"… and {60 - 2 * len(shown)} older events"


@pytest.mark.parametrize(
    ("status", "other"),
    [
        (changed("status", "in_progress", "blocked"), {}),
        (changed("status", "in_progress", "pending") | {"reason": "another"}, {}),
        (changed("status", "in_progress", "pending") | {"moved": 1}, {}),
        (changed("status", "in_progress", "pending"), {"agent": "b-2"}),
        (changed("status", "in_progress", "pending"), {"type": "bots.released"}),
    ],
)
def test_a_change_of_status_that_the_end_does_not_say_is_told(
    status: dict[str, Any], other: dict[str, Any]
) -> None:
    end = event("02T14:07", RELEASED, "b-1", **attempt(1, "b-1", "from", outcome="failed"))
    for name, value in other.items():
        setattr(end, name, value)
    found = history(event("02T14:07", STATUS, "b-1", **status), end)
    assert "set status in_progress → " in found[1]


def test_the_history_is_in_the_order_of_what_happened() -> None:
    """An import logs what happened before."""
    assert history(event("03T09:00", "bots.x"), event("02T09:00", "bots.y"), event("03T09:00", "bots.z"))[
        1:
    ] == [
        "* 2026-11-02 09:00 builder-1 y",
        "* 11-03 09:00 builder-1 x, z",
    ]


def test_notices_are_told_without_the_ids_of_their_rules() -> None:
    notice = event(
        "02T14:05", "orchestration.notice.raised", "", kind="task_blocked", message="t is blocked: no key",
        automation={"rule": "notice-blocked", "depth": 1},
    )  # fmt: skip
    assert history(notice)[1] == '- 2026-11-02 14:05 noticed: "t is blocked: no key"'


def test_what_is_repeated_in_a_minute_is_written_once() -> None:
    values: dict[str, Any] = {"from": None, "to": "P0"}
    flip = [
        event("02T14:05", "bots.task.status_changed", "builder-1", **{"from": "open", "to": "closed"}),
        event("02T14:05", "bots.task.priority_changed", "builder-1", **values),
    ]
    assert history(*flip * 3, flip[0], flip[0]) == [
        "History (UTC; * marks events bots.task.… of callers)",
        "* 2026-11-02 14:05 builder-1 (status open → closed, priority none → P0) ×3, status open → closed ×2",
    ]


def test_an_event_of_a_caller_does_not_pass_for_one_of_the_ledger() -> None:
    own = event("02T14:05", STATUS, **changed("status", "pending", "completed"))
    alike = event("02T14:05", "bots.status_updated", **changed("status", "pending", "completed"))
    assert history(own)[1] != history(alike)[1]
    assert history(alike)[1].startswith("- 2026-11-02 14:05 builder-1 bots.status_updated")


def test_a_description_that_is_shown_already_is_named() -> None:
    text = "The lock has to be taken before the row is read. " * 3
    whole = context_pb2.Context(target_code="t", task=task_pb2.Task(code="t"))
    for code in "uv":
        whole.dependencies.add(depends_on_code=code, title=code, description=text)
    found = text_of(whole, [])
    assert found.count(text.strip()) == 1
    assert "Description: as of u" in found
