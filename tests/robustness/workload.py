"""Agents that write and read the same few tasks at once, through servers that may fail.

A call without an answer is sent again under its request_id, to either server, as a client does; some
calls are sent twice at once. What stays without an answer is kept as a call that may yet act.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from time import monotonic
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import coordination_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2 import SPRINT_VIEW_FULL
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.robustness.history import History, Write
from tests.robustness.linearizability import Operation
from tests.robustness.spec import (
    NOT_FOUND,
    NOTHING,
    STATUSES,
    Action,
    Answer,
    Create,
    Delete,
    Move,
    Read,
    Retitle,
)
from tests.support.rpc_errors import reason

SPRINT = "shared"
TASKS = 4
CALLS_A_TASK = 90
"""The calls after which a new code replaces a code, so that each history stays short enough to decide."""
CALL_SECONDS = 5.0
GIVE_UP_SECONDS = 20.0
PAUSE_SECONDS = 0.02
TWINS = 0.15
CHANNEL = (
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)
NOT_DONE = frozenset({grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED})
"""Status codes of calls that changed nothing; of these only STALE_REVISION says something of the task."""
REFUSALS = frozenset({"NOT_FOUND", "ALREADY_EXISTS", "STALE_REVISION", "TRANSITION_REFUSED"})
RACES = frozenset({"DEPENDENCY_CYCLE", "NOT_FOUND"})


class Stubs:
    """The services of one server, over a channel without retries."""

    def __init__(self, address: str, project: str) -> None:
        self.channel = grpc.insecure_channel(address, CHANNEL)
        self.tasks = TaskServiceStub(self.channel)
        self.sprints = SprintServiceStub(self.channel)
        self.events = EventServiceStub(self.channel)
        self.coordination = CoordinationServiceStub(self.channel)
        self.metadata = (("orchestration-project", project),)


class Codes:
    """The tasks of all agents; a code is replaced after its last call or its deletion."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count()
        self._calls = [0] * TASKS
        self.current = [f"t-{next(self._numbers)}" for _ in range(TASKS)]

    def draw(self, random: Random) -> str:
        """Return one of the codes."""
        with self._lock:
            slot = random.randrange(TASKS)
            self._calls[slot] += 1
            if self._calls[slot] > CALLS_A_TASK:
                self._replace(slot)
            return self.current[slot]

    def deleted(self, code: str) -> None:
        """Retire the code of a deleted task soon, after a few calls that find it deleted."""
        with self._lock:
            if code in self.current:
                slot = self.current.index(code)
                self._calls[slot] = max(self._calls[slot], CALLS_A_TASK - 10)

    def _replace(self, slot: int) -> None:
        self._calls[slot] = 0
        self.current[slot] = f"t-{next(self._numbers)}"


class Agent:
    """A caller: a thread that makes calls until it is stopped."""

    def __init__(
        self, number: int, addresses: Sequence[str], history: History, codes: Codes, project: str, seed: int
    ) -> None:
        self._name = f"agent-{number}"
        self._random = Random(f"{seed}/{number}")
        self._servers = [Stubs(address, project) for address in addresses]
        self._history = history
        self._codes = codes
        self._numbers = count()
        self._revisions: dict[str, int] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Make no more calls."""
        self._stopped.set()

    def join(self) -> None:
        """Wait until the last call has ended."""
        self._thread.join()
        for server in self._servers:
            server.channel.close()

    def _run(self) -> None:
        choices: list[tuple[Callable[[], None], int]] = [
            (self._write, 60), (self._read, 15), (self._read_sprint, 15), (self._emit, 6), (self._link, 4),
        ]  # fmt: skip
        calls, weights = [call for call, _ in choices], [weight for _, weight in choices]
        while not self._stopped.is_set():
            try:
                self._random.choices(calls, weights)[0]()
            except Exception as error:
                self._history.fault(f"{self._name}: {type(error).__name__}: {error}")
                return
            self._history.count()

    def _server(self) -> Stubs:
        return self._random.choice(self._servers)

    def _pause(self) -> None:
        self._stopped.wait(PAUSE_SECONDS)

    # Writes

    def _action(self, code: str, id_: str) -> Action:
        known = self._revisions.get(code, 0)
        expected = known if self._random.random() < 0.4 else 0
        kind = self._random.choices(("retitle", "move", "create", "delete"), (45, 40, 12, 3))[0]
        if kind == "create" or code not in self._revisions:
            return Create(id_)
        if kind == "delete":
            return Delete(expected)
        return Retitle(id_, expected) if kind == "retitle" else Move(self._random.choice(STATUSES), expected)

    def _write(self) -> None:
        code = self._codes.draw(self._random)
        id_ = f"{self._name}-{next(self._numbers)}"
        write = Write(id_, code, self._action(code, id_))
        self._history.writes[id_] = write
        began = monotonic()
        deadline = began + GIVE_UP_SECONDS
        while True:
            calls = [self._send(write) for _ in range(2 if self._random.random() < TWINS else 1)]
            outcomes = [self._outcome(call) for call in calls]
            write.doubtful |= None in outcomes
            known = [answer for answer in outcomes if answer is not None]
            done = [answer for answer in known if not answer.refusal]
            if done:
                self._acknowledge(write, began, done, known)
                break
            for answer in known:
                self._keep(write, began, answer)
            if known or monotonic() > deadline:
                break
            self._pause()
        if write.doubtful and write.acknowledged is None:
            self._history.add(code, Operation(id_, write.action, began, monotonic(), None))

    def _acknowledge(self, write: Write, began: float, done: list[Answer], known: list[Answer]) -> None:
        write.acknowledged = done[0]
        if any(answer != done[0] for answer in done):
            self._history.fault(f"{write.id} was answered {done}: a retry has to return the first answer")
        if len(done) < len(known) and isinstance(write.action, Create | Delete):
            self._history.fault(f"{write.id} was answered {known}: it took its own effect for another's")
        self._keep(write, began, done[0])
        self._revisions[write.code] = done[0].revision
        if isinstance(write.action, Delete):
            self._codes.deleted(write.code)

    def _keep(self, write: Write, began: float, answer: Answer) -> None:
        if answer.refusal != "not done":
            self._history.add(write.code, Operation(write.id, write.action, began, monotonic(), answer))
        if answer.refusal == "ALREADY_EXISTS":
            self._revisions.setdefault(write.code, 1)

    def _send(self, write: Write) -> Any:
        server, action = self._server(), write.action
        metadata = (*server.metadata, ("orchestration-correlation-id", write.id))
        about: dict[str, Any] = {"metadata": metadata, "timeout": CALL_SECONDS}
        if isinstance(action, Create):
            task = task_pb2.Task(code=write.code, title=action.title, sprint_code=SPRINT)
            created = task_pb2.CreateTaskRequest(task=task, request_id=write.id)
            return server.tasks.CreateTask.future(created, **about)
        if isinstance(action, Retitle):
            retitled = task_pb2.UpdateTaskRequest(
                task=task_pb2.Task(code=write.code, title=action.title),
                update_mask=FieldMask(paths=["title"]),
                expected_revision=action.expected,
                request_id=write.id,
            )
            return server.tasks.UpdateTask.future(retitled, **about)
        if isinstance(action, Move):
            moved = task_pb2.UpdateTaskStatusRequest(
                task_code=write.code, status=action.status,  # type: ignore[arg-type]
                expected_revision=action.expected, request_id=write.id,
            )  # fmt: skip
            return server.tasks.UpdateTaskStatus.future(moved, **about)
        assert isinstance(action, Delete)
        deleted = task_pb2.DeleteTaskRequest(
            task_code=write.code, expected_revision=action.expected, request_id=write.id
        )
        return server.tasks.DeleteTask.future(deleted, **about)

    def _outcome(self, call: Any) -> Answer | None:
        """Return the answer of a call; None if it got none."""
        try:
            answer = call.result()
        except grpc.RpcError as error:
            return _refused(error)
        return answer_of(answer.task) if hasattr(answer, "task") else NOTHING

    # Reads

    def _read(self) -> None:
        code = self._codes.draw(self._random)
        server, began = self._server(), monotonic()
        call = server.tasks.GetTask.future(
            task_pb2.GetTaskRequest(task_code=code), metadata=server.metadata, timeout=CALL_SECONDS
        )
        answer = self._outcome(call)
        if answer is not None and answer.refusal != "not done":
            self._seen(code, began, answer)
            if not answer.refusal:
                self._revisions[code] = answer.revision

    def _read_sprint(self) -> None:
        """Read all tasks of the sprint at once, from the cache if it has them."""
        server, began = self._server(), monotonic()
        codes = list(self._codes.current)
        request = sprint_pb2.GetSprintRequest(
            sprint_code=SPRINT, view=SPRINT_VIEW_FULL, task_page_size=self._random.choice((400, 450, 500))
        )
        try:
            found = server.sprints.GetSprint(request, metadata=server.metadata, timeout=CALL_SECONDS)
        except grpc.RpcError:
            return
        tasks = {task.code: answer_of(task) for task in found.tasks}
        if found.task_counts.total != len(found.tasks):
            self._history.fault(f"a sprint of {found.task_counts.total} tasks lists {len(found.tasks)}")
        for code in codes:
            self._seen(code, began, tasks.get(code, NOT_FOUND))

    def _seen(self, code: str, began: float, answer: Answer) -> None:
        id_ = f"{self._name}-{next(self._numbers)}"
        self._history.add(code, Operation(id_, Read(), began, monotonic(), answer))

    # Events and links

    def _emit(self) -> None:
        actor = f"{self._name}-{next(self._numbers)}"
        self._history.attempted.add(actor)
        request = event_pb2.EmitEventRequest(
            event=event_pb2.NewEvent(type="robustness.noted", actor=actor), request_id=actor
        )
        deadline = monotonic() + GIVE_UP_SECONDS
        while monotonic() < deadline:
            server = self._server()
            try:
                answer = server.events.EmitEvent(request, metadata=server.metadata, timeout=CALL_SECONDS)
            except grpc.RpcError:
                self._pause()
                continue
            self._history.emitted[actor] = answer.event.id
            return

    def _link(self) -> None:
        task, other = self._random.sample(self._codes.current, 2)
        link = coordination_pb2.Dependency(task_code=task, depends_on_code=other)
        server = self._server()
        about: dict[str, Any] = {"metadata": server.metadata, "timeout": CALL_SECONDS}
        try:
            if self._random.random() < 0.7:
                added = coordination_pb2.AddDependencyRequest(dependency=link)
                server.coordination.AddDependency(added, **about)
            else:
                removed = coordination_pb2.RemoveDependencyRequest(dependency=link)
                server.coordination.RemoveDependency(removed, **about)
        except grpc.RpcError as error:
            answer = _refused(error, RACES)
            if answer is not None and answer.refusal not in (*RACES, "not done"):
                raise


def answer_of(task: task_pb2.Task) -> Answer:
    """Return the answer that a task stands for."""
    return Answer(task.revision, task.title, task.status)


def _refused(error: Any, expected: frozenset[str] = REFUSALS) -> Answer | None:
    """Return the refusal that an error is; None if it says nothing of what became of the call.

    Raises the error if it is neither: a server must not answer so.
    """
    why, code = reason(error), error.code()
    if why in expected:
        return Answer(refusal=why)
    if code in NOT_DONE:
        return Answer(refusal="not done")
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
        return None
    raise error
