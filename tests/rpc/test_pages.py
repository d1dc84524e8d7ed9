"""Pages of whatever sizes of bodies lose nothing, double nothing, and read no more than they show.

The paged rpcs come from the descriptors, so a new one fails here until ``WALKS`` says how to walk it.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count, pairwise
from typing import Any, NamedTuple

import grpc
import psycopg
import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.v1 import (
    common_pb2,
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
from orchestration_server.store import automation as automation_store
from orchestration_server.store import pages
from orchestration_server.store.log_positions import START, LogPosition
from tests.support import factories
from tests.support.histories import BLOCKED, TASK
from tests.support.ledger import Ledger
from tests.support.query_plans import connected
from tests.support.rpc_catalog import METHODS, answers
from tests.support.rpc_errors import Metadata
from tests.support.statements import fetched

pytestmark = pytest.mark.shared_server

PAGE_BYTES = 20_000
"""The bytes at which pages are cut in these tests."""
LARGE = 15_000
ROWS = 24
"""Rows of each kind if all are large: many times what a page takes."""
BESIDE = 20_000
"""Bytes that a response may take from Postgres besides its pages of bodies."""
NOTED = "agents.note.taken"
NOTES = event_pb2.EventFilter(types=[NOTED])
SMALL = {
    "AdminService/ListAlerts": "what the server says itself",
    "CoordinationService/ListDependencies": "codes",
    "CoordinationService/ClaimTask": "contexts, whose further tasks AssembleContext pages",
    "CoordinationService/ListLeases": "open attempts, which have no reports yet",
    "CoordinationService/ListPauses": "at most 2,000 characters each",
    "CoordinationService/ListWorkLimits": "numbers",
    "TemplateService/ListTemplates": "files of the server",
}
"""Paged rpcs that read no bodies, and what they read in place of them."""
PENDING = common_pb2.TASK_STATUS_PENDING
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
    new_sprints += [factories.sprint(f"s-{n}", metadata=_text(size)) for n, size in enumerate(sizes)]
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
            task_code="h", agent="b", force_new=True, new_session_key=f"k-{n}", metadata=_text(size)
        )
        note = factories.event(NOTED, payload=_text(size))
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


def _text(size: int) -> Struct:
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


def has_token(message: Descriptor, within: tuple[Descriptor, ...] = ()) -> bool:
    return message not in within and any(
        field.name.endswith("page_token")
        or (field.message_type is not None and has_token(field.message_type, (*within, message)))
        for field in message.fields
    )


def test_every_paged_rpc_is_walked() -> None:
    assert {name for name, method in METHODS.items() if has_token(method.output_type)} == {*WALKS, *SMALL}


@settings(max_examples=12)
@given(
    sizes=st.lists(st.one_of(st.integers(0, 2_000), st.integers(0, 30_000)), min_size=1, max_size=7),
    size=st.integers(1, 9),
    data=st.data(),
)
def test_pages_lose_nothing_and_repeat_nothing(
    channel: grpc.Channel,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    sizes: list[int],
    size: int,
    data: st.DataObject,
) -> None:
    filled = fill(channel, database_url, sizes)
    for rpc, walk in WALKS.items():
        with monkeypatch.context() as patch:
            patch.setattr(pages, "PAGE_BYTES", 10 * PAGE_BYTES * len(sizes))
            whole = [name for page in filled.pages(rpc, 500) for name in page]
        assert len(whole) == len(set(whole)) == filled.counts[walk.lists], rpc
        assert set(whole) == filled.names.get(walk.lists, set(whole)), rpc
        with monkeypatch.context() as patch:
            patch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
            shown = list(filled.pages(rpc, size))
        assert [name for page in shown for name in page] == whole, rpc
        for page in shown:
            assert len(page) == 1 or 0 < _bytes(filled, page) <= PAGE_BYTES, rpc
        # No page ends before it has to.
        for page, following in pairwise(shown):
            assert len(page) == size or _bytes(filled, [*page, following[0]]) > PAGE_BYTES, rpc

    with monkeypatch.context() as patch:
        patch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
        notes = filled.notes()
        assert len(notes) == len(set(notes)) == len(sizes)
        last = data.draw(st.integers(1, len(sizes)))
        assert filled.notes(last=last) == notes[-last:]


def _bytes(filled: Filled, page: list[str]) -> int:
    return sum(filled.sizes[name] for name in page)


@pytest.mark.parametrize("size", [ROWS, 500])
def test_a_page_reads_from_postgres_only_what_it_shows(
    channel: grpc.Channel, database_url: str, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    filled = fill(channel, database_url, [LARGE] * ROWS)
    monkeypatch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
    for rpc, walk in WALKS.items():
        with fetched(monkeypatch) as sizes:
            answer = filled.ask(rpc, walk.request(size, ""))
        assert len(walk.names(answer)) == 1, rpc
        assert token_of(answer), rpc
        # A report has two lists, of tasks and of blocked tasks, and a context has tasks and events.
        assert sum(sizes) < 2 * PAGE_BYTES + BESIDE, rpc


@pytest.mark.parametrize("target", [{"task_code": "waits"}, {"sprint_code": "s"}])
def test_a_context_has_all_links_and_the_texts_of_the_first_ones(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch, target: dict[str, str]
) -> None:
    ledger = Ledger(channel)
    ledger.sprint("s")
    ledger.task("waits", sprint_code="s")
    codes = [f"t-{n:02}" for n in range(ROWS)]
    for code in codes:
        ledger.task(code, description="x" * LARGE)
        ledger.link("waits", code)
    monkeypatch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
    with fetched(monkeypatch) as sizes:
        context = ledger.context(target, max_events=1)
    assert [link.depends_on_code for link in context.blockers] == codes
    assert {link.status for link in context.blockers} == {PENDING}
    assert [link.depends_on_code for link in context.blockers if link.title] == codes[:1]
    assert sum(sizes) < PAGE_BYTES + BESIDE


@pytest.mark.parametrize("start", [{}, {"last": ROWS}, {"last": ROWS, "include_archived": True}])
def test_a_timeline_reads_large_events_a_few_at_a_time(
    channel: grpc.Channel, database_url: str, monkeypatch: pytest.MonkeyPatch, start: dict[str, Any]
) -> None:
    filled = fill(channel, database_url, [LARGE] * ROWS)
    monkeypatch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
    with fetched(monkeypatch) as sizes:
        notes = filled.notes(**start)
    assert len(notes) == len(set(notes)) == ROWS
    assert max(sizes) < PAGE_BYTES + BESIDE


def test_automation_reads_large_events_a_few_at_a_time(
    channel: grpc.Channel, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = fill(channel, database_url, [LARGE] * ROWS)
    notes = filled.notes()
    monkeypatch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
    found: list[str] = []
    progress, more = START, True
    with connected(database_url) as conn:
        while more:
            with fetched(monkeypatch) as sizes:
                batch = automation_store.read_batch(
                    conn, project=str(filled.metadata[0][1]), progress=progress, types=[NOTED], prefixes=[],
                    limit=1_000,
                )  # fmt: skip
            assert max(sizes) < PAGE_BYTES + BESIDE
            found += [event_pb2.Event.FromString(body).id for _, body, _ in batch.events]
            progress, more = LogPosition(batch.last), batch.more
    assert found == notes


def test_a_timeline_follows_large_events_a_few_at_a_time(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
    follow = event_pb2.StreamTimelineRequest(filter=NOTES, follow=True)
    stream = answers(channel, "EventService/StreamTimeline", follow)
    assert next(stream).HasField("caught_up")
    batch = event_pb2.EmitEventsRequest(
        request_id="r", events=[factories.event(NOTED, payload=_text(LARGE))] * ROWS
    )
    with fetched(monkeypatch) as sizes:
        (answer,) = answers(channel, "EventService/EmitEvents", batch)
        found: list[str] = []
        while len(found) < ROWS:
            found += [event.id for event in next(stream).events.events]
    assert found == list(answer.event_ids)
    assert max(sizes) < PAGE_BYTES + BESIDE
