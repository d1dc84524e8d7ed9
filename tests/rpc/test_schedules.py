"""Schedules through the stubs: what callers define, read and trigger."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import grpc
import psycopg
import pytest

from orchestration.v1 import common_pb2, event_pb2, schedule_pb2, sprint_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.schedule_pb2_grpc import ScheduleServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.services import firing
from orchestration_server.services.schedules import MAX_SCHEDULES
from tests.conftest import Server
from tests.support import factories
from tests.support.rpc_errors import refused, violations
from tests.support.schedules import create, get, log_of, tasks_of, trigger, update

S = schedule_pb2
INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest.mark.shared_server
def test_a_schedule_is_created_read_updated_listed_and_deleted(
    schedules: ScheduleServiceStub, events: EventServiceStub
) -> None:
    made = create(schedules, cron="30 4 * * MON-FRI")
    assert (made.revision, made.time_zone, made.paused) == (1, "UTC", False)
    assert made.catch_up == S.CATCH_UP_POLICY_ONCE
    assert made.overlap == S.OVERLAP_POLICY_SKIP
    following = made.next_time.ToDatetime(UTC)
    assert (following.hour, following.minute) == (4, 30)
    assert following.weekday() < 5
    assert following > made.create_time.ToDatetime(UTC)
    assert get(schedules) == made
    changed = update(schedules, time_zone="Europe/Berlin", expected_revision=1)
    assert changed.revision == 2
    assert changed.next_time != made.next_time
    assert changed.cron == "30 4 * * MON-FRI"
    assert update(schedules, time_zone="Europe/Berlin") == changed, "no value changes"
    paused = update(schedules, paused=True)
    assert not paused.HasField("next_time")
    assert update(schedules, paused=False).next_time == changed.next_time
    schedules.DeleteSchedule(S.DeleteScheduleRequest(schedule_code="c", expected_revision=4))
    with refused(NOT_FOUND, "NOT_FOUND"):
        get(schedules)
    with refused(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS"):
        create(schedules)
    found = log_of(events)
    names = [event.type.removeprefix("orchestration.schedule.") for event in found]
    assert sorted(names) == ["created", "deleted", "updated", "updated", "updated"]
    assert {event.entity_type for event in found} == {common_pb2.ENTITY_TYPE_SCHEDULE}
    assert sorted(event.entity_revision for event in found) == [1, 2, 3, 4, 5]
    history = events.GetEntityHistory(
        event_pb2.GetEntityHistoryRequest(entity_type=common_pb2.ENTITY_TYPE_SCHEDULE, entity_code="c")
    )
    assert len(history.changes) == 5


@pytest.mark.shared_server
def test_pages_show_each_schedule_once_by_code(schedules: ScheduleServiceStub) -> None:
    codes = [f"c{number:02}" for number in range(7)]
    for code in reversed(codes):
        create(schedules, code)
    schedules.DeleteSchedule(S.DeleteScheduleRequest(schedule_code="c03"))
    found, token = [], ""
    while True:
        page = schedules.ListSchedules(S.ListSchedulesRequest(page_size=2, page_token=token))
        found += [schedule.code for schedule in page.schedules]
        assert len(page.schedules) <= 2
        token = page.next_page_token
        if not token:
            break
    assert found == [code for code in codes if code != "c03"]


@pytest.mark.shared_server
def test_a_stale_revision_is_refused_and_firing_changes_none(schedules: ScheduleServiceStub) -> None:
    create(schedules)
    update(schedules, cron="0 5 * * *", expected_revision=1)
    with refused(grpc.StatusCode.ABORTED, "STALE_REVISION"):
        update(schedules, cron="0 6 * * *", expected_revision=1)
    with refused(grpc.StatusCode.ABORTED, "STALE_REVISION"):
        schedules.DeleteSchedule(S.DeleteScheduleRequest(schedule_code="c", expected_revision=1))
    assert trigger(schedules).revision == 2


@pytest.mark.shared_server
@pytest.mark.parametrize(
    ("fields", "path", "text"),
    [
        ({"cron": "0 0 31 2 *"}, "schedule.cron", "never fires"),
        ({"cron": "0 0 30,31 2 *"}, "schedule.cron", "never fires"),
        ({"cron": "61 0 * * *"}, "schedule.cron", "minute 0-59"),
        ({"cron": "@daily"}, "schedule.cron", "five fields"),
        ({"time_zone": "europe/berlin"}, "schedule.time_zone", "did you mean Europe/Berlin?"),
        ({"variables": {"title": "t", "no": 1}}, "schedule.variables.no", "is not a variable"),
        ({"variables": {}}, "schedule.variables.title", "is required"),
        ({"template": "adr"}, "schedule.template", "must be of kind TASK or SPRINT"),
        (
            {"template": "feature-sprint", "variables": {"feature": "f"}, "sprint_code": "s"},
            "schedule.sprint_code", "must be empty",
        ),
        ({"variables": {"title": " "}}, "schedule.template.task.title", "character that can be seen"),
    ],
)  # fmt: skip
def test_what_cannot_fire_is_refused_by_its_field(
    schedules: ScheduleServiceStub, sprints: SprintServiceStub, fields: dict[str, Any], path: str, text: str
) -> None:
    sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("s")))
    create(schedules, "good")
    with refused(INVALID, "INVALID_ARGUMENT") as error:
        create(schedules, **fields)
    assert text in violations(error.value)[path]
    with refused(INVALID, "INVALID_ARGUMENT"):
        update(schedules, "good", **fields)
    assert get(schedules, "good").revision == 1


@pytest.mark.shared_server
def test_what_a_schedule_names_must_exist(schedules: ScheduleServiceStub) -> None:
    with refused(NOT_FOUND, "NOT_FOUND"):
        create(schedules, template="none")
    with refused(NOT_FOUND, "NOT_FOUND"):
        create(schedules, sprint_code="none")
    for call in (
        lambda: update(schedules, paused=True),
        lambda: trigger(schedules),
        lambda: schedules.DeleteSchedule(S.DeleteScheduleRequest(schedule_code="c")),
    ):
        with refused(NOT_FOUND, "NOT_FOUND"):
            call()


@pytest.mark.shared_server
def test_each_write_takes_effect_once(
    schedules: ScheduleServiceStub, tasks: TaskServiceStub, events: EventServiceStub
) -> None:
    """Retries with the same id get the first response, even after the schedule is gone."""
    request = S.CreateScheduleRequest(schedule=factories.schedule("c"), request_id="r")
    assert schedules.CreateSchedule(request) == schedules.CreateSchedule(request)
    with ThreadPoolExecutor(2) as pool:
        fired = list(pool.map(lambda _: trigger(schedules, request_id="r"), range(2)))
    assert fired[0] == fired[1]
    assert tasks_of(tasks) == [fired[0].last_task_code]
    delete = S.DeleteScheduleRequest(schedule_code="c", request_id="r")
    schedules.DeleteSchedule(delete)
    schedules.DeleteSchedule(delete)
    assert trigger(schedules, request_id="r") == fired[0]
    assert len(log_of(events)) == 3


def test_a_project_has_a_limited_number_of_schedules(server: Server, schedules: ScheduleServiceStub) -> None:
    create(schedules, "c0")
    with psycopg.connect(server.database_url) as conn:
        conn.execute(
            "insert into schedules (project, code, revision, create_time, update_time, body)"
            " select project, 'c' || n, 1, create_time, update_time, body"
            " from schedules, generate_series(1, %s) n",
            (MAX_SCHEDULES - 2,),
        )

    def outcome(code: str) -> str:
        try:
            create(schedules, code)
        except grpc.RpcError as error:
            return str(error.code())
        return "made"

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(outcome, ["a", "b", "d", "e"]))
    assert sorted(found) == [str(grpc.StatusCode.RESOURCE_EXHAUSTED)] * 3 + ["made"]
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_SCHEDULES"):
        create(schedules, "f")
    schedules.DeleteSchedule(S.DeleteScheduleRequest(schedule_code="c0"))
    create(schedules, "f")


def test_the_time_of_a_trigger_is_no_scheduled_time(schedules: ScheduleServiceStub) -> None:
    """Codes of triggers have seconds, those of scheduled times do not, so neither takes one of the other."""
    create(schedules)
    now = trigger(schedules).last_task_code
    at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    assert firing.firing_at("c", at).code == "c-20260102T0304Z"
    assert len(now) > len("c-20260102T0304Z")
    assert get(schedules).last_task_code == now
    assert trigger(schedules).last_task_code != now
