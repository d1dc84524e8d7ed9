"""The checker finds what is wrong in histories made by hand, and in runs with a guard switched off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from orchestration_server.app import App
from orchestration_server.cache.read_through import Cache
from orchestration_server.db.connection import Connection, Rows
from tests.robustness.linearizability import Operation, unexplained
from tests.robustness.run import run
from tests.robustness.spec import Action, Answer, Create, Delete, Move, Read, Retitle

ROUNDS = 12
CALLS = 400

CREATED = Answer(1, "a", 1)


def history(*calls: tuple[Action, float, float, Answer | None]) -> list[Operation]:
    return [Operation(str(number), *call) for number, call in enumerate(calls)]


EXPLAINED = {
    "one after the other": history(
        (Create("a"), 0, 1, CREATED),
        (Retitle("b"), 2, 3, Answer(2, "b", 1)),
        (Read(), 4, 5, Answer(2, "b", 1)),
    ),
    "a read beside a write sees it or not": history(
        (Create("a"), 0, 1, CREATED),
        (Retitle("b"), 2, 9, Answer(2, "b", 1)),
        (Read(), 3, 4, Answer(2, "b", 1)),
        (Read(), 3, 5, CREATED),
    ),
    "a call without an answer acts late": history(
        (Create("a"), 0, 1, CREATED),
        (Retitle("b"), 2, 3, None),
        (Read(), 4, 5, CREATED),
        (Read(), 6, 7, Answer(2, "b", 1)),
    ),
    "a call without an answer never acts": history(
        (Create("a"), 0, 1, CREATED), (Delete(), 2, 3, None), (Read(), 4, 5, CREATED)
    ),
    "a refusal is true at some moment of the call": history(
        (Create("a"), 0, 1, CREATED),
        (Move(4), 2, 9, Answer(2, "a", 4)),
        (Move(3), 3, 8, Answer(refusal="TRANSITION_REFUSED")),
    ),
}
CONTRADICTED = {
    "a lost update": history(
        (Create("a"), 0, 1, CREATED),
        (Retitle("b"), 2, 5, Answer(2, "b", 1)),
        (Retitle("c"), 2, 5, Answer(2, "c", 1)),
    ),
    "an old read after a new one": history(
        (Create("a"), 0, 1, CREATED),
        (Retitle("b"), 2, 9, Answer(2, "b", 1)),
        (Read(), 3, 4, Answer(2, "b", 1)),
        (Read(), 5, 6, CREATED),
    ),
    "a read of what was acknowledged before is older": history(
        (Create("a"), 0, 1, CREATED), (Delete(), 2, 3, Answer()), (Read(), 4, 5, CREATED)
    ),
    "two creations of one code": history(
        (Create("a"), 0, 1, CREATED), (Create("b"), 0, 1, Answer(1, "b", 1))
    ),
    "a revision that nobody asked for": history(
        (Create("a"), 0, 1, CREATED), (Read(), 2, 3, Answer(2, "a", 1))
    ),
    "a refusal without a reason": history(
        (Create("a"), 0, 1, CREATED), (Retitle("b", expected=1), 2, 3, Answer(refusal="STALE_REVISION"))
    ),
    "a call without an answer that acts twice": history(
        (Create("a"), 0, 1, CREATED),
        (Retitle("b"), 2, 3, None),
        (Retitle("c"), 4, 5, Answer(3, "c", 1)),
        (Read(), 6, 7, Answer(4, "b", 1)),
    ),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_what_can_be_is_explained(name: str) -> None:
    assert unexplained(EXPLAINED[name]) == ""


@pytest.mark.parametrize("name", CONTRADICTED)
def test_what_cannot_be_is_found(name: str) -> None:
    assert unexplained(CONTRADICTED[name])


@contextmanager
def rewritten(monkeypatch: pytest.MonkeyPatch, *changes: tuple[str, str]) -> Iterator[None]:
    """Change the text of statements in the block; each change must apply to one."""
    execute = Connection.execute
    met: set[str] = set()

    def changed(
        self: Connection, query: str, params: Mapping[str, Any] | None = None, *, name: str = ""
    ) -> Rows:
        for old, new in changes:
            if old in query:
                met.add(old)
                query = query.replace(old, new)
        return execute(self, query, params, name=name)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "execute", changed)
        yield
    assert met == {old for old, _ in changes}


@dataclass(frozen=True)
class Guard:
    """A guard: the change of statements that switches it off, and the fault that the checker must find."""

    changes: tuple[tuple[str, str], ...]
    found: str


GUARDS = {
    "the statement checks no revision": Guard(
        ((" and t.revision = c.revision", ""),), "was answered .*, but the task may be only"
    ),
    "answers are not remembered": Guard(
        (
            ("left join requests r on ", "left join requests r on false and "),
            (
                "as r (project, rpc, request_id, fingerprint, response)\n)",
                "as r (project, rpc, request_id, fingerprint, response) where false\n)",
            ),
        ),
        "acted at revisions|took its own effect|return the first answer",
    ),
    "readers go beyond the horizon": Guard(
        (("select min(x) from pg_snapshot_xip", "select min(x) filter (where false) from pg_snapshot_xip"),),
        "a follower missed",
    ),
    "a change goes without its event": Guard(
        (
            (
                "    order by e.ordinal\n",
                "    where e.type <> 'orchestration.task.updated' order by e.ordinal\n",
            ),
        ),
        "the log has no event of it",
    ),
}


def found_in_runs(start_app: Callable[..., App], expected: str) -> bool:
    """Return True if the judgement of a run has the expected fault."""
    addresses = [start_app().address, start_app().address]
    reports = (run(addresses, calls=CALLS, seed=seed) for seed in range(ROUNDS))
    return any(re.search(expected, fault) for report in reports for fault in report.faults)


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
def test_a_run_without_a_guard_is_found(
    guard: Guard, start_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    with rewritten(monkeypatch, *guard.changes):
        assert found_in_runs(start_app, guard.found)


def test_a_cache_without_versions_is_found(
    start_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Cache._key
    monkeypatch.setattr(Cache, "_key", lambda self, kind, version: key(self, kind, version[:2]))
    assert found_in_runs(start_app, r"Read\(\) was answered .*, but the task may be only")
