"""Events carry their entity's fields of that revision, and come in the order of revisions."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count, groupby
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import grpc
import psycopg
import pytest

from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, session_pb2, task_pb2
from orchestration.v1.common_pb2 import TaskStatus
from orchestration_server.db.connection import Connection
from orchestration_server.embedded.engines import Engines
from orchestration_server.store import dependencies as dependency_store
from orchestration_server.store import emission as emission_store
from orchestration_server.store import sessions as session_store
from orchestration_server.store import writes
from orchestration_server.store.writes import Change
from tests.conftest import Server, open_channel
from tests.support.automation import history, payload
from tests.support.emission import DEBOUNCE, serving, tell_all
from tests.support.histories import update
from tests.support.ledger import Ledger
from tests.support.lengths import lengths
from tests.support.rpc_errors import must_be
from tests.support.templates import of_sprint

TASKS = ("A", "B")
SPRINTS = ("", "S1", "S2")
BATCHED = """
  - on: [orchestration.activity.logged]
    emit: batch
    events: 20
    seconds: 0.01
"""
ACTIVITY = "orchestration.activity.logged"
PRIORITIES = {"P0": 1, "P1": 2, "P2": 3, "P3": 4, "P4": 5}
LOST = (
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
)


@dataclass
class Told:
    """The state of a task by its own events, in the order of the log."""

    revision: int = 0
    stamp: tuple[str, int] = ("", 0)
    before: tuple[str, int] = ("", 0)
    wrong: list[str] = field(default_factory=list)

    def take(self, events: list[event_pb2.Event]) -> None:
        """Apply the adjacent events of one revision."""
        revision = events[0].entity_revision
        if revision < self.revision:
            self.wrong.append(f"{events[0].type} of revision {revision} after {self.revision}")
        sprint, priority = self.stamp
        for event in events:
            told = payload(event)
            if event.type.endswith("task.created"):
                sprint, priority = told["snapshot"]["sprint_code"], PRIORITIES[told["snapshot"]["priority"]]
            changes = told.get("changes", {})
            sprint = changes.get("sprint_code", {}).get("to", sprint)
            if "priority" in changes:
                priority = PRIORITIES[changes["priority"]["to"]]
        if (sprint, priority) != self.stamp:
            self.before, self.stamp = self.stamp, (sprint, priority)
        for event in events:
            if (event.sprint_code, event.priority) != self.stamp:
                self.wrong.append(f"{event.type} of revision {revision} carries {event.priority}")
        self.revision = max(self.revision, revision)

    def note(self, event: event_pb2.Event) -> None:
        """Check an event that changes nothing. It may have waited for a writer whose events follow."""
        if (event.sprint_code, event.priority) not in (self.stamp, self.before):
            self.wrong.append(f"{event.type} carries {event.sprint_code!r}, {event.priority}")


def wrong_in(told: list[event_pb2.Event]) -> list[str]:
    """Return the contradictions in a log, judged by the log alone."""
    tasks: dict[str, Told] = defaultdict(Told)
    kinds = [event.type.removeprefix("orchestration.").partition(".")[0] for event in told]
    changes = [
        (kind == "task" and event.entity_revision, event.entity_code)
        for kind, event in zip(kinds, told, strict=True)
    ]
    for (revision, code), group in groupby(range(len(told)), changes.__getitem__):
        events = [told[place] for place in group]
        if revision:
            tasks[code].take(events)
            continue
        for event in events:
            if event.type == ACTIVITY or event.type.startswith("orchestration.session."):
                # Each session has the code of its task.
                tasks[code].note(event)
    return [text for task in tasks.values() for text in task.wrong]


def misfiled(database_url: str) -> int:
    """Return the number of events in the wrong partition for their priority."""
    with psycopg.connect(database_url) as conn:
        row = conn.execute("select count(*) from events where kept <> (priority in (1, 2))").fetchone()
    assert row is not None
    return int(row[0])


class Writers:
    """Random writes of two tasks, by every rpc that logs an event of a task."""

    def __init__(self, ledgers: list[Ledger]) -> None:
        self._ledgers = ledgers
        self._numbers = count(1)
        self.kinds: list[Callable[[Ledger, random.Random], Any]] = [
            self._updated, self._updated, self._placed, self._placed, self._linked, self._linked,
            self._moved_on, self._in_batch, self._generated, self._active, self._paused,
        ]  # fmt: skip

    def play(self, together: Barrier, writer: int, rounds: int) -> None:
        chance, ledger = random.Random(writer), self._ledgers[writer % 2]
        together.wait()
        for _ in range(rounds):
            try:
                self.kinds[writer % len(self.kinds)](ledger, chance)
            except grpc.RpcError as error:
                must_be(error, *LOST)

    def _updated(self, ledger: Ledger, chance: random.Random) -> None:
        update(ledger.tasks, chance.choice(TASKS), title=f"title {next(self._numbers)}")

    def _placed(self, ledger: Ledger, chance: random.Random) -> None:
        fields: dict[str, Any] = {"priority": chance.randint(1, 5), "sprint_code": chance.choice(SPRINTS)}
        some = chance.sample(sorted(fields), chance.randint(1, 2))
        update(ledger.tasks, chance.choice(TASKS), **{name: fields[name] for name in some})

    def _linked(self, ledger: Ledger, chance: random.Random) -> None:
        link = coordination_pb2.Dependency(
            task_code=chance.choice(TASKS), depends_on_code="C", kind=common_pb2.DEPENDENCY_KIND_RELATED
        )
        ledger.coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=link))
        ledger.coordination.RemoveDependency(coordination_pb2.RemoveDependencyRequest(dependency=link))

    def _moved_on(self, ledger: Ledger, chance: random.Random) -> None:
        ledger.set_status(chance.choice(TASKS), chance.randint(1, 3))

    def _in_batch(self, ledger: Ledger, chance: random.Random) -> None:
        changes = [
            task_pb2.TaskStatusChange(task_code=code, status=TaskStatus.ValueType(chance.randint(1, 2)))
            for code in TASKS
        ]
        ledger.tasks.BatchUpdateTaskStatus(task_pb2.BatchUpdateTaskStatusRequest(changes=changes))

    def _generated(self, ledger: Ledger, chance: random.Random) -> None:
        variables = {"feature": "Log in", "parts": ["Keys", "Pages"]}
        ledger.sprints.CreateSprintFromTemplate(of_sprint(variables, f"G{next(self._numbers)}"))

    def _active(self, ledger: Ledger, chance: random.Random) -> None:
        ledger.sessions.LogActivity(
            session_pb2.LogActivityRequest(session_key=chance.choice(TASKS), kind="note", message="m")
        )

    def _paused(self, ledger: Ledger, chance: random.Random) -> None:
        key = chance.choice(TASKS)
        ledger.sessions.PauseSession(session_pb2.PauseSessionRequest(session_key=key))
        ledger.sessions.InitAgent(session_pb2.InitAgentRequest(agent="a", session_key=key))


@pytest.fixture(params=[DEBOUNCE, DEBOUNCE + BATCHED], ids=["once", "batches"])
def ledgers(
    request: pytest.FixtureRequest, engines: Engines, database_url: str, tmp_path: Path
) -> Iterator[tuple[list[Ledger], Server]]:
    """Run two servers on one ledger, where a lock inside one process cannot help."""
    with (
        serving(engines, database_url, tmp_path, request.param) as one,
        serving(engines, database_url, tmp_path, request.param) as two,
        open_channel(one.address) as first,
        open_channel(two.address) as second,
    ):
        yield [Ledger(first), Ledger(second)], one


def race(ledgers: list[Ledger], server: Server, rounds: int) -> list[str]:
    """Make all kinds of writes at once; return the contradictions in the log."""
    begin = ledgers[0]
    for sprint in SPRINTS[1:]:
        begin.sprint(sprint)
    for code in (*TASKS, "C"):
        begin.task(code)
        begin.session(code, task_code=code)
    writers = Writers(ledgers)
    together, ended = Barrier(len(writers.kinds) + 1), Event()

    def tell() -> None:
        together.wait()
        while not ended.is_set():
            tell_all(server)

    with ThreadPoolExecutor(len(writers.kinds) + 1) as pool:
        teller = pool.submit(tell)
        played = [pool.submit(writers.play, together, n, rounds) for n in range(len(writers.kinds))]
        try:
            for one in played:
                one.result()
        finally:
            ended.set()
        teller.result()
    tell_all(server)
    return wrong_in(history(begin.events))


@lengths("rounds", short=12, long=60)
def test_events_carry_their_entitys_fields_while_all_writes_race(
    ledgers: tuple[list[Ledger], Server], rounds: int
) -> None:
    assert race(*ledgers, rounds) == []
    assert misfiled(ledgers[1].database_url) == 0


@lengths("rounds", short=20, long=60)
def test_without_the_check_of_stamps_the_race_finds_wrong_events(
    ledgers: tuple[list[Ledger], Server], monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    """The control: if the race finds nothing here, the test above proves nothing."""
    checked = writes.apply

    def unchecked(conn: Connection, change: Change, **given: Any) -> None:
        checked(conn, replace(change, stamps=()), **given)

    monkeypatch.setattr(writes, "apply", unchecked)
    assert race(*ledgers, rounds)


@pytest.mark.parametrize("ledgers", [DEBOUNCE + BATCHED], ids=["batches"], indirect=True)
def test_a_batched_activity_carries_its_tasks_fields_at_the_commit(
    ledgers: tuple[list[Ledger], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = ledgers[0]
    one.sprint("S1")
    one.task("A", sprint_code="S1")
    one.session("A", task_code="A")
    looked_up, read_once = emission_store.tasks, count()

    def interrupted(conn: Connection, wanted: Any) -> Any:
        found = looked_up(conn, wanted)
        if wanted and next(read_once) == 0:
            update(two.tasks, "A", priority=1, sprint_code="")
        return found

    monkeypatch.setattr(emission_store, "tasks", interrupted)
    log_activity(one)
    told = history(one.events)[-1]
    assert (told.type, told.sprint_code, told.priority) == (ACTIVITY, "", 1)
    assert misfiled(ledgers[1].database_url) == 0


def log_activity(ledger: Ledger) -> None:
    ledger.sessions.LogActivity(session_pb2.LogActivityRequest(session_key="A", kind="note", message="m"))


def pause(ledger: Ledger) -> None:
    ledger.sessions.PauseSession(session_pb2.PauseSessionRequest(session_key="A"))


def begin(ledger: Ledger) -> None:
    ledger.sessions.InitAgent(session_pb2.InitAgentRequest(agent="b", task_code="A", force_new=True))


@pytest.mark.parametrize(
    ("read", "write", "type_"),
    [
        ((dependency_store, "prepare"), lambda ledger: ledger.link("A", "B"), "task.dependency_added"),
        ((session_store, "prepare"), log_activity, "activity.logged"),
        ((session_store, "prepare"), pause, "session.paused"),
        ((session_store, "prepare_on_target"), begin, "session.started"),
    ],
)
def test_fields_that_change_before_the_write_are_read_again(
    ledgers: tuple[list[Ledger], Server],
    monkeypatch: pytest.MonkeyPatch,
    read: tuple[Any, str],
    write: Callable[[Ledger], None],
    type_: str,
) -> None:
    one, two = ledgers[0]
    one.sprint("S1")
    one.task("A")
    one.task("B")
    one.session("A", task_code="A")
    prepare, read_once = getattr(*read), count()

    def interrupted(conn: Connection, **given: Any) -> Any:
        found = prepare(conn, **given)
        if next(read_once) == 0:
            update(two.tasks, "A", priority=1, sprint_code="S1")
        return found

    monkeypatch.setattr(*read, interrupted)
    write(one)
    told = history(one.events)[-1]
    assert (told.type, told.sprint_code, told.priority) == (f"orchestration.{type_}", "S1", 1)
    assert misfiled(ledgers[1].database_url) == 0


def test_a_link_of_a_deleted_task_is_removed_at_the_revision_of_the_deletion(
    ledgers: tuple[list[Ledger], Server],
) -> None:
    one = ledgers[0][0]
    one.task("A")
    one.task("B")
    one.link("A", "B")
    one.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="A"))
    link = coordination_pb2.Dependency(task_code="A", depends_on_code="B")
    one.coordination.RemoveDependency(coordination_pb2.RemoveDependencyRequest(dependency=link))
    told = [event for event in history(one.events) if event.entity_code == "A"]
    assert [event.entity_revision for event in told] == [1, 1, 2, 2]
