"""A load of all kinds of calls, so that every metric has data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import grpc
import psycopg

from orchestration import Client
from orchestration.v1 import context_pb2, event_pb2, session_pb2, sprint_pb2, task_pb2
from orchestration_server.model import TaskStatus

SESSION = "idle"
PAUSE_SECONDS = 0.1
SLOW_SECONDS = 1.2


class MixedLoad:
    """A load on a server from a few threads, for the duration of a block."""

    def __init__(self, address: str, database_url: str) -> None:
        self._address = address
        self._database_url = database_url
        self._stopped = threading.Event()
        self.failure: Exception | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(work,), daemon=True)
            for work in (self._work, self._follow, self._emit, self._hold_row)
        ]

    def __enter__(self) -> MixedLoad:
        with Client(self._address) as client:
            client.sprints.CreateSprint(_sprint("held"))
            client.tasks.CreateTask(_task(SESSION))
            client.sessions.InitAgent(
                session_pb2.InitAgentRequest(agent=SESSION, new_session_key=SESSION, task_code=SESSION)
            )
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def _run(self, work: Callable[[Client], None]) -> None:
        try:
            with Client(self._address, agent="loader") as client:
                work(client)
        except Exception as error:
            if not self._stopped.is_set():
                self.failure = error
            raise

    def _turns(self) -> Iterator[int]:
        turn = 0
        while not self._stopped.wait(PAUSE_SECONDS):
            yield turn
            turn += 1

    def _work(self, client: Client) -> None:
        """Make sprints, tasks with files, contexts with and without a cache hit, and some errors."""
        for turn in self._turns():
            code = f"load-{turn}"
            client.sprints.CreateSprint(_sprint(code))
            client.tasks.CreateTask(_task(code, sprint=code))
            client.tasks.UpdateTaskStatus(
                task_pb2.UpdateTaskStatusRequest(task_code=code, status=TaskStatus.IN_PROGRESS.value)  # type: ignore[arg-type]
            )
            for _ in range(2):
                client.contexts.AssembleContext(context_pb2.AssembleContextRequest(task_code=code))
            with suppress(grpc.RpcError):
                client.tasks.GetTask(task_pb2.GetTaskRequest(task_code="there-is-none"))
            client.events.GetEventStats(event_pb2.GetEventStatsRequest())

    def _follow(self, client: Client) -> None:
        """Follow a live timeline."""
        for _ in client.follow():
            if self._stopped.is_set():
                return

    def _emit(self, client: Client) -> None:
        """Emit events over one open stream. The server allows only one, so it refuses others."""

        def messages() -> Iterator[event_pb2.EmitEventsRequest]:
            for turn in self._turns():
                events = [event_pb2.NewEvent(type="load.note.taken") for _ in range(10)]
                yield event_pb2.EmitEventsRequest(request_id=f"emit-{turn}", events=events)

        for answer in client.events.EmitEvents(messages()):
            if int(answer.request_id.removeprefix("emit-")) % 10 == 1:
                with Client(self._address) as other, suppress(grpc.RpcError):
                    list(other.events.EmitEvents(iter(())))

    def _hold_row(self, client: Client) -> None:
        """Make statements that take longer than a second, because their row is locked."""
        while not self._stopped.is_set():
            with psycopg.connect(self._database_url) as conn:
                conn.execute("select from sprints where code = 'held' for update")
                change = sprint_pb2.UpdateSprintRequest(sprint=sprint_pb2.Sprint(code="held", goal="free"))
                change.update_mask.paths.append("goal")
                waiting = client.sprints.UpdateSprint.future(change)
                self._stopped.wait(SLOW_SECONDS)
            waiting.result()
            self._stopped.wait(3)


def _sprint(code: str) -> sprint_pb2.CreateSprintRequest:
    return sprint_pb2.CreateSprintRequest(sprint=sprint_pb2.Sprint(code=code, title=code))


def _task(code: str, sprint: str = "") -> task_pb2.CreateTaskRequest:
    task = task_pb2.Task(code=code, title=code, sprint_code=sprint)
    return task_pb2.CreateTaskRequest(task=task, sync_to_file=True)
