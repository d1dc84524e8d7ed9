"""The background service that carries out the rules of automation.

It reads the log of each project in order. An action is a write through the gate, like any other. The write
also moves the reader's position in the log, and locks that position before the commit. So each action is done
once, even if a runner crashes, or if several run at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import event_pb2, sprint_pb2, task_pb2
from orchestration_server.codec import causers
from orchestration_server.codec.content import to_struct
from orchestration_server.codec.events import event_row, event_tail
from orchestration_server.codec.names import PRIORITY_NAMES
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import FailedPrecondition, InvalidArgument, NotFound
from orchestration_server.model import Call, EventRow, Position, Request
from orchestration_server.names import split_types
from orchestration_server.rules.automation import AGENT, MAX_DEPTH, OWN, Action, Cause, Emit, Rule, SetStatus
from orchestration_server.rules.emission import AT_ONCE, Policies
from orchestration_server.services import sprints, tasks
from orchestration_server.store import automation as automation_store
from orchestration_server.store import log_positions
from orchestration_server.store.log_positions import LogPosition
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.writes import Change
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.write import Lock, Write

log = structlog.get_logger()

BATCH = 1_000
"""The most events of a project that are read at once."""
PROJECTS = 200
"""The most projects that one run looks at."""
MAX_WAITING_EVENTS = 500
"""The most events of actions that are written at once."""
RPC = AGENT

MakeEvent = Callable[[datetime], EventRow]
"""Makes an event of an action, given the time at which it is recorded."""


class PositionMoved(Exception):
    """Another runner moved the position of this project, and does its work."""


class NothingToDo(Exception):
    """The action would change nothing."""


class OutOfScope(Exception):
    """A caller that caused the event may not change what the action would change."""


@dataclass(frozen=True, slots=True)
class _Step:
    """The amendment of one write of a rule: it moves the position from ``start`` to ``to``."""

    project: str
    start: LogPosition
    to: LogPosition
    waiting: Sequence[MakeEvent]
    """The events of earlier actions, which this write logs too."""

    def __call__(self, conn: Connection, found: Prepared[object], change: Change) -> Change:
        position = log_positions.lock(conn, reader=automation_store.READER, project=self.project)
        if position != self.start:
            raise PositionMoved
        change = self._checked(conn, found, change)
        events = [make(found.now) for make in self.waiting]
        return automation_store.with_position(replace(change, events=[*events, *change.events]), self.to)

    def _checked(self, conn: Connection, found: Prepared[object], change: Change) -> Change:
        return change


@dataclass(frozen=True, slots=True)
class _ActionStep(_Step):
    """The amendment of a write that carries out an action."""

    causer_scopes: str
    """The scopes of the callers that caused the action."""
    required: Callable[[Connection], bool] | None
    """The condition that has to hold when the action is written."""
    unscoped: bool
    """True if the change may leave the scopes of its causers."""
    dry_run: MakeEvent | None
    """The event that is logged in place of the change if the rule runs dry."""

    def _checked(self, conn: Connection, found: Prepared[object], change: Change) -> Change:
        if not change.events or (self.required is not None and not self.required(conn)):
            raise NothingToDo
        if not self.unscoped and not causers.allow(self.causer_scopes, change.events):
            raise OutOfScope
        return change if self.dry_run is None else Change(b"", events=[self.dry_run(found.now)])


class _LogEvents(Write[None]):
    """A write of events alone: those of the actions that wait."""

    @property
    def locks(self) -> Sequence[Lock]:
        return ()

    def prepare(self, conn: Connection) -> Prepared[None]:
        return automation_store.prepare(conn)

    def decide(self, conn: Connection, found: Prepared[None]) -> Change:
        return Change(b"")


@dataclass(slots=True)
class _BatchRun:
    """The state of one batch: the position that is stored, and the events that wait to be written."""

    project: str
    start: LogPosition
    waiting: list[MakeEvent] = field(default_factory=list)
    acted: bool = False

    def wrote(self, to: LogPosition) -> None:
        """Note that the waiting events were written and the position moved."""
        self.start, self.waiting, self.acted = to, [], True


class Automation:
    """The background service. Any number of processes may run it at once."""

    name = "automation"
    interval = 1.0

    def __init__(
        self,
        db: Database,
        rules: Sequence[Rule],
        wake: Callable[[], None],
        policies: Policies = AT_ONCE,
    ) -> None:
        """Make the service. It calls ``wake`` after each commit that logs events."""
        self._db = db
        self._gate = Gate(db, wake, policies)
        self._rules = rules
        exact, prefixes = split_types(type_ for rule in rules for type_ in rule.on)
        self._types, self._prefixes = sorted(exact), sorted(prefixes)
        self._after = ""

    def run_once(self) -> int:
        """Handle the next events of each project that has some, and return their number.

        Return 0 if every project's batch was short and caused no event: new events wait for the next run. A
        project that fails keeps its position, and the others go on. Its error is raised after them.
        """
        handled = 0
        failure: Exception | None = None
        projects = self._projects()
        more = len(projects) == PROJECTS
        for project in projects:
            try:
                size, again = self._batch(project)
                handled += size
                more |= again
            except PositionMoved:
                continue
            except Exception as error:
                log.warning("automation failed", project=project, error=error)
                failure = error
        if failure is not None:
            raise failure
        return handled if more else 0

    def _projects(self) -> list[str]:
        """Return the next projects with new events. A busy project does not keep the others waiting."""
        with self._db.connection() as conn:
            found = log_positions.behind(
                conn, reader=automation_store.READER, after=self._after, limit=PROJECTS
            )
            if not found and self._after:
                found = log_positions.behind(conn, reader=automation_store.READER, after="", limit=PROJECTS)
        self._after = found[-1] if len(found) == PROJECTS else ""
        return found

    def _batch(self, project: str) -> tuple[int, bool]:
        """Return the number of events, and whether more of them follow or were caused."""
        with self._db.connection() as conn:
            start = log_positions.get(conn, reader=automation_store.READER, project=project)
            batch = automation_store.read_batch(
                conn, project=project, progress=start, types=self._types, prefixes=self._prefixes,
                limit=BATCH,
            )  # fmt: skip
        if not batch.size:
            return 0, False
        run = _BatchRun(project, start)
        for position, body, scopes in batch.events:
            cause = Cause(event_pb2.Event.FromString(body), scopes)
            for rule, number, action in self._due(cause, position, start):
                self._act(run, cause, rule, action, LogPosition(position, rule.name, number))
        acted = self._finish(run, batch.last)
        return batch.size, acted or batch.more

    def _due(
        self, cause: Cause, position: Position, start: LogPosition
    ) -> Iterator[tuple[Rule, int, Action]]:
        """Yield the actions for an event that are not done yet, in the order of the names of their rules."""
        done = ("", 0)
        if position == start.position and start.rule is not None:
            done = (start.rule, start.action)
        for rule in self._rules:
            if rule.takes(cause):
                for number, action in enumerate(rule.then, 1):
                    if (rule.name, number) > done:
                        yield rule, number, action

    def _act(self, run: _BatchRun, cause: Cause, rule: Rule, action: Action, at: LogPosition) -> None:
        events = _EventMaker(run.project, cause, rule.name)
        if events.depth > MAX_DEPTH:
            if at.action == 1:
                self._log(run, events.make(OWN + "depth_exceeded", {"limit": MAX_DEPTH}), at)
        elif isinstance(action, SetStatus):
            self._set_status(run, cause, action, at, events, dry_run=rule.dry_run)
        elif rule.dry_run:
            self._log(run, events.would_act({"emit": _described(action, cause)}), at)
        else:
            payload = cause.filled(dict(action.payload))
            self._log(run, events.make(action.type, payload, priority=action.priority), at)

    def _log(self, run: _BatchRun, event: MakeEvent, at: LogPosition) -> None:
        run.waiting.append(event)
        if len(run.waiting) >= MAX_WAITING_EVENTS:
            self._write(run, at)

    def _set_status(
        self, run: _BatchRun, cause: Cause, action: SetStatus, at: LogPosition, events: _EventMaker, *,
        dry_run: bool,
    ) -> None:  # fmt: skip
        code = cause.code(action.of)
        if not code:
            return
        project = run.project

        def all_tasks_completed(conn: Connection) -> bool:
            return automation_store.all_tasks_completed(conn, project=project, sprint=code)

        described = {"set_status": {"of": action.of, "code": code, "to": action.to}}
        call = Call(
            RPC, project, correlation_id=cause.event.correlation_id, agent=AGENT,
            automation=events.automation, causer_scopes=cause.scopes,
        )  # fmt: skip
        step = _ActionStep(
            project, run.start, at, run.waiting, cause.scopes,
            required=all_tasks_completed if action.all_tasks_completed else None,
            # The ledger itself checks that the sprint is complete, so the action needs nobody's right.
            unscoped=cause.is_change and action.all_tasks_completed,
            dry_run=events.would_act(described) if dry_run else None,
        )  # fmt: skip
        try:
            self._gate.write(_status_write(action, code, call), amend=step)
        except OutOfScope:
            self._log(run, events.make(OWN + "out_of_scope", {"action": described}), at)
            return
        except (NothingToDo, NotFound, FailedPrecondition, InvalidArgument) as error:
            log.debug("automation left it", rule=at.rule, code=code, reason=repr(error))
            return
        run.wrote(at)

    def _write(self, run: _BatchRun, to: LogPosition) -> None:
        """Write the waiting events, and move the position."""
        call = Call(RPC, run.project, agent=AGENT)
        step = _Step(run.project, run.start, to, run.waiting)
        self._gate.write(_LogEvents(call, Request(RPC, "", b"")), amend=step)
        run.wrote(to)

    def _finish(self, run: _BatchRun, last: Position) -> bool:
        """Move the position to the end of the batch. Return whether an action was done in the batch."""
        if run.waiting:
            self._write(run, LogPosition(last))
            return True
        with self._db.connection() as conn:
            if not automation_store.advance(conn, project=run.project, start=run.start, position=last):
                raise PositionMoved
        return run.acted


def _status_write(action: SetStatus, code: str, call: Call) -> Write[None]:
    """Return the write that sets the status of a sprint or task, as a caller's rpc does."""
    status: Any = action.status
    if action.kind == "sprint":
        sprint = sprint_pb2.Sprint(code=code, status=status)
        mask = FieldMask(paths=["status"])
        return sprints.update(sprint_pb2.UpdateSprintRequest(sprint=sprint, update_mask=mask), call)
    return tasks.update_status(task_pb2.UpdateTaskStatusRequest(task_code=code, status=status), call)


class _EventMaker:
    """A maker of the events that a rule logs because of another event."""

    def __init__(self, project: str, cause: Cause, rule: str) -> None:
        self._project = project
        self._cause = cause
        self.depth = cause.depth + 1
        self.automation: Mapping[str, Any] = {"rule": rule, "cause": cause.event.id, "depth": self.depth}

    def make(self, type_: str, payload: Mapping[str, Any], *, priority: int = 0) -> MakeEvent:
        """Return the maker of an event about the entity of the cause."""
        about = self._cause.event
        call = Call(
            RPC,
            self._project,
            correlation_id=about.correlation_id,
            agent=AGENT,
            causer_scopes=self._cause.scopes,
        )
        struct = to_struct({**payload, "automation": dict(self.automation)})

        def row(now: datetime) -> EventRow:
            event = event_pb2.Event(
                type=type_,
                entity_type=about.entity_type,
                entity_code=about.entity_code,
                entity_uid=about.entity_uid,
                sprint_code=about.sprint_code,
                priority=priority or about.priority,  # type: ignore[arg-type]  # the numbers are the same
                payload=struct,
            )
            return event_row(event, call, now=now, occur_time=None, tail=event_tail(call, now))

        return row

    def would_act(self, action: Mapping[str, Any]) -> MakeEvent:
        """Return the maker of the event that names what a rule would have done if it did not run dry."""
        return self.make(OWN + "would_act", {"action": dict(action)})


def _described(action: Emit, cause: Cause) -> dict[str, Any]:
    described: dict[str, Any] = {"type": action.type, "payload": cause.filled(dict(action.payload))}
    if action.priority:
        described["priority"] = PRIORITY_NAMES[action.priority]
    return described
