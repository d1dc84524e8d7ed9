"""A coalesced event expands into the events that it was made of."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestration.v1 import event_pb2
from orchestration_server.codec.content import plain, to_struct
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.model import Entity, PendingChange
from orchestration_server.store.pending_changes import MAX_PENDING
from orchestration_server.writes import coalesced, debounce
from orchestration_server.writes.debounce import MAX_EVENT_BYTES

START = datetime(2026, 1, 1, tzinfo=UTC)
UPDATED = "orchestration.task.status_updated"
NAMES = st.sampled_from(("", "ann", "bob", "cyd"))
PAYLOADS = st.fixed_dictionaries(
    {},
    optional={
        "reason": st.text(min_size=1, max_size=10),
        "snapshot": st.dictionaries(st.text(max_size=5), st.one_of(st.integers(-5, 5), st.text(max_size=5))),
        "automation": st.fixed_dictionaries({"rule": st.text(max_size=5), "depth": st.integers(0, 5)}),
    },
)  # fmt: skip
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("pending", "in_progress", "completed")), NAMES, NAMES, NAMES,
        st.integers(0, 10**7), PAYLOADS,
    ),
    min_size=1,
    max_size=40,
)  # fmt: skip


@given(STEPS)
def test_expand_reverses_coalesce(
    drawn: list[tuple[str, str, str, str, int, dict[str, Any]]],
) -> None:
    events, status, time = [], "pending", START
    for revision, (to, agent, session, chain, later, rest) in enumerate(drawn, 2):
        time += timedelta(microseconds=later)
        events.append(
            event_pb2.Event(
                id="one", type=UPDATED, entity_type=2,  # type: ignore[arg-type]
                entity_code="A", entity_uid="u", entity_revision=revision, sprint_code="S",
                priority=3,  # type: ignore[arg-type]
                agent=agent, session_key=session, correlation_id=chain,
                payload=to_struct({"changes": {"status": {"from": status, "to": to}}, **rest}),
                occur_time=to_timestamp(time), emit_time=to_timestamp(time),
            )
        )  # fmt: skip
        status = to
    whole = coalesced.coalesce(events)
    whole.id = "one"
    told = plain(whole.payload)
    changes = {} if status == "pending" else {"status": {"from": "pending", "to": status}}
    assert (told["changes"], told["step_count"]) == (changes, len(events))
    assert whole.entity_revision == events[-1].entity_revision
    assert "snapshot" not in told
    assert coalesced.expand(event_pb2.Event.FromString(whole.SerializeToString())) == events


@given(
    st.lists(
        st.sampled_from((100, MAX_EVENT_BYTES // 3, MAX_EVENT_BYTES // 2, MAX_EVENT_BYTES + 1)), min_size=1
    ),
    st.integers(0, 3 * MAX_PENDING),
)
def test_parts_stay_within_the_limits_of_number_and_bytes(sizes: list[int], more: int) -> None:
    sizes += [100] * more
    task = Entity("default", 2, "A")
    rows = [PendingChange(task, n, START, START, "", bytes(size)) for n, size in enumerate(sizes, 2)]
    parts = list(debounce.split(rows))
    assert [row for part in parts for row in part] == rows
    for part, next_part in zip(parts, [*parts[1:], ()], strict=True):
        size = sum(len(row.body) for row in part)
        assert 1 <= len(part) <= MAX_PENDING
        assert size <= MAX_EVENT_BYTES or len(part) == 1
        # Each part is as large as the limits allow.
        assert not next_part or len(part) == MAX_PENDING or size + len(next_part[0].body) > MAX_EVENT_BYTES


def test_an_event_without_steps_is_unchanged() -> None:
    event = event_pb2.Event(type="orchestration.task.status_updated", payload=to_struct({"changes": {}}))
    assert coalesced.expand(event) == [event]
    mine = event_pb2.Event(type="agents.note.taken", payload=to_struct({"steps": [1]}))
    assert coalesced.expand(mine) == [mine]
