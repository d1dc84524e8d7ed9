"""Requests of the rpcs that agents call all day, in the form of benchmarks.requests."""

import random

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct

from benchmarks.requests import TASK_BATCH, Requests, fresh_codes, make_sprints, request_id
from benchmarks.seed import Seeded, new_task
from benchmarks.target import LedgerStubs, in_parallel
from orchestration.v1 import common_pb2, context_pb2, event_pb2, report_pb2, session_pb2, sprint_pb2, task_pb2

CACHED_CONTEXTS = 20
SPRINT_SHARE = 5  # one of this many contexts is that of a sprint
MOST_EVENTS = 100

TEMPLATE = "feature-sprint"
TEMPLATE_TASKS = 20
PARTS = ["parser", "planner", "runner", "store", "cache", "metrics", "console"]

REPORT_TASKS = 1_000
# The number of tasks by status. The others are pending.
REPORT_STATUSES = {
    common_pb2.TASK_STATUS_COMPLETED: 400,
    common_pb2.TASK_STATUS_IN_PROGRESS: 200,
    common_pb2.TASK_STATUS_BLOCKED: 100,
}

TASK = common_pb2.ENTITY_TYPE_TASK
HISTORIES = 4
HISTORY_EVENTS = 500
HISTORY_CHANGES = HISTORY_EVENTS // 4  # of status, priority, assignee and title: an event for each


def assemble_context_cold(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    """Return requests that all differ in target or options, so that no cache helps."""
    tasks = iter(random.Random(count).sample(seeded.tasks, count))
    return [
        _of_sprint(seeded, n // SPRINT_SHARE)
        if n % SPRINT_SHARE == 0
        else context_pb2.AssembleContextRequest(task_code=next(tasks))
        for n in range(count)
    ]


def assemble_context_cached(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    """Return a few requests to repeat, after sending each once."""
    found = [
        _of_sprint(seeded, n)
        if n % SPRINT_SHARE == 0
        else context_pb2.AssembleContextRequest(task_code=seeded.tasks[n])
        for n in range(CACHED_CONTEXTS)
    ]
    in_parallel(ledger.contexts.AssembleContext, found)
    return found


def _of_sprint(seeded: Seeded, n: int) -> context_pb2.AssembleContextRequest:
    """Return a request for each sprint in turn, with one event less in each round."""
    rounds, at = divmod(n, len(seeded.sprints))
    options = context_pb2.ContextOptions(max_events=MOST_EVENTS - rounds)
    return context_pb2.AssembleContextRequest(sprint_code=seeded.sprints[at], options=options)


def init_agent(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    """Return requests of agents that start, each on another task."""
    tasks = random.Random(-count).sample(seeded.tasks, count)
    return [
        session_pb2.InitAgentRequest(
            short_form=f"T:{code}", agent=f"bench-agent-{n}", request_id=request_id()
        )
        for n, code in enumerate(tasks)
    ]


def create_sprint_from_template(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    first, *found = [_from_template(code) for code in fresh_codes(count + 1)]
    tasks = len(ledger.sprints.CreateSprintFromTemplate(first).tasks)
    if tasks != TEMPLATE_TASKS:
        raise RuntimeError(f"{TEMPLATE} gives {tasks} tasks, not {TEMPLATE_TASKS}")
    return found


def _from_template(code: str) -> sprint_pb2.CreateSprintFromTemplateRequest:
    variables = Struct()
    variables.update({"feature": f"Feature {code}", "parts": PARTS, "owner": "bench-owner"})
    return sprint_pb2.CreateSprintFromTemplateRequest(
        template=TEMPLATE, sprint_code=code, variables=variables, request_id=request_id()
    )


def sprint_status_report(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    """Return requests for the report of a sprint of 1,000 tasks, in two page sizes, also without markdown."""
    sprint = _sprint_under_way(ledger)
    return [
        report_pb2.GetSprintStatusReportRequest(
            sprint_code=sprint, page_size=page_size, include_markdown=markdown
        )
        for page_size in (0, 500)
        for markdown in (False, True)
    ]


def _sprint_under_way(ledger: LedgerStubs) -> str:
    """Create a sprint of 1,000 tasks, some of them done, and return its code."""
    [sprint] = make_sprints(ledger, 1)
    codes = fresh_codes(REPORT_TASKS)
    rng = random.Random(REPORT_TASKS)
    tasks = [task_pb2.NewTask(task=new_task(code, sprint, rng)) for code in codes]
    in_parallel(
        ledger.tasks.BatchCreateTasks,
        [
            task_pb2.BatchCreateTasksRequest(tasks=tasks[at : at + TASK_BATCH], request_id=request_id())
            for at in range(0, REPORT_TASKS, TASK_BATCH)
        ],
    )
    left = iter(codes)
    in_parallel(
        ledger.tasks.BatchUpdateTaskStatus,
        [
            task_pb2.BatchUpdateTaskStatusRequest(
                changes=[task_pb2.TaskStatusChange(task_code=next(left), status=status) for _ in range(many)],
                request_id=request_id(),
            )
            for status, many in REPORT_STATUSES.items()
        ],
    )
    return sprint


def reconstruct_state(ledger: LedgerStubs, seeded: Seeded, count: int) -> Requests:
    """Return requests for tasks of 500 events: by revision, by cursor, and as of now with the comparison."""
    codes = fresh_codes(HISTORIES)
    cursors = in_parallel(lambda code: _change_often(ledger, code), codes)
    rng = random.Random(count)
    found = []
    for n in range(count):
        at = rng.randrange(HISTORIES)
        request = event_pb2.ReconstructStateRequest(entity_type=TASK, entity_code=codes[at])
        match n % 3:
            case 0:
                request.revision = rng.randint(1, HISTORY_CHANGES + 1)
            case 1:
                request.cursor = rng.choice(cursors[at])
            case _:
                request.verify = True
        found.append(request)
    return found


def _change_often(ledger: LedgerStubs, code: str) -> list[str]:
    """Create a task and change it, with four events a change. Return the cursors of its events."""
    ledger.tasks.CreateTask(
        task_pb2.CreateTaskRequest(
            task=task_pb2.Task(code=code, title="Version 0", assignee="agent-0"), request_id=request_id()
        )
    )
    for n in range(HISTORY_CHANGES):
        odd = n % 2 == 1
        ledger.tasks.UpdateTask(
            task_pb2.UpdateTaskRequest(
                task=task_pb2.Task(
                    code=code,
                    title=f"Version {n + 1}",
                    status=common_pb2.TASK_STATUS_PENDING if odd else common_pb2.TASK_STATUS_IN_PROGRESS,
                    priority=common_pb2.PRIORITY_P2 if odd else common_pb2.PRIORITY_P3,
                    assignee=f"agent-{n + 1}",
                ),
                update_mask=FieldMask(paths=["title", "status", "priority", "assignee"]),
                request_id=request_id(),
            )
        )
    changes = ledger.events.GetEntityHistory(
        event_pb2.GetEntityHistoryRequest(entity_type=TASK, entity_code=code, page_size=HISTORY_EVENTS)
    ).changes
    if len(changes) != HISTORY_EVENTS:
        raise RuntimeError(f"{code} has {len(changes)} events, not {HISTORY_EVENTS}")
    return [change.cursor for change in changes]
