"""The Python client that takes plain values: tasks with links, and programs that end between two calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestration import DependencyCycle, Ledger, NewTask, NotFound, StaleRevision
from orchestration.v1.coordination_pb2 import AddDependencyRequest
from tests.conftest import Server

pytestmark = pytest.mark.shared_server(by_address=True)


@pytest.fixture
def ledger(server: Server) -> Iterator[Ledger]:
    with Ledger(server.address, project=server.project, agent="a1") as opened:
        yield opened


def test_a_task_waits_for_the_tasks_after_which_it_comes(ledger: Ledger) -> None:
    ledger.create_task("T1", "One")
    ledger.create_task("P", "Parent")
    second = ledger.create_task("T2", "Two", after="T1", part_of=["P"])
    assert second.status == "pending"
    assert {(each.on, each.kind) for each in ledger.dependencies("T2")} == {
        ("T1", "blocks"), ("P", "parent_child")
    }  # fmt: skip
    assert [each.task for each in ledger.dependencies("T1", direction="dependents")] == ["T2"]
    why = ledger.why("T2")
    assert not why
    assert [(reason.kind, reason.subject) for reason in why.reasons] == [("blocker", "T1")]
    assert str(why) == why.reasons[0].message
    assert {task.code for task in ledger.ready()} == {"T1", "P"}
    ledger.done("T1")
    assert ledger.why("T2")
    ledger.remove_dependency("T2", "T1")
    assert [each.kind for each in ledger.dependencies("T2")] == ["parent_child"]
    assert ledger.add_dependency("T2", "T1").kind == "blocks"
    with pytest.raises(DependencyCycle, match="T2"):
        ledger.add_dependency("T1", "T2")


def test_a_link_that_would_be_refused_creates_nothing(ledger: Ledger) -> None:
    with pytest.raises(NotFound, match="T9"):
        ledger.create_task("T1", "One", after="T9")
    with pytest.raises(ValueError, match="T1 -> T1"):
        ledger.create_task("T1", "One", after="T1")
    with pytest.raises(ValueError, match="wait for each other"):
        ledger.create_tasks([NewTask("T1", "One", after="T2"), NewTask("T2", "Two", after="T1")])
    assert list(ledger.tasks()) == []


def test_tasks_of_one_call_may_wait_for_each_other(ledger: Ledger) -> None:
    created = ledger.create_tasks(
        [NewTask("A", "A", after=["B", "C"]), NewTask("B", "B"), NewTask("C", "C", after="B")]
    )
    assert [(task.code, task.status) for task in created] == [(code, "pending") for code in "ABC"]
    assert [task.code for task in ledger.ready()] == ["B"]


class Halt(Exception):
    """What ends a program between two calls."""


def halting(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Let the program end at the call of AddDependency with this number."""
    add, calls = ledger.raw.coordination.AddDependency, iter(range(at))

    def call(request: AddDependencyRequest) -> Any:
        if next(calls, None) is None:
            raise Halt
        return add(request)

    monkeypatch.setattr(ledger.raw.coordination, "AddDependency", call)


def test_no_agent_gets_a_task_before_its_links(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.create_task("T1", "One")
    ledger.start("T1")
    with monkeypatch.context() as halted:
        halting(ledger, halted, at=0)
        with pytest.raises(Halt):
            ledger.create_task("T2", "Two", after="T1", request_id="plan-2")
        assert ledger.claim_next() is None
        # Control: a task that is created pending is claimed before its link.
        ledger.create_task("T3", "Three")
        early = ledger.claim_next()
        assert early is not None
        assert early.code == "T3"
        early.done()
    assert ledger.get_task("T2").status == "blocked"
    assert ledger.create_task("T2", "Two", after="T1", request_id="plan-2").status == "pending"
    assert [each.on for each in ledger.dependencies("T2")] == ["T1"]
    assert ledger.create_task("T2", "Two", after="T1", request_id="plan-2").revision == 2


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_plan_goes_on_where_it_ended(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    plan = [NewTask("A", "A"), NewTask("B", "B", after="A"), NewTask("C", "C", after=("A", "B"))]
    with monkeypatch.context() as halted:
        halting(ledger, halted, at)
        with pytest.raises(Halt):
            ledger.create_tasks(plan, request_id="plan")
        assert [task.code for task in ledger.ready()] == ["A"]
    assert [task.status for task in ledger.create_tasks(plan, request_id="plan")] == ["pending"] * 3
    assert {(each.task, each.on) for code in "BC" for each in ledger.dependencies(code)} == {
        ("B", "A"), ("C", "A"), ("C", "B")
    }  # fmt: skip


def test_a_task_that_another_changed_before_its_links_stays_as_it_is(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.create_task("T1", "One")
    with monkeypatch.context() as halted:
        halting(ledger, halted, at=0)
        with pytest.raises(Halt):
            ledger.create_task("T2", "Two", after="T1", request_id="plan")
    ledger.cancel("T2", "not needed")
    with pytest.raises(StaleRevision):
        ledger.create_task("T2", "Two", after="T1", request_id="plan")
    assert ledger.get_task("T2").status == "cancelled"
