"""The Python client that takes plain values and returns records: sprints, tasks, links, sessions, events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import pytest

from orchestration import (
    AlreadyExists,
    Budget,
    InvalidRequest,
    Ledger,
    LedgerError,
    NewEvent,
    NewTask,
    NotFound,
    RetryPolicy,
    SessionClosed,
    SprintNotEmpty,
    StaleRevision,
    TransitionRefused,
    Unavailable,
)
from orchestration.v1.template_pb2 import GetTemplateRequest
from tests.conftest import Server
from tests.support.blocking import blocking_ledger

pytestmark = pytest.mark.shared_server(by_address=True)

EXAMPLE = """
from orchestration import Ledger

ledger = Ledger(agent="builder-1")
ledger.sprint("S1", title="First sprint").start()
ledger.create_task("parse", "Write the parser", sprint="S1", priority="P1", accept=["tests pass"],
                   config={"max_turns": 40})
for work in ledger.claims(sprint="S1"):          # leased, heartbeats by itself, fenced writes
    with work:                                   # given back when the block raises
        print(work.prompt(tokens=2_000))         # markdown for a model
        work.log("half done", files=3)
        work.done("tests pass")                  # or work.hand_over("lexer is done, docs are not")
"""


@pytest.fixture(params=["threads", "asyncio"])
def ledger(server: Server, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    if request.param == "threads":
        with Ledger(server.address, project=server.project, agent="a1") as opened:
            yield opened
        return
    with asyncio.Runner() as runner:
        made = blocking_ledger(runner, server.address, project=server.project, agent="a1")
        with made as opened:
            yield opened


def test_the_example_of_the_docs_runs(
    server: Server, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORCHESTRATION_ADDRESS", server.address)
    monkeypatch.setenv("ORCHESTRATION_PROJECT", server.project)
    names: dict[str, Any] = {}
    exec(EXAMPLE, names)
    names["ledger"].close()
    assert "# parse Write the parser\n" in capsys.readouterr().out
    task = ledger.get_task("parse")
    assert (task.status, task.priority, task.accept) == ("completed", "P1", ("tests pass",))
    assert task.config == {"max_turns": 40}
    assert type(task.config["max_turns"]) is int
    (logged,) = ledger.events(types="agent.work.logged")
    assert logged.payload["payload"] == {"files": 3}
    (attempt,) = ledger.attempts("parse")
    assert (attempt.outcome, attempt.reason, attempt.agent) == ("completed", "tests pass", "builder-1")


def test_a_sprint_is_created_once_and_never_changed_in_silence(ledger: Ledger) -> None:
    created = ledger.sprint("S1", title="First", goal="ship", start_date=date(2026, 1, 5), metadata={"n": 1})
    again = ledger.sprint("S1", title="First", goal="ship", start_date="2026-01-05", metadata={"n": 1})
    assert again.record == created.record
    assert (again.record.start_date, again.record.metadata) == ("2026-01-05", {"n": 1})
    with pytest.raises(AlreadyExists):
        ledger.sprint("S1", title="Another")
    with pytest.raises(AlreadyExists):
        ledger.sprint("S1", title="First", metadata={"n": 2})
    assert ledger.sprint("S1").start().status == "active"
    assert ledger.sprint("S1", title="First").start().revision == 2
    with pytest.raises(NotFound):
        ledger.sprint("S2")
    with pytest.raises(ValueError, match="title"):
        ledger.sprint("S1", goal="else")


def test_programs_that_start_at_once_share_a_sprint(server: Server, ledger: Ledger) -> None:
    begin = threading.Barrier(6)

    def start(number: int) -> int:
        with Ledger(server.address, project=server.project, agent=f"a{number}") as own:
            assert list(own.tasks()) == []  # the connection is open before all begin
            begin.wait()
            return own.sprint("S1", title="First", metadata={"n": 1}).start().revision

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(start, range(6))) == {2}
    assert [change.type for change in ledger.history("S1", kind="sprint", order="oldest_first")] == [
        "orchestration.sprint.created", "orchestration.sprint.status_changed"
    ]  # fmt: skip


def test_the_code_of_a_deleted_sprint_is_refused(ledger: Ledger) -> None:
    ledger.sprint("S1", title="First")
    ledger.create_task("T1", "One", sprint="S1")
    with pytest.raises(SprintNotEmpty):
        ledger.delete_sprint("S1")
    ledger.delete_task("T1")
    ledger.delete_sprint("S1")
    with pytest.raises(AlreadyExists):
        ledger.sprint("S1", title="First")


def test_sprints_are_listed_changed_completed_and_reported(ledger: Ledger) -> None:
    ledger.create_sprint("S1", "One", owner="o", end_date="2026-02-01")
    ledger.create_sprint("S2", "Two", status="completed")
    assert [sprint.code for sprint in ledger.sprints()] == ["S2", "S1"]
    assert [sprint.code for sprint in ledger.sprints(status="planning", owner="o")] == ["S1"]
    changed = ledger.update_sprint("S1", goal="ship", clear="end_date", expected_revision=1)
    assert (changed.goal, changed.end_date, changed.owner) == ("ship", "", "o")
    with pytest.raises(StaleRevision) as raised:
        ledger.update_sprint("S1", goal="else", expected_revision=1)
    assert raised.value.current_revision == 2
    handle = ledger.sprint("S1")
    handle.start()
    ledger.create_task("T1", "One", sprint="S1", status="completed")
    ledger.create_task("T2", "Two", sprint="S1", status="blocked")
    report = handle.report()
    assert (report.total, report.counts["completed"], report.percent, report.blocked) == (2, 1, 50.0, ("T2",))
    assert str(report) == report.markdown
    assert "T2" in report.markdown
    assert handle.complete().status == "completed"
    assert handle.refresh().status == "completed"


def test_every_field_of_a_task_comes_back_as_it_went_in(ledger: Ledger) -> None:
    ledger.sprint("S1", title="One")
    later = datetime(2030, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    policy = RetryPolicy(2, timedelta(seconds=1.5), timedelta(hours=1), Budget(10, 20, 30, timedelta(days=1)))
    config = {"turns": 40, "rate": 0.5, "on": True, "none": None, "deep": {"list": [1, "a", [2.5]]}}
    values: dict[str, Any] = {
        "sprint": "S1", "priority": "P3", "description": "text", "assignee": "me", "phase": "p",
        "not_before": later, "due": later + timedelta(days=1), "retry": policy, "config": config,
        "metadata": {"id": "1"}, "completed_by_children": True,
    }  # fmt: skip
    lists: dict[str, Any] = {
        name: (f"{name} 1", f"{name} 2")
        for name in ("accept", "objectives", "deliverables", "labels", "capabilities")
    }
    created = ledger.create_task("T1", "One", **values, **lists)
    ledger.create_task("T2", "Two")
    updated = ledger.update_task("T2", **values, **lists)
    (many,) = ledger.create_tasks([NewTask("T3", "Three", **values, **lists)])
    for task in (created, updated, many):
        for name, value in (values | lists).items():
            assert getattr(task, name) == value, name
        assert task.raw.code == task.code
    assert created == ledger.get_task("T1")
    cleared = ledger.update_task("T1", clear=["due", "config", "labels", "retry"])
    assert (cleared.due, cleared.config, cleared.labels, cleared.retry) == (None, {}, (), None)


def test_a_record_is_frozen(ledger: Ledger) -> None:
    task = ledger.create_task("T1", "One")
    with pytest.raises(FrozenInstanceError):
        task.title = "Two"  # type: ignore[misc]  # that is what must fail
    assert len({task, ledger.get_task("T1")}) == 1


def test_one_word_stands_for_a_list_of_it(ledger: Ledger) -> None:
    task = ledger.create_task("T1", "One", labels="parser", accept="tests pass")
    assert (task.labels, task.accept) == (("parser",), ("tests pass",))
    assert [found.code for found in ledger.tasks(labels="parser", status="pending")] == ["T1"]


def test_a_list_is_read_over_its_pages(ledger: Ledger) -> None:
    ledger.create_tasks(NewTask(f"T{number}", "Task") for number in range(7))
    assert len({task.code for task in ledger.tasks(page_size=3)}) == 7


def test_values_that_no_request_holds_are_refused_here(ledger: Ledger) -> None:
    for wrong, match in (
        ({"priority": "P9"}, "use one of P0"),
        ({"status": "started"}, "use one of pending"),
        ({"due": datetime(2030, 1, 1)}, "due needs a time zone"),  # noqa: DTZ001 - that is what is wrong
        ({"config": {"ids": [2**53]}}, r"config\['ids'\]\[0\].*exactly"),
        ({"config": {"at": datetime.now(UTC)}}, r"config\['at'\] is datetime"),
        ({"metadata": {"x": float("nan")}}, "JSON"),
    ):
        given: dict[str, Any] = wrong
        with pytest.raises(ValueError, match=match):
            ledger.create_task("T1", "One", **given)
    with pytest.raises(ValueError, match="no field to clear"):
        ledger.update_task("T1", clear="name")
    with pytest.raises(ValueError, match="both"):
        ledger.update_task("T1", labels=["x"], clear="labels")
    with pytest.raises(NotFound):
        ledger.get_task("T1")


def test_statuses_change_by_words_with_their_reasons(ledger: Ledger) -> None:
    ledger.create_task("T1", "One")
    assert ledger.start("T1").status == "in_progress"
    assert ledger.block("T1", "no key").status == "blocked"
    assert ledger.reopen("T1").status == "pending"
    assert ledger.assign("T1", "me").assignee == "me"
    assert ledger.done("T1", "merged").status == "completed"
    with pytest.raises(TransitionRefused) as raised:
        ledger.cancel("T1")
    assert "from completed to one of: pending,in_progress" in str(raised.value)
    changes = list(ledger.history("T1", order="oldest_first"))
    assert [change.revision for change in changes][-1] == 6
    assert changes[-1].changes["status"] == {"from": "pending", "to": "completed"}
    assert (changes[-1].reason, changes[-1].agent) == ("merged", "a1")


def test_a_session_is_started_logged_and_handed_over(server: Server, ledger: Ledger) -> None:
    ledger.create_task("T1", "One")
    with ledger.session(task="T1", metadata={"n": 1}, tokens=500) as session:
        assert session.context.target == session.key
        assert session.record.metadata == {"n": 1}
        session.log("read the code", files=3)
        session.note("the lexer is done")
        assert "the lexer is done" in session.prompt(tokens=1_000)
        session.pause("lunch")
    assert ledger.get_session(session.key).status == "paused"
    resumed = ledger.session(key=session.key, agent="a2")
    assert (resumed.resumed, resumed.record.agent) == (True, "a2")
    closed = resumed.close("all done", "handed_over")
    assert (closed.outcome, closed.summary) == ("handed_over", "all done")
    with pytest.raises(SessionClosed):
        resumed.log("too late")
    assert [each.key for each in ledger.sessions(task="T1", status="completed")] == [session.key]
    logged = list(ledger.events(session=session.key, types="orchestration.activity.logged"))
    assert [event.payload["kind"] for event in logged] == ["handover", "progress"]
    assert logged[1].payload["payload"] == {"files": 3}


def test_the_end_of_a_block_closes_its_session(ledger: Ledger) -> None:
    ledger.create_task("T1", "One")
    with ledger.session(task="T1") as first:
        pass
    with pytest.raises(KeyError), ledger.session(task="T1") as second:
        raise KeyError("lost")
    with pytest.raises(KeyboardInterrupt), ledger.session(task="T1") as third:
        raise KeyboardInterrupt
    found = {session.key: (session.status, session.outcome) for session in ledger.sessions()}
    assert found == {
        first.key: ("completed", "succeeded"),
        second.key: ("completed", "failed"),
        third.key: ("paused", None),
    }


def test_events_are_stored_listed_and_followed(ledger: Ledger) -> None:
    ledger.create_task("T1", "One")
    moment = datetime(2025, 1, 1, tzinfo=UTC)
    first = ledger.emit("build.finished", {"ok": True, "n": 3}, task="T1", occurred=moment, dedup_key="b1")
    again = ledger.emit("build.finished", dedup_key="b1")
    assert first is not None
    assert again is not None
    assert (first.id, first.kind, first.entity, first.occurred) == (again.id, "task", "T1", moment)
    totals = ledger.emit_all(NewEvent("build.step", {"n": n}, dedup_key=f"s{n}") for n in (1, 2, 1))
    assert (totals.stored, totals.duplicates) == (2, 1)
    assert [event.type for event in ledger.events(types="build.*", end=moment + timedelta(1))] == [
        "build.finished"
    ]
    with ledger.follow(types="build.*", live=False) as feed:
        seen = list(feed)
    assert [(event.type, event.payload) for event in seen] == [
        ("build.finished", {"ok": True, "n": 3}), ("build.step", {"n": 1}), ("build.step", {"n": 2})
    ]  # fmt: skip
    with ledger.follow(types="build.*", after=seen[0].cursor) as feed:
        assert [next(feed).payload["n"], next(feed).payload["n"]] == [1, 2]
        ledger.emit("build.late")
        assert next(feed).type == "build.late"
        feed.close()
        assert list(feed) == []
        assert feed.cursor


def test_an_event_that_the_server_refuses_names_its_field(ledger: Ledger) -> None:
    with pytest.raises(InvalidRequest, match=r"event\.type") as raised:
        ledger.emit("Wrong")
    assert isinstance(raised.value, grpc.RpcError)
    with pytest.raises(InvalidRequest):
        ledger.emit_all([NewEvent("Wrong")])
    with pytest.raises(InvalidRequest):
        list(ledger.follow(types="Wrong", live=False))
    with pytest.raises(ValueError, match="one of them"):
        ledger.emit("a.b", task="T", session="k")


def test_a_context_has_its_sections_and_reads_as_markdown(ledger: Ledger) -> None:
    ledger.sprint("S1", title="Sprint one").start()
    ledger.create_task("T1", "Lexer", sprint="S1")
    ledger.create_task("T2", "Parser", sprint="S1", after="T1", accept="tests pass", description="Of all.")
    context = ledger.context(task="T2", tokens=2_000, omit="events")
    assert (context.kind, context.target, context.accept) == ("task", "T2", ("tests pass",))
    text = ledger.prompt(task="T2")
    for part in ("# T2 Parser\n", "Of all.", "## Done when\n- [ ] tests pass", "- T1 (pending) Lexer"):
        assert part in text
    later = ledger.context(task="T2", since=context.cursor, omit="events")
    assert "target" in later.unchanged
    assert "Sprint one" in ledger.prompt(sprint="S1")
    with pytest.raises(ValueError, match="one target"):
        ledger.context()


def test_the_stubs_stay_within_reach(ledger: Ledger) -> None:
    with pytest.raises(NotFound) as raised:
        ledger.call(ledger.raw.templates.GetTemplate, GetTemplateRequest(name="none"))
    assert raised.value.resource is not None
    assert isinstance(raised.value, LedgerError)


def test_a_server_that_is_away_is_named_with_its_fix() -> None:
    with Ledger("127.0.0.1:1", agent="a1") as away, pytest.raises(Unavailable) as raised:
        away.get_task("T1")
    assert raised.value.reason == ""
    assert "ORCHESTRATION_ADDRESS" in str(raised.value)
