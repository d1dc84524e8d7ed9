"""Sessions: an agent's work on one task or sprint, from start to end."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from orchestration._async.contexts import AsyncContextCalls
from orchestration.errors import LedgerError
from orchestration.model.context_records import Context
from orchestration.model.records import Session
from orchestration.model.requests import context_options, one_target
from orchestration.model.words import SESSION_OUTCOMES, SESSION_STATUSES, SessionOutcome, SessionStatus
from orchestration.structs import struct
from orchestration.v1.session_pb2 import (
    CloseSessionRequest,
    GetSessionRequest,
    InitAgentRequest,
    ListSessionsRequest,
    LogActivityRequest,
    PauseSessionRequest,
)

_log = logging.getLogger("orchestration")


class AsyncSessionCalls(AsyncContextCalls):
    """The part of the ledger that manages sessions."""

    async def session(
        self,
        *,
        task: str = "",
        sprint: str = "",
        key: str = "",
        agent: str = "",
        new: bool = False,
        new_key: str = "",
        metadata: Mapping[str, Any] | None = None,
        tokens: int = 0,
        request_id: str = "",
    ) -> AsyncSessionHandle:
        """Start a session on a task or sprint, or resume one. Name one of task, sprint and key.

        If the agent has an open session on the task or sprint, it is resumed, unless ``new`` is set. Leaving
        a ``with`` block closes the session as succeeded, or as failed if an exception leaves the block.

        Args:
            task: The code of the task.
            sprint: The code of the sprint.
            key: The key of the session to resume, as another agent may do.
            agent: The agent; empty for the agent of the ledger.
            new: Start a new session even if the agent has an open one.
            new_key: The key of the session to start; empty for one that the server generates.
            metadata: Custom fields of a session that is started, as JSON values.
            tokens: The most tokens of the context, 200 to 1,000,000; 0 for no limit.
            request_id: An id to repeat the call safely after a crash of the caller.

        Raises:
            NotFound: The task, sprint or session does not exist.
            SessionClosed: The session is completed.
            AlreadyExists: ``new_key`` is or was in use.
        """
        request = InitAgentRequest(
            **one_target(task=task, sprint=sprint, session=key),
            agent=agent,
            force_new=new,
            new_session_key=new_key,
            metadata=struct("metadata", metadata) if metadata else None,
            context_options=context_options(
                tokens=tokens, since="", max_events=0, omit=(), include_ids=False
            ),
            request_id=request_id,
        )
        answer = await self.call(self.raw.sessions.InitAgent, request)
        return AsyncSessionHandle(
            self, Session.of(answer.session), Context.of(answer.context), resumed=answer.resumed
        )

    async def get_session(self, key: str) -> Session:
        """Return a session.

        Args:
            key: The key of the session.

        Raises:
            NotFound: The session does not exist.
        """
        request = GetSessionRequest(session_key=key)
        return Session.of((await self.call(self.raw.sessions.GetSession, request)).session)

    def sessions(
        self,
        *,
        status: SessionStatus | Iterable[SessionStatus] = (),
        agent: str = "",
        task: str = "",
        sprint: str = "",
        page_size: int = 0,
    ) -> AsyncIterator[Session]:
        """Iterate over the sessions that match all filters, newest first.

        Args:
            status: Only sessions with this status, or one of these.
            agent: Only sessions of this agent.
            task: Only sessions on this task.
            sprint: Only sessions on this sprint itself.
            page_size: The number of sessions that one call reads, up to 500; 0 for 50.
        """
        target = one_target(task=task, sprint=sprint, session="") if task or sprint else {}
        request = ListSessionsRequest(
            statuses=SESSION_STATUSES.numbers(status), agent=agent, page_size=page_size, **target
        )
        return self._pages(self.raw.sessions.ListSessions, request, Session.of)


class AsyncSessionHandle:
    """A session and what can be done with it.

    Attributes:
        key: The key of the session, for ``session`` of a ledger whose calls belong to it.
        record: The session, as the last answer has it.
        context: What the agent needs to know, as of the start.
        resumed: True if the session existed before.
    """

    def __init__(
        self, ledger: AsyncSessionCalls, record: Session, context: Context, *, resumed: bool
    ) -> None:
        self._ledger = ledger
        self.key = record.key
        self.record = record
        self.context = context
        self.resumed = resumed

    def __repr__(self) -> str:
        return f"<session {self.key} {self.record.status} of {self.record.agent}>"

    async def prompt(self, tokens: int = 0) -> str:
        """Return what the agent needs to know now as Markdown, for a model.

        Args:
            tokens: The most tokens, 200 to 1,000,000; 0 for no limit.
        """
        return await self._ledger.prompt(session=self.key, tokens=tokens)

    async def log(self, message: str, kind: str = "progress", **fields: Any) -> None:
        """Log what the agent did.

        Args:
            message: What it did, in 1 to 10,000 characters.
            kind: The kind of activity, such as "progress" or "decision".
            fields: JSON values that the payload of the event gets.

        Raises:
            SessionClosed: The session is completed.
        """
        request = LogActivityRequest(
            session_key=self.key,
            kind=kind,
            message=message,
            payload=struct("fields", fields) if fields else None,
        )
        await self._ledger.call(self._ledger.raw.sessions.LogActivity, request)

    async def note(self, message: str) -> None:
        """Leave a note for the next agent, which the contexts of the task or sprint show.

        Args:
            message: The note, in 1 to 10,000 characters.

        Raises:
            SessionClosed: The session is completed.
        """
        await self.log(message, "handover")

    async def pause(self, reason: str = "") -> Session:
        """Set the session aside. The same agent or another one can resume it.

        Args:
            reason: The reason, which the next agent sees.

        Raises:
            SessionClosed: The session is completed.
        """
        request = PauseSessionRequest(session_key=self.key, reason=reason)
        answer = await self._ledger.call(self._ledger.raw.sessions.PauseSession, request)
        self.record = Session.of(answer.session)
        return self.record

    async def close(self, summary: str = "", outcome: SessionOutcome = "succeeded") -> Session:
        """Close the session, which ends the attempts that it holds.

        Args:
            summary: What was done, in up to 10,000 characters.
            outcome: "succeeded", "failed", "handed_over" or "abandoned".

        Raises:
            SessionClosed: The session is completed already.
        """
        request = CloseSessionRequest(
            session_key=self.key, summary=summary, outcome=SESSION_OUTCOMES.number(outcome)
        )
        answer = await self._ledger.call(self._ledger.raw.sessions.CloseSession, request)
        self.record = Session.of(answer.session)
        return self.record

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.record.status != "active":
            return
        if error is None:
            await self.close()
            return
        try:
            if isinstance(error, Exception):
                await self.close(f"{type(error).__name__}: {error}"[:10_000], "failed")
            else:
                await self.pause(f"interrupted by {type(error).__name__}")
        except LedgerError as refused:
            _log.warning("session %s was not closed: %s", self.key, refused)
