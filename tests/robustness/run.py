"""A run of agents and followers on two servers, under faults, and its judgement."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from uuid import uuid4

from orchestration import Client
from orchestration.v1 import coordination_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import SprintStatus
from tests.robustness import log_check
from tests.robustness.history import History
from tests.robustness.linearizability import Undecided, unexplained
from tests.robustness.spec import Answer
from tests.robustness.workload import SPRINT, Agent, Codes, answer_of
from tests.support import factories

AGENTS = 6
BETWEEN = 60
"""The number of calls between two faults."""
SECONDS = 90.0
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)

Fault = Callable[[Random], None]


@dataclass
class Report:
    """The result of a run: the broken promises, and the amount of work."""

    faults: list[str]
    calls: int
    events: int
    undecided: int


class Follower:
    """A reader of the timeline from its start, which resumes as the client does."""

    def __init__(self, address: str, project: str) -> None:
        self._client = Client(address, project=project, options=OWN_CONNECTION)
        self._timeline = self._client.follow()
        self.read: list[str] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for event in self._timeline:
            with self._changed:
                self.read.append(event.id)
                self._changed.notify_all()

    def wait_for(self, last: str) -> None:
        """Wait until the event has been read, or long enough to be sure that it will not be."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self.read) and self.read[-1] == last, SECONDS / 3)

    def close(self) -> None:
        """Stop reading."""
        self._timeline.close()
        self._thread.join()
        self._client.close()


def run(addresses: Sequence[str], *, calls: int, seed: int, faults: Sequence[Fault] = ()) -> Report:
    """Make about ``calls`` calls, with the faults in turn, and judge the run.

    The servers at ``addresses`` are of one ledger; when the last fault has ended they answer again.
    """
    project, history, codes = f"run-{uuid4().hex[:8]}", History(), Codes()
    with ExitStack() as stack:
        client = stack.enter_context(Client(addresses[0], project=project, options=OWN_CONNECTION))
        sprint = sprint_pb2.Sprint(code=SPRINT, title="Shared", status=SprintStatus.SPRINT_STATUS_ACTIVE)
        client.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=sprint))
        followers = [Follower(address, project) for address in addresses]
        for follower in followers:
            stack.callback(follower.close)
        agents = [Agent(n, addresses, history, codes, project, seed) for n in range(AGENTS)]
        _disturb(history, calls, faults, Random(seed))
        for agent in agents:
            agent.stop()
        for agent in agents:
            agent.join()
        found, log = _judge(client, history)
        # Nothing is in progress, so no follower can miss this event, also not without a guard.
        last = client.events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event())).event.id
        for follower in followers:
            follower.wait_for(last)
            found += log_check.faults_of_reader([one for one in follower.read if one != last], log)
    undecided = 0
    for code in history.codes():
        try:
            why = unexplained(history.operations[code])
        except Undecided:
            undecided += 1
            continue
        if why:
            found.append(f"{code}: {why}")
    return Report(found + history.faults, history.calls, len(log), undecided)


def _disturb(history: History, calls: int, faults: Sequence[Fault], random: Random) -> None:
    for fault in faults:
        if not history.wait_for(BETWEEN, SECONDS):
            history.fault("the agents stand still")
        fault(random)
    if not history.wait_for(max(BETWEEN, calls - history.calls), SECONDS):
        history.fault("the agents stand still after the last fault")


def _judge(client: Client, history: History) -> tuple[list[str], list[event_pb2.Event]]:
    """Return the contradictions to the final log, and the log."""
    log = list(client.follow(follow=False))
    found = log_check.faults_of_log(log, history)
    graph = log_check.links(log)
    if circle := log_check.cycle(graph):
        found.append(f"tasks wait for each other: {circle}")
    tasks = _tasks(client)
    waits = coordination_pb2.ListReadyTasksRequest(sprint_code=SPRINT)
    listed = {task.code for task in client.pages(client.coordination.ListReadyTasks, waits)}
    if listed != (expected := log_check.ready(tasks, graph)):
        found.append(f"ready are {sorted(listed)}, and should be {sorted(expected)}")
    full = sprint_pb2.GetSprintRequest(
        sprint_code=SPRINT, view=sprint_pb2.SPRINT_VIEW_FULL, task_page_size=500
    )
    shown = {task.code: answer_of(task) for task in client.sprints.GetSprint(full).tasks}
    if shown != tasks:
        found.append(f"the sprint shows {len(shown)} tasks that differ from the {len(tasks)} there are")
    return found, log


def _tasks(client: Client) -> dict[str, Answer]:
    request = task_pb2.ListTasksRequest(sprint_code=SPRINT)
    return {task.code: answer_of(task) for task in client.pages(client.tasks.ListTasks, request)}
