"""What the background service makes of schedules that are due."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest

from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, schedule_pb2, sprint_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.schedule_pb2_grpc import ScheduleServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.errors import Unavailable
from orchestration_server.jobs.schedules import Schedules
from orchestration_server.services import firing, generation
from orchestration_server.templates import Templates
from orchestration_server.writes.gate import Gate
from tests.conftest import Server
from tests.support import factories
from tests.support.rpc_errors import refused
from tests.support.schedules import create, get, log_of, tasks_of, trigger, update

S = schedule_pb2
INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
YEARLY = "0 0 1 1 *"
"""No time of this line comes between the one that a test sets and now."""
COMPLETED = common_pb2.TASK_STATUS_COMPLETED


def service(app: App, templates: Path | None = None) -> Schedules:
    """Return the background service, as a worker beside the server runs it."""
    gate = Gate(app.db, lambda: None)
    return Schedules(app.db, gate, generation.Generation(gate, Templates(templates)))


@pytest.fixture
def fire(server: Server) -> Callable[[], int]:
    """Return a function that runs one batch of the service."""
    assert server.app is not None
    return service(server.app).run_once


@pytest.fixture
def rewind(server: Server) -> Callable[[str, timedelta], datetime]:
    """Return a function that makes a schedule due since a while, and returns that time.

    The database's clock cannot be set, so the stored time is. It is a whole minute, as cron's times are.
    """

    def set_back(code: str, age: timedelta) -> datetime:
        with psycopg.connect(server.database_url) as conn:
            row = conn.execute(
                "update schedules set next_time = date_trunc('minute', now() - %s) where code = %s"
                " returning next_time",
                (age, code),
            ).fetchone()
        assert row is not None
        due: datetime = row[0].astimezone(UTC)
        return due

    return set_back


def code_at(time: datetime, code: str = "c") -> str:
    return f"{code}-{time:%Y%m%dT%H%M}Z"


def test_a_due_schedule_creates_its_task_once(
    schedules: ScheduleServiceStub, tasks: TaskServiceStub, events: EventServiceStub,
    fire: Callable[[], int], rewind: Callable[[str, timedelta], datetime],
) -> None:  # fmt: skip
    create(schedules, cron=YEARLY)
    assert fire() == 0, "its time has not come"
    due = rewind("c", timedelta(0))
    assert fire() == 1
    assert fire() == 0
    code = code_at(due)
    assert tasks_of(tasks) == [code]
    found = get(schedules)
    assert (found.last_task_code, found.last_time.ToDatetime(UTC)) == (code, due)
    following = found.next_time.ToDatetime(UTC)
    assert (following.month, following.day, following > due) == (1, 1, True)
    assert found.revision == 1
    (event,) = log_of(events, "fired")
    assert event.agent == "orchestration.schedules"
    assert event.correlation_id == code
    assert event.payload["created"] == code
    assert "missed" not in event.payload
    chain = events.ListEvents(
        event_pb2.ListEventsRequest(filter=event_pb2.EventFilter(correlation_id=code))
    ).events
    assert sorted(e.type.removeprefix("orchestration.") for e in chain) == [
        "schedule.fired", "task.created", "task.generated",
    ]  # fmt: skip
    made = next(e for e in chain if e.type.endswith("generated"))
    assert made.payload["schedule"] == "c"
    assert made.payload["scheduled_time"] == due.isoformat()


def test_a_sprint_is_created_with_its_tasks(
    schedules: ScheduleServiceStub, sprints: SprintServiceStub, tasks: TaskServiceStub,
    fire: Callable[[], int], rewind: Callable[[str, timedelta], datetime],
) -> None:  # fmt: skip
    create(schedules, template="feature-sprint", variables={"feature": "f"}, cron=YEARLY)
    first = trigger(schedules).last_sprint_code
    found = sprints.GetSprint(sprint_pb2.GetSprintRequest(sprint_code=first)).sprint
    assert found.status == common_pb2.SPRINT_STATUS_PLANNING
    made = tasks.ListTasks(task_pb2.ListTasksRequest(sprint_code=first)).tasks
    assert len(made) > 3
    rewind("c", timedelta(minutes=8))
    assert fire() == 1
    assert get(schedules).last_sprint_code == first, "the sprint is open while one of its tasks is"
    for task in made:
        tasks.UpdateTaskStatus(task_pb2.UpdateTaskStatusRequest(task_code=task.code, status=COMPLETED))
    due = rewind("c", timedelta(minutes=7))
    assert fire() == 1
    assert get(schedules).last_sprint_code == code_at(due)
    made = tasks.ListTasks(task_pb2.ListTasksRequest(sprint_code=code_at(due))).tasks
    assert len(made) > 3


def test_open_work_skips_a_time_unless_the_schedule_allows_it(
    schedules: ScheduleServiceStub, tasks: TaskServiceStub, events: EventServiceStub,
    fire: Callable[[], int], rewind: Callable[[str, timedelta], datetime],
) -> None:  # fmt: skip
    create(schedules, cron=YEARLY)
    first = trigger(schedules).last_task_code
    skipped = rewind("c", timedelta(minutes=6))
    assert fire() == 1
    assert tasks_of(tasks) == [first]
    (event,) = log_of(events, "skipped")
    assert dict(event.payload) == {
        "scheduled_time": skipped.isoformat(), "reason": "overlap", "open": first,
    }  # fmt: skip
    assert get(schedules).last_time.ToDatetime(UTC) == skipped
    update(schedules, overlap=S.OVERLAP_POLICY_ALLOW)
    due = rewind("c", timedelta(minutes=5))
    assert fire() == 1
    assert tasks_of(tasks) == sorted([first, code_at(due)])
    update(schedules, overlap=S.OVERLAP_POLICY_SKIP)
    tasks.UpdateTaskStatus(task_pb2.UpdateTaskStatusRequest(task_code=code_at(due), status=COMPLETED))
    rewind("c", timedelta(minutes=4))
    assert fire() == 1
    assert len(log_of(events, "skipped")) == 1


@pytest.mark.parametrize("policy", [S.CATCH_UP_POLICY_ONCE, S.CATCH_UP_POLICY_SKIP])
def test_missed_times_are_made_up_for_once_or_not_at_all(
    schedules: ScheduleServiceStub, tasks: TaskServiceStub, events: EventServiceStub,
    fire: Callable[[], int], rewind: Callable[[str, timedelta], datetime], policy: S.CatchUpPolicy.ValueType,
) -> None:  # fmt: skip
    # The hour of three hours ago, so the last time was missed two to three hours ago, or a day more.
    now = datetime.now(UTC)
    hour = (now - timedelta(hours=3)).hour
    create(schedules, cron=f"0 {hour} * * *", catch_up=policy, overlap=S.OVERLAP_POLICY_ALLOW)
    with_minutes = rewind("c", timedelta(days=10))
    assert fire() == 1
    assert fire() == 0
    found = get(schedules)
    assert found.next_time.ToDatetime(UTC) > now
    assert found.last_time.ToDatetime(UTC) > now - timedelta(days=1, hours=1)
    if policy == S.CATCH_UP_POLICY_ONCE:
        assert tasks_of(tasks) == [code_at(found.last_time.ToDatetime(UTC))]
        (event,) = log_of(events, "fired")
        assert event.payload["missed"] == 10
    else:
        assert tasks_of(tasks) == []
        (event,) = log_of(events, "skipped")
        assert (event.payload["reason"], event.payload["missed"]) == ("missed", 11)
    assert with_minutes < found.last_time.ToDatetime(UTC)


def test_a_schedule_of_every_minute_catches_up_after_a_year(
    schedules: ScheduleServiceStub, events: EventServiceStub, fire: Callable[[], int],
    rewind: Callable[[str, timedelta], datetime],
) -> None:  # fmt: skip
    """The missed times are counted up to a limit, and the last one fires."""
    create(schedules, cron="* * * * *")
    rewind("c", timedelta(days=365))
    assert fire() == 1
    (event,) = log_of(events, "fired")
    assert event.payload["missed"] == 999
    last = datetime.fromisoformat(str(event.payload["scheduled_time"]))
    assert abs(event.emit_time.ToDatetime(UTC) - last) < timedelta(minutes=1, seconds=30)


def test_a_schedule_gives_its_time_to_a_template_that_asks_for_it(
    start_app: Callable[..., App], tmp_path: Path
) -> None:
    (tmp_path / "audit.yaml").write_text(
        "---\nkind: task\ntitle: Audit\nvariables:\n  - name: scheduled_time\n    type: string\n"
        '    default: ""\n---\ntask:\n  title: "Audit of {{ scheduled_time }}"\n'
    )
    app = start_app(templates_dir=tmp_path)
    with grpc.insecure_channel(app.address) as channel:
        schedules, tasks = ScheduleServiceStub(channel), TaskServiceStub(channel)
        create(schedules, template="audit", variables={}, cron=YEARLY, time_zone="Asia/Tokyo")
        with app.db.connection() as conn:
            conn.execute("update schedules set next_time = '2026-01-01T00:00Z'", name="test.rewind")
        assert service(app, tmp_path).run_once() == 1
        (task,) = tasks.ListTasks(task_pb2.ListTasksRequest()).tasks
    assert task.title.startswith("Audit of 20")
    assert task.title.endswith("+09:00")


def test_a_failing_schedule_is_recorded_and_stops_no_other(
    start_app: Callable[..., App], tmp_path: Path
) -> None:
    """The worker has a template that the server accepted no longer, as after a deployment."""
    (tmp_path / "gone.yaml").write_text("---\nkind: task\ntitle: G\n---\ntask:\n  title: G\n")
    app = start_app(templates_dir=tmp_path)
    with grpc.insecure_channel(app.address) as channel:
        schedules, tasks = ScheduleServiceStub(channel), TaskServiceStub(channel)
        events = EventServiceStub(channel)
        create(schedules, "a", template="gone", variables={}, cron=YEARLY)
        create(schedules, "b", cron=YEARLY)
        create(schedules, "d", cron=YEARLY)
        with app.db.connection() as conn:
            conn.execute("update schedules set next_time = date_trunc('minute', now())", name="test.rewind")
        (due,) = {
            schedule.next_time.ToDatetime(UTC)
            for schedule in schedules.ListSchedules(S.ListSchedulesRequest()).schedules
        }
        # Somebody has used the code of a firing.
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code_at(due, "d"))))
        assert service(app).run_once() == 3
        assert service(app).run_once() == 0
        assert tasks_of(tasks) == sorted([code_at(due, "b"), code_at(due, "d")])
        failed = get(schedules, "a")
        assert failed.last_error.reason == "NOT_FOUND"
        assert "gone" in failed.last_error.message
        assert failed.last_error.scheduled_time.ToDatetime(UTC) == due
        assert failed.next_time.ToDatetime(UTC) > due
        assert get(schedules, "d").last_error.reason == "ALREADY_EXISTS"
        assert {event.entity_code for event in log_of(events, "failed")} == {"a", "d"}
        with refused(NOT_FOUND, "NOT_FOUND"):
            # The server that listens has the template, so only the schedule is missing.
            trigger(schedules, "none")
        assert not trigger(schedules, "a").HasField("last_error"), "a success clears the error"


@pytest.mark.parametrize("place", ["jobs.schedules.creation", "services.firing.fired"])
def test_a_fault_of_the_server_consumes_the_time(
    server: Server, schedules: ScheduleServiceStub, rewind: Callable[[str, timedelta], datetime],
    monkeypatch: pytest.MonkeyPatch, place: str,
) -> None:  # fmt: skip
    """It is not tried for ever, and the log does not go to callers."""
    assert server.app is not None
    create(schedules, cron=YEARLY)
    rewind("c", timedelta(0))

    def broken(*_: object, **__: object) -> None:
        raise RecursionError("secret")

    monkeypatch.setattr(f"orchestration_server.{place}", broken)
    assert service(server.app).run_once() == 1
    error = get(schedules).last_error
    assert error.reason == "INTERNAL"
    assert "secret" not in error.message


def test_a_schedule_that_the_database_refuses_stays_due(
    server: Server, schedules: ScheduleServiceStub, fire: Callable[[], int],
    rewind: Callable[[str, timedelta], datetime], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The others go on, and the schedule fires as soon as the database accepts it."""
    create(schedules, "a", cron=YEARLY)
    create(schedules, "b", cron=YEARLY)
    due = rewind("a", timedelta(minutes=5))
    rewind("b", timedelta(minutes=4))
    real = firing.fired

    def refuse(call: Any, change: Any, row: Any, *args: Any, **given: Any) -> Any:
        if row.code == "a":
            raise Unavailable
        return real(call, change, row, *args, **given)

    with monkeypatch.context() as patch:
        patch.setattr(firing, "fired", refuse)
        with pytest.raises(Unavailable):
            fire()
    assert get(schedules, "b").last_task_code
    assert get(schedules, "a").next_time.ToDatetime(UTC) == due
    assert fire() == 1
    assert get(schedules, "a").last_task_code == code_at(due, "a")


def test_a_paused_project_fires_nothing_and_catches_up_once(
    schedules: ScheduleServiceStub, tasks: TaskServiceStub, coordination: CoordinationServiceStub,
    fire: Callable[[], int], rewind: Callable[[str, timedelta], datetime],
) -> None:  # fmt: skip
    create(schedules, cron=YEARLY)
    scope = coordination_pb2.WorkScope(project=True)
    coordination.PauseWork(coordination_pb2.PauseWorkRequest(scope=scope, reason="r"))
    due = rewind("c", timedelta(minutes=30))
    assert fire() == 0
    assert tasks_of(tasks) == []
    assert get(schedules).next_time.ToDatetime(UTC) == due
    triggered = trigger(schedules).last_task_code
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code=triggered))
    coordination.ResumeWork(coordination_pb2.ResumeWorkRequest(scope=scope))
    assert fire() == 1
    assert len(tasks_of(tasks)) == 1


def test_a_paused_schedule_fires_nothing_and_makes_up_for_nothing(
    schedules: ScheduleServiceStub, tasks: TaskServiceStub, fire: Callable[[], int]
) -> None:
    create(schedules, cron=YEARLY, paused=True)
    assert fire() == 0
    found = update(schedules, paused=False)
    assert found.next_time.ToDatetime(UTC) > found.update_time.ToDatetime(UTC)
    assert fire() == 0
    assert tasks_of(tasks) == []


def test_a_schedule_puts_its_tasks_into_a_sprint_until_it_is_gone(
    server: Server, schedules: ScheduleServiceStub, sprints: SprintServiceStub, tasks: TaskServiceStub,
    fire: Callable[[], int], rewind: Callable[[str, timedelta], datetime],
) -> None:  # fmt: skip
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("s")))
    create(schedules, sprint_code="s", cron=YEARLY)
    rewind("c", timedelta(minutes=5))
    assert fire() == 1
    (code,) = tasks_of(tasks)
    task = tasks.GetTask(task_pb2.GetTaskRequest(task_code=code)).task
    assert task.sprint_code == "s"
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code=code))
    sprints.DeleteSprint(sprint_pb2.DeleteSprintRequest(sprint_code="s"))
    rewind("c", timedelta(minutes=3))
    assert fire() == 1
    assert get(schedules).last_error.reason == "NOT_FOUND"
