"""The timeline is complete and in one order, whatever the writers do (guarantee G2)."""

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from random import Random

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.common_pb2 import TaskStatus
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.lengths import lengths
from tests.support.rpc_errors import must_be

WRITERS = 8
READERS = 4
BATCH = 100
EMITTED = 150
SINGLES = 16
SHARED = 12
EVENTS = 2_000
"""The least number of events of one round."""
SECONDS = 100
END = "race.has.ended"
# Each of these statuses may follow each other.
OPEN = (
    TaskStatus.TASK_STATUS_PENDING,
    TaskStatus.TASK_STATUS_IN_PROGRESS,
    TaskStatus.TASK_STATUS_BLOCKED,
)


@dataclass
class Written:
    """The events and revisions that a writer was told of."""

    ids: list[str] = field(default_factory=list)
    revisions: list[tuple[str, int]] = field(default_factory=list)


class Writer:
    """A writer of batches, messages of events, and single writes to shared tasks."""

    def __init__(self, number: int, channel: grpc.Channel) -> None:
        self._number = number
        self._random = Random(number)
        self._tasks = TaskServiceStub(channel)
        self._events = EventServiceStub(channel)
        self._names = count()
        self.written = Written()

    def run(self, rounds: int) -> Written:
        for _ in range(rounds):
            acts = [self._batch, self._emit, *[self._single] * SINGLES]
            self._random.shuffle(acts)
            for act in acts:
                act()
        return self.written

    def _note(self, tasks: list[task_pb2.Task]) -> None:
        self.written.revisions += [(task.code, task.revision) for task in tasks]

    def _batch(self) -> None:
        codes = [f"w{self._number}-{next(self._names)}" for _ in range(BATCH)]
        new = [task_pb2.NewTask(task=factories.task(code)) for code in codes]
        created = self._tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new), timeout=SECONDS)
        self._note(list(created.tasks))
        status = TaskStatus.TASK_STATUS_COMPLETED
        self._random.shuffle(codes)
        changes = [task_pb2.TaskStatusChange(task_code=code, status=status) for code in codes]
        changed = self._tasks.BatchUpdateTaskStatus(
            task_pb2.BatchUpdateTaskStatusRequest(changes=changes), timeout=SECONDS
        )
        self._note(list(changed.tasks))

    def _emit(self) -> None:
        name = f"{self._number}-{next(self._names)}"
        new = [factories.event(entity_code="") for _ in range(EMITTED)]
        message = event_pb2.EmitEventsRequest(request_id=name, events=new)
        (answer,) = self._events.EmitEvents(iter([message]), timeout=SECONDS)
        assert answer.stored == EMITTED, answer.error
        self.written.ids += answer.event_ids

    def _single(self) -> None:
        kind = self._random.randrange(3)
        code = f"shared-{self._random.randrange(SHARED)}"
        if kind == 0:
            request = event_pb2.EmitEventRequest(event=factories.event())
            self.written.ids.append(self._events.EmitEvent(request, timeout=SECONDS).event.id)
        elif kind == 1:
            title = f"By {self._number}, {next(self._names)}"
            self._change(factories.task(code, title=title), "title")
        else:
            # Several shared tasks in one transaction, in a random order.
            codes = self._random.sample(range(SHARED), 4)
            changes = [
                task_pb2.TaskStatusChange(task_code=f"shared-{number}", status=self._random.choice(OPEN))
                for number in codes
            ]
            self._statuses(changes)

    def _change(self, task: task_pb2.Task, path: str) -> None:
        request = task_pb2.UpdateTaskRequest(task=task, update_mask=FieldMask(paths=[path]))
        try:
            self._note([self._tasks.UpdateTask(request, timeout=SECONDS).task])
        except grpc.RpcError as error:
            must_be(error, grpc.StatusCode.ABORTED)

    def _statuses(self, changes: list[task_pb2.TaskStatusChange]) -> None:
        request = task_pb2.BatchUpdateTaskStatusRequest(changes=changes)
        try:
            # A task may have the status already: its revision was reported before.
            self._note(list(self._tasks.BatchUpdateTaskStatus(request, timeout=SECONDS).tasks))
        except grpc.RpcError as error:
            must_be(error, grpc.StatusCode.ABORTED)


@dataclass(frozen=True)
class Seen:
    """An event as a reader saw it."""

    id: str
    code: str
    revision: int
    own: bool


def read(number: int, addresses: list[str]) -> list[Seen]:
    """Follow the log to its end, leaving at random and resuming on another server."""
    random = Random(1_000 + number)
    seen: list[Seen] = []
    cursor = ""
    while True:
        with open_channel(random.choice(addresses)) as channel:
            request = event_pb2.StreamTimelineRequest(follow=True, batch_size=random.choice((0, 3, 50)))
            if cursor:
                request.after_cursor = cursor
            stream = EventServiceStub(channel).StreamTimeline(request, timeout=SECONDS)
            stays = random.randrange(1, 60)
            for place, message in enumerate(stream):
                for event in message.events.events:
                    cursor = event.cursor
                    if event.type == END:
                        stream.cancel()
                        return seen
                    own = event.type.startswith("orchestration.")
                    seen.append(Seen(event.id, event.entity_code, event.entity_revision, own))
                cursor = message.checkpoint.cursor or message.caught_up.cursor or cursor
                if place >= stays:
                    break
            stream.cancel()


@pytest.mark.timeout(200)
@lengths("rounds", short=2, long=15)
def test_every_reader_sees_every_event_once_in_one_order(
    database_url: str, start_process: Callable[[str], Server], rounds: int
) -> None:
    addresses = [start_process(database_url).address for _ in range(2)]
    with ExitStack() as stack:
        channels = [stack.enter_context(open_channel(addresses[n % 2])) for n in range(WRITERS)]
        tasks = TaskServiceStub(channels[0])
        shared = [task_pb2.NewTask(task=factories.task(f"shared-{number}")) for number in range(SHARED)]
        created = tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=shared))
        pool = stack.enter_context(ThreadPoolExecutor(WRITERS + READERS))
        reading = [pool.submit(read, number, addresses) for number in range(READERS)]
        writers = [Writer(number, channel) for number, channel in enumerate(channels)]
        try:
            written = [one.result() for one in [pool.submit(writer.run, rounds) for writer in writers]]
        finally:
            EventServiceStub(channels[0]).EmitEvent(event_pb2.EmitEventRequest(event=factories.event(END)))
        seen = [reader.result() for reader in reading]

    first = seen[0]
    assert all(other == first for other in seen[1:])
    ids = [event.id for event in first]
    assert len(ids) == len(set(ids))
    assert {event.id for event in first if not event.own} == {id_ for one in written for id_ in one.ids}
    told = {pair for one in written for pair in one.revisions}
    told |= {(task.code, task.revision) for task in created.tasks}
    assert {(event.code, event.revision) for event in first if event.own} == told
    revisions = defaultdict(list)
    for event in first:
        if event.own:
            revisions[event.code].append(event.revision)
    for code, found in revisions.items():
        assert found == list(range(1, len(found) + 1)), code
    assert len(first) >= EVENTS * rounds
