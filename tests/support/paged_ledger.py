"""A ledger filled with bodies of given sizes, and a walk through each paged rpc that reads them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

import grpc
import psycopg
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from orchestration.v1 import (
    context_pb2,
    coordination_pb2,
    event_pb2,
    lease_pb2,
    report_pb2,
    schedule_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
)
from tests.support import factories
from tests.support.histories import BLOCKED, TASK
from tests.support.rpc_catalog import answers
from tests.support.rpc_errors import Metadata

PAGE_BYTES = 20_000
"""The bytes at which pages are cut in these tests."""
NOTED = "agents.note.taken"
NOTES = event_pb2.EventFilter(types=[NOTED])
_projects = count(1)


class Walk(NamedTuple):
    """The request for a page of an rpc, and the names of the items in a response."""

    request: Callable[[int, str], Message]
    """Makes the request from a page size and a token."""
    names: Callable[[Any], list[str]]
    lists: str
    """The kind of the items."""
    next_rpc: str = ""
    """The rpc that takes the token, if it is another one."""


def _options(size: int, token: str) -> context_pb2.ContextOptions:
    return context_pb2.ContextOptions(page_size=size, page_token=token)


def _codes(answer: Any) -> list[str]:
    return [task.code for task in answer.tasks]


def _context_codes(answer: Any) -> list[str]:
    return _codes(answer.context)


WALKS = {
    "TaskService/ListTasks": Walk(
        lambda size, token: task_pb2.ListTasksRequest(
            page_size=size, page_token=token, sprint_code="s", order=task_pb2.TASK_ORDER_PRIORITY
        ),
        _codes,
        "tasks",
    ),
    "CoordinationService/ListReadyTasks": Walk(
        lambda size, token: coordination_pb2.ListReadyTasksRequest(
            page_size=size, page_token=token, sprint_code="s", include_not_due=True
        ),
        _codes,
        "ready",
    ),
    "SprintService/GetSprint": Walk(
        lambda size, _: sprint_pb2.GetSprintRequest(
            sprint_code="s", view=sprint_pb2.SPRINT_VIEW_FULL, task_page_size=size
        ),
        _codes,
        "tasks",
        "TaskService/ListTasks",
    ),
    "SprintService/ListSprints": Walk(
        lambda size, token: sprint_pb2.ListSprintsRequest(page_size=size, page_token=token),
        lambda answer: [sprint.code for sprint in answer.sprints],
        "sprints",
    ),
    "SessionService/ListSessions": Walk(
        lambda size, token: session_pb2.ListSessionsRequest(page_size=size, page_token=token),
        lambda answer: [session.key for session in answer.sessions],
        "sessions",
    ),
    "ScheduleService/ListSchedules": Walk(
        lambda size, token: schedule_pb2.ListSchedulesRequest(page_size=size, page_token=token),
        lambda answer: [schedule.code for schedule in answer.schedules],
        "schedules",
    ),
    "SessionService/InitAgent": Walk(
        lambda size, token: session_pb2.InitAgentRequest(
            session_key="k", agent="a", context_options=_options(size, token)
        ),
        _context_codes,
        "tasks",
    ),
    "SessionService/GetSessionContext": Walk(
        lambda size, token: session_pb2.GetSessionContextRequest(
            session_key="k", options=_options(size, token)
        ),
        _context_codes,
        "tasks",
    ),
    "ContextService/AssembleContext": Walk(
        lambda size, token: context_pb2.AssembleContextRequest(
            sprint_code="s", options=_options(size, token)
        ),
        _context_codes,
        "tasks",
    ),
    "ReportService/GetSprintStatusReport": Walk(
        lambda size, token: report_pb2.GetSprintStatusReportRequest(
            sprint_code="s", page_size=size, page_token=token
        ),
        _codes,
        "tasks",
    ),
    "EventService/ListEvents": Walk(
        lambda size, token: event_pb2.ListEventsRequest(page_size=size, page_token=token, filter=NOTES),
        lambda answer: [event.id for event in answer.events],
        "events",
    ),
    "CoordinationService/ListAttempts": Walk(
        lambda size, token: coordination_pb2.ListAttemptsRequest(
            task_code="w", page_size=size, page_token=token
        ),
        lambda answer: [f"attempt-{attempt.number}" for attempt in answer.attempts],
        "attempts",
    ),
    "EventService/GetEntityHistory": Walk(
        lambda size, token: event_pb2.GetEntityHistoryRequest(
            entity_type=TASK, entity_code="h", page_size=size, page_token=token, include_archived=True
        ),
        lambda answer: [change.event_id for change in answer.changes],
        "changes",
    ),
}


class Filled(NamedTuple):
    """A separate project with entities and events, and their names and sizes."""

    channel: grpc.Channel
    metadata: Metadata
    names: dict[str, set[str]]
    """The names of items by kind. A kind whose names the server chooses is left out."""
    counts: dict[str, int]
    sizes: dict[str, int]
    """Bytes of the stored bodies, by name."""

    def ask(self, rpc: str, request: Message) -> Any:
        return next(answers(self.channel, rpc, request, self.metadata))

    def pages(self, rpc: str, size: int) -> Iterator[list[str]]:
        """Yield the names on each page. Each page but the last has a token."""
        walk, token = WALKS[rpc], ""
        while True:
            answer = self.ask(rpc, walk.request(size, token))
            yield walk.names(answer)
            token = token_of(answer)
            if not token:
                return
            rpc = walk.next_rpc or rpc
            walk = WALKS[rpc]

    def notes(self, **start: Any) -> list[str]:
        """Return the notes of a stream that ends."""
        request = event_pb2.StreamTimelineRequest(filter=NOTES, **start)
        found = answers(self.channel, "EventService/StreamTimeline", request, self.metadata)
        return [event.id for message in found for event in message.events.events]


def fill(channel: grpc.Channel, database_url: str, sizes: Sequence[int]) -> Filled:
    """Create one item of each kind in each size: ready and blocked tasks, sprints, sessions, events."""
    project = f"p-{next(_projects)}"
    filled = Filled(channel, (("orchestration-project", project),), {}, {}, {})
    new_sprints = [factories.sprint("s")]
    new_sprints += [factories.sprint(f"s-{n}", metadata=struct_of(size)) for n, size in enumerate(sizes)]
    for sprint in new_sprints:
        filled.ask("SprintService/CreateSprint", sprint_pb2.CreateSprintRequest(sprint=sprint))
    new = [
        factories.task(f"t-{n}-{status}", description="x" * size, sprint_code="s", status=status)
        for n, size in enumerate(sizes)
        for status in (0, BLOCKED)
    ]
    new += [factories.task("h"), factories.task("w")]
    batch = task_pb2.BatchCreateTasksRequest(tasks=[task_pb2.NewTask(task=task) for task in new])
    filled.ask("TaskService/BatchCreateTasks", batch)
    keys = {"k": session_pb2.InitAgentRequest(sprint_code="s", agent="a", new_session_key="k")}
    for n, size in enumerate(sizes):
        keys[f"k-{n}"] = session_pb2.InitAgentRequest(
            task_code="h", agent="b", force_new=True, new_session_key=f"k-{n}", metadata=struct_of(size)
        )
        note = factories.event(NOTED, payload=struct_of(size))
        filled.ask("EventService/EmitEvent", event_pb2.EmitEventRequest(event=note))
        edit = task_pb2.UpdateTaskRequest(
            task=factories.task("h", description=chr(97 + n) * size),
            update_mask=FieldMask(paths=["description"]),
        )
        filled.ask("TaskService/UpdateTask", edit)
        _attempt(filled, size)
        variables = {"title": "t", "description": "x" * size}
        schedule = factories.schedule(f"c-{n}", variables=variables)
        filled.ask("ScheduleService/CreateSchedule", schedule_pb2.CreateScheduleRequest(schedule=schedule))
    for request in keys.values():
        filled.ask("SessionService/InitAgent", request)
    codes = {task.code for task in new} - {"h", "w"}
    filled.names.update(
        tasks=codes,
        ready={code for code in codes if code.endswith("-0")},
        sprints={sprint.code for sprint in new_sprints},
        sessions=set(keys),
        schedules={f"c-{n}" for n in range(len(sizes))},
    )
    filled.counts.update({kind: len(names) for kind, names in filled.names.items()})
    with psycopg.connect(database_url) as conn:
        rows = conn.execute(
            """
            select code, octet_length(body) from tasks where project = %(project)s
            union all select code, octet_length(body) from sprints where project = %(project)s
            union all select key, octet_length(body) from sessions where project = %(project)s
            union all select 'attempt-' || number, octet_length(body) from attempts
                where project = %(project)s
            union all select code, octet_length(body) from schedules where project = %(project)s
            union all select event_id::text, octet_length(body) from events where project = %(project)s
            """,
            {"project": project},
        ).fetchall()
        found = conn.execute(
            "select count(*) from events where project = %s and entity_type = 2 and entity_code = 'h'",
            [project],
        ).fetchone()
    filled.sizes.update(rows)
    assert found is not None
    filled.counts.update(events=len(sizes), changes=found[0], attempts=len(sizes))
    return filled


def _attempt(filled: Filled, size: int) -> None:
    """Make an attempt at the task w whose artifacts have about ``size`` bytes."""
    claim = coordination_pb2.ClaimTaskRequest(task_code="w", agent="a")
    lease = filled.ask("CoordinationService/ClaimTask", claim).claims[0].lease
    release = coordination_pb2.ReleaseTaskRequest(
        task_code="w",
        fence=lease.fence,
        outcome=lease_pb2.ATTEMPT_OUTCOME_RETURNED,
        artifacts=[lease_pb2.Artifact(name="n", uri="x" * 2_000)] * (size // 2_000),
    )
    filled.ask("CoordinationService/ReleaseTask", release)


def struct_of(size: int) -> Struct:
    made = Struct()
    made.update({"text": "x" * size})
    return made


def token_of(answer: Message) -> str:
    """Return the token of the next page, at any depth of a response."""
    for field, value in answer.ListFields():
        if field.name.endswith("page_token"):
            return str(value)
        if field.message_type is context_pb2.Context.DESCRIPTOR:
            return token_of(value)
    return ""
