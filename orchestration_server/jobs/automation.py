"""Carries out the rules of automation: reads each project's log in order, and acts on what it finds.

An action is a write as any other, through the services and the write gate; the place in the log moves in the
same statement, and its row is held from before the decision until the commit. So an action is done once,
whether a runner crashes, two run at once, or one reads again what the other has dealt with.
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
from orchestration_server.rules.automation import AGENT, DEPTH, OWN, Action, Cause, Emit, Rule, SetStatus
from orchestration_server.rules.emission import AT_ONCE, Policies
from orchestration_server.services import sprints, tasks
from orchestration_server.store import automation as automation_store
from orchestration_server.store import log_positions
from orchestration_server.store.log_positions import START, LogPosition
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.writes import Change
from orchestration_server.writes.gate import Gate

log = structlog.get_logger()

BATCH = 1_000
"""Events of a project that are read at once."""
PROJECTS = 200
TOLD = 500
"""Events of actions that are written at once."""
RPC = AGENT

Told = Callable[[datetime], EventRow]
"""An event of an action, once it is known when it is recorded."""


class Passed(Exception):
    """Another runner has moved the place: it does what there is to do."""


class Nothing(Exception):
    """The action would change nothing."""


class OutOfScope(Exception):
    """A caller that caused the event may not change what the action would change."""


@dataclass(frozen=True, slots=True)
class Step(Call):
    """The call of a rule: a write that moves the place from ``start`` to ``to``."""

    start: LogPosition = START
    to: LogPosition = START
    told: Sequence[Told] = ()
    """Events of the actions before it, which are written with it."""
    required: Callable[[Connection], bool] | None = None
    """What has to hold when it is written."""
    allowed: bool = False
    """Whether the change may leave the scopes of its causers."""
    acts: bool = False
    """Whether it is there for a change, not for the events told alone."""
    would: Told | None = None
    """What is told in the place of the change, where the rule runs dry."""


class SteppingGate(Gate):
    """The write gate of the rules. Takes calls that are a Step, and raises Passed and Nothing for them."""

    def write(
        self,
        call: Call,
        request: Request,
        *,
        locks: Sequence[tuple[str, str]],
        prepare: Callable[[Connection], Prepared],
        decide: Callable[[Connection, Prepared], Change],
        locked: bool = False,
    ) -> bytes:
        assert isinstance(call, Step)

        def step(conn: Connection, found: Prepared) -> Change:
            if log_positions.lock(conn, reader=automation_store.READER, project=call.project) != call.start:
                raise Passed
            if call.required is not None and not call.required(conn):
                raise Nothing
            change = decide(conn, found)
            if call.acts and not change.events:
                raise Nothing
            if not call.allowed and not causers.allow(call.causer_scopes, change.events):
                raise OutOfScope
            if call.would is not None:
                change = Change(b"", events=[call.would(found.now)])
            events = [told(found.now) for told in call.told]
            return automation_store.with_position(replace(change, events=[*events, *change.events]), call.to)

        # The place is held for as long as the decision has to hold.
        return super().write(call, request, locks=locks, prepare=prepare, decide=step, locked=True)


@dataclass(slots=True)
class _Walk:
    """The way through one batch: where the place is, and what waits to be told."""

    project: str
    start: LogPosition
    told: list[Told] = field(default_factory=list)
    acted: bool = False

    def moved(self, to: LogPosition) -> None:
        """What waited was written, and moved the place."""
        self.start, self.told, self.acted = to, [], True


class Automation:
    """The service: any number may run at once."""

    name = "automation"
    interval = 1.0

    def __init__(
        self,
        db: Database,
        rules: Sequence[Rule],
        wake: Callable[[], None],
        policies: Policies = AT_ONCE,
    ) -> None:
        """``wake`` is called after each commit that holds events."""
        self._db = db
        self._gate = SteppingGate(db, wake, policies)
        self._rules = rules
        exact, prefixes = split_types(type_ for rule in rules for type_ in rule.on)
        self._types, self._prefixes = sorted(exact), sorted(prefixes)
        self._after = ""

    def run_once(self) -> int:
        """Deals with the next events of projects that have some; how many it were.

        0 where every project's came back short and led to nothing: what comes meanwhile waits for the next
        turn. A project that fails keeps its place and does not keep others from going on; its error is
        raised after them.
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
            except Passed:
                continue
            except Exception as error:
                log.warning("automation failed", project=project, error=error)
                failure = error
        if failure is not None:
            raise failure
        return handled if more else 0

    def _projects(self) -> list[str]:
        """Goes round them, so that busy ones do not keep it from the others."""
        with self._db.connection() as conn:
            found = log_positions.behind(
                conn, reader=automation_store.READER, after=self._after, limit=PROJECTS
            )
            if not found and self._after:
                found = log_positions.behind(conn, reader=automation_store.READER, after="", limit=PROJECTS)
        self._after = found[-1] if len(found) == PROJECTS else ""
        return found

    def _batch(self, project: str) -> tuple[int, bool]:
        """Return how many events it were, and whether there are others behind them, or they led to some."""
        with self._db.connection() as conn:
            start = log_positions.get(conn, reader=automation_store.READER, project=project)
            batch = automation_store.read_batch(
                conn, project=project, progress=start, types=self._types, prefixes=self._prefixes,
                limit=BATCH,
            )  # fmt: skip
        if not batch.size:
            return 0, False
        walk = _Walk(project, start)
        for place, body, scopes in batch.events:
            cause = Cause(event_pb2.Event.FromString(body), scopes)
            for rule, number, action in self._due(cause, place, start):
                self._act(walk, cause, rule, action, LogPosition(place, rule.name, number))
        acted = self._finish(walk, batch.last)
        return batch.size, acted or batch.more

    def _due(self, cause: Cause, place: Position, start: LogPosition) -> Iterator[tuple[Rule, int, Action]]:
        """The actions for an event that are not done yet, by the names of their rules."""
        done = (start.rule, start.action) if place == start.position and start.rule is not None else ("", 0)
        for rule in self._rules:
            if rule.takes(cause):
                for number, action in enumerate(rule.then, 1):
                    if (rule.name, number) > done:
                        yield rule, number, action

    def _act(self, walk: _Walk, cause: Cause, rule: Rule, action: Action, at: LogPosition) -> None:
        told = _Teller(walk.project, cause, rule.name)
        if told.depth > DEPTH:
            if at.action == 1:
                self._tell(walk, told.of(OWN + "depth_exceeded", {"limit": DEPTH}), at)
        elif isinstance(action, SetStatus):
            self._set_status(walk, cause, action, at, told, dry_run=rule.dry_run)
        elif rule.dry_run:
            self._tell(walk, told.would({"emit": _described(action, cause)}), at)
        else:
            payload = cause.filled(dict(action.payload))
            self._tell(walk, told.of(action.type, payload, priority=action.priority), at)

    def _tell(self, walk: _Walk, told: Told, at: LogPosition) -> None:
        walk.told.append(told)
        if len(walk.told) >= TOLD:
            self._write(walk, at)

    def _set_status(
        self, walk: _Walk, cause: Cause, action: SetStatus, at: LogPosition, told: _Teller, *, dry_run: bool
    ) -> None:
        code = cause.code(action.of)
        if not code:
            return
        project = walk.project
        described = {"of": action.of, "code": code, "to": action.to}
        required = None
        if action.all_tasks_completed:
            required = lambda conn: automation_store.all_tasks_completed(conn, project=project, sprint=code)  # noqa: E731
        step = Step(
            RPC, project, correlation_id=cause.event.correlation_id, agent=AGENT, automation=told.automation,
            causer_scopes=cause.scopes, start=walk.start, to=at, told=walk.told, acts=True, required=required,
            # The ledger itself checks what makes the sprint complete, so it takes nobody's right.
            allowed=cause.is_change and action.all_tasks_completed,
            would=told.would({"set_status": described}) if dry_run else None,
        )  # fmt: skip
        try:
            self._change(step, action, code)
        except OutOfScope:
            self._tell(walk, told.of(OWN + "out_of_scope", {"action": {"set_status": described}}), at)
            return
        except (Nothing, NotFound, FailedPrecondition, InvalidArgument) as error:
            log.debug("automation left it", rule=at.rule, code=code, reason=repr(error))
            return
        walk.moved(at)

    def _change(self, step: Step, action: SetStatus, code: str) -> None:
        status: Any = action.status
        if action.kind == "sprint":
            sprints.update(
                self._gate,
                sprint_pb2.UpdateSprintRequest(
                    sprint=sprint_pb2.Sprint(code=code, status=status),
                    update_mask=FieldMask(paths=["status"]),
                ),
                step,
            )
        else:
            tasks.update_status(
                self._gate, task_pb2.UpdateTaskStatusRequest(task_code=code, status=status), step
            )

    def _write(self, walk: _Walk, to: LogPosition) -> None:
        """Writes what was told, with the place."""
        step = Step(RPC, walk.project, agent=AGENT, start=walk.start, to=to, told=walk.told)
        self._gate.write(
            step,
            Request(RPC, "", b""),
            locks=(),
            prepare=automation_store.prepare,
            decide=lambda *_: Change(b""),
        )
        walk.moved(to)

    def _finish(self, walk: _Walk, last: Position) -> bool:
        """Moves the place behind the batch; whether something was done in it."""
        if walk.told:
            self._write(walk, LogPosition(last))
            return True
        with self._db.connection() as conn:
            if not automation_store.advance(conn, project=walk.project, start=walk.start, position=last):
                raise Passed
        return walk.acted


class _Teller:
    """Makes the events that a rule tells because of another one."""

    def __init__(self, project: str, cause: Cause, rule: str) -> None:
        self._project = project
        self._cause = cause
        self.depth = cause.depth + 1
        self.automation: Mapping[str, Any] = {"rule": rule, "cause": cause.event.id, "depth": self.depth}

    def of(self, type_: str, payload: Mapping[str, Any], *, priority: int = 0) -> Told:
        """An event about what the cause is about."""
        about = self._cause.event
        call = Call(
            RPC,
            self._project,
            correlation_id=about.correlation_id,
            agent=AGENT,
            causer_scopes=self._cause.scopes,
        )
        told = to_struct({**payload, "automation": dict(self.automation)})

        def row(now: datetime) -> EventRow:
            event = event_pb2.Event(
                type=type_,
                entity_type=about.entity_type,
                entity_code=about.entity_code,
                entity_uid=about.entity_uid,
                sprint_code=about.sprint_code,
                priority=priority or about.priority,  # type: ignore[arg-type]  # the numbers are the same
                payload=told,
            )
            return event_row(event, call, now=now, occur_time=None, tail=event_tail(call, now))

        return row

    def would(self, action: Mapping[str, Any]) -> Told:
        """What a rule that runs dry would have done."""
        return self.of(OWN + "would_act", {"action": dict(action)})


def _described(action: Emit, cause: Cause) -> dict[str, Any]:
    described: dict[str, Any] = {"type": action.type, "payload": cause.filled(dict(action.payload))}
    if action.priority:
        described["priority"] = PRIORITY_NAMES[action.priority]
    return described
