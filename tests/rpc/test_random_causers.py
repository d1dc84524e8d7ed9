"""Random work by scoped keys under rules that change everything: nothing outside of the scope changes.

What is checked is the promise alone: the sprints and tasks outside are as they were, whatever the key did and
whatever the rules made of it. A run with the guards switched off has to change something.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from orchestration.v1 import common_pb2, event_pb2, session_pb2, sprint_pb2, task_pb2
from orchestration_server.codec import causers
from orchestration_server.model import Role
from orchestration_server.rules.automation import Cause
from tests.conftest import Server
from tests.support import factories
from tests.support.automation import automation, drain, rules_of
from tests.support.credentials import calling_with, make_key
from tests.support.ledger import Ledger

TASK, SPRINT = common_pb2.ENTITY_TYPE_TASK, common_pb2.ENTITY_TYPE_SPRINT
STEPS = 60
REFUSED = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION)
RULES = """
rules:
  - {name: complete-sprint, enabled: false}
  - {name: complete-sprint-after-delete, enabled: false}
  - {name: complete-sprint-after-move, enabled: false}
  - name: a-relays
    on: [x.one, orchestration.activity.logged]
    then:
      - emit: {type: x.two, payload: {changes: {sprint_code: {from: "{payload.changes.sprint_code.from}"}}}}
  - name: b-sprint
    on: [x.*, orchestration.task.*, orchestration.session.*, orchestration.notice.raised]
    then:
      - set_status: {of: sprint, to: planning}
      - set_status: {of: sprint, to: cancelled}
  - name: c-previous
    on: [x.*, orchestration.*]
    then:
      - set_status: {of: previous_sprint, to: cancelled}
  - name: d-task
    on: [x.*, orchestration.task.*]
    then:
      - set_status: {of: task, to: blocked}
"""
KEYS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "sprint": ({"sprint_code": "s1"}, {"s1", "t1", "u1"}),
    "session": ({"session_key": "k"}, {"t1"}),
    "reader": ({"role": Role.READER}, set()),
}


@pytest.fixture
def admin(closed: Any, channel: grpc.Channel, database_url: str) -> Ledger:
    ledger = Ledger(calling_with(channel, make_key(database_url, role=Role.ADMIN)))
    for number in (1, 2):
        ledger.sprint(f"s{number}", status=2)
        ledger.task(f"t{number}", sprint_code=f"s{number}")
        ledger.task(f"u{number}", sprint_code=f"s{number}")
    ledger.session("k", task_code="t1")
    return ledger


def states(admin: Ledger) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for sprint in admin.sprints.ListSprints(sprint_pb2.ListSprintsRequest()).sprints:
        found[sprint.code] = sprint.status, sprint.revision
    for task in admin.tasks.ListTasks(task_pb2.ListTasksRequest()).tasks:
        found[task.code] = task.status, task.revision
    return found


class Caller:
    """A worker that makes random calls, inside its key's scope and outside of it."""

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self.ledger, self.choose = ledger, random.Random(seed)
        self.done = 0

    def step(self) -> None:
        try:
            self.choose.choice((self.emit, self.emit, self.emit, self.turn, self.log, self.read))()
            self.done += 1
        except grpc.RpcError as error:
            if error.code() not in REFUSED:
                raise

    def emit(self) -> None:
        pick = self.choose.choice
        payload = {
            "changes": {"sprint_code": {"from": pick(("s1", "s2")), "to": pick(("s1", ""))}},
            "automation": {"depth": pick((-9, 0, 9)), "cause": "x", "rule": "r"},
            "scopes": "", "agent": "orchestration.automation",
        }  # fmt: skip
        kind = pick((0, TASK, SPRINT))
        code = {0: "", TASK: pick(("t1", "u1", "t2", "new")), SPRINT: pick(("s1", "s2"))}[kind]
        event = factories.event(
            pick(("x.one", "x.two")), entity_type=kind, entity_code=code,
            sprint_code=pick(("", "s1", "s2")), payload=payload,
        )  # fmt: skip
        self.ledger.events.EmitEvent(event_pb2.EmitEventRequest(event=event))

    def turn(self) -> None:
        self.ledger.set_status(self.choose.choice(("t1", "u1", "t2")), self.choose.randint(1, 5))

    def log(self) -> None:
        request = session_pb2.LogActivityRequest(session_key="k", kind="note", message="m")
        self.ledger.sessions.LogActivity(request)

    def read(self) -> None:
        self.ledger.ask(task_code=self.choose.choice(("t1", "t2")))


def run(
    admin: Ledger, channel: grpc.Channel, url: str, server: Server, folder: Path, kind: str, seed: int
) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]], int]:
    fields, inside = KEYS[kind]
    caller = Caller(Ledger(calling_with(channel, make_key(url, **fields))), seed)
    # No rule acts on entities that the admin created.
    drain(automation(server, ()))
    rules = automation(server, rules_of(folder, RULES))
    before = states(admin)
    for number in range(STEPS):
        caller.step()
        if number % 7 == 0:
            drain(rules)
    drain(rules)
    after = states(admin)
    outside = before.keys() - inside
    return {c: before[c] for c in outside}, {c: after[c] for c in outside}, caller.done


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KEYS)
def test_nothing_outside_of_a_keys_scope_changes(
    admin: Ledger,
    channel: grpc.Channel,
    database_url: str,
    server: Server,
    tmp_path: Path,
    kind: str,
    seed: int,
) -> None:
    before, after, done = run(admin, channel, database_url, server, tmp_path, kind, seed)
    assert after == before
    assert done > 5


def _believe(_: Cause) -> bool:
    return True


@pytest.mark.parametrize("guard", ["scopes", "payloads"])
def test_without_a_guard_something_changes(
    admin: Ledger,
    channel: grpc.Channel,
    database_url: str,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    guard: str,
) -> None:
    """The control: without the guard, the work above changes entities outside of the scope."""
    everything: Callable[..., bool] = lambda *_: True  # noqa: E731
    monkeypatch.setattr(causers, "allow", everything)
    if guard == "payloads":
        monkeypatch.setattr(Cause, "is_change", property(_believe))
    kind = "session" if guard == "scopes" else "sprint"
    before, after, _ = run(admin, channel, database_url, server, tmp_path, kind, 0)
    assert after != before
