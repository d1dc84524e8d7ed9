"""SessionService: sessions of agents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, LiteralString

from uuid_utils import uuid7

from orchestration.v1 import common_pb2, context_pb2, session_pb2
from orchestration_server.auth.session_tracker import SessionTracker
from orchestration_server.codec.content import field_changes, session_content, snapshot
from orchestration_server.codec.cursors import CursorSigner, page_size
from orchestration_server.codec.entities import SESSION
from orchestration_server.codec.events import change_event
from orchestration_server.codec.requests import request_key
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.codec.wire import PAGE_TOKEN_FIELD, RESULT_FIELD, embed, embed_all
from orchestration_server.context.broker import Broker, Target
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import AlreadyExists, InvalidArgument, NotFound
from orchestration_server.model import ENTITY_NAMES, Call, EntityType, EventRow
from orchestration_server.services.activities import (
    Activities,
    attached,
    open_session,
    session_stamps,
    target_of,
)
from orchestration_server.services.context import TARGET_TYPES
from orchestration_server.store import events as event_store
from orchestration_server.store import sessions as session_store
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.sessions import SessionFacts
from orchestration_server.store.writes import Change
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.write import Lock, Write

_ACTIVE = common_pb2.SESSION_STATUS_ACTIVE
_PAUSED = common_pb2.SESSION_STATUS_PAUSED
_COMPLETED = common_pb2.SESSION_STATUS_COMPLETED
_LAST_ACTIVITY_TIME = common_pb2.Session.LAST_ACTIVITY_TIME_FIELD_NUMBER
_INIT = session_pb2.InitAgentResponse
_RESUMED = session_pb2.InitAgentResponse(resumed=True).SerializeToString()
_FROM_CACHE = session_pb2.InitAgentResponse(from_cache=True).SerializeToString()
_CONTEXT_FROM_CACHE = session_pb2.GetSessionContextResponse(from_cache=True).SerializeToString()
_NEXT_STEPS = context_pb2.CONTEXT_SECTION_NEXT_STEPS
_FOR_STEPS = context_pb2.ContextOptions(
    page_size=1,
    omit_sections=[context_pb2.CONTEXT_SECTION_EVENTS, context_pb2.CONTEXT_SECTION_FILES],
)
_SHORT = {"T": "task_code", "S": "sprint_code", "SESSION": "session_key"}


class SessionService:
    """The rpcs of SessionService."""

    def __init__(
        self,
        db: Database,
        gate: Gate,
        cursors: CursorSigner,
        broker: Broker,
        session_tracker: SessionTracker,
        activities: Activities,
    ) -> None:
        self._activities = activities
        self._broker = broker
        self._db = db
        self._gate = gate
        self._session_tracker = session_tracker
        self._cursors = cursors

    def InitAgent(self, request: session_pb2.InitAgentRequest, call: Call) -> bytes:
        if not (request.agent or call.agent):
            raise InvalidArgument({"agent": "is required, here or as orchestration-agent in the metadata"})
        agent = request.agent or call.agent
        target, name = _requested_target(request)
        if target == "session_key":
            stored = self._resume(call, request, name, agent)
        else:
            stored = self._begin(call, request, TARGET_TYPES[target], name, agent)
        session = session_pb2.InitAgentResponse.FromString(stored).session
        self._session_tracker.remember(call.project, session.key, session.correlation_id)
        self._session_tracker.touch(call.project, session.key)
        return stored + self._briefing(call, session.key, request.context_options)

    def _resume(self, call: Call, message: session_pb2.InitAgentRequest, key: str, agent: str) -> bytes:
        check = partial(self._check, call, message)
        return self._gate.write(_ResumeSession(call, request_key(call, message), key, agent, check))

    def _check(self, call: Call, message: session_pb2.InitAgentRequest, key: str) -> None:
        """Raise the errors that the briefing would raise, before the session is written."""
        self._broker.check(call, Target(EntityType.SESSION, key), message.context_options)

    def _begin(
        self, call: Call, message: session_pb2.InitAgentRequest, kind: EntityType, code: str, agent: str
    ) -> bytes:
        """Resume the agent's newest open session on the target, or start one."""
        return self._gate.write(_BeginSession(
            call, request_key(call, message), message, kind, code, agent, partial(self._check, call, message)
        ))  # fmt: skip

    def _briefing(self, call: Call, key: str, options: context_pb2.ContextOptions) -> bytes:
        """Return the rest of InitAgentResponse: the current context, and all next steps."""
        target = Target(EntityType.SESSION, key)
        found = self._broker.assemble(call, target, options)
        context = context_pb2.Context.FromString(found.body)
        cut = [trim.section for trim in context.trimmed] + [*context.unchanged, *options.omit_sections]
        steps = context.next_steps
        if _NEXT_STEPS in cut or context.markdown:
            whole = self._broker.assemble(call, target, _FOR_STEPS)
            steps = context_pb2.Context.FromString(whole.body).next_steps
        body = embed(_INIT.CONTEXT_FIELD_NUMBER, found.body) + embed_all(
            _INIT.NEXT_STEPS_FIELD_NUMBER, [step.encode() for step in steps]
        )
        return body + (_FROM_CACHE if found.from_cache else b"")

    def GetSession(self, request: session_pb2.GetSessionRequest, call: Call) -> bytes:
        with self._db.connection(call) as conn:
            found = session_store.get(conn, project=call.project, key=request.session_key)
        if found is None:
            raise NotFound("session", request.session_key)
        return embed(RESULT_FIELD, _with_activity(found[1], found[0]))

    def ListSessions(self, request: session_pb2.ListSessionsRequest, call: Call) -> bytes:
        field = request.WhichOneof("target")
        target = None if field is None else (int(TARGET_TYPES[field]), str(getattr(request, field)))
        statuses = sorted(set(request.statuses))
        scope = ["sessions", call.project, target, request.agent, statuses]
        position = self._cursors.page_position(request.page_token, scope)
        with self._db.connection(call) as conn:
            page = session_store.list_page(
                conn, project=call.project, target=target, agent=request.agent, statuses=statuses,
                after=None if position is None else (datetime.fromisoformat(position[0]), position[1]),
                limit=page_size(request.page_size),
            )  # fmt: skip
        body = embed_all(RESULT_FIELD, [_with_activity(row.body, row.last_activity) for row in page.rows])
        if page.more:
            last = page.rows[-1]
            token = self._cursors.page_token(scope, [last.create_time.isoformat(), last.key])
            body += embed(PAGE_TOKEN_FIELD, token.encode())
        return body

    def GetSessionContext(self, request: session_pb2.GetSessionContextRequest, call: Call) -> bytes:
        target = Target(EntityType.SESSION, request.session_key)
        found = self._broker.assemble(call, target, request.options)
        return embed(RESULT_FIELD, found.body) + (_CONTEXT_FROM_CACHE if found.from_cache else b"")

    def LogActivity(self, request: session_pb2.LogActivityRequest, call: Call) -> bytes:
        emitted = self._activities.log(request, call)
        self._session_tracker.touch(call.project, request.session_key)
        if emitted.sampled_out:
            return session_pb2.LogActivityResponse(sampled_out=True).SerializeToString()
        with self._db.connection(call) as conn:
            stored = event_store.get(conn, project=call.project, event_id=emitted.ids[0])
        if stored is None:
            raise NotFound("event", emitted.ids[0])
        return embed(RESULT_FIELD, self._cursors.event_bytes(stored))

    def PauseSession(self, request: session_pb2.PauseSessionRequest, call: Call) -> bytes:
        return self._gate.write(
            _PauseSession(call, request_key(call, request), request.session_key, request.reason)
        )

    def CloseSession(self, request: session_pb2.CloseSessionRequest, call: Call) -> bytes:
        return self._gate.write(_CloseSession(call, request_key(call, request), request.session_key, request))


@dataclass
class _SessionWrite(Write[SessionFacts]):
    """A write of one session."""

    key: str

    @property
    def locks(self) -> Sequence[Lock]:
        return [("session", self.key)]

    def prepare(self, conn: Connection) -> Prepared[SessionFacts]:
        return session_store.prepare(conn, project=self.call.project, request=self.request, key=self.key)


@dataclass
class _ResumeSession(_SessionWrite):
    agent: str
    check: Callable[[str], None]
    """Raises if the session's context cannot be assembled as the caller asks."""

    def decide(self, conn: Connection, found: Prepared[SessionFacts]) -> Change:
        self.check(self.key)
        return _resumed(self.call, found, self.key, self.agent)


@dataclass
class _BeginSession(Write[SessionFacts]):
    message: session_pb2.InitAgentRequest
    kind: EntityType
    code: str
    agent: str
    check: Callable[[str], None]
    """Raises if the session's context cannot be assembled as the caller asks."""

    def __post_init__(self) -> None:
        self.uid = uuid7()
        self.key = self.message.new_session_key or f"ses_{self.uid.hex}"

    @property
    def locks(self) -> Sequence[Lock]:
        return [("session", self.key), ("agent", f"{self.agent}\0{self.kind}\0{self.code}")]

    @property
    def lock_first(self) -> bool:
        # The newest session may be one that does not exist yet: an agent's calls for one target take turns.
        # The revision protects the session that is resumed.
        return not self.message.force_new

    def prepare(self, conn: Connection) -> Prepared[SessionFacts]:
        return session_store.prepare_on_target(
            conn, project=self.call.project, request=self.request, target_type=self.kind, code=self.code,
            agent=self.agent, key=self.key,
        )  # fmt: skip

    def decide(self, conn: Connection, found: Prepared[SessionFacts]) -> Change:
        facts = found.extra
        _need_target(facts, self.kind, self.code)
        if facts.key and not self.message.force_new:
            self.check(facts.key)
            return _resumed(self.call, found, facts.key, self.agent)
        if facts.taken:
            raise AlreadyExists("session", self.key, deleted=False)
        self.check(self.key)
        session = common_pb2.Session(
            key=self.key,
            uid=str(self.uid),
            status=_ACTIVE,
            agent=self.agent,
            target_type=self.kind,  # type: ignore[arg-type]  # the numbers are the same
            target_code=self.code,
            correlation_id=self.call.correlation_id,
            create_time=to_timestamp(found.now),
        )
        if self.message.metadata.fields:
            session.metadata.CopyFrom(self.message.metadata)
            session.metadata.DiscardUnknownFields()
        return _changed(
            self.call, found, session, 0, "started", {}, agent=self.agent, activity=found.now,
            sql=session_store.INSERT,
        )  # fmt: skip


@dataclass
class _PauseSession(_SessionWrite):
    reason: str

    def decide(self, conn: Connection, found: Prepared[SessionFacts]) -> Change:
        session, revision = open_session(found, self.key)
        if session.status == _PAUSED:
            body, last_activity = found.rows[self.key].body, found.extra.last_activity
            assert last_activity is not None
            return Change(embed(RESULT_FIELD, _with_activity(body, last_activity)))
        before = session_content(session)
        session.status = _PAUSED
        session.pause_reason = self.reason
        return _updated(self.call, found, session, revision, "paused", before)


@dataclass
class _CloseSession(_SessionWrite):
    message: session_pb2.CloseSessionRequest

    def decide(self, conn: Connection, found: Prepared[SessionFacts]) -> Change:
        session, revision = open_session(found, self.key)
        before = session_content(session)
        session.status = _COMPLETED
        session.pause_reason = ""
        session.summary = self.message.summary
        session.outcome = self.message.outcome or common_pb2.SESSION_OUTCOME_SUCCEEDED
        return _updated(self.call, found, session, revision, "closed", before, sql=session_store.CLOSE)


def _requested_target(request: session_pb2.InitAgentRequest) -> tuple[str, str]:
    """Return the field of the requested target and its value, from the short form or the field itself."""
    if request.short_form:
        kind, _, name = request.short_form.partition(":")
        return _SHORT[kind], name
    field = request.WhichOneof("target") or ""
    return field, getattr(request, field)


def _with_activity(body: bytes, last_activity: datetime) -> bytes:
    """Return a session as callers see it: the stored message with the time of the last activity."""
    return body + embed(_LAST_ACTIVITY_TIME, to_timestamp(last_activity).SerializeToString())


def _need_target(facts: SessionFacts, kind: int, code: str) -> None:
    if facts.target is None or facts.target.deleted:
        raise NotFound(ENTITY_NAMES[kind], code)


def _resumed(call: Call, found: Prepared[SessionFacts], key: str, agent: str) -> Change:
    session, revision = open_session(found, key)
    _need_target(found.extra, session.target_type, session.target_code)
    before = session_content(session)
    session.status = _ACTIVE
    session.agent = agent
    session.pause_reason = ""
    return _updated(call, found, session, revision, "resumed", before, agent=agent)


def _updated(
    call: Call,
    found: Prepared[SessionFacts],
    session: common_pb2.Session,
    revision: int,
    name: str,
    before: dict[str, Any],
    agent: str = "",
    sql: LiteralString = session_store.UPDATE,
) -> Change:
    """Return the change of an existing session.

    A call of the session itself is an activity, and so is its resumption.
    """
    payload = {"changes": field_changes(before, session_content(session))}
    own = agent or call.session_key == session.key
    return _changed(
        call, found, session, revision, name, payload, agent=agent, activity=found.now if own else None,
        sql=sql,
    )  # fmt: skip


def _changed(
    call: Call,
    found: Prepared[SessionFacts],
    session: common_pb2.Session,
    revision: int,
    name: str,
    payload: dict[str, Any],
    *,
    agent: str,
    activity: datetime | None,
    sql: LiteralString,
) -> Change:
    """Return the change that makes a session its next revision, with the session as the response."""
    content = session_content(session)
    SESSION.advance(session, revision, content, found.now)
    payload |= snapshot(content, revision=session.revision, create_time=session.create_time)
    body = session.SerializeToString()
    target = target_of(session, found.extra)
    event: EventRow = change_event(
        attached(call, session, agent), f"session.{name}", found.now, entity=EntityType.SESSION,
        code=session.key, uid=session.uid, revision=session.revision, payload=payload,
        sprint_code=target.sprint_code, priority=target.priority,
    )  # fmt: skip
    last_activity = activity or found.extra.last_activity
    assert last_activity is not None
    response = embed(RESULT_FIELD, _with_activity(body, last_activity))
    return Change(
        response + (_RESUMED if name == "resumed" else b""),
        sql=sql,
        params=_columns(session, revision, body, activity, found.now),
        expected=1,
        events=[event],
        stamps=session_stamps(call, session, target),
    )


def _columns(
    session: common_pb2.Session, revision: int, body: bytes, activity: datetime | None, now: datetime
) -> dict[str, Any]:
    """Return the parameters of a session's row. ``revision`` is the one that the change is made from."""
    return {
        "c_key": session.key,
        "c_status": session.status,
        "c_agent": session.agent,
        "c_type": session.target_type,
        "c_code": session.target_code,
        "c_correlation": session.correlation_id,
        "c_activity": activity,
        "c_revision": revision,
        "c_update": now,
        "c_body": body,
    }
