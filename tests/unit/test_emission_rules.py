"""Emission policies: the files of policies, the order of policies, and policies that callers request."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.v1 import common_pb2
from orchestration_server.config.yaml_reader import FileError
from orchestration_server.rules.emission import (
    ACTIVITY,
    AT_ONCE,
    Batch,
    Debounce,
    Policies,
    Sample,
    load,
    sample_position,
)

STATUS = "orchestration.task.status_updated"
P0, P1, P2, P3, P4 = range(1, 6)
IMMEDIATE, BATCH, SAMPLE, DEBOUNCE = range(1, 5)


def policies(folder: Path, text: str) -> Policies:
    path = folder / "emission.yaml"
    path.write_text(text)
    return load(path)


def test_without_a_file_every_event_is_stored_at_once() -> None:
    assert load(None) is AT_ONCE
    assert AT_ONCE.policy_for(STATUS, P4) is None
    assert AT_ONCE.policy_for("agents.note.taken", P4) is None


def test_the_first_policy_that_matches_an_event_counts(tmp_path: Path) -> None:
    found = policies(
        tmp_path,
        f"""
policies:
  - {{on: agents.trace.first, emit: immediate}}
  - on: [agents.trace.*, {ACTIVITY}]
    priorities: [P3, P4]
    emit: sample
    rate: 0.25
  - {{on: agents.trace.*, emit: batch, events: 100, seconds: 1}}
  - {{on: {STATUS}, emit: debounce, stable_seconds: 2}}
""",
    )
    assert found.policy_for("agents.trace.first", P4) is None
    assert found.policy_for("agents.trace.second", P4) == found.policy_for(ACTIVITY, P3) == Sample(0.25)
    for priority in (P2, P0):
        assert found.policy_for("agents.trace.second", priority) == Batch(100, 1.0)
    assert found.policy_for("agents.traces", P4) is None
    assert found.policy_for(STATUS, P2) == Debounce(2.0, 60.0)
    assert found.policy_for(STATUS, P1) is None


def test_a_requested_policy_counts_if_the_rules_allow_it(tmp_path: Path) -> None:
    found = policies(tmp_path, f"policies: [{{on: {STATUS}, emit: debounce, stable_seconds: 2}}]")
    assert found.policy_for(STATUS, P2, IMMEDIATE) is None
    assert found.policy_for(STATUS, P2, DEBOUNCE) == Debounce(2.0, 60.0)
    assert AT_ONCE.policy_for(STATUS, P2, DEBOUNCE) == Debounce()
    assert AT_ONCE.policy_for("orchestration.task.blocked", P2, DEBOUNCE) is None
    assert AT_ONCE.policy_for(STATUS, P1, DEBOUNCE) is None
    assert AT_ONCE.policy_for("agents.note.taken", P2, SAMPLE) == Sample()
    assert AT_ONCE.policy_for("agents.note.taken", P0, SAMPLE) is None
    assert AT_ONCE.policy_for("agents.note.taken", P0, BATCH) == Batch()
    assert AT_ONCE.policy_for(STATUS, P2, SAMPLE) is AT_ONCE.policy_for(STATUS, P2, BATCH) is None
    assert AT_ONCE.policy_for(ACTIVITY, P2, SAMPLE) == Sample()


@given(
    st.sampled_from([STATUS, ACTIVITY, "orchestration.task.created", "agents.trace.step"]),
    st.integers(P0, P4),
    st.integers(0, 4),
)
def test_no_requested_policy_breaks_the_rules(type_: str, priority: int, wish: int) -> None:
    policy = AT_ONCE.policy_for(type_, priority, wish)
    if isinstance(policy, Debounce):
        assert type_ == STATUS
    if isinstance(policy, Batch | Sample):
        assert type_ in (ACTIVITY, "agents.trace.step")
    if isinstance(policy, Debounce | Sample):
        assert priority in (P2, P3, P4)


REFUSED = [
    ("[]", 1, "must be a mapping"),
    ("policies: [{on: a.b}]", 1, "must have emit"),
    ("policies: [{emit: batch}]", 1, "must have on"),
    ("policies:\n- {on: a.b, emit: later}", 2, "must be one of immediate, batch, sample, debounce"),
    ("policies:\n- {on: a.b, emit: batch, rate: 1}", 2, "is not known"),
    ("policies:\n- on: a.b\n  emit: batch\n  events: 0", 4, "from 1 to 2000"),
    ("policies:\n- on: a.b\n  emit: batch\n  events: 1.5", 4, "a whole number"),
    ("policies:\n- on: a.b\n  emit: batch\n  seconds: 60", 4, "from 0.001 to 5"),
    ("policies:\n- on: a.b\n  emit: sample\n  rate: 10%", 4, "from 0 to 1"),
    ("policies:\n- on: A\n  emit: sample", 2, "must be an event type"),
    ("policies:\n- on: [orchestration.*]\n  emit: sample", 2, "is never sampled"),
    (f"policies:\n- on: [a.b, {STATUS}]\n  emit: batch", 2, "is never batched"),
    ("policies:\n- on: a.b\n  emit: sample\n  priorities: [P2,\n    P1]", 5, "P0 and P1 are never sampled"),
    (f"policies:\n- on: {STATUS}\n  emit: debounce\n  priorities: P0", 4, "P0 and P1 are never debounced"),
    ("policies:\n- on: orchestration.task.blocked\n  emit: debounce", 2, "is not debounced"),
    ("policies:\n- on: orchestration.task.*\n  emit: debounce", 2, "is not debounced"),
    ("policies:\n- on: agents.status\n  emit: debounce", 2, "is not debounced"),
    (f"policies:\n- on: {STATUS}\n  emit: debounce\n  latest_seconds: 61", 4, "from 0.1 to 60"),
    (f"policies:\n- on: {STATUS}\n  emit: debounce\n  latest_seconds: 2", 4, "less than stable_seconds"),
]


@pytest.mark.parametrize(("text", "line", "why"), REFUSED)
def test_an_invalid_policy_is_refused_with_its_line(tmp_path: Path, text: str, line: int, why: str) -> None:
    with pytest.raises(FileError) as refused:
        policies(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'emission.yaml'}:{line}: ")
    assert why in str(refused.value)


def test_a_missing_file_of_policies_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        load(tmp_path / "none.yaml")


@given(st.text(max_size=20), st.text(min_size=1, max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_a_session_has_one_sample_position(project: str, session: str, one: str, other: str) -> None:
    assert 0 <= sample_position(project, session, one) == sample_position(project, session, other) < 1


def test_a_rate_keeps_about_its_share_of_sessions() -> None:
    places = [sample_position("p", f"s{n}", "") for n in range(10_000)]
    assert 900 < sum(place < 0.1 for place in places) < 1_100
    chains = [sample_position("p", "", f"c{n}") for n in range(10_000)]
    assert 900 < sum(place < 0.1 for place in chains) < 1_100


def test_the_numbers_of_requested_policies_are_those_of_the_api() -> None:
    numbers = dict(common_pb2.EmissionPolicy.items())
    names = ("UNSPECIFIED", "IMMEDIATE", "BATCH", "SAMPLE", "DEBOUNCE")
    assert numbers == {f"EMISSION_POLICY_{name}": number for number, name in enumerate(names)}
