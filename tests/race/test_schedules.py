"""Schedules under several workers, callers and crashes: each time is handled once, as a whole."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import coordination_pb2, event_pb2, schedule_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.schedule_pb2_grpc import ScheduleServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server import recurrence
from orchestration_server.app import App
from orchestration_server.jobs import schedules as schedule_jobs
from orchestration_server.jobs.schedules import Schedules
from orchestration_server.services import firing, generation
from orchestration_server.services import schedules as schedule_rpcs
from orchestration_server.store import schedules as schedule_store
from tests.conftest import Server, open_channel
from tests.support import factories, locks
from tests.support.mortal_schedules import Mortal, worker
from tests.support.waits import turns

S = schedule_pb2
ROOT = Path(__file__).parents[2]
YEARLY = "0 0 1 1 *"
HANDLED = ("fired", "skipped", "failed")


def create(channel: grpc.Channel, code: str, **fields: Any) -> None:
    request = S.CreateScheduleRequest(schedule=factories.schedule(code, **{"cron": YEARLY} | fields))
    ScheduleServiceStub(channel).CreateSchedule(request)


def make_due(database_url: str, minutes: int = 0) -> datetime:
    """Make all schedules due since some minutes, and return that time."""
    with psycopg.connect(database_url) as conn:
        row = conn.execute(
            "update schedules set next_time = date_trunc('minute', now()) - %s * interval '1 min'"
            " where delete_time is null and next_time is not null returning next_time",
            (minutes,),
        ).fetchone()
    assert row is not None
    due: datetime = row[0].astimezone(UTC)
    return due


def handled(channel: grpc.Channel) -> Counter[tuple[str, str]]:
    """Return how often each time of each schedule was handled, by the log."""
    types = [f"orchestration.schedule.{name}" for name in HANDLED]
    found: Counter[tuple[str, str]] = Counter()
    token = ""
    while True:
        page = EventServiceStub(channel).ListEvents(
            event_pb2.ListEventsRequest(
                filter=event_pb2.EventFilter(types=types), page_size=500, page_token=token
            )
        )
        found.update(
            (event.entity_code, str(event.payload["scheduled_time"]))
            for event in page.events if "manual" not in event.payload
        )  # fmt: skip
        token = page.next_page_token
        if not token:
            return found


def task_codes(channel: grpc.Channel) -> list[str]:
    with_page = partial(TaskServiceStub(channel).ListTasks)
    found, token = [], ""
    while True:
        page = with_page(task_pb2.ListTasksRequest(page_size=500, page_token=token))
        found += [task.code for task in page.tasks]
        token = page.next_page_token
        if not token:
            return found


@pytest.fixture
def apps(start_app: Callable[..., App]) -> list[App]:
    return [start_app() for _ in range(2)]


@pytest.fixture
def channel(apps: list[App]) -> Iterator[grpc.Channel]:
    with open_channel(apps[0].address) as found:
        yield found


def test_workers_that_fire_at_once_handle_each_time_once(
    apps: list[App], channel: grpc.Channel, database_url: str
) -> None:
    codes = [f"c{number}" for number in range(12)]
    for code in codes:
        create(channel, code, overlap=S.OVERLAP_POLICY_ALLOW)
    want: Counter[tuple[str, str]] = Counter()
    workers = [worker(app.db) for app in apps for _ in range(2)]
    for minutes in (40, 30, 20, 10):
        due = make_due(database_url, minutes)
        want.update((code, due.isoformat()) for code in codes)
        with ThreadPoolExecutor(len(workers)) as pool:
            done = list(pool.map(lambda one: one.run_once(), workers))
        assert sum(done) == len(codes)
    assert handled(channel) == want
    made = [firing.firing_at(code, datetime.fromisoformat(time)).code for code, time in want]
    assert sorted(task_codes(channel)) == sorted(made)


def twice(app: App, channel: grpc.Channel, database_url: str) -> Counter[tuple[str, str]]:
    """Let two workers read the same due schedule before either fires it."""
    create(channel, "c")
    make_due(database_url, 5)
    with app.db.connection() as conn:
        (read,) = schedule_store.due(conn, limit=10)
    for _ in range(2):
        with suppress(firing.Moved):
            worker(app.db)._handle(read)
    return handled(channel)


def test_a_schedule_that_two_workers_have_read_fires_once(
    apps: list[App], channel: grpc.Channel, database_url: str
) -> None:
    assert list(twice(apps[0], channel, database_url).values()) == [1]


def test_control_without_the_check_a_time_is_handled_twice(
    apps: list[App], channel: grpc.Channel, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firing.HandleTime, "unchanged", lambda self, state: state.row)
    assert list(twice(apps[0], channel, database_url).values()) == [2]


def test_callers_and_workers_race(apps: list[App], channel: grpc.Channel, database_url: str) -> None:
    """Updates, pauses, triggers and deletions come between. No time is handled twice, and no task is lost."""
    codes = [f"c{number}" for number in range(6)]
    for code in codes:
        create(channel, code, overlap=S.OVERLAP_POLICY_ALLOW)
    stub = ScheduleServiceStub(channel)
    manual: list[str] = []

    def caller(seed: int) -> None:
        rng = Random(seed)
        for step in range(15):
            code = rng.choice(codes)
            mask = FieldMask(paths=["variables"])
            given = factories.schedule(code, variables={"title": f"By {seed}, {step}"})
            with suppress(grpc.RpcError):
                match rng.randrange(8):
                    case 0 if step > 10:
                        stub.DeleteSchedule(S.DeleteScheduleRequest(schedule_code=code))
                    case 1 | 2:
                        request = S.TriggerScheduleRequest(schedule_code=code)
                        manual.append(stub.TriggerSchedule(request).schedule.last_task_code)
                    case _:
                        stub.UpdateSchedule(S.UpdateScheduleRequest(schedule=given, update_mask=mask))

    def fire(one: Schedules) -> None:
        for _ in range(12):
            one.run_once()

    def rewind() -> None:
        for minutes in range(60, 20, -5):
            with suppress(AssertionError):
                make_due(database_url, minutes)

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(caller, seed) for seed in range(3)]
        running += [pool.submit(fire, worker(app.db)) for app in apps for _ in range(2)]
        running.append(pool.submit(rewind))
        for one in running:
            one.result()
    worker(apps[0].db).run_once()
    found = handled(channel)
    assert manual
    assert set(found.values()) == {1}
    made = [firing.firing_at(code, datetime.fromisoformat(time)).code for code, time in found]
    assert sorted(task_codes(channel)) == sorted([*made, *manual])


def test_a_schedule_that_is_deleted_or_changed_meanwhile_does_not_fire(
    apps: list[App], channel: grpc.Channel, database_url: str
) -> None:
    stub = ScheduleServiceStub(channel)
    for code in ("deleted", "paused", "changed", "held"):
        create(channel, code)
    make_due(database_url, 5)
    with apps[0].db.connection() as conn:
        reads = schedule_store.due(conn, limit=10)
    stub.DeleteSchedule(S.DeleteScheduleRequest(schedule_code="deleted"))
    for code, path in (("paused", "paused"), ("changed", "cron")):
        given = factories.schedule(code, paused=True, cron="0 5 * * *")
        stub.UpdateSchedule(S.UpdateScheduleRequest(schedule=given, update_mask=FieldMask(paths=[path])))
    scope = coordination_pb2.WorkScope(project=True)
    CoordinationServiceStub(channel).PauseWork(coordination_pb2.PauseWorkRequest(scope=scope, reason="r"))
    assert len(reads) == 4
    for read in reads:
        with pytest.raises(firing.Held if read.row.code == "held" else firing.Moved):
            worker(apps[1].db)._handle(read)
    assert task_codes(channel) == []
    assert not handled(channel)


def pause_during_a_firing(
    app: App, channel: grpc.Channel, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[bool, list[str]]:
    """Pause the project while a firing has read that it is not paused.

    Return whether PauseWork waited for the firing, and the tasks that exist when it returns.
    """
    create(channel, "c")
    make_due(database_url, 5)
    read, go_on = Event(), Event()
    prepare = schedule_store.prepare

    def slow(*args: Any, **given: Any) -> Any:
        found = prepare(*args, **given)
        read.set()
        assert go_on.wait(timeout=30)
        return found

    monkeypatch.setattr(schedule_store, "prepare", slow)
    scope = coordination_pb2.WorkScope(project=True)
    request = coordination_pb2.PauseWorkRequest(scope=scope, reason="r")
    with ThreadPoolExecutor(2) as pool, psycopg.connect(database_url, autocommit=True) as conn:
        fired = pool.submit(worker(app.db).run_once)
        assert read.wait(timeout=30)
        paused = pool.submit(CoordinationServiceStub(channel).PauseWork, request)
        for _ in turns(locks.SECONDS):
            waits = conn.execute(locks.RUNNING.encode()).fetchone() == (1,)
            if waits or paused.done():
                break
        found = [] if waits else task_codes(channel)
        go_on.set()
        paused.result()
        found = task_codes(channel) if waits else found
        assert fired.result() == 1
    return waits, found


def test_nothing_fires_once_pause_work_has_returned(
    apps: list[App], channel: grpc.Channel, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, found = pause_during_a_firing(apps[1], channel, database_url, monkeypatch)
    assert waits
    assert len(found) == 1


def test_control_without_its_turn_a_firing_commits_after_the_pause(
    apps: list[App], channel: grpc.Channel, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule_store, "take_turn", lambda *_, **__: None)
    waits, found = pause_during_a_firing(apps[1], channel, database_url, monkeypatch)
    assert not waits
    assert found == []
    assert len(task_codes(channel)) == 1


@pytest.fixture
def mortal(database_url: str) -> Iterator[Mortal]:
    process = Mortal(database_url)
    yield process
    process.close()


def test_a_worker_that_is_killed_anywhere_leaves_all_or_nothing(
    server: Server, database_url: str, mortal: Mortal
) -> None:
    with open_channel(server.address) as channel:
        create(channel, "task", overlap=S.OVERLAP_POLICY_ALLOW)
        create(
            channel,
            "plan",
            overlap=S.OVERLAP_POLICY_ALLOW,
            template="bug-fix-sprint",
            variables={"bugs": ["b"]},
        )
        due = make_due(database_url, 100)
        code, statements = mortal.killed(1_000)
        assert code == 0
        assert statements >= 5
        want = {("task", due.isoformat()): 1, ("plan", due.isoformat()): 1}
        sizes = Counter(code.split("-")[0] for code in task_codes(channel))
        assert handled(channel) == want
        for round_, at in enumerate([*range(1, statements + 1), *range(-statements, 0)], 1):
            due = make_due(database_url, 100 - round_)
            code, _ = mortal.killed(at)
            assert code == -signal.SIGKILL, at
            # A firing is in the log with all of its tasks, or neither is there.
            found = Counter(code for code, time in handled(channel) if time == due.isoformat())
            now = Counter(code.split("-")[0] for code in task_codes(channel))
            assert now == Counter(
                {code: number * (round_ + (1 if code in found else 0)) for code, number in sizes.items()}
            ), at
            assert server.app is not None
            worker(server.app.db).run_once()
            want |= {(code, due.isoformat()): 1 for code in ("task", "plan")}
            assert handled(channel) == want, at


@pytest.mark.parametrize("days", [3, -3], ids=["ahead", "behind"])
def test_the_clock_of_the_server_does_not_matter(
    apps: list[App], channel: grpc.Channel, database_url: str, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=days)

    modules: Sequence[Any] = (recurrence, schedule_jobs, firing, schedule_rpcs, schedule_store, generation)
    for module in modules:
        monkeypatch.setattr(module, "datetime", Wrong, raising=False)
    create(channel, "c", cron="0 4 * * *")
    stub = ScheduleServiceStub(channel)
    made = stub.GetSchedule(S.GetScheduleRequest(schedule_code="c")).schedule
    ahead = made.next_time.ToDatetime(UTC) - made.create_time.ToDatetime(UTC)
    assert timedelta(0) < ahead <= timedelta(days=1)
    assert worker(apps[1].db).run_once() == 0
    due = make_due(database_url, 1)
    assert worker(apps[1].db).run_once() == 1
    made = stub.GetSchedule(S.GetScheduleRequest(schedule_code="c")).schedule
    assert made.last_time.ToDatetime(UTC) >= due
    assert timedelta(0) < made.next_time.ToDatetime(UTC) - due <= timedelta(days=1)
