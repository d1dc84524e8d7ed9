"""Activities that agents log in their sessions, and the fields that a session's events share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from orchestration.v1 import common_pb2, event_pb2, session_pb2, sprint_pb2, task_pb2
from orchestration_server.codec.content import plain, to_struct
from orchestration_server.codec.events import change_event
from orchestration_server.codec.requests import request_key
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import FailedPrecondition, NotFound
from orchestration_server.model import PRIORITY_DEFAULT, Call, EntityType, Request, SampledOut
from orchestration_server.rules.emission import ACTIVITY, Batch, Policies, Sample, sample_position
from orchestration_server.store import sessions as session_store
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.sessions import SessionFacts
from orchestration_server.store.writes import Change, Stamp
from orchestration_server.telemetry import metrics
from orchestration_server.writes.drafts import EmitRequest, EmitResult
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.group_commit import GroupCommit
from orchestration_server.writes.write import Lock, Write


class Activities:
    """The implementation of SessionService.LogActivity: each activity is logged by its emission policy."""

    def __init__(self, db: Database, gate: Gate, commits: GroupCommit, policies: Policies) -> None:
        self._db = db
        self._gate = gate
        self._commits = commits
        self._policies = policies

    def log(self, request: session_pb2.LogActivityRequest, call: Call) -> EmitResult:
        """Log an activity of an open session, or count it if it is sampled out. Return after the commit."""
        key = request_key(call, request)
        if self._policies.sorts_emitted or request.emission_policy:
            emission = self._batched(request, call, key)
            if emission is not None:
                return self._commits.emit(emission, call)

        write = _LogActivity(call, key, request, self._policies)
        emitted = EmitResult.from_body(self._gate.write(write))
        if not write.answered:
            metrics.EVENTS_SAMPLED_OUT.inc(emitted.sampled_out)
        return emitted

    def _batched(
        self, request: session_pb2.LogActivityRequest, call: Call, key: Request
    ) -> EmitRequest | None:
        """Return the activity as a request for the group commit if its policy says so, else None.

        The session must be open now. It may be closed before the batch is committed.
        """
        with self._db.connection(call) as conn:
            found = session_store.prepare(conn, project=call.project, request=key, key=request.session_key)
        if found.answer is not None:
            return None
        session, _ = open_session(found, request.session_key)
        target = target_of(session, found.extra)
        policy = self._policies.policy_for(ACTIVITY, target.priority, request.emission_policy)
        if not isinstance(policy, Batch):
            return None
        new = event_pb2.NewEvent(
            type=ACTIVITY,
            entity_type=session.target_type,
            entity_code=session.target_code,
            sprint_code=target.sprint_code,
            priority=target.priority,  # type: ignore[arg-type]  # the numbers are the same
            payload=to_struct(_payload(request)),
        )
        uid = target.uid if session.target_type == common_pb2.ENTITY_TYPE_SPRINT else ""
        return EmitRequest.from_activity(attached(call, session), key, new, uid, policy)


@dataclass
class _LogActivity(Write[SessionFacts]):
    message: session_pb2.LogActivityRequest
    policies: Policies
    answered: bool = False
    """True if the response was stored by an earlier request with this ``request_id``."""

    @property
    def locks(self) -> Sequence[Lock]:
        return [("session", self.message.session_key)]

    def prepare(self, conn: Connection) -> Prepared[SessionFacts]:
        found = session_store.prepare(
            conn, project=self.call.project, request=self.request, key=self.message.session_key
        )
        self.answered = found.answer is not None
        return found

    def decide(self, conn: Connection, found: Prepared[SessionFacts]) -> Change:
        call, message = self.call, self.message
        session, _ = open_session(found, message.session_key)
        target = target_of(session, found.extra)
        own_call = attached(call, session)
        event = change_event(
            own_call, ACTIVITY.removeprefix("orchestration."), found.now,
            entity=EntityType(session.target_type), code=session.target_code, uid=target.uid, revision=0,
            payload=_payload(message), sprint_code=target.sprint_code, priority=target.priority,
        )  # fmt: skip
        change = Change(
            EmitResult([str(event.event_id)], 1, 0).body(),
            sql=session_store.OPEN,
            params={"c_key": session.key},
            expected=1,
            events=[event],
            stamps=session_stamps(call, session, target),
        )
        policy = self.policies.policy_for(ACTIVITY, target.priority, message.emission_policy)
        place = sample_position(call.project, own_call.session_key, own_call.correlation_id)
        if not isinstance(policy, Sample) or place < policy.rate:
            return change
        counted = SampledOut(
            call.project, found.now.replace(second=0, microsecond=0), ACTIVITY, event.actor,
            event.entity_type, event.entity_code, event.sprint_code,
        )  # fmt: skip
        return replace(change, response=EmitResult([""], 0, 0, 1).body(), events=(), sampled_out=[counted])


def _payload(request: session_pb2.LogActivityRequest) -> dict[str, Any]:
    payload: dict[str, Any] = {"kind": request.kind, "message": request.message}
    if request.HasField("payload"):
        payload["payload"] = plain(request.payload)
    return payload


def open_session(found: Prepared[object], key: str) -> tuple[common_pb2.Session, int]:
    """Return an open session and its revision.

    Raises NotFound if it does not exist, and FailedPrecondition if it is closed.
    """
    row = found.rows.get(key)
    if row is None:
        raise NotFound("session", key)
    session = common_pb2.Session.FromString(row.body)
    if session.status == common_pb2.SESSION_STATUS_COMPLETED:
        raise FailedPrecondition(
            f"session {key} is closed: start another", reason="SESSION_CLOSED", subject=f"session {key}"
        )
    return session, row.revision


class SessionTarget(NamedTuple):
    """The fields of the task or sprint of a session that the session's events carry."""

    uid: str
    sprint_code: str
    priority: int


def target_of(session: common_pb2.Session, facts: SessionFacts) -> SessionTarget:
    """Return the fields of a session's target that its events carry."""
    body = b"" if facts.target is None else facts.target.body
    if session.target_type == common_pb2.ENTITY_TYPE_TASK:
        task = task_pb2.Task.FromString(body)
        return SessionTarget(task.uid, task.sprint_code, task.priority)
    return SessionTarget(sprint_pb2.Sprint.FromString(body).uid, session.target_code, PRIORITY_DEFAULT)


def session_stamps(call: Call, session: common_pb2.Session, target: SessionTarget) -> list[Stamp]:
    """Return the stamp of a session's task for its event. The fields of a sprint never change: no stamp."""
    if session.target_type != common_pb2.ENTITY_TYPE_TASK or not target.uid:
        return []
    return [Stamp(call.project, session.target_code, target.sprint_code, target.priority)]


def attached(call: Call, session: common_pb2.Session, agent: str = "") -> Call:
    """Return the call as one of the session, with the session's correlation id unless the caller gave one.

    The answer carries that id, too.
    """
    correlation_id = call.correlation_id if call.correlated else session.correlation_id
    if call.answer is not None:
        call.answer.correlation_id = correlation_id
    return call._replace(
        correlation_id=correlation_id,
        session_key=session.key,
        agent=agent or call.agent or session.agent,
    )
