"""A context never exceeds its token budget, fills it, and names what is left out."""

import json
from collections import defaultdict
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from orchestration.v1 import common_pb2, context_pb2, event_pb2, task_pb2
from orchestration.v1.common_pb2 import DependencyKind as LinkKind
from orchestration_server.cli.importing.jsonl_format import EventReader, parse_task, read_lines
from orchestration_server.context import compact_json, layout
from orchestration_server.context import tokenizer as tokenizers
from orchestration_server.context.budget_order import SHARES
from orchestration_server.context.compact_json import cut, shorten, size, to_json
from orchestration_server.context.layout import Fitted
from orchestration_server.context.next_steps import next_steps
from orchestration_server.context.token_budget import JsonLayout, SizedEvent
from tests.support import tokenizer
from tests.support.lengths import lengths
from tests.support.tokenizer import tokens_of

DATA = Path(__file__).parents[1] / "data" / "fleet"
ORDER = list(SHARES)
SAMPLE = 25
"""Of each this many tasks of the fleet, `make test` takes one."""
BUDGETS = (200, 300, 500, 800, 1_500, 3_000, 10_000)
S = context_pb2.ContextSection
LISTS = {
    S.CONTEXT_SECTION_NEXT_STEPS: "next_steps",
    S.CONTEXT_SECTION_BLOCKERS: "blockers",
    S.CONTEXT_SECTION_ACCEPTANCE_CRITERIA: "acceptance_criteria",
    S.CONTEXT_SECTION_DEPENDENCIES: "dependencies",
    S.CONTEXT_SECTION_TASKS: "tasks",
    S.CONTEXT_SECTION_EVENTS: "events",
    S.CONTEXT_SECTION_FILES: "files",
    S.CONTEXT_SECTION_NOTES: "notes",
    S.CONTEXT_SECTION_DECISIONS: "decisions",
    S.CONTEXT_SECTION_SESSIONS: "sessions",
    S.CONTEXT_SECTION_ATTEMPTS: "attempts",
}


def sized(events: list[event_pb2.Event]) -> list[SizedEvent]:
    return [SizedEvent(event.SerializeToString(), size(to_json(event))) for event in events]


def fit(whole: context_pb2.Context, events: list[SizedEvent], budget: int, *, subject: str) -> Fitted:
    return layout.fit(JsonLayout(whole, events, subject=subject), budget)


def joined(fitted: Fitted) -> context_pb2.Context:
    whole = context_pb2.Context()
    whole.CopyFrom(fitted.context)
    whole.events.extend(event_pb2.Event.FromString(body) for body in fitted.events)
    return whole


@cache
def fleet(every: int) -> list[tuple[context_pb2.Context, list[SizedEvent]]]:
    """Return the contexts of each ``every``-th task of a fleet, made from its files."""
    tasks = {}
    links = defaultdict(list)
    for line in read_lines(DATA / "tasks.jsonl.gz"):
        row = parse_task(line)
        task = task_pb2.Task()
        task.CopyFrom(row.new.task)
        task.uid, task.hash, task.revision = "0" * 36, "0" * 64, 3
        task.create_time.FromJsonString("2025-11-01T10:11:12.123456Z")
        task.update_time.FromJsonString("2025-11-02T10:11:12.123456Z")
        tasks[row.code] = task
        links[row.code] = list(row.links)
    events = defaultdict(list)
    chosen = set(list(tasks)[::every])
    reader = EventReader()
    for number, line in enumerate(read_lines(DATA / "events.jsonl.gz")):
        if json.loads(line.data or b"{}")["code"] not in chosen:
            continue
        new = reader.parse(line).event
        event = event_pb2.Event.FromString(new.SerializeToString())
        event.id, event.cursor = f"{number:036}", "0" * 32
        event.correlation_id, event.priority = "0" * 32, common_pb2.PRIORITY_P2
        event.emit_time.FromJsonString("2025-11-02T10:11:12.123456Z")
        events[new.entity_code].append(event)
    found = []
    for code in islice(tasks, 0, None, every):
        task = tasks[code]
        context = context_pb2.Context(
            target_type=common_pb2.ENTITY_TYPE_TASK,
            target_code=code,
            task=task,
            as_of_cursor="0" * 96,
            version="0" * 32,
        )
        for link in links[code]:
            other = tasks.get(link.code, task_pb2.Task())
            shown = context_pb2.ContextDependency(
                task_code=code,
                depends_on_code=link.code,
                kind=LinkKind.Value(f"DEPENDENCY_KIND_{link.kind.upper().replace(chr(45), chr(95))}"),
                title=other.title,
                status=other.status,
            )
            (context.blockers if other.status in (1, 2, 3) else context.dependencies).append(shown)
        context.next_steps.extend(next_steps(context, []))
        found.append((context, sized(events[code])))
    return found


@pytest.mark.slow
@lengths("every", short=SAMPLE, long=1)
@pytest.mark.parametrize("budget", BUDGETS)
def test_the_fleets_tasks_never_exceed_a_budget_and_fill_it(budget: int, every: int) -> None:
    trimmed = 0
    # Small budgets cut all contexts in much the same way, so one in four is enough.
    for whole, events in fleet(every)[:: 4 if every == 1 and budget < 1_500 else 1]:
        fitted = fit(whole, events, budget, subject="task")
        context = joined(fitted)
        assert fitted.estimate == tokens_of(context)
        assert fitted.estimate <= budget
        if context.trimmed:
            trimmed += 1
            # Of a few hundred tokens one item that does not fit leaves a larger share unused.
            least = 0.9 if budget >= 500 else 0.8
            assert fitted.estimate >= least * budget, (whole.target_code, fitted.estimate)
        else:
            assert context == joined(fit(whole, events, 0, subject="task"))
    assert trimmed or budget == 10_000


def test_equal_contexts_are_trimmed_alike() -> None:
    for whole, events in fleet(SAMPLE)[::2]:
        first, second = (fit(whole, events, 500, subject="task") for _ in range(2))
        assert joined(first).SerializeToString(deterministic=True) == joined(second).SerializeToString(
            deterministic=True
        )


@pytest.mark.parametrize("budget", [400, 2_000])
def test_a_tokenizer_counts_instead(budget: int) -> None:
    def count(fitted: Fitted) -> int:
        return tokenizer.count(compact_json.text(joined(fitted)))

    trimmed = 0
    for whole, events in fleet(SAMPLE):
        fitted = tokenizers.fit(JsonLayout(whole, events, subject="task"), budget, count=count)
        assert fitted.estimate == count(fitted) <= budget
        if fitted.context.trimmed:
            trimmed += 1
            # Counts do not add up, so the search may leave a tenth of the budget.
            assert fitted.estimate >= 0.8 * budget, (whole.target_code, fitted.estimate)
    assert trimmed


@pytest.mark.parametrize("name", ["", "tests.support.tokenizer:count"])
def test_a_tokenizer_is_found_by_its_name(name: str) -> None:
    found = tokenizers.load_tokenizer(name)
    assert found is None if not name else found is not None and found("two words") == 2


@pytest.mark.parametrize(
    "name",
    ["nothing", "no.such.module:count", "tests.support.tokenizer:no_such", "tests.support.tokenizer:wordy"],
)
def test_a_tokenizer_that_cannot_be_used_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        tokenizers.load_tokenizer(name)


words = st.text(st.characters(codec="utf-8"), max_size=60)
lines = st.lists(words.filter(bool), max_size=5)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


def struct(values: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(values)
    return made


structs = st.dictionaries(words, values, max_size=4).map(struct)
codes = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True)
tasks = st.builds(
    task_pb2.Task, code=codes, title=words.filter(bool), description=st.text(max_size=900), labels=lines,
    objectives=lines, deliverables=lines, metadata=structs, uid=st.just("0" * 36), hash=st.just("0" * 64),
    revision=st.integers(1, 2**62), status=st.sampled_from(common_pb2.TaskStatus.values()),
)  # fmt: skip
summaries = st.builds(task_pb2.TaskSummary, code=codes, title=words)
links = st.builds(context_pb2.ContextDependency, task_code=codes, depends_on_code=codes, title=words)
sessions = st.builds(common_pb2.Session, key=codes, summary=words, pause_reason=words, metadata=structs)
events = st.builds(
    event_pb2.Event,
    type=st.from_regex(r"[a-z]{1,30}\.[a-z]{1,30}", fullmatch=True),
    payload=structs,
    actor=words,
)
contexts = st.builds(
    context_pb2.Context, target_type=st.just(common_pb2.ENTITY_TYPE_SESSION), target_code=codes,
    session=st.none() | sessions, task=tasks, next_steps=lines, blockers=st.lists(links, max_size=4),
    acceptance_criteria=lines, agent_config=st.none() | structs, dependencies=st.lists(links, max_size=4),
    tasks=st.lists(summaries, max_size=6), next_page_token=st.sampled_from(["", "x" * 60]),
    files=st.lists(st.builds(context_pb2.ContextFile, path=words, size=st.integers(0, 2**50)), max_size=4),
    as_of_cursor=st.just("0" * 96), version=st.just("0" * 32), progress_percent=st.sampled_from([0.0, 33.3]),
)  # fmt: skip


@given(contexts, st.lists(events, max_size=6), st.integers(200, 2_000))
def test_any_context_fits_its_budget_and_names_what_it_lacks(
    whole: context_pb2.Context, logged: list[event_pb2.Event], budget: int
) -> None:
    fitted = fit(whole, sized(logged), budget, subject="task")
    context = joined(fitted)
    assert fitted.estimate == tokens_of(context) <= budget
    complete = joined(fit(whole, sized(logged), 0, subject="task"))
    if not context.trimmed:
        assert tokens_of(complete) > budget or context == complete
        return
    trims = {trim.section: trim for trim in context.trimmed}
    assert list(trims) == sorted(trims)
    for section, name in LISTS.items():
        before, after = list(getattr(complete, name)), list(getattr(context, name))
        if section in trims:
            assert len(before) - len(after) == trims[section].left_out
            left = iter(before)
            assert trims[section].shortened or all(item in left for item in after)  # in their order
        elif ORDER.index(section) < max(map(ORDER.index, trims)):
            assert before == after
    assert context.target_code == whole.target_code
    assert context.as_of_cursor == whole.as_of_cursor


@pytest.mark.parametrize("budget", range(200, 420))
def test_an_item_without_title_is_whole_or_left_out(budget: int) -> None:
    """Neither a link to a deleted task nor a file has a title."""
    whole = context_pb2.Context(target_type=common_pb2.ENTITY_TYPE_TASK, target_code="T1")
    for number in range(4):
        whole.dependencies.add(task_code="T1", depends_on_code="D" * 120 + str(number))
        whole.files.add(path="f" * 90 + str(number), size=number)
    fitted = fit(whole, [], budget, subject="task")
    assert fitted.estimate == tokens_of(joined(fitted)) <= budget
    assert all(link in whole.dependencies for link in fitted.context.dependencies)
    assert all(file in whole.files for file in fitted.context.files)


def test_labels_are_left_out_before_the_title() -> None:
    title = "Move the horizon of the timeline " * 14
    task = task_pb2.Task(code="T-1", title=title, labels=["storage", "correctness"], description="word " * 90)
    whole = context_pb2.Context(target_type=common_pb2.ENTITY_TYPE_TASK, target_code="T-1", task=task)
    whole.as_of_cursor, whole.version = "0" * 96, "0" * 16
    cut_short = 0
    for budget in range(200, 420):
        fitted = fit(whole, [], budget, subject="task").context.task
        assert not fitted.labels or fitted.title == title
        cut_short += not fitted.labels
    assert cut_short


def crowded() -> context_pb2.Context:
    """Return a context with items in most sections."""
    note = context_pb2.ContextNote(text="The migration is half done: run it again with --resume. " * 4)
    return context_pb2.Context(
        target_type=common_pb2.ENTITY_TYPE_TASK, target_code="t",
        task=task_pb2.Task(
            code="t", title="A title", description="word " * 400, deliverables=["deliver " * 12] * 3,
            metadata=struct({"long": "metadata " * 40}),
        ),
        notes=[note],
        attempts=[context_pb2.ContextAttempt(number=2, agent="a", reason="it fails because " * 12)] * 2,
        next_steps=["step " * 20] * 2, acceptance_criteria=["criterion " * 20] * 2,
        agent_config=struct({"c": "config " * 40}),
        blockers=[context_pb2.ContextDependency(depends_on_code="u", title="U", description="blocks " * 90)],
        sessions=[context_pb2.ContextSession(agent="a", summary="summary " * 60)],
        as_of_cursor="0" * 96, version="0" * 16,
    )  # fmt: skip


def test_sections_become_whole_in_the_order_of_their_use() -> None:
    """A section with a share may become whole before one above it. Events are always last."""
    whole = crowded()
    logged = sized([event_pb2.Event(type=f"a.b{n}", actor="x" * 200) for n in range(5)])
    last = []
    for budget in range(200, 4_000, 40):
        context = joined(fit(whole, logged, budget, subject="task"))
        trims = [ORDER.index(trim.section) for trim in context.trimmed]
        shown = [event.type for event in context.events]
        # Newer events get room first, and come in the order of the log.
        assert shown == [f"a.b{n}" for n in range(5)][len(logged) - len(shown) :]
        assert trims or len(shown) == 5
        last.append(len(trims))
    assert last[-1] == 0
    assert max(last) >= 4


def test_the_hand_over_note_survives_a_budget_of_500() -> None:
    context = joined(fit(crowded(), sized([event_pb2.Event(type="a.b")]), 500, subject="task"))
    assert context.notes == crowded().notes
    assert (context.task.title, context.task.description[:5]) == ("A title", "word ")
    assert not context.task.deliverables
    assert not context.task.HasField("metadata")
    assert not context.sessions


@given(st.text(max_size=200), st.integers(0, 300))
def test_a_text_is_cut_to_the_longest_prefix_that_fits(text: str, room: int) -> None:
    found = cut(text, room)
    assert text.startswith(found)
    if found:
        assert size(found) <= room
    if len(found) < len(text):
        assert size(text[: len(found) + 1]) > room


@given(values, st.integers(0, 200))
def test_a_value_is_shortened_to_fit(value: object, room: int) -> None:
    found = shorten(value, room)
    if found is not None:
        assert size(found) <= room
        assert type(found) is type(value)
    if size(value) <= room:
        assert found == value
