"""Rules act once, with several runners at once and if one dies between any two of its steps."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import event_pb2, sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import SprintStatus, TaskStatus
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.jobs.automation import Automation
from orchestration_server.store import automation as automation_store
from tests.conftest import Server
from tests.support import factories
from tests.support.automation import automation, by_rules, drain, history, payload, rules_of

COMPLETED = TaskStatus.TASK_STATUS_COMPLETED
IN_PROGRESS = TaskStatus.TASK_STATUS_IN_PROGRESS
BLOCKED = TaskStatus.TASK_STATUS_BLOCKED
ACTIVE = SprintStatus.SPRINT_STATUS_ACTIVE
RUNNERS = 4
SECONDS = 30


class Killed(BaseException):
    """The end of a runner at any point, as if its process had died."""


def sprint_of(sprints: SprintServiceStub, tasks: TaskServiceStub, code: str, count: int) -> list[str]:
    """Create an active sprint with ``count`` tasks; return their codes."""
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint(code, status=ACTIVE)))
    codes = [f"{code}-{n}" for n in range(count)]
    new = [task_pb2.NewTask(task=factories.task(c, sprint_code=code)) for c in codes]
    tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
    return codes


def turn(tasks: TaskServiceStub, code: str, *statuses: TaskStatus.ValueType) -> None:
    for status in statuses:
        tasks.UpdateTaskStatus(task_pb2.UpdateTaskStatusRequest(task_code=code, status=status))


def acts(told: list[event_pb2.Event]) -> Counter[tuple[str, str, str]]:
    """Return how often each rule acted for each cause, by the type of event."""
    return Counter(
        (payload(event)["automation"]["rule"], payload(event)["automation"]["cause"], event.type)
        for event in by_rules(told)
    )


def test_several_runners_at_once_act_once(
    server: Server, sprints: SprintServiceStub, tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    ended = threading.Event()

    def run(runner: Automation) -> None:
        while not ended.is_set():
            runner.run_once()
        drain(runner)

    with ThreadPoolExecutor(RUNNERS + 4) as pool:
        running = [pool.submit(run, automation(server)) for _ in range(RUNNERS)]

        def work(number: int) -> None:
            for part in range(4):
                codes = sprint_of(sprints, tasks, f"s{number}-{part}", 3)
                for code in codes:
                    turn(tasks, code, BLOCKED, IN_PROGRESS)
                # Complete the last two at once.
                turn(tasks, codes[0], COMPLETED)
                pair = [threading.Thread(target=turn, args=(tasks, code, COMPLETED)) for code in codes[1:]]
                for thread in pair:
                    thread.start()
                for thread in pair:
                    thread.join()

        for done in [pool.submit(work, number) for number in range(4)]:
            done.result(timeout=SECONDS)
        ended.set()
        for one in running:
            one.result(timeout=SECONDS)
    drain(automation(server))
    told = history(events)
    acted = acts(told)
    assert set(acted.values()) == {1}
    completed = Counter(e.entity_code for e in by_rules(told) if e.type.endswith("status_changed"))
    assert completed == {f"s{number}-{part}": 1 for number in range(4) for part in range(4)}
    blocked = [event.id for event in told if event.type == "orchestration.task.blocked"]
    assert len(blocked) == 48
    assert {cause for rule, cause, _ in acted if rule == "notice-blocked"} == set(blocked)


MIXED = """
rules:
  - name: both
    on: orchestration.task.blocked
    then:
      - emit: {type: x.first}
      - set_status: {of: task, to: pending}
      - emit: {type: x.second}
      - set_status: {of: sprint, to: planning}
"""


@pytest.mark.parametrize("after_commit", [True, False])
def test_a_runner_that_dies_between_any_two_steps_leaves_each_done_once(
    server: Server,
    sprints: SprintServiceStub,
    tasks: TaskServiceStub,
    events: EventServiceStub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after_commit: bool,
) -> None:
    rules = rules_of(tmp_path, MIXED)
    codes = sprint_of(sprints, tasks, "s", 3)
    for code in codes:
        turn(tasks, code, BLOCKED)
    moving = automation_store.with_position
    lives: Iterator[bool] = iter(())

    def die() -> None:
        raise Killed

    def moving_or_dying(*args: Any, **kwargs: Any) -> Any:
        return moving(*args, **kwargs) if next(lives, False) else die()

    # A runner dies after its first commit, or before its first, second or third.
    for deaths in range(100):
        lives = iter([True] * (deaths % 3))
        try:
            if after_commit:
                drain(automation(server, rules, wake=die))
            else:
                with monkeypatch.context() as patch:
                    patch.setattr(automation_store, "with_position", moving_or_dying)
                    drain(automation(server, rules))
            break
        except Killed:
            continue
    assert deaths > 3
    told = history(events)
    acted = acts(told)
    assert set(acted.values()) == {1}
    blocked = [event.id for event in told if event.type == "orchestration.task.blocked"]
    for type_ in ("x.first", "x.second", "orchestration.task.unblocked", "orchestration.notice.raised"):
        assert {cause for _, cause, of in acted if of == type_} == set(blocked)
    assert sum(of == "orchestration.sprint.status_changed" for _, _, of in acted) == 1


@contextmanager
def waiting(database_url: str) -> Iterator[Callable[[], None]]:
    """Return a function that waits until a statement waits for a lock."""
    pause = threading.Event()
    with psycopg.connect(database_url, autocommit=True) as conn:

        def wait() -> None:
            for _ in range(1_000):
                row = conn.execute(
                    "select count(*) from pg_stat_activity"
                    " where datname = current_database() and wait_event_type = 'Lock'"
                ).fetchone()
                if row and row[0]:
                    return
                pause.wait(0.005)
            raise AssertionError("nothing waits")

        yield wait


@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("joins", [True, False])
def test_a_task_that_joins_or_opens_while_the_rule_decides_keeps_the_sprint_open(
    server: Server, sprints: SprintServiceStub, tasks: TaskServiceStub, joins: bool, moves: bool
) -> None:
    *codes, last = sprint_of(sprints, tasks, "s", 3)
    for code in codes:
        turn(tasks, code, COMPLETED)
    drain(automation(server))
    if moves:
        sprint_of(sprints, tasks, "other", 1)
        left = task_pb2.Task(code=last, sprint_code="other")
        mask = FieldMask(paths=["sprint_code"])
        tasks.UpdateTask(task_pb2.UpdateTaskRequest(task=left, update_mask=mask))
    else:
        turn(tasks, last, COMPLETED)
    with (
        ThreadPoolExecutor(1) as pool,
        waiting(server.database_url) as wait,
        psycopg.connect(server.database_url) as other,
    ):
        # As the write gate does, but with its transaction still open.
        if joins:
            other.execute("select 1 from sprints where code = 's' for share")
            other.execute(
                "insert into tasks (project, code, uid, sprint_code, status, priority, assignee, labels,"
                " revision, create_time, update_time, body) select project, 'new', uid, sprint_code, 1,"
                " priority, assignee, labels, revision, create_time, update_time, body"
                " from tasks where code = 's-0'"
            )
        else:
            other.execute("update tasks set status = 1 where code = 's-1'")
        running = pool.submit(drain, automation(server))
        wait()
        other.commit()
        running.result(timeout=SECONDS)
    found = sprints.GetSprint(sprint_pb2.GetSprintRequest(sprint_code="s")).sprint
    assert found.status == ACTIVE


def test_a_task_that_joins_after_the_decision_comes_after_the_completion(
    server: Server,
    sprints: SprintServiceStub,
    tasks: TaskServiceStub,
    events: EventServiceStub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (code,) = sprint_of(sprints, tasks, "s", 1)
    turn(tasks, code, COMPLETED)
    decide = automation_store.all_tasks_completed
    with ThreadPoolExecutor(1) as pool, waiting(server.database_url) as wait:
        joining: list[Any] = []

        def decide_and_wait(*args: Any, **kwargs: Any) -> bool:
            decided = decide(*args, **kwargs)
            new = task_pb2.CreateTaskRequest(task=factories.task("new", sprint_code="s"))
            joining.append(pool.submit(tasks.CreateTask, new))
            wait()
            return decided

        monkeypatch.setattr(automation_store, "all_tasks_completed", decide_and_wait)
        drain(automation(server))
        joining[0].result(timeout=SECONDS)
    types = [event.type for event in history(events)]
    assert types.count("orchestration.sprint.status_changed") == 1
    assert len(joining) == 1


def test_a_place_that_another_has_moved_is_left_to_it(
    server: Server, tasks: TaskServiceStub, events: EventServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a")))
    turn(tasks, "a", BLOCKED)
    read = automation_store.read_batch

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        found = read(*args, **kwargs)
        monkeypatch.setattr(automation_store, "read_batch", read)
        assert drain(automation(server)) == 2
        return found

    monkeypatch.setattr(automation_store, "read_batch", overtaken)
    slow = automation(server)
    assert slow.run_once() == 0
    assert acts(history(events)).total() == 1


def test_a_project_that_fails_does_not_keep_others(
    server: Server, tasks: TaskServiceStub, events: EventServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for project in ("a", "b"):
        metadata = (("orchestration-project", project),)
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("t")), metadata=metadata)
        change = task_pb2.UpdateTaskStatusRequest(task_code="t", status=BLOCKED)
        tasks.UpdateTaskStatus(change, metadata=metadata)
    read = automation_store.read_batch

    def failing(conn: Any, **kwargs: Any) -> Any:
        if kwargs["project"] == "a":
            raise ValueError("broken")
        return read(conn, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(automation_store, "read_batch", failing)
        with pytest.raises(ValueError, match="broken"):
            automation(server).run_once()
    assert len(by_rules(history(events, "b"))) == 1
    assert not by_rules(history(events, "a"))
    drain(automation(server))
    assert len(by_rules(history(events, "a"))) == 1
