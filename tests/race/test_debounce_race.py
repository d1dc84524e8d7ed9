"""Several servers write and log at once, and some are killed: each step is logged once, in order."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Event

import grpc
import psycopg
import pytest

from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.common_pb2 import TaskStatus
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.db.database import Connection
from orchestration_server.embedded.engines import Engines
from orchestration_server.store import writes
from tests.conftest import Server, open_channel
from tests.support.automation import history as log_of
from tests.support.automation import payload
from tests.support.emission import DEBOUNCE, LONG_AGO, serving, tell_all, teller
from tests.support.histories import create, get, history, rebuild, replay, update
from tests.support.rpc_errors import must_be

IN_PROGRESS = TaskStatus.TASK_STATUS_IN_PROGRESS
PENDING = TaskStatus.TASK_STATUS_PENDING
WRITERS = 4
CHANGES = 30
TELL_SECONDS = 20


@pytest.fixture
def servers(engines: Engines, database_url: str, tmp_path: Path) -> Iterator[list[Server]]:
    """Run two servers on one ledger, where a lock inside one process cannot help."""
    with (
        serving(engines, database_url, tmp_path, DEBOUNCE) as one,
        serving(engines, database_url, tmp_path, DEBOUNCE) as two,
    ):
        yield [one, two]


def test_each_change_is_logged_once_while_writers_and_services_race(servers: list[Server]) -> None:
    with open_channel(servers[0].address) as one, open_channel(servers[1].address) as two:
        channels = [one, two]
        create(TaskServiceStub(one), "A")
        together = Barrier(WRITERS + 3)
        ended = Event()

        def write(writer: int) -> list[task_pb2.Task]:
            tasks = TaskServiceStub(channels[writer % 2])
            together.wait()
            found = []
            for n in range(CHANGES):
                to = IN_PROGRESS if get(tasks, "A").status == PENDING else PENDING
                try:
                    if n % 10 == 9:
                        found.append(update(tasks, "A", title=f"{writer} {n}"))
                    else:
                        request = task_pb2.UpdateTaskStatusRequest(task_code="A", status=to)
                        found.append(tasks.UpdateTaskStatus(request).task)
                except grpc.RpcError as error:
                    must_be(error, grpc.StatusCode.ABORTED)
            return found

        def tell(server: Server) -> int:
            service = teller(server, lambda: datetime.now(UTC) + LONG_AGO)
            together.wait()
            told = 0
            while not ended.is_set():
                told += service.run_once()
            return told

        def read() -> None:
            events = EventServiceStub(one)
            together.wait()
            while not ended.is_set():
                now = rebuild(events, "A", verify=True)
                assert now.verification.equal, now.verification
                known = revisions_of(history(events, "A", size=3))
                assert known[: now.revision] == list(range(1, now.revision + 1))

        with ThreadPoolExecutor(WRITERS + 3) as pool:
            written = [pool.submit(write, n) for n in range(WRITERS)]
            tellers = [pool.submit(tell, server) for server in servers]
            reader = pool.submit(read)
            try:
                known = {task.revision: task for done in written for task in done.result()}
            finally:
                ended.set()
            assert sum(told.result() for told in tellers) > 0
            reader.result()
        tell_all(servers[0])

        events = EventServiceStub(two)
        told = [
            revision
            for event in log_of(events)
            for revision in [step["revision"] for step in payload(event).get("steps", ())]
            or [event.entity_revision]
        ]
        assert told == list(range(1, get(TaskServiceStub(one), "A").revision + 1))
        for revision, task in known.items():
            assert rebuild(events, "A", revision=revision).task == task
        assert replay(events).consistent


def revisions_of(changes: list) -> list[int]:  # type: ignore[type-arg]  # of EntityChange
    found: list[int] = []
    for change in reversed(changes):
        found += [step.revision for step in change.steps] or [change.revision]
    return found


def test_a_killed_server_loses_no_pending_change(
    engines: Engines, database_url: str, tmp_path: Path, start_process: Callable[..., Server]
) -> None:
    """Another server logs the change: no step between it and its event is in memory alone."""
    policies = tmp_path / "policies.yaml"
    policies.write_text(DEBOUNCE)
    killed = start_process(database_url, emission_file=policies)
    with open_channel(killed.address) as channel:
        tasks = TaskServiceStub(channel)
        create(tasks, "A")
        for to in (IN_PROGRESS, PENDING, IN_PROGRESS):
            last = tasks.UpdateTaskStatus(task_pb2.UpdateTaskStatusRequest(task_code="A", status=to)).task
        killed.kill()
    with (
        serving(engines, database_url, tmp_path, "policies: []") as other,
        open_channel(other.address) as again,
    ):
        events = EventServiceStub(again)
        assert rebuild(events, "A", verify=True).task == last
        assert [event.entity_revision for event in log_of(events)] == [1]
        assert tell_all(other) == 1
        assert [step["revision"] for step in payload(log_of(events)[-1])["steps"]] == [2, 3, 4]
        assert rebuild(events, "A", verify=True).verification.equal


def test_a_server_logs_its_pending_changes_itself(
    database_url: str, tmp_path: Path, start_process: Callable[..., Server]
) -> None:
    """The server's background service logs the change, though nothing else happens to the task."""
    policies = tmp_path / "policies.yaml"
    policies.write_text(DEBOUNCE.replace("stable_seconds: 5", "stable_seconds: 1"))
    server = start_process(database_url, emission_file=policies, background=True)
    with open_channel(server.address) as channel:
        tasks, events = TaskServiceStub(channel), EventServiceStub(channel)
        create(tasks, "A")
        tasks.UpdateTaskStatus(task_pb2.UpdateTaskStatusRequest(task_code="A", status=IN_PROGRESS))
        request = event_pb2.StreamTimelineRequest(
            follow=True, filter=event_pb2.EventFilter(types=["orchestration.task.status_updated"])
        )
        # The stream ends with DEADLINE_EXCEEDED if no server logs the change.
        stream = events.StreamTimeline(request, timeout=TELL_SECONDS)
        told = next(event for message in stream for event in message.events.events)
        stream.cancel()
        assert (told.entity_code, told.entity_revision) == ("A", 2)
        assert not any(change.pending for change in history(events, "A"))


def test_a_service_that_dies_halfway_leaves_all_to_the_next(
    engines: Engines, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        serving(engines, database_url, tmp_path, DEBOUNCE) as server,
        open_channel(server.address) as channel,
    ):
        tasks, events = TaskServiceStub(channel), EventServiceStub(channel)
        create(tasks, "A")
        tasks.UpdateTaskStatus(task_pb2.UpdateTaskStatusRequest(task_code="A", status=IN_PROGRESS))

        def dies(conn: Connection, *args: object, **kwargs: object) -> None:
            apply(conn, *args, **kwargs)  # type: ignore[arg-type]  # as they come
            # The backend is lost before the commit, as if the process had died.
            with psycopg.connect(database_url, autocommit=True) as other:
                other.execute("select pg_terminate_backend(%s)", (conn.info.backend_pid,))

        apply = writes.apply
        with monkeypatch.context() as patch:
            patch.setattr(writes, "apply", dies)
            with pytest.raises(Exception, match="the database"):
                tell_all(server)
        assert [event.entity_revision for event in log_of(events)] == [1]
        assert tell_all(server) == 1
        assert [event.entity_revision for event in log_of(events)] == [1, 2]
