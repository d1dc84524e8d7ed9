"""Rebuilding states from events, and checking chains, without a server."""

from itertools import count
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from orchestration.v1 import common_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration_server.codec.content import (
    TASK_OPTIONAL,
    content_hash,
    plain,
    snapshot,
    task_content,
    to_struct,
)
from orchestration_server.codec.entities import ENTITY_CODECS
from orchestration_server.codec.retry_policies import retry_policy_content, to_retry_policy
from orchestration_server.errors import FailedPrecondition
from orchestration_server.history.chain_check import MOST_FINDINGS, ChainCheck, ChainEvent, Evidence, Gap
from orchestration_server.history.reconstruct import (
    changes_of,
    changes_revision,
    differences,
    fold,
)
from orchestration_server.model import EntityType, Position
from orchestration_server.rules.automation import AGENT

Code = event_pb2.ReplayFindingCode
_numbers = count(1)

TASK = task_content(
    task_pb2.Task(code="A", title="t", status=common_pb2.TASK_STATUS_PENDING, priority=common_pb2.PRIORITY_P2)
)


def event(
    type_: str, revision: int, payload: dict[str, Any], *, code: str = "A", kind: int = EntityType.TASK
) -> event_pb2.Event:
    number = next(_numbers)
    return event_pb2.Event(
        id=f"event-{number}",
        type=f"orchestration.{type_}",
        entity_type=kind,  # type: ignore[arg-type]  # the numbers are the same
        entity_code=code,
        entity_uid="uid",
        entity_revision=revision,
        payload=to_struct(payload),
        emit_time=Timestamp(seconds=number),
    )


def created(content: dict[str, Any] = TASK, **fields: Any) -> event_pb2.Event:
    snapshot = content | fields | {"create_time": "2026-01-02T03:04:05.678901+00:00"}
    return event("task.created", 1, {"snapshot": snapshot})


def changed(revision: int, type_: str = "task.updated", **changes: tuple[Any, Any]) -> event_pb2.Event:
    payload = {name: {"from": before, "to": after} for name, (before, after) in changes.items()}
    return event(type_, revision, {"changes": payload})


# State


def test_a_task_is_rebuilt_from_its_creation() -> None:
    first, second, third = (
        created(metadata={"n": 1, "deep": {"list": [None, True]}}, labels=["x"]),
        changed(2, "task.status_updated", status=("pending", "in_progress")),
        changed(2, title=("t", "u"), metadata=({"n": 1}, {}), priority=("P2", "P0")),
    )
    state = fold(ENTITY_CODECS[EntityType.TASK], [first, second, third])
    task = state.message()
    assert isinstance(task, task_pb2.Task)
    assert task_content(task) == TASK | {
        "title": "u",
        "status": "in_progress",
        "priority": "P0",
        "labels": ["x"],
    }
    assert not task.HasField("metadata")
    assert task.hash == content_hash(task_content(task))
    assert (task.uid, task.revision, state.revision, state.replayed) == ("uid", 2, 2, 3)
    assert task.create_time.ToJsonString() == "2026-01-02T03:04:05.678901Z"
    # All events of a revision have the same emit_time.
    assert task.update_time == second.emit_time
    assert state.last == third


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            EntityType.SPRINT,
            sprint_pb2.Sprint(
                code="S",
                title="t",
                status=common_pb2.SPRINT_STATUS_CANCELLED,
                start_date="2026-01-01",
                metadata=to_struct({"a": [1, "b", {"c": None}]}),
            ),
        ),
        (
            EntityType.SESSION,
            common_pb2.Session(
                key="K",
                status=common_pb2.SESSION_STATUS_COMPLETED,
                agent="a",
                target_type=common_pb2.ENTITY_TYPE_SPRINT,
                target_code="S",
                correlation_id="c",
                outcome=common_pb2.SESSION_OUTCOME_HANDED_OVER,
                summary="done",
            ),
        ),
    ],
)
def test_a_snapshot_holds_all_of_the_content(kind: EntityType, message: Any) -> None:
    content = ENTITY_CODECS[kind].content(message)
    first = event("any.created", 1, snapshot(content, revision=1, create_time=Timestamp()), kind=kind)
    rebuilt: Any = fold(ENTITY_CODECS[kind], [first]).message()
    assert ENTITY_CODECS[kind].content(rebuilt) == content
    assert rebuilt.HasField("close_time") if kind == EntityType.SESSION else rebuilt.hash


def test_the_content_names_each_field_that_callers_may_set() -> None:
    """A field that neither changes nor snapshots contain could not be rebuilt."""
    follows = {"uid", "revision", "hash", "create_time", "update_time", "last_activity_time", "close_time"}
    for kind in ENTITY_CODECS.values():
        assert kind.fields == {f.name for f in kind.message.DESCRIPTOR.fields} - follows


def test_a_task_without_the_optional_fields_keeps_its_hash() -> None:
    """The literal is the hash from before tasks had these fields."""
    fields: dict[str, Any] = {"code": "A", "title": "t", "status": 1, "priority": 3, "labels": ["x"]}
    task = task_pb2.Task(**fields, metadata=to_struct({"n": 1}))
    assert set(task_content(task)) == set(TASK)
    hash_before = "af69d008515efcde775bdcf35513358e670ab4d063d6337b0b522805e1d952bd"
    assert content_hash(task_content(task)) == hash_before
    assert not set(TASK) & set(TASK_OPTIONAL)
    task.due_time.seconds = 0
    assert content_hash(task_content(task)) != hash_before


def test_optional_fields_appear_and_disappear() -> None:
    policy = {"max_attempts": 3, "backoff_seconds": 0.000001, "max_backoff_seconds": 2_592_000}
    events = [
        created(due_time="2030-01-02T03:04:05.678900+00:00"),
        changed(
            2, retry_policy=(None, policy), capabilities=(None, ["x"]), completed_by_children=(None, True)
        ),
        changed(3, due_time=("2030-01-02T03:04:05.678900+00:00", None), retry_policy=(policy, None)),
    ]
    codec = ENTITY_CODECS[EntityType.TASK]
    whole: Any = fold(codec, events[:2]).message()
    assert whole.due_time.ToJsonString() == "2030-01-02T03:04:05.678900Z"
    assert (whole.retry_policy.max_attempts, whole.retry_policy.backoff.nanos) == (3, 1_000)
    assert task_content(whole)["retry_policy"] == policy
    assert whole.hash == content_hash(task_content(whole))
    rest: Any = fold(codec, events).message()
    assert task_content(rest) == TASK | {"capabilities": ["x"], "completed_by_children": True}
    assert not rest.HasField("due_time")
    assert rest.hash == content_hash(task_content(rest))
    assert not findings(*events)
    wrong = changed(4, retry_policy=(policy, {"max_attempts": 1}))
    assert findings(*events, wrong) == [(Code.REPLAY_FINDING_CODE_FROM_MISMATCH, wrong.id)]


@given(
    st.none() | st.integers(0, 100),
    st.tuples(*[st.none() | st.integers(0, 30 * 86_400 * 10**6)] * 3),
    st.tuples(*[st.none() | st.integers(0, 2**53)] * 3),
)
def test_a_retry_policy_keeps_its_values(
    attempts: int | None, spans: tuple[int | None, ...], counts: tuple[int | None, ...]
) -> None:
    names = (
        "max_attempts", "backoff_seconds", "max_backoff_seconds", "max_wall_time_seconds",
        "max_tokens", "max_cost_micros", "max_tool_calls",
    )  # fmt: skip
    given = (attempts, *(None if span is None else span / 10**6 for span in spans), *counts)
    values = {name: value for name, value in zip(names, given, strict=True) if value is not None}
    policy = to_retry_policy(values)
    content = retry_policy_content(policy)
    assert content == {name: value for name, value in values.items() if value or name != "max_attempts"}
    assert to_retry_policy(plain(to_struct(content))) == policy


@pytest.mark.parametrize(
    "values",
    [
        {"attempts": 1}, {"max_attempts": 1.5}, {"max_attempts": "3"}, {"max_attempts": True},
        {"max_attempts": -1}, {"backoff_seconds": float("nan")}, {"backoff_seconds": float("inf")},
        {"backoff_seconds": 10**300}, {"max_backoff_seconds": [1]}, {"max_backoff_seconds": -0.1},
        {"max_tokens": 1.5}, {"max_cost_micros": 2**53 + 2}, {"max_tool_calls": "many"},
    ],
)  # fmt: skip
def test_a_retry_policy_of_other_values_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is not known|must be a"):
        to_retry_policy(values)


def test_snapshots_come_with_the_first_revision_and_each_32nd() -> None:
    with_one = [n for n in range(1, 100) if snapshot({}, revision=n, create_time=Timestamp())]
    assert with_one == [1, 32, 64, 96]


def test_a_missing_revision_is_an_error() -> None:
    with pytest.raises(FailedPrecondition, match="between revisions 1 and 3") as caught:
        fold(ENTITY_CODECS[EntityType.TASK], [created(), changed(3, title=("t", "u"))])
    assert caught.value.reason == "HISTORY_INCOMPLETE"


def test_a_deletion_leaves_the_last_state() -> None:
    state = fold(ENTITY_CODECS[EntityType.TASK], [created(), event("task.deleted", 2, {})])
    task: Any = state.message()
    assert (state.deleted, state.revision, task.revision) == (True, 2, 1)


def test_events_that_change_no_revision() -> None:
    kind = ENTITY_CODECS[EntityType.TASK]
    assert not changes_revision(
        kind, event("task.dependency_added", 1, {"changes": {"depends_on": {"from": None, "to": "B"}}})
    )
    assert not changes_revision(kind, event("task.generated", 1, {"template": "x"}))
    assert changes_revision(ENTITY_CODECS[EntityType.SESSION], event("session.resumed", 2, {"changes": {}}))


def test_a_creation_changes_each_field_from_null() -> None:
    changes = plain(changes_of(created(TASK, labels=["x"], metadata={"n": 0})))
    assert changes == {
        "code": {"from": None, "to": "A"},
        "title": {"from": None, "to": "t"},
        "status": {"from": None, "to": "pending"},
        "priority": {"from": None, "to": "P2"},
        "labels": {"from": None, "to": ["x"]},
        "metadata": {"from": None, "to": {"n": 0}},
    }


def test_a_difference_in_presence_alone_counts() -> None:
    one, other = task_pb2.Task(title="a", metadata=Struct()), task_pb2.Task(title="b")
    assert differences(one, other) == ["title", "metadata"]
    assert differences(one, one) == []


# Chains


def links(*events: event_pb2.Event) -> list[ChainEvent]:
    return [ChainEvent(Position(1, 10 * n, n), one) for n, one in enumerate(events, 1)]


def findings(*events: event_pb2.Event, evidence: Evidence | None = None) -> list[tuple[int, str]]:
    chain = ChainCheck()
    assert chain.check(links(*events), evidence or Evidence())
    assert chain.checked == len(events)
    return [(found.code, found.event_id) for found in chain.findings]


def test_a_chain_in_order_has_no_findings() -> None:
    assert not findings(
        created(),
        changed(2, "task.status_updated", status=("pending", "blocked")),
        changed(2, "task.assigned", assignee=("", "ann")),
        changed(3, "task.unblocked", status=("blocked", "in_progress")),
        event("task.dependency_added", 3, {"changes": {"depends_on": {"from": None, "to": "B"}}}),
        event("task.dependency_added", 3, {"changes": {"depends_on": {"from": None, "to": "C"}}}),
        event("activity.logged", 0, {"message": "x"}),
        event("task.deleted", 4, {}),
    )


def test_a_field_may_change_once_a_revision() -> None:
    first, second = changed(2, title=("t", "u")), changed(2, title=("u", "v"))
    assert findings(created(), first, second) == [(Code.REPLAY_FINDING_CODE_REVISION_ORDER, second.id)]


def test_a_revision_that_goes_back_is_found() -> None:
    late = changed(2, title=("t", "u"))
    assert findings(changed(3, phase=("", "x")), late) == [(Code.REPLAY_FINDING_CODE_REVISION_ORDER, late.id)]


def test_a_change_from_another_value_is_found() -> None:
    wrong = changed(2, title=("other", "u"), metadata=({}, {"a": 1}))
    again = changed(3, metadata=({"a": True}, {}))
    assert findings(created(), wrong, again) == [
        (Code.REPLAY_FINDING_CODE_FROM_MISMATCH, wrong.id),
        (Code.REPLAY_FINDING_CODE_FROM_MISMATCH, again.id),
    ]


def test_a_transition_that_is_not_allowed_is_found() -> None:
    refused = changed(2, "task.status_updated", status=("completed", "cancelled"))
    assert findings(refused) == [(Code.REPLAY_FINDING_CODE_TRANSITION_REFUSED, refused.id)]
    odd = changed(2, "task.status_updated", status=("nothing", None))
    assert findings(odd) == [(Code.REPLAY_FINDING_CODE_TRANSITION_REFUSED, odd.id)]


@pytest.mark.parametrize(
    ("type_", "payload"),
    [
        ("task.created", {}),
        ("task.created", {"changes": {}}),
        ("task.updated", {}),
        ("task.updated", {"changes": {"title": {"to": "x"}}}),
        ("task.updated", {"changes": {"title": "x"}}),
        ("task.updated", {"changes": "x"}),
        ("task.updated", {"snapshot": {}}),
    ],
)
def test_a_payload_without_its_changes_is_found(type_: str, payload: dict[str, Any]) -> None:
    bare = event(type_, 2, payload)
    found = [code for code, _ in findings(bare, changed(3, phase=("", "x")))]
    assert Code.REPLAY_FINDING_CODE_PAYLOAD_INCOMPLETE in found
    assert Code.REPLAY_FINDING_CODE_REVISION_GAP not in found


def test_events_of_other_chains_close_a_gap() -> None:
    mine, theirs, late = created(), changed(2, title=("t", "theirs")), changed(3, title=("theirs", "mine"))
    page = links(mine, late)
    chain = ChainCheck()
    gap = Gap(EntityType.TASK, "A", page[0].position, page[1].position)
    assert chain.gaps(page) == [gap]

    assert not findings(mine, late, evidence=Evidence(between={gap: [theirs]}))
    assert findings(mine, late, evidence=Evidence(between={gap: []})) == [
        (Code.REPLAY_FINDING_CODE_REVISION_GAP, late.id)
    ]
    ours = changed(3, title=("t", "mine"))
    assert findings(mine, ours, evidence=Evidence(between={gap: [theirs]})) == [
        (Code.REPLAY_FINDING_CODE_FROM_MISMATCH, ours.id)
    ]
    # A gap that is too large to read leaves the check incomplete.
    assert not chain.findings
    assert chain.check(page, Evidence())
    assert not chain.findings
    assert chain.truncated


def test_a_gap_may_span_two_pages() -> None:
    first, second = links(created(), changed(4, title=("t", "u")))
    chain = ChainCheck()
    assert chain.check([first], Evidence())
    assert chain.gaps([second]) == [Gap(EntityType.TASK, "A", first.position, second.position)]


def test_an_unknown_entity_is_one_finding() -> None:
    first = created()
    evidence = Evidence(unknown=frozenset({(EntityType.TASK, "A")}))
    assert findings(first, changed(2, title=("t", "u")), evidence=evidence) == [
        (Code.REPLAY_FINDING_CODE_ENTITY_UNKNOWN, first.id)
    ]
    callers = event("x", 0, {})
    callers.type = "agents.note.taken"
    assert not findings(callers, evidence=evidence)


def test_a_missing_cause_is_found() -> None:
    fired = event("alert.raised", 0, {"automation": {"rule": "r", "cause": "gone", "depth": 1}})
    # A caller may write such a field as well.
    assert not findings(fired, evidence=Evidence(missing=frozenset({"gone"})))
    fired.agent = AGENT
    assert findings(fired, evidence=Evidence(missing=frozenset({"gone"}))) == [
        (Code.REPLAY_FINDING_CODE_CAUSE_MISSING, fired.id)
    ]


def test_the_check_stops_at_500_findings() -> None:
    chain = ChainCheck()
    broken = [changed(2, title=("t", "u")), *(changed(1, title=("t", "u")) for _ in range(600))]
    assert not chain.check(links(*broken), Evidence())
    assert (len(chain.findings), chain.truncated) == (MOST_FINDINGS, True)
    assert chain.checked < len(broken)
