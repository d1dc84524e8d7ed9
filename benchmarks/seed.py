"""Filling of a ledger through its public rpcs, so that measurements use full tables."""

import random
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from google.protobuf.struct_pb2 import Struct

from benchmarks.target import LedgerStubs, in_parallel
from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, sprint_pb2, task_pb2

DAYS = 60
TASKS_A_SPRINT = 100
TASK_BATCH = 500
EVENT_BATCH = 500
STREAMS = 4
LOG_SESSIONS = 200  # each with its own correlation
SERVICES_TIMEOUT, POLL_SECONDS = 1_800.0, 0.2
SERVICES_BEHIND = """
select count(*) from (values ('rollups'), ('automation')) as r (reader)
left join log_positions at on at.reader = r.reader and at.project = 'default'
where exists (
    select from events where project = 'default' and (epoch, xid, seq)
        > (coalesce(at.epoch, 0), coalesce(at.xid, '0'::xid8), coalesce(at.seq, 0)))
"""
PRIORITIES = (
    [common_pb2.PRIORITY_P0] * 2
    + [common_pb2.PRIORITY_P1] * 8
    + [common_pb2.PRIORITY_P2] * 60
    + [common_pb2.PRIORITY_P3] * 20
    + [common_pb2.PRIORITY_P4] * 10
)
TYPES = [
    f"{source}.{what}"
    for source in ("build", "review", "deploy", "agent")
    for what in ("started", "finished", "failed", "noted")
]


@dataclass(frozen=True)
class Seeded:
    """The data that a ledger was filled with, for requests."""

    tasks: Sequence[str]
    sprints: Sequence[str]
    sessions: Sequence[str]
    correlations: Sequence[str]
    event_ids: Sequence[str]
    events: int
    events_per_s: float
    since: datetime
    until: datetime


def fill(ledger: LedgerStubs, *, events: int, tasks: int) -> Seeded:
    """Create sprints, tasks and links between them, and then events."""
    sprints = [f"seed-sprint-{n:04}" for n in range(max(1, tasks // TASKS_A_SPRINT))]
    codes = [f"seed-task-{n:06}" for n in range(tasks)]
    in_parallel(lambda code: _create_sprint(ledger, code), sprints)
    batches = [range(at, min(at + TASK_BATCH, tasks)) for at in range(0, tasks, TASK_BATCH)]
    in_parallel(lambda rows: _create_tasks(ledger, rows, codes, sprints), batches, workers=2)
    in_parallel(lambda n: _link(ledger, codes[n], codes[n - 1]), range(5, tasks, 10))
    until = datetime.now(UTC)
    since = until - timedelta(days=DAYS)
    share = max(EVENT_BATCH, events // LOG_SESSIONS)
    parts = [range(at, min(at + share, events)) for at in range(0, events, share)]
    began = time.monotonic()
    ids = in_parallel(lambda part: _emit(ledger, part, codes, sprints, since), parts, workers=STREAMS)
    took = time.monotonic() - began
    sampled = [event_id for part in ids for event_id in part]
    return Seeded(
        tasks=codes,
        sprints=sprints,
        sessions=[_session(part) for part in parts],
        correlations=[_correlation(part) for part in parts],
        event_ids=sampled,
        events=events,
        events_per_s=events / took,
        since=since,
        until=until,
    )


def wait_for_services(database_url: str) -> None:
    """Wait until the background services have processed all events, then vacuum and analyze the table.

    Raises RuntimeError if the services take too long.
    """
    end = time.monotonic() + SERVICES_TIMEOUT
    with psycopg.connect(database_url, autocommit=True) as conn:
        while conn.execute(SERVICES_BEHIND).fetchone() != (0,):
            if time.monotonic() > end:
                raise RuntimeError(f"the background services are still behind after {SERVICES_TIMEOUT:g} s")
            time.sleep(POLL_SECONDS)
        conn.execute("vacuum (analyze) events")


def _session(part: range) -> str:
    return f"seed-session-{part.start:09}"


def _correlation(part: range) -> str:
    return f"seed-correlation-{part.start:09}"


def _create_sprint(ledger: LedgerStubs, code: str) -> None:
    ledger.sprints.CreateSprint(
        sprint_pb2.CreateSprintRequest(
            sprint=sprint_pb2.Sprint(
                code=code,
                title=f"Sprint {code}",
                status=common_pb2.SPRINT_STATUS_ACTIVE,
                owner="seed-owner",
                goal="Something to measure against.",
            ),
            request_id=str(uuid.uuid4()),
        )
    )


def new_task(code: str, sprint: str, rng: random.Random) -> task_pb2.Task:
    """Return a task of ordinary size."""
    return task_pb2.Task(
        code=code,
        title=f"Task {code}",
        description="Change what is asked for, and show that it works. " * 4,
        sprint_code=sprint,
        priority=rng.choice(PRIORITIES),
        assignee=f"agent-{rng.randrange(50)}",
        labels=[f"area-{rng.randrange(20)}", f"kind-{rng.randrange(5)}"],
        objectives=["It does what was asked for."],
        acceptance_criteria=["A test shows it.", "Nothing else changed."],
    )


def _create_tasks(ledger: LedgerStubs, rows: range, codes: Sequence[str], sprints: Sequence[str]) -> None:
    rng = random.Random(rows.start)
    tasks = [task_pb2.NewTask(task=new_task(codes[n], sprints[n % len(sprints)], rng)) for n in rows]
    ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=tasks, request_id=str(uuid.uuid4())))


def _link(ledger: LedgerStubs, task: str, depends_on: str) -> None:
    ledger.coordination.AddDependency(
        coordination_pb2.AddDependencyRequest(
            dependency=coordination_pb2.Dependency(
                task_code=task,
                depends_on_code=depends_on,
                kind=common_pb2.DEPENDENCY_KIND_BLOCKS,
            ),
            request_id=str(uuid.uuid4()),
        )
    )


def _payloads() -> list[Struct]:
    found = []
    for n in range(16):
        payload = Struct()
        payload.update({"step": n, "note": "measured", "files": [f"src/part_{n}.py"], "ok": True})
        found.append(payload)
    return found


def new_events(
    rows: range, codes: Sequence[str], sprints: Sequence[str], since: datetime | None
) -> list[event_pb2.NewEvent]:
    """Return events about tasks of all types and priorities, spread over the days from `since`, or of now."""
    rng = random.Random(rows.start)
    payloads = _payloads()
    start = int(since.timestamp()) if since else None
    found = []
    for _ in rows:
        task = rng.randrange(len(codes))
        event = event_pb2.NewEvent(
            type=rng.choice(TYPES),
            entity_type=common_pb2.ENTITY_TYPE_TASK,
            entity_code=codes[task],
            sprint_code=sprints[task % len(sprints)],
            priority=rng.choice(PRIORITIES),
            actor=f"agent-{task % 50}",
            payload=payloads[task % 16],
        )
        if start is not None:
            event.occur_time.seconds = start + rng.randrange(DAYS * 86_400)
        found.append(event)
    return found


def _emit(
    ledger: LedgerStubs, part: range, codes: Sequence[str], sprints: Sequence[str], since: datetime
) -> list[str]:
    """Emit the events of one session over one stream. Return the id of one event per message."""

    def messages() -> Iterator[event_pb2.EmitEventsRequest]:
        for at in range(part.start, part.stop, EVENT_BATCH):
            rows = range(at, min(at + EVENT_BATCH, part.stop))
            yield event_pb2.EmitEventsRequest(
                request_id=f"seed-{at}", events=new_events(rows, codes, sprints, since)
            )

    metadata = (
        ("orchestration-session", _session(part)),
        ("orchestration-correlation-id", _correlation(part)),
        ("orchestration-agent", f"agent-{part.start % 7}"),
    )
    stored, ids = 0, []
    for answer in ledger.events.EmitEvents(messages(), metadata=metadata):
        if answer.HasField("error"):
            raise RuntimeError(f"seeding failed: {answer.error.reason} {answer.error.message}")
        stored += answer.stored
        ids.append(answer.event_ids[0])
    if stored != len(part):
        raise RuntimeError(f"seeding failed: {stored} of {len(part)} events were stored")
    return ids
