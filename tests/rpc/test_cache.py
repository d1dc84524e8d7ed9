"""The cache only changes the speed. Whatever Redis does, the answers are those of the database."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic

import grpc
import pytest
import redis
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import event_pb2, sprint_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import EmbeddedEngines
from tests.conftest import open_channel
from tests.support import factories

SECONDS = 10
WITHOUT_REDIS = 1.0
"""The most seconds that a call may take while Redis does not answer."""
CLOSED_SECONDS = 5.0
"""The seconds within which the cache tries Redis again."""


class Ledger:
    """A server with its own cache."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.sprints = SprintServiceStub(channel)
        self.tasks = TaskServiceStub(channel)
        self.events = EventServiceStub(channel)
        self._until = Timestamp()
        self._until.FromDatetime(datetime.now(UTC) + timedelta(hours=1))

    def add_task(self, code: str) -> None:
        task = factories.task(code, sprint_code="s")
        self.tasks.CreateTask(task_pb2.CreateTaskRequest(task=task), timeout=SECONDS)

    def full(self) -> sprint_pb2.GetSprintResponse:
        request = sprint_pb2.GetSprintRequest(sprint_code="s", view=sprint_pb2.SPRINT_VIEW_FULL)
        return self.sprints.GetSprint(request, timeout=SECONDS)

    def stats(self) -> event_pb2.GetEventStatsResponse:
        # A range with an end does not move with the minute.
        return self.events.GetEventStats(
            event_pb2.GetEventStatsRequest(end_time=self._until), timeout=SECONDS
        )

    def check(self, tasks: int) -> None:
        """Check both answers for one sprint with a number of tasks that were only created."""
        full = self.full()
        assert (full.task_counts.total, len(full.tasks), full.sprint.code) == (tasks, tasks, "s")
        assert sorted(task.code for task in full.tasks) == sorted(f"t{n}" for n in range(tasks))
        stats = self.stats()
        counts = Counter({count.key: count.count for count in stats.counts})
        expected = {"orchestration.sprint.created": 1, "orchestration.task.created": tasks}
        assert counts == Counter(expected)
        assert stats.total == tasks + 1

    def cached(self) -> bool:
        return not self.stats().HasField("elapsed")

    def cached_in_time(self) -> bool:
        """Return whether the cache is in use again within seconds."""
        end = monotonic() + CLOSED_SECONDS
        while monotonic() < end:
            if self.cached():
                return True
        return False


@contextmanager
def serving(database_url: str, redis_url: str) -> Iterator[Ledger]:
    app = App(
        Settings(address="127.0.0.1:0", database_url=database_url, redis_url=redis_url, grace_seconds=1)
    )
    with ExitStack() as stack:
        stack.callback(app.stop)
        ledger = Ledger(stack.enter_context(open_channel(app.start())))
        ledger.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint("s")))
        for number in range(3):
            ledger.add_task(f"t{number}")
        yield ledger


@pytest.fixture
def valkey() -> Iterator[EmbeddedEngines]:
    """A cache that a test can stop and pause."""
    found = EmbeddedEngines(None, postgres=False)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def redis_url(valkey: EmbeddedEngines) -> str:
    assert valkey._socket_dir is not None
    return f"unix://{valkey._socket_dir / 'valkey.sock'}"


@pytest.fixture
def ledger(database_url: str, redis_url: str) -> Iterator[Ledger]:
    with serving(database_url, redis_url) as found:
        yield found


def timed(call: Callable[[], None]) -> float:
    began = monotonic()
    call()
    return monotonic() - began


def test_the_second_call_is_served_from_the_cache(ledger: Ledger) -> None:
    first = ledger.stats()
    second = ledger.stats()

    assert first.HasField("elapsed")
    assert not second.HasField("elapsed")
    first.ClearField("elapsed")
    assert first == second
    assert ledger.full() == ledger.full()
    ledger.check(3)


def test_the_next_answer_contains_a_change(ledger: Ledger) -> None:
    for number in range(3, 8):
        ledger.check(number)
        ledger.check(number)
        ledger.add_task(f"t{number}")
    ledger.check(8)


def test_the_next_answer_shows_a_task_that_moved_changed_or_was_deleted(ledger: Ledger) -> None:
    ledger.full()
    change = task_pb2.UpdateTaskStatusRequest(task_code="t0", status=4)  # type: ignore[arg-type]  # COMPLETED
    ledger.tasks.UpdateTaskStatus(change)
    assert ledger.full().task_counts.completed == 1
    ledger.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="t0"))
    assert ledger.full().task_counts.total == 2
    ledger.add_task("t0-again")
    assert {task.code for task in ledger.full().tasks} == {"t0-again", "t1", "t2"}


def test_answers_are_never_older_than_an_acknowledged_write_of_concurrent_writers(ledger: Ledger) -> None:
    def work(name: str) -> list[str]:
        wrong = []
        for number in range(10):
            before = ledger.stats().total
            ledger.add_task(f"{name}-{number}")
            found = {task.code for task in ledger.full().tasks}
            if f"{name}-{number}" not in found:
                wrong.append(f"{name}-{number} is not in its sprint")
            if ledger.stats().total <= before:
                wrong.append(f"{name}-{number} is not counted")
        return wrong

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, "abcd")) == [[]] * 4
    assert ledger.full().task_counts.total == 43
    assert ledger.stats().total == 44


def test_without_redis_every_answer_is_right(database_url: str) -> None:
    with serving(database_url, "") as ledger:
        ledger.check(3)
        ledger.check(3)
        assert not ledger.cached()


def test_an_unreachable_redis_changes_no_answer(database_url: str) -> None:
    with serving(database_url, "unix:///nowhere/valkey.sock") as ledger:
        assert timed(lambda: ledger.check(3)) < WITHOUT_REDIS
        ledger.check(3)


def test_a_redis_that_stops_changes_no_answer(ledger: Ledger, valkey: EmbeddedEngines) -> None:
    ledger.check(3)
    valkey.stop()

    assert timed(lambda: ledger.check(3)) < WITHOUT_REDIS
    ledger.add_task("t3")
    ledger.check(4)


def test_a_paused_redis_delays_no_call_and_is_used_again_later(
    ledger: Ledger, valkey: EmbeddedEngines
) -> None:
    ledger.check(3)
    assert valkey.valkey_pid is not None
    os.kill(valkey.valkey_pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(12) as pool:
            took = list(pool.map(timed, [lambda: ledger.check(3)] * 24))
        ledger.add_task("t3")
        took.append(timed(lambda: ledger.check(4)))
    finally:
        os.kill(valkey.valkey_pid, signal.SIGCONT)

    assert max(took) < WITHOUT_REDIS
    ledger.check(4)
    assert ledger.cached_in_time()
    ledger.check(4)


def test_a_flush_changes_no_answer(ledger: Ledger, redis_url: str) -> None:
    ledger.check(3)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        ledger.check(3)
        assert client.dbsize()
    assert ledger.cached()


@pytest.mark.parametrize("garbage", [b"", b"x", b"\x00" * 16, b"\xff" * 200])
def test_garbage_under_the_keys_counts_as_absent(ledger: Ledger, redis_url: str, garbage: bytes) -> None:
    ledger.check(3)
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter():
            client.set(key, garbage)
    ledger.check(3)
    # The value that was read replaces it.
    assert ledger.cached()


def test_values_under_each_others_keys_count_as_absent(ledger: Ledger, redis_url: str) -> None:
    ledger.check(3)
    with redis.Redis.from_url(redis_url) as client:
        keys = list(client.scan_iter())
        values = [client.get(key) for key in keys]
        assert len(keys) > 1
        for key, value in zip(keys, values[1:] + values[:1], strict=True):
            assert isinstance(value, bytes)
            client.set(key, value)
    ledger.check(3)
    assert ledger.cached()


def test_a_value_of_another_type_counts_as_absent_and_is_replaced(ledger: Ledger, redis_url: str) -> None:
    ledger.check(3)
    with redis.Redis.from_url(redis_url) as client:
        for key in list(client.scan_iter()):
            client.delete(key)
            client.rpush(key, b"x")
        ledger.check(3)
        assert ledger.cached()
