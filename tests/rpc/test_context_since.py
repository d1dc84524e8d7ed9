"""Partial contexts: omitted sections, changes since a cursor, and token budgets."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import psycopg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from orchestration.v1 import (
    context_pb2,
    event_pb2,
    task_pb2,
)
from tests.support.ledger import TARGETS, Ledger, S, Target
from tests.support.rpc_errors import refused, violations
from tests.support.tokenizer import tokens_of

pytestmark = pytest.mark.shared_server


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


@pytest.fixture
def sprint(ledger: Ledger) -> None:
    ledger.plan()


def sections(context: context_pb2.Context) -> set[str]:
    return {S.Name(section).removeprefix("CONTEXT_SECTION_") for section in context.unchanged}


def test_sections_may_be_omitted(ledger: Ledger, sprint: None) -> None:
    every = [s for s in S.values() if s not in (0, S.CONTEXT_SECTION_TARGET)]
    context = ledger.context({"task_code": "t"}, omit_sections=every)
    fields = {field.name for field, _ in context.ListFields()}
    assert fields == {"target_type", "target_code", "task", "token_estimate", "as_of_cursor", "version"}
    # A caller that asks for an omitted section later gets all of it.
    later = ledger.context({"task_code": "t"}, since_cursor=context.as_of_cursor)
    assert sections(later) == {"TARGET"}
    assert len(later.events) == 3
    assert later.blockers
    assert later.sprint.code == "s"
    with refused(StatusCode.INVALID_ARGUMENT):
        ledger.context({"task_code": "t"}, omit_sections=[S.CONTEXT_SECTION_TARGET])


@pytest.mark.parametrize("target", TARGETS[1:])
def test_with_a_cursor_only_changes_are_returned(ledger: Ledger, sprint: None, target: Target) -> None:
    ledger.session("k", task_code="t")
    first = ledger.context(target, include_ids=True)
    same = ledger.context(target, include_ids=True, since_cursor=first.as_of_cursor)
    held = sections(same)
    assert {"TARGET", "PROGRESS", "NEXT_STEPS", "BLOCKERS", "AGENT_CONFIG", "EVENTS"} <= held
    assert {field.name for field, _ in same.ListFields()} == {
        "target_type", "target_code", "unchanged", "token_estimate", "as_of_cursor", "version",
    }  # fmt: skip
    assert same.as_of_cursor == first.as_of_cursor

    note = ledger.emit("t", sprint_code="s")
    event = ledger.context(target, include_ids=True, since_cursor=same.as_of_cursor)
    assert sections(event) == held - {"EVENTS"}
    assert [e.id for e in event.events] == [note.id]

    ledger.set_status("u", 4)
    after = ledger.context(target, include_ids=True, since_cursor=event.as_of_cursor)
    assert after.progress.completed == 1
    assert "AGENT_CONFIG" in sections(after)
    assert not {"PROGRESS", "BLOCKERS", "NEXT_STEPS"} & sections(after)
    assert note.id not in [e.id for e in after.events]


def test_a_task_that_leaves_its_sprint_is_a_change(ledger: Ledger, sprint: None) -> None:
    ledger.sprint("z")
    before = ledger.context({"sprint_code": "s"})
    request = task_pb2.UpdateTaskRequest(
        task=task_pb2.Task(code="u", sprint_code="z"), update_mask=FieldMask(paths=["sprint_code"])
    )
    ledger.tasks.UpdateTask(request)
    after = ledger.context({"sprint_code": "s"}, since_cursor=before.as_of_cursor)
    assert [task.code for task in after.tasks] == ["t"]
    assert after.progress.total == 1


def test_a_cursor_must_be_of_this_log_and_target(ledger: Ledger, sprint: None) -> None:
    own = ledger.context({"task_code": "t"}, include_ids=True)
    with refused(StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID"):
        ledger.context({"task_code": "t"}, since_cursor="x")
    with refused(StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID") as caught:
        ledger.context({"task_code": "u"}, since_cursor=own.as_of_cursor)
    assert list(violations(caught.value)) == ["options.since_cursor"]
    # Any cursor says which events are known. It opens a timeline, too.
    plain = ledger.context({"task_code": "t"}, include_ids=True, since_cursor=own.events[0].cursor)
    assert [e.id for e in plain.events] == [e.id for e in own.events[1:]]
    assert plain.task == own.task
    note = ledger.emit("t")
    request = event_pb2.StreamTimelineRequest(after_cursor=own.as_of_cursor)
    ids = [e.id for answer in ledger.events.StreamTimeline(request) for e in answer.events.events]
    assert ids[-1] == note.id
    assert not {e.id for e in own.events} & set(ids)


def test_a_late_commit_is_missed_by_no_reader(ledger: Ledger, sprint: None, database_url: str) -> None:
    """Its position is below that of events that committed earlier. Readers wait for it."""
    first = ledger.context({"task_code": "t"})
    with psycopg.connect(database_url) as late:
        late.execute("select pg_current_xact_id()")
        note = ledger.emit("t")
        held = ledger.context({"task_code": "t"}, since_cursor=first.as_of_cursor)
        assert not held.events
        assert held.as_of_cursor == first.as_of_cursor
        late.execute(
            "insert into events select kept, epoch, pg_current_xact_id(), nextval('event_seq'), project,"
            " gen_random_uuid(), 'agents.note.late', entity_type, entity_code, sprint_code, priority,"
            " correlation_id, session_key, actor, occur_time, emit_time, body from events"
            " where event_id = %s",
            (note.id,),
        )
    after = ledger.context({"task_code": "t"}, since_cursor=held.as_of_cursor)
    assert len(after.events) == 2


def test_one_version_has_one_content_while_others_write(ledger: Ledger, sprint: None) -> None:
    found: dict[tuple[str, str], bytes] = {}
    wrong: list[str] = []

    def write(number: int) -> None:
        for turn in range(15):
            ledger.retitle("t" if number else "u", f"{number}-{turn}")

    def read(number: int) -> None:
        target = TARGETS[number % 2]
        for _ in range(20):
            context = ledger.context(target)
            body = context.SerializeToString(deterministic=True)
            if found.setdefault((str(target), context.version), body) != body:
                wrong.append(context.version)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda job: job[0](job[1]), [(write, 0), (write, 1), *[(read, n) for n in range(4)]]))
    assert not wrong
    assert ledger.context({"task_code": "t"}).task.title == "1-14"


@pytest.mark.parametrize("target", TARGETS[1:])
def test_a_budget_is_kept_and_filled(ledger: Ledger, sprint: None, target: Target) -> None:
    ledger.session("k", sprint_code="s")
    for number in range(30):
        ledger.emit("t", payload={"text": f"note {number} " * 10})
    whole = ledger.context(target)
    assert whole.token_estimate == tokens_of(whole)
    for budget in (200, 350, 700, 1_500, 3_000):
        context = ledger.context(target, token_budget=budget)
        assert context.token_estimate == tokens_of(context)
        assert (0.9 if budget >= 500 else 0.8) * budget <= context.token_estimate <= budget
        assert context.trimmed
        assert context == ledger.context(target, token_budget=budget)
    assert not ledger.context(target, token_budget=1_000_000).trimmed
