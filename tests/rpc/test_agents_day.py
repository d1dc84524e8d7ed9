"""An agent's day from start to end, through the Python client, and what the ledger records of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct

from orchestration import Client
from orchestration.v1 import context_pb2, event_pb2, report_pb2, session_pb2, sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import EntityType, SessionOutcome, SessionStatus, SprintStatus, TaskStatus
from orchestration_server.app import App
from orchestration_server.codec.content import plain
from orchestration_server.codec.timestamps import to_datetime
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import Engines
from orchestration_server.jobs.automation import Automation
from orchestration_server.jobs.file_sync import FileSync
from orchestration_server.rules import automation
from tests.support.agents_day import (
    BUG_FILE,
    DECISION_FILE,
    OTHER_TASKS,
    SESSION,
    SPRINT,
    SPRINT_FILE,
    STORY,
    TASK,
    TASK_FILE,
)

WHY = "No access to the logs."
ABOUT_TASK = EntityType.ENTITY_TYPE_TASK
IN_PROGRESS = TaskStatus.TASK_STATUS_IN_PROGRESS
BLOCKED = TaskStatus.TASK_STATUS_BLOCKED
COMPLETED = TaskStatus.TASK_STATUS_COMPLETED


class Seen(NamedTuple):
    """The task as GetTask returned it, and the position of the last event at that time."""

    task: task_pb2.Task
    cursor: str


class Office:
    """A server with a workspace, whose background services run when the test says so."""

    def __init__(self, app: App, root: Path) -> None:
        self.root = root
        self.address = app.start()
        # There are no other writers, so the events of a finished call are below the horizon.
        app.session_tracker.close()
        self.files = FileSync(app.db, root, app.hub.wake)
        self.rules = Automation(app.db, automation.load(None), app.hub.wake)
        self.seen: list[Seen] = []
        self.decision = report_pb2.Adr()
        self.bug = report_pb2.BugReport()

    def client(self, agent: str, session: str = "") -> Client:
        return Client(self.address, agent=agent, session=session)

    def look(self, client: Client) -> task_pb2.Task:
        """Read the task, check that its events agree, and remember it."""
        task = client.tasks.GetTask(task_pb2.GetTaskRequest(task_code=TASK)).task
        [last] = client.events.ListEvents(event_pb2.ListEventsRequest(page_size=1)).events
        self.seen.append(Seen(task, last.cursor))
        assert rebuilt(client, revision=task.revision) == task
        assert rebuilt(client, cursor=last.cursor) == task
        return task

    def tree(self) -> dict[str, str]:
        """Return the files of the workspace by path, without the records of the file sync."""
        found = (path for path in self.root.rglob("*") if path.is_file() and not path.name.endswith(".hash"))
        return {str(path.relative_to(self.root)): path.read_text() for path in found}


@pytest.fixture
def office(database_url: str, engines: Engines, tmp_path: Path) -> Iterator[Office]:
    app = App(
        Settings(
            address="127.0.0.1:0",
            database_url=database_url,
            redis_url=engines.redis_url or "",
            workspace=tmp_path,
            background=False,
            grace_seconds=1,
        )
    )
    yield Office(app, tmp_path)
    app.stop()


def work(service: FileSync | Automation) -> None:
    """Run a service until it has nothing left to do."""
    while service.run_once():
        pass


def timeline(client: Client, count: int) -> list[event_pb2.Event]:
    """Wait for the first ``count`` events of the log, and return them."""
    with client.follow(retry_timeout=20) as events:
        return list(islice(events, count))


def rebuilt(client: Client, **as_of: Any) -> task_pb2.Task:
    """Return the task rebuilt from its events, with hash and revision."""
    request = event_pb2.ReconstructStateRequest(entity_type=ABOUT_TASK, entity_code=TASK, **as_of)
    return client.events.ReconstructState(request).task


def turn(client: Client, status: TaskStatus.ValueType, reason: str = "") -> task_pb2.Task:
    request = task_pb2.UpdateTaskStatusRequest(
        task_code=TASK, status=status, reason=reason, sync_to_file=True
    )
    return client.tasks.UpdateTaskStatus(request).task


def change(client: Client, **fields: Any) -> task_pb2.Task:
    request = task_pb2.UpdateTaskRequest(
        task=task_pb2.Task(code=TASK, **fields), update_mask=FieldMask(paths=list(fields)), sync_to_file=True
    )
    return client.tasks.UpdateTask(request).task


def init(client: Client, short_form: str, **fields: Any) -> session_pb2.InitAgentResponse:
    return client.sessions.InitAgent(session_pb2.InitAgentRequest(short_form=short_form, **fields))


def report(client: Client) -> report_pb2.GetSprintStatusReportResponse:
    request = report_pb2.GetSprintStatusReportRequest(sprint_code=SPRINT, include_markdown=True)
    return client.reports.GetSprintStatusReport(request)


def history(client: Client) -> list[event_pb2.EntityChange]:
    request = event_pb2.GetEntityHistoryRequest(
        entity_type=ABOUT_TASK, entity_code=TASK, order=event_pb2.EVENT_ORDER_OLDEST_FIRST, page_size=3
    )
    return list(client.pages(client.events.GetEntityHistory, request))


def test_an_agents_day(office: Office) -> None:
    with office.client("lead") as lead:
        the_lead_plans(office, lead)
        ann_begins_and_is_stopped(office)
        bob_takes_over_and_ends_it(office)
        the_lead_ends_the_sprint(office, lead)
        the_files_are_as_they_should_be(office, lead)
        the_task_can_be_seen_as_it_was_at_each_step(office, lead)
        the_history_lists_every_step(lead)
        the_timeline_tells_the_day_once(lead)


def the_lead_plans(office: Office, lead: Client) -> None:
    variables = Struct()
    variables.update({"title": "Logins", "bugs": ["Nobody can log in"]})
    made = lead.sprints.CreateSprintFromTemplate(
        sprint_pb2.CreateSprintFromTemplateRequest(
            template="bug-fix-sprint",
            sprint_code=SPRINT,
            variables=variables,
            sync_to_file=True,
        )
    )
    assert [task.code for task in made.tasks] == [TASK, *OTHER_TASKS]
    assert office.look(lead) == made.tasks[0]

    lead.sprints.UpdateSprint(
        sprint_pb2.UpdateSprintRequest(
            sprint=sprint_pb2.Sprint(code=SPRINT, status=SprintStatus.SPRINT_STATUS_ACTIVE),
            update_mask=FieldMask(paths=["status"]),
        )
    )
    work(office.rules)
    change(lead, assignee="ann", agent_config={"model": "large"})
    assert office.look(lead).revision == 2
    work(office.files)


def ann_begins_and_is_stopped(office: Office) -> None:
    with office.client("ann") as ann:
        start = init(ann, f"T:{TASK}", new_session_key=SESSION)
    assert not start.resumed
    what_ann_is_told(start.context)
    assert start.next_steps[0] == f"Start task {TASK}: set it in progress."

    with office.client("ann", session=SESSION) as ann:
        the_file_can_be_read(office, ann, f"delegation/sprints/{SPRINT}/{TASK}/TASK.md")
        turn(ann, IN_PROGRESS)
        assert office.look(ann).status == IN_PROGRESS

        ann.sessions.LogActivity(
            session_pb2.LogActivityRequest(
                session_key=SESSION, kind="progress", message="The login page answers 500."
            )
        )
        assert office.look(ann).revision == 3

        turn(ann, BLOCKED, reason=WHY)
        work(office.rules)
        assert office.look(ann).status == BLOCKED
        [blocked] = [b for b in report(ann).blocked if b.task.code == TASK]
        assert blocked.reason == WHY

        paused = ann.sessions.PauseSession(
            session_pb2.PauseSessionRequest(session_key=SESSION, reason="Bob has access.")
        ).session
        assert (paused.status, paused.agent) == (SessionStatus.SESSION_STATUS_PAUSED, "ann")
        office.look(ann)


def what_ann_is_told(context: context_pb2.Context) -> None:
    assert (context.session.key, context.session.agent) == (SESSION, "ann")
    assert (context.task.code, context.sprint.code, context.progress.total) == (TASK, SPRINT, 5)
    assert plain(context.agent_config) == {"model": "large"}
    assert context.acceptance_criteria
    assert [file.path.rpartition("/")[2] for file in context.files] == ["AGENT.yml", "TASK.md"]


def the_file_can_be_read(office: Office, client: Client, path: str) -> None:
    request = context_pb2.ReadContextFileRequest(session_key=SESSION, path=path)
    parts = [part.data for part in client.contexts.ReadContextFile(request)]
    assert b"".join(parts).decode() == office.tree()[path]


def bob_takes_over_and_ends_it(office: Office) -> None:
    with office.client("bob") as bob:
        start = init(bob, f"SESSION:{SESSION}")
    assert start.resumed
    assert (start.session.agent, start.session.revision) == ("bob", 3)
    assert start.session.pause_reason == ""
    assert "The login page answers 500." in [
        plain(event.payload).get("message") for event in start.context.events
    ]

    with office.client("bob", session=SESSION) as bob:
        office.look(bob)
        change(bob, assignee="bob")
        assert office.look(bob).assignee == "bob"
        turn(bob, IN_PROGRESS)
        assert office.look(bob).status == IN_PROGRESS

        adr = record_decision(bob)
        assert (adr.code, adr.task_code, adr.sprint_code) == ("ADR-0001", TASK, SPRINT)
        first, again = report_bug(bob), report_bug(bob)
        assert (first.duplicate, again.duplicate, again.bug_report.count) == (False, True, 2)
        office.decision, office.bug = adr, first.bug_report
        office.look(bob)

        turn(bob, COMPLETED)
        assert office.look(bob).status == COMPLETED
        closed = bob.sessions.CloseSession(
            session_pb2.CloseSessionRequest(
                session_key=SESSION,
                summary="A test shows it.",
                outcome=SessionOutcome.SESSION_OUTCOME_SUCCEEDED,
            )
        ).session
        assert (closed.status, closed.summary) == (SessionStatus.SESSION_STATUS_COMPLETED, "A test shows it.")
        office.look(bob)


def record_decision(client: Client) -> report_pb2.Adr:
    request = report_pb2.CreateAdrRequest(
        title="Keys rotate",
        context="Old keys were still in use.",
        decision="Keys rotate every day.",
        status=report_pb2.ADR_STATUS_ACCEPTED,
        task_code=TASK,
        sync_to_file=True,
    )
    return client.reports.CreateAdr(request).adr


def report_bug(client: Client) -> report_pb2.CreateBugReportResponse:
    request = report_pb2.CreateBugReportRequest(
        title="Login answers 500",
        severity=report_pb2.BUG_SEVERITY_HIGH,
        error_text="KeyError: 'kid'",
        task_code=TASK,
        sync_to_file=True,
    )
    return client.reports.CreateBugReport(request)


def the_lead_ends_the_sprint(office: Office, lead: Client) -> None:
    work(office.rules)
    assert report(lead).sprint.status == SprintStatus.SPRINT_STATUS_ACTIVE

    lead.tasks.BatchUpdateTaskStatus(
        task_pb2.BatchUpdateTaskStatusRequest(
            changes=[task_pb2.TaskStatusChange(task_code=code, status=COMPLETED) for code in OTHER_TASKS]
        )
    )
    work(office.rules)
    found = report(lead)
    assert found.sprint.status == SprintStatus.SPRINT_STATUS_COMPLETED
    assert (found.task_counts.completed, found.progress_percent, found.blocked_total) == (5, 100.0, 0)
    assert sum(day.completed for day in found.throughput) == 5
    assert f"# Sprint {SPRINT}: Logins\n\nStatus: completed." in found.markdown
    assert f"| {TASK} | Reproduce: Nobody can log in | completed | P1 | bob |" in found.markdown
    office.look(lead)


def the_files_are_as_they_should_be(office: Office, lead: Client) -> None:
    assert lead.sprints.SyncSprint(sprint_pb2.SyncSprintRequest(sprint_code=SPRINT)).queued == 6
    work(office.files)
    found = office.tree()
    home = f"delegation/sprints/{SPRINT}"
    assert found.keys() == {
        f"{home}/SPRINT.md",
        *(f"{home}/{code}/{name}" for code in (TASK, *OTHER_TASKS) for name in ("TASK.md", "AGENT.yml")),
        "docs/adr/0001-keys-rotate.md",
        "delegation/backlog/BUG-0001-login-answers-500.md",
    }
    sprint = lead.sprints.GetSprint(sprint_pb2.GetSprintRequest(sprint_code=SPRINT)).sprint
    assert found[f"{home}/SPRINT.md"] == SPRINT_FILE.format(**stamps(sprint))
    assert found[f"{home}/{TASK}/TASK.md"] == TASK_FILE.format(**stamps(office.seen[-1].task))
    assert found[f"{home}/{TASK}/AGENT.yml"] == "model: large\n"
    decided, seen = to_datetime(office.decision.create_time), to_datetime(office.bug.first_seen_time)
    assert found[office.decision.path] == office.decision.document
    assert found[office.decision.path] == DECISION_FILE.format(date=decided.date())
    assert found[office.bug.path] == BUG_FILE.format(seen=seen.isoformat())


def stamps(entity: sprint_pb2.Sprint | task_pb2.Task) -> dict[str, str]:
    return {
        "created": entity.create_time.ToJsonString(),
        "updated": entity.update_time.ToJsonString(),
        "uid": entity.uid,
        # YAML reads a value that starts with a digit as a number.
        "hash": f'"{entity.hash}"' if entity.hash[0].isdigit() else entity.hash,
    }


def the_task_can_be_seen_as_it_was_at_each_step(office: Office, client: Client) -> None:
    assert [seen.task.revision for seen in office.seen] == [1, 2, 3, 3, 4, 4, 4, 5, 6, 6, 7, 7, 7]
    for task, cursor in office.seen:
        assert rebuilt(client, revision=task.revision) == task
        assert rebuilt(client, cursor=cursor) == task


def the_history_lists_every_step(client: Client) -> None:
    created, generated, *changes = history(client)
    assert (created.type, created.revision) == ("orchestration.task.created", 1)
    assert plain(created.changes)["title"] == {"from": None, "to": "Reproduce: Nobody can log in"}
    assert (generated.type, plain(generated.changes)) == ("orchestration.task.generated", {})
    assert [(c.revision, c.agent, c.session_key, c.reason, plain(c.changes)) for c in changes] == [
        (2, "lead", "", "", {"assignee": {"from": "", "to": "ann"}}),
        (2, "lead", "", "", {"agent_config": {"from": {}, "to": {"model": "large"}}}),
        (3, "ann", SESSION, "", {"status": {"from": "pending", "to": "in_progress"}}),
        (4, "ann", SESSION, WHY, {"status": {"from": "in_progress", "to": "blocked"}}),
        (5, "bob", SESSION, "", {"assignee": {"from": "ann", "to": "bob"}}),
        (6, "bob", SESSION, "", {"status": {"from": "blocked", "to": "in_progress"}}),
        (7, "bob", SESSION, "", {"status": {"from": "in_progress", "to": "completed"}}),
    ]


def the_timeline_tells_the_day_once(client: Client) -> None:
    stored = list(client.pages(client.events.ListEvents, event_pb2.ListEventsRequest()))
    logged = timeline(client, len(stored))
    assert len({event.id for event in logged}) == len(logged)
    assert {event.id for event in logged} == {event.id for event in stored}

    files = [event for event in logged if event.agent == "orchestration.file-sync"]
    assert {event.type for event in files} == {"orchestration.file.synced"}
    assert [
        (event.type.removeprefix("orchestration."), event.entity_code, event.agent)
        for event in logged
        if event not in files
    ] == STORY

    in_session = [event for event in logged if event.session_key]
    assert {event.session_key for event in in_session} == {SESSION}
    assert len({event.correlation_id for event in in_session}) == 1
    chain = event_pb2.ReplayEventsRequest(correlation_id=in_session[0].correlation_id, dry_run=True)
    assert client.events.ReplayEvents(chain).consistent
