"""Sprints and tasks from templates: rendered first, then written in one statement."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from orchestration.v1 import common_pb2, coordination_pb2, sprint_pb2, task_pb2
from orchestration_server.codec.content import plain
from orchestration_server.codec.requests import request_key
from orchestration_server.codec.wire import RESULT_FIELD, embed, embed_all
from orchestration_server.db.database import Connection
from orchestration_server.errors import ARROW, AlreadyExists, InvalidArgument, LedgerError
from orchestration_server.model import Call, EventRow, OutboxRow, Request
from orchestration_server.services import coordination, sprints
from orchestration_server.store import generation as generation_store
from orchestration_server.store import tasks as task_store
from orchestration_server.store.generation import LinkColumns, SprintColumns
from orchestration_server.store.prepared import Extra, Prepared
from orchestration_server.store.writes import Change
from orchestration_server.templates import Template, TemplateKind, Templates, entities
from orchestration_server.templates.budget import Budget
from orchestration_server.validation import validate
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.preconditions import need_sprints
from orchestration_server.writes.task_rows import created as created_task
from orchestration_server.writes.task_rows import task_event
from orchestration_server.writes.write import Lock, Write

TASKS = 1_000
LINKS = 10_000
_TASKS_FIELD = sprint_pb2.CreateSprintFromTemplateResponse.TASKS_FIELD_NUMBER
BATCH_RENDERINGS = 8
"""The budget of one call's tasks together, as a multiple of the budget of one rendering."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """The sprint, tasks and links to be created."""

    template: Template
    sprint: sprint_pb2.Sprint | None
    tasks: Sequence[task_pb2.Task]
    links: Sequence[LinkColumns] = ()
    source: Mapping[str, Any] = field(default_factory=dict)
    """What the events of the entities say of their origin, besides the template."""

    @property
    def payload(self) -> dict[str, Any]:
        """Return the origin in the payload of the events of generated entities."""
        return {"template": self.template.name, "template_sha256": self.template.sha256, **self.source}


class Generation:
    """The implementation of the rpcs that create sprints and tasks from templates."""

    def __init__(self, gate: Gate, templates: Templates) -> None:
        self._gate = gate
        self._templates = templates

    def create_sprint(self, request: sprint_pb2.CreateSprintFromTemplateRequest, call: Call) -> bytes:
        """Create a sprint with its tasks."""
        plan = _rendered(call, request, lambda: self._sprint_plan(request))
        return self._gate.write(_GenerateSprint(call, request_key(call, request), plan, request))

    def create_tasks(self, request: task_pb2.CreateTasksFromTemplateRequest, call: Call) -> bytes:
        """Create tasks."""
        plan = _rendered(call, request, lambda: self._tasks_plan(request))
        return self._gate.write(_GenerateTasks(call, request_key(call, request), plan, request))

    def scheduled(
        self, kind: TemplateKind, template: str, code: str, sprint: str, variables: Struct, call: Call,
        source: Mapping[str, Any],
    ) -> Write[Any]:  # fmt: skip
        """Return the write that creates the sprint, or the task in a sprint, of a schedule.

        ``source`` is what the events say of their origin. Raises the errors of rendering.
        """
        request = Request(call.rpc, "", b"")
        if kind is TemplateKind.SPRINT:
            new_sprint = sprint_pb2.CreateSprintFromTemplateRequest(
                template=template, sprint_code=code, variables=variables
            )
            return _GenerateSprint(
                call, request, replace(self._sprint_plan(new_sprint), source=source), new_sprint
            )
        new_tasks = task_pb2.CreateTasksFromTemplateRequest(
            template=template, sprint_code=sprint, variables=variables,
            items=[task_pb2.TaskFromTemplate(task_code=code)],
        )  # fmt: skip
        return _GenerateTasks(call, request, replace(self._tasks_plan(new_tasks), source=source), new_tasks)

    def template(self, name: str) -> Template:
        """Return a template. Raises NotFound if it does not exist."""
        return self._templates.get(name)

    def _sprint_plan(self, request: sprint_pb2.CreateSprintFromTemplateRequest) -> _Plan:
        template = self._templates.get(request.template, TemplateKind.SPRINT)
        variables = _variables(plain(request.variables), {"sprint_code": request.sprint_code})
        fields = template.fields(variables)
        wrong: dict[str, str] = {}
        sprint = _sprint(request, fields["sprint"], wrong)
        if len(fields["tasks"]) > TASKS:
            raise InvalidArgument({"tasks": f"must have at most {TASKS} items"})
        made = []
        links: list[LinkColumns] = []
        for index, given in enumerate(fields["tasks"]):
            task = _task(f"tasks[{index}]", given, wrong)
            on = entities.lines(given.get("depends_on"), f"tasks[{index}].depends_on", wrong)
            links += [LinkColumns(task.code, other) for other in dict.fromkeys(on)]
            made.append(task)
        wrong |= _graph(made, links)
        if wrong:
            raise InvalidArgument(wrong)
        return _Plan(template, sprint, made, links)

    def _tasks_plan(self, request: task_pb2.CreateTasksFromTemplateRequest) -> _Plan:
        template = self._templates.get(request.template, TemplateKind.TASK)
        shared = plain(request.variables)
        budget = Budget(renderings=BATCH_RENDERINGS)
        wrong: dict[str, str] = {}
        made = []
        for index, item in enumerate(request.items):
            path = f"items[{index}]"
            given = shared | plain(item.variables) if item.HasField("variables") else shared
            known = {"task_code": item.task_code, "sprint_code": request.sprint_code}
            try:
                fields = template.fields(_variables(given, known), budget)["task"]
            except InvalidArgument as error:
                if error.reason != "INVALID_ARGUMENT":
                    raise InvalidArgument(_below(path, error), reason=error.reason) from None
                wrong |= _below(path, error)
                continue
            made.append(_task(f"{path}.task", fields, wrong))
        if wrong:
            raise InvalidArgument(wrong)
        return _Plan(template, None, made)


def _rendered(call: Call, message: Message, render: Callable[[], _Plan]) -> _Plan | LedgerError:
    """Return the rendered plan, or the error that rendering raised if a response may be stored already.

    A retry gets the stored response even if the template has changed since.
    """
    try:
        return render()
    except LedgerError as error:
        if not request_key(call, message).request_id:
            raise
        return error


@dataclass
class _Generate(Write[Extra]):
    """A write of what a template gave."""

    plan: _Plan | LedgerError

    @property
    def codes(self) -> Sequence[str]:
        return [] if isinstance(self.plan, LedgerError) else [task.code for task in self.plan.tasks]

    @property
    def locks(self) -> Sequence[Lock]:
        return [("task", code) for code in self.codes]

    def decide(self, conn: Connection, found: Prepared[Extra]) -> Change:
        if isinstance(self.plan, LedgerError):
            raise self.plan
        for code in self.codes:
            if code in found.rows:
                raise AlreadyExists("task", code, deleted=found.rows[code].deleted)
        return self.generate(self.plan, found)

    @abstractmethod
    def generate(self, plan: _Plan, found: Prepared[Extra]) -> Change:
        """Return the change that creates the entities of the plan."""


@dataclass
class _GenerateSprint(_Generate[bool | None]):
    message: sprint_pb2.CreateSprintFromTemplateRequest

    @property
    def locks(self) -> Sequence[Lock]:
        return [("sprint", self.message.sprint_code), *super().locks]

    def prepare(self, conn: Connection) -> Prepared[bool | None]:
        return generation_store.prepare(
            conn, project=self.call.project, request=self.request, sprint=self.message.sprint_code,
            codes=self.codes,
        )  # fmt: skip

    def generate(self, plan: _Plan, found: Prepared[bool | None]) -> Change:
        if found.extra is not None:
            raise AlreadyExists("sprint", self.message.sprint_code, deleted=found.extra)
        return _sprint_change(self.call, self.message.sync_to_file, plan, found)


@dataclass
class _GenerateTasks(_Generate[None]):
    message: task_pb2.CreateTasksFromTemplateRequest

    @property
    def anchors(self) -> Sequence[str]:
        return [self.message.sprint_code] if self.message.sprint_code else []

    def prepare(self, conn: Connection) -> Prepared[None]:
        return task_store.prepare(
            conn, project=self.call.project, request=self.request, codes=self.codes, sprints=self.anchors
        )

    def generate(self, plan: _Plan, found: Prepared[None]) -> Change:
        need_sprints(found, self.anchors)
        made = [created_task(self.call, task_pb2.NewTask(task=task), found.now) for task in plan.tasks]
        source = plan.payload
        events = []
        for task, _, event in made:
            events += [event, task_event(self.call, "task.generated", task, found.now, source)]
        rows = [row for _, row, _ in made]
        return Change(
            embed_all(RESULT_FIELD, [row.body for row in rows]),
            sql=task_store.INSERT,
            params=task_store.columns(rows),
            expected=len(rows),
            events=events,
            anchors=self.anchors,
            outbox=[OutboxRow("task", row.code) for row in rows] if self.message.sync_to_file else (),
        )


def _variables(given: dict[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """Return the variables of a request with those of its fields. Raises InvalidArgument if names clash."""
    twice = {f"variables.{name}": "is a field of the request" for name in known if name in given}
    if twice:
        raise InvalidArgument(twice)
    return {**given, **known}


def _below(path: str, error: InvalidArgument) -> dict[str, str]:
    return {f"{path}.{below}": text for below, text in error.violations.items()}


def _sprint(
    request: sprint_pb2.CreateSprintFromTemplateRequest, fields: Mapping[str, Any], wrong: dict[str, str]
) -> sprint_pb2.Sprint:
    bad: dict[str, str] = {}
    sprint = entities.sprint(fields, bad)
    for given, value in request.overrides.ListFields():
        bad.pop(given.name, None)
        if given.message_type is None:
            setattr(sprint, given.name, value)
        else:
            sprint.metadata.CopyFrom(value)
    wrong |= {f"sprint.{name}": text for name, text in {**_broken(sprint), **bad}.items()}
    return sprint


def _task(path: str, given: Mapping[str, Any], wrong: dict[str, str]) -> task_pb2.Task:
    bad: dict[str, str] = {}
    task = entities.task(given, bad)
    wrong |= {f"{path}.{name}": text for name, text in {**_broken(task), **bad}.items()}
    return task


def _broken(message: Message) -> Mapping[str, str]:
    """Return the violations of the API's rules, by field."""
    try:
        validate(message)
    except InvalidArgument as error:
        return error.violations
    return {}


def _graph(made: Sequence[task_pb2.Task], links: Sequence[LinkColumns]) -> dict[str, str]:
    """Return the violations in the codes and links of new tasks. Links must stay among these tasks."""
    if len(links) > LINKS:
        return {"tasks": f"must have at most {LINKS} dependencies"}
    first: dict[str, int] = {}
    wrong: dict[str, str] = {}
    for index, task in enumerate(made):
        if first.setdefault(task.code, index) != index:
            wrong[f"tasks[{index}].code"] = f"is also the code of tasks[{first[task.code]}]"
    before: dict[str, set[str]] = {}
    for link in links:
        if link.depends_on_code not in first:
            wrong[f"tasks[{first[link.task_code]}].depends_on"] = "is not the code of a task of this template"
        before.setdefault(link.task_code, set()).add(link.depends_on_code)
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        cycle = error.args[1]
        wrong[f"tasks[{first.get(cycle[0], 0)}].depends_on"] = f"closes a cycle: {ARROW.join(cycle[:10])}"
    return wrong


def _sprint_change(call: Call, sync: bool, plan: _Plan, found: Prepared[object]) -> Change:
    assert plan.sprint is not None
    sprint, created = sprints.created(call, plan.sprint, found.now)
    source = plan.payload
    generated = sprints.sprint_event(
        call,
        "sprint.generated",
        sprint,
        found.now,
        {**source, "tasks": len(plan.tasks), "links": len(plan.links)},
    )
    events = [created, generated]
    made = [created_task(call, task_pb2.NewTask(task=task), found.now) for task in plan.tasks]
    for task, _, event in made:
        events += [event, task_event(call, "task.generated", task, found.now, source)]
    events += _link_events(call, plan.links, {task.code: task for task, _, _ in made}, found)
    rows = [row for _, row, _ in made]
    body = sprint.SerializeToString()
    files = [OutboxRow("sprint", sprint.code), *(OutboxRow("task", row.code) for row in rows)]
    return Change(
        embed(RESULT_FIELD, body) + embed_all(_TASKS_FIELD, [row.body for row in rows]),
        sql=generation_store.INSERT,
        params=generation_store.columns(
            SprintColumns(sprint.code, sprint.status, sprint.owner, found.now, body), rows, plan.links
        ),
        expected=1 + len(rows) + len(plan.links),
        events=events,
        outbox=files if sync else (),
    )


def _link_events(
    call: Call,
    links: Sequence[LinkColumns],
    tasks_by_code: Mapping[str, task_pb2.Task],
    found: Prepared[object],
) -> list[EventRow]:
    """Return the events of new links."""
    events = []
    for link in links:
        dependency = coordination_pb2.Dependency(
            task_code=link.task_code,
            depends_on_code=link.depends_on_code,
            kind=common_pb2.DEPENDENCY_KIND_BLOCKS,
        )
        added = {"from": None, "to": link.depends_on_code}
        task = tasks_by_code[link.task_code]
        events.append(coordination.link_event(call, "task.dependency_added", task, dependency, found, added))
    return events
