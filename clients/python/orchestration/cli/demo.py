"""`demo`: a small fleet that works before one's eyes."""

from __future__ import annotations

import random
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.cli.verb import Session, verb

if TYPE_CHECKING:
    from orchestration import Client

_PLAN = (
    ("design", "Sketch the pages", ()),
    ("parser", "Write the parser", ()),
    ("store", "Store the pages", ("parser",)),
    ("pages", "Render the pages", ("design", "parser")),
    ("search", "Search the pages", ("store",)),
    ("tests", "Test all of it", ("pages", "store")),
    ("release", "Publish the first release", ("search", "tests")),
)
"""Codes, titles, and what each waits for."""
_RESULTS = ("merged", "tests pass", "reviewed and merged", "done in one go")
_FAILURES = ("the tests are red", "a file was missing")
_LEASE = 10.0


@verb
def demo(
    session: Session,
    agents: Annotated[int, typer.Option(min=1, max=10, help="How many agents work.")] = 3,
    pace: Annotated[float, typer.Option(min=0.0, max=60.0, help="The seconds that a task takes.")] = 2.0,
    failures: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="The share of attempts that fail.")
    ] = 0.15,
) -> None:
    """Let a small fleet of agents do a sprint of seven tasks, and tell what happens.

    It creates a sprint demo-XXXX in the project and works it off by the same rpcs that
    agents use. Ctrl-C stops it, and its claims are given back.
    """
    code = f"demo-{secrets.token_hex(2)}"
    planner = session.connect("planner")
    _create(planner, code)
    session.out.note(f"the sprint is {code}; look at it with: {session.command('top', code)}")
    fleet = _Fleet(code, pace, failures, random.Random())
    threads = [
        threading.Thread(target=fleet.work, args=(session.connect(f"builder-{number}"),), daemon=True)
        for number in range(1, agents + 1)
    ]
    for thread in threads:
        thread.start()
    try:
        _tell(session, planner, code, fleet)
    finally:
        fleet.stop.set()
        for thread in threads:
            thread.join(timeout=5)
    if fleet.errors:
        raise fleet.errors[0]
    session.out.note(f"all tasks are completed; next: {session.command('report', code)}")


def _create(client: Client, sprint: str) -> None:
    from datetime import timedelta

    from orchestration.v1 import common_pb2, coordination_pb2, sprint_pb2, task_pb2

    client.sprints.CreateSprint(
        sprint_pb2.CreateSprintRequest(sprint=sprint_pb2.Sprint(code=sprint, title="A demonstration"))
    )
    policy = task_pb2.RetryPolicy(max_attempts=20)
    policy.backoff.FromTimedelta(timedelta(seconds=1))
    new = [
        task_pb2.NewTask(
            task=task_pb2.Task(code=f"{sprint}-{code}", title=title, sprint_code=sprint, retry_policy=policy)
        )
        for code, title, _ in _PLAN
    ]
    client.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
    for code, _, after in _PLAN:
        for other in after:
            link = coordination_pb2.Dependency(
                task_code=f"{sprint}-{code}", depends_on_code=f"{sprint}-{other}"
            )
            client.coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=link))
    # Nothing of it is ready before the links are stored.
    started = sprint_pb2.UpdateSprintRequest(
        sprint=sprint_pb2.Sprint(code=sprint, status=common_pb2.SPRINT_STATUS_ACTIVE)
    )
    started.update_mask.paths.append("status")
    client.sprints.UpdateSprint(started)


@dataclass
class _Fleet:
    """The agents of a demonstration, a thread each."""

    sprint: str
    pace: float
    failures: float
    chance: random.Random
    stop: threading.Event = field(default_factory=threading.Event)
    errors: list[BaseException] = field(default_factory=list)

    def work(self, client: Client) -> None:
        """Claim and do tasks until the demonstration ends."""
        try:
            while not self.stop.is_set():
                with client.claim(sprint_code=self.sprint, lease=_LEASE, wait=1.0) as work:
                    if work is not None:
                        self._do(work)
        except BaseException as error:
            if not self.stop.is_set():
                self.errors.append(error)
            self.stop.set()

    def _do(self, work: Any) -> None:
        if self.stop.wait(self.pace * self.chance.uniform(0.5, 1.5)):
            work.give_back("the demonstration was stopped")
        elif self.chance.random() < self.failures:
            work.fail(self.chance.choice(_FAILURES))
        else:
            work.finish(self.chance.choice(_RESULTS))


def _tell(session: Session, client: Client, sprint: str, fleet: _Fleet) -> None:
    """Print what happens until all tasks are completed or an agent failed."""
    from orchestration.cli import sentences, times
    from orchestration.cli.documents import to_document
    from orchestration.structs import plain
    from orchestration.v1.event_pb2 import EventFilter

    completed: set[str] = set()
    with client.follow(EventFilter(sprint_code=sprint)) as timeline:
        # An agent that fails ends the loop, which waits for an event else.
        def close() -> None:
            fleet.stop.wait()
            timeline.close()

        threading.Thread(target=close, daemon=True).start()
        for event in timeline:
            if session.out.format in ("json", "yaml"):
                session.out.document(to_document(event))
            elif not sentences.repeats(event, timeline.peek()):
                clock = session.out.paint(times.clock(event.occur_time), "dim")
                session.out.line(f"{clock}  {sentences.sentence(event)}")
            payload = plain(event.payload)
            if event.type == "orchestration.task.released" and payload.get("outcome") == "completed":
                completed.add(event.entity_code)
            if len(completed) == len(_PLAN):
                return
