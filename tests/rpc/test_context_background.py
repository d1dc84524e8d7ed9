"""The background of a context's target. Each section is part of the version that the cache goes by."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict

from orchestration.v1 import common_pb2, coordination_pb2, lease_pb2, report_pb2, session_pb2, task_pb2
from orchestration.v1.report_pb2_grpc import ReportServiceStub
from tests.support.ledger import Ledger

pytestmark = pytest.mark.shared_server

TASK = {"task_code": "t"}


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    found = Ledger(channel)
    found.plan()
    return found


def log(ledger: Ledger, key: str, kind: str, message: str) -> None:
    ledger.sessions.LogActivity(session_pb2.LogActivityRequest(session_key=key, kind=kind, message=message))


def close(ledger: Ledger, key: str, summary: str) -> None:
    ledger.sessions.CloseSession(session_pb2.CloseSessionRequest(session_key=key, summary=summary))


def changed(ledger: Ledger, **target: Any) -> Any:
    """Return a context that must not come from the cache; the same call again must."""
    first = ledger.ask(**target)
    assert not first.from_cache
    again = ledger.ask(**target)
    assert again.from_cache
    assert again.context == first.context
    return first.context


def test_hand_over_notes_are_shown_once_even_after_many_events(ledger: Ledger) -> None:
    ledger.session("k", task_code="t")
    changed(ledger, **TASK)
    log(ledger, "k", "handover", "the migration is half done: run it again with --resume")
    log(ledger, "k", "progress", "tests pass")
    for number in range(150):
        ledger.emit("t", type_=f"agents.note.n{number}")
    for target in (TASK, {"sprint_code": "s"}, {"session_key": "k"}):
        context = changed(ledger, **target)
        (note,) = context.notes
        assert (note.text[:13], note.agent) == ("the migration", "a")
        assert note.task_code == ("t" if "sprint_code" in target else "")
        assert note.log_time.seconds
        assert not [e for e in context.events if "handover" in str(e.payload)]
    whole = ledger.context(TASK, max_events=500)
    assert [e.payload["message"] for e in whole.events if e.type.endswith("logged")] == ["tests pass"]


def test_decisions_of_the_task_and_of_its_sprint_are_shown(ledger: Ledger, channel: grpc.Channel) -> None:
    reports = ReportServiceStub(channel)
    changed(ledger, **TASK)
    abouts: list[dict[str, Any]] = [{"task_code": "t"}, {"sprint_code": "s"}, {"task_code": "u"}, {}]
    for about in abouts:
        reports.CreateAdr(report_pb2.CreateAdrRequest(title=f"of {about}", decision="Use Postgres.", **about))
        is_its_own = about in ({"task_code": "t"}, {"sprint_code": "s"})
        assert ledger.ask(task_code="t").from_cache is not is_its_own
    ledger.session("k", task_code="t")
    log(ledger, "k", "decision", "no retries")
    context = changed(ledger, **TASK)
    assert {d.title for d in context.decisions} == {
        "of {'task_code': 't'}", "of {'sprint_code': 's'}", "no retries",
    }  # fmt: skip
    assert {d.text for d in context.decisions} == {"Use Postgres.", ""}
    assert {d.status for d in context.decisions} == {"proposed", ""}
    of_sprint = changed(ledger, sprint_code="s")
    assert {d.code for d in of_sprint.decisions} == {"ADR-0001", "ADR-0002", "ADR-0003", ""}


def test_earlier_sessions_show_their_summaries(ledger: Ledger) -> None:
    for number in range(7):
        ledger.session(f"k{number}", task_code="t", force_new=True)
        assert not any(s.summary == f"did {number}" for s in changed(ledger, **TASK).sessions)
        close(ledger, f"k{number}", f"did {number}")
        assert changed(ledger, **TASK).sessions[0].summary == f"did {number}"
    ledger.session("now", task_code="t", force_new=True)
    context = ledger.context({"session_key": "now"})
    assert [s.summary for s in context.sessions] == [f"did {n}" for n in (6, 5, 4, 3, 2)]
    assert context.sessions[0].outcome == common_pb2.SESSION_OUTCOME_SUCCEEDED
    assert not context.sessions[0].key
    ledger.sessions.PauseSession(session_pb2.PauseSessionRequest(session_key="now", reason="waits for u"))
    paused = changed(ledger, **TASK).sessions[0]
    assert (paused.status, paused.summary) == (common_pb2.SESSION_STATUS_PAUSED, "waits for u")


def test_blockers_and_parents_show_description_and_outcome(ledger: Ledger) -> None:
    ledger.task("parent", description="the whole of it", metadata={"outcome": "agreed on"})
    ledger.link("t", "parent", 2)
    request = task_pb2.UpdateTaskRequest(
        task=task_pb2.Task(code="u", description="must come first"),
        update_mask=FieldMask(paths=["description"]),
    )
    ledger.tasks.UpdateTask(request)
    context = changed(ledger, **TASK)
    assert [(b.depends_on_code, b.description, b.outcome) for b in context.blockers] == [
        ("u", "must come first", "")
    ]
    shown = {d.depends_on_code: (d.description, d.outcome) for d in context.dependencies}
    assert shown == {"parent": ("the whole of it", "agreed on"), "v": ("", "")}

    ledger.session("of-u", task_code="u")
    close(ledger, "of-u", "the lock is in place")
    assert changed(ledger, **TASK).blockers[0].outcome == "the lock is in place"
    assert not changed(ledger, sprint_code="s").blockers[0].description


def test_a_linked_task_shows_what_the_holder_said_who_completed_it(ledger: Ledger) -> None:
    ledger.link("t", "v", 2)

    def ended(code: str, outcome: lease_pb2.AttemptOutcome.ValueType, reason: str) -> dict[str, str]:
        claim = coordination_pb2.ClaimTaskRequest(task_code=code, agent="b")
        fence = ledger.coordination.ClaimTask(claim).claims[0].lease.fence
        release = coordination_pb2.ReleaseTaskRequest(
            task_code=code, fence=fence, outcome=outcome, reason=reason
        )
        ledger.coordination.ReleaseTask(release)
        context = changed(ledger, **TASK)
        links = [*context.blockers, *context.dependencies]
        return {link.depends_on_code: link.outcome for link in links if link.outcome}

    assert ended("u", lease_pb2.ATTEMPT_OUTCOME_RETURNED, "half of it") == {}
    assert ended("u", lease_pb2.ATTEMPT_OUTCOME_COMPLETED, "14 rules") == {"u": "14 rules"}
    both = {"u": "14 rules", "v": "drawn"}
    assert ended("v", lease_pb2.ATTEMPT_OUTCOME_COMPLETED, "drawn") == both
    # What was said of a task that is open again is no outcome any more.
    ledger.set_status("u", common_pb2.TASK_STATUS_PENDING)
    assert [link.outcome for link in changed(ledger, **TASK).blockers] == [""]
    assert ended("u", lease_pb2.ATTEMPT_OUTCOME_COMPLETED, "15 rules") == both | {"u": "15 rules"}
    # A session's summary says more.
    ledger.session("of-u", task_code="u")
    close(ledger, "of-u", "15 rules, each with a test")
    links = changed(ledger, **TASK).dependencies
    shown = {link.depends_on_code: link.outcome for link in links if link.outcome}
    assert shown == both | {"u": "15 rules, each with a test"}


def test_nothing_is_shown_twice(ledger: Ledger) -> None:
    text = "a description that is long enough to be worth saying once alone"
    ledger.task("w", description=text, sprint_code="s", labels=["x"])
    ledger.emit("w", payload={"description": text, "size": 3})
    context = changed(ledger, task_code="w")
    assert str(context).count(text) == 1
    created, note = context.events
    assert created.type == "orchestration.task.created"
    assert not created.payload.fields
    assert dict(note.payload) == {"size": 3}
    for event in context.events:
        known = {field.name for field, _ in event.ListFields()}
        assert known <= {"type", "agent", "actor", "payload", "occur_time"}
        assert not event.occur_time.nanos
    assert not context.task.uid
    assert not context.task.hash
    asked = ledger.context({"task_code": "w"}, include_ids=True)
    assert asked.task.uid
    snapshot: Any = MessageToDict(asked.events[0].payload)["snapshot"]
    assert snapshot["description"] == text
    sprint = ledger.context({"sprint_code": "s"})
    assert dict(sprint.agent_config) == {"model": "m"}
    assert not sprint.sprint.HasField("metadata")


def test_long_values_of_a_change_are_cut(ledger: Ledger) -> None:
    for title, description in (("New", "d" * 300), ("Newer", "e" * 300)):
        request = task_pb2.UpdateTaskRequest(
            task=task_pb2.Task(code="v", title=title, description=description),
            update_mask=FieldMask(paths=["title", "description"]),
        )
        ledger.tasks.UpdateTask(request)
    last = changed(ledger, task_code="v").events[-1]
    changes: Any = MessageToDict(last.payload)["changes"]
    assert changes["title"] == {"from": "New", "to": "Newer"}
    assert changes["description"] == {"from": "…", "to": "…"}
