"""The requests of each scenario and the rows that they need, created before the clock starts.

Every function takes the stubs, the seeded data and the number of calls. It returns that many distinct
requests, or fewer if the scenario repeats them.
"""

import itertools
import random
import uuid
from collections.abc import Callable, Sequence

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from benchmarks.seed import Seeded, new_task
from benchmarks.target import LedgerStubs, in_parallel
from orchestration.v1 import common_pb2, coordination_pb2, sprint_pb2, task_pb2

Requests = Sequence[Message] | str
RequestMaker = Callable[[LedgerStubs, Seeded, int], Requests]

BATCH = 10  # rows of a batch; the design has no figure
TASK_BATCH = 500
_serial = itertools.count(1)


def request_id() -> str:
    return str(uuid.uuid4())


def fresh_codes(count: int) -> list[str]:
    """Return codes that are not in use."""
    run = next(_serial)
    return [f"bench-{run:03}-{n:06}" for n in range(count)]


def make_tasks(ledger: LedgerStubs, seeded: Seeded, count: int) -> list[str]:
    """Create pending tasks and return their codes."""
    codes = fresh_codes(count)
    rng = random.Random(count)
    for at in range(0, count, TASK_BATCH):
        tasks = [
            task_pb2.NewTask(task=new_task(code, rng.choice(seeded.sprints), rng))
            for code in codes[at : at + TASK_BATCH]
        ]
        ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=tasks, request_id=request_id()))
    return codes


def make_sprints(ledger: LedgerStubs, count: int) -> list[str]:
    """Create sprints without tasks and return their codes."""
    requests = [_create_sprint(code) for code in fresh_codes(count)]
    in_parallel(ledger.sprints.CreateSprint, requests)
    return [request.sprint.code for request in requests]


def _create_sprint(code: str) -> sprint_pb2.CreateSprintRequest:
    sprint = sprint_pb2.Sprint(code=code, title=f"Sprint {code}", owner="bench-owner", goal="To be measured.")
    return sprint_pb2.CreateSprintRequest(sprint=sprint, request_id=request_id())


def create_sprint(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    return [_create_sprint(code) for code in fresh_codes(count)]


def get_sprint(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    return [sprint_pb2.GetSprintRequest(sprint_code=code) for code in seeded.sprints]


def get_sprint_full(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    full = sprint_pb2.SPRINT_VIEW_FULL
    return [sprint_pb2.GetSprintRequest(sprint_code=code, view=full) for code in seeded.sprints]


def list_sprints(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    active = [common_pb2.SPRINT_STATUS_ACTIVE]
    return [
        sprint_pb2.ListSprintsRequest(),
        sprint_pb2.ListSprintsRequest(statuses=active),
        sprint_pb2.ListSprintsRequest(owner="seed-owner"),
    ]


def update_sprint(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    return [
        sprint_pb2.UpdateSprintRequest(
            sprint=sprint_pb2.Sprint(code=code, title=f"Renamed {code}", goal="Another."),
            update_mask=FieldMask(paths=["title", "goal"]),
            request_id=request_id(),
        )
        for code in make_sprints(ledger, count)
    ]


def delete_sprint(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    return [
        sprint_pb2.DeleteSprintRequest(sprint_code=code, request_id=request_id())
        for code in make_sprints(ledger, count)
    ]


def create_task(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    rng = random.Random(count)
    return [
        task_pb2.CreateTaskRequest(
            task=new_task(code, rng.choice(seeded.sprints), rng), request_id=request_id()
        )
        for code in fresh_codes(count)
    ]


def get_task(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    codes = random.Random(count).choices(seeded.tasks, k=count)
    return [task_pb2.GetTaskRequest(task_code=code) for code in codes]


def list_tasks(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    pending = [common_pb2.TASK_STATUS_PENDING]
    by_sprint = [
        task_pb2.ListTasksRequest(sprint_code=code, order=task_pb2.TASK_ORDER_PRIORITY)
        for code in seeded.sprints[:20]
    ]
    by_assignee = [task_pb2.ListTasksRequest(assignee=f"agent-{n}") for n in range(20)]
    by_label = [task_pb2.ListTasksRequest(labels=[f"area-{n}"]) for n in range(10)]
    rest = [task_pb2.ListTasksRequest(), task_pb2.ListTasksRequest(statuses=pending)]
    return [*by_sprint, *by_assignee, *by_label, *rest]


def update_task(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    return [
        task_pb2.UpdateTaskRequest(
            task=task_pb2.Task(code=code, title=f"Renamed {code}", assignee="agent-x"),
            update_mask=FieldMask(paths=["title", "assignee"]),
            request_id=request_id(),
        )
        for code in make_tasks(ledger, seeded, count)
    ]


def start_tasks(codes: Sequence[str]) -> list[task_pb2.UpdateTaskStatusRequest]:
    started = common_pb2.TASK_STATUS_IN_PROGRESS
    return [
        task_pb2.UpdateTaskStatusRequest(task_code=code, status=started, request_id=request_id())
        for code in codes
    ]


def update_task_status(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    return start_tasks(make_tasks(ledger, seeded, count))


def delete_task(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    return [
        task_pb2.DeleteTaskRequest(task_code=code, request_id=request_id())
        for code in make_tasks(ledger, seeded, count)
    ]


def batch_create_tasks(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    rng = random.Random(count)
    codes = fresh_codes(count * BATCH)
    return [
        task_pb2.BatchCreateTasksRequest(
            tasks=[
                task_pb2.NewTask(task=new_task(code, rng.choice(seeded.sprints), rng))
                for code in codes[at : at + BATCH]
            ],
            request_id=request_id(),
        )
        for at in range(0, len(codes), BATCH)
    ]


def batch_update_task_status(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    codes = make_tasks(ledger, seeded, count * BATCH)
    started = common_pb2.TASK_STATUS_IN_PROGRESS
    return [
        task_pb2.BatchUpdateTaskStatusRequest(
            changes=[
                task_pb2.TaskStatusChange(task_code=code, status=started) for code in codes[at : at + BATCH]
            ],
            request_id=request_id(),
        )
        for at in range(0, len(codes), BATCH)
    ]


def _links(ledger: LedgerStubs, seeded: Seeded, count: int) -> list[coordination_pb2.Dependency]:
    """Return links between separate pairs of new tasks, so that no order of them closes a cycle."""
    codes = make_tasks(ledger, seeded, 2 * count)
    blocks = common_pb2.DEPENDENCY_KIND_BLOCKS
    return [
        coordination_pb2.Dependency(task_code=codes[n], depends_on_code=codes[n + 1], kind=blocks)
        for n in range(0, len(codes), 2)
    ]


def _add(link: coordination_pb2.Dependency) -> coordination_pb2.AddDependencyRequest:
    return coordination_pb2.AddDependencyRequest(dependency=link, request_id=request_id())


def add_dependency(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    return [_add(link) for link in _links(ledger, seeded, count)]


def remove_dependency(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    links = _links(ledger, seeded, count)
    in_parallel(lambda link: ledger.coordination.AddDependency(_add(link)), links)
    return [
        coordination_pb2.RemoveDependencyRequest(dependency=link, request_id=request_id()) for link in links
    ]


def list_ready_tasks(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    of_sprints = [coordination_pb2.ListReadyTasksRequest(sprint_code=code) for code in seeded.sprints[:20]]
    return [coordination_pb2.ListReadyTasksRequest(), *of_sprints]
