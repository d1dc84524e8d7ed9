"""Contexts: what an agent needs to know before it starts."""

from __future__ import annotations

from collections.abc import Iterable

from orchestration._async.calls import AsyncCalls
from orchestration.model.context_records import Context
from orchestration.model.requests import context_options, one_target
from orchestration.model.words import ContextPart
from orchestration.v1.context_pb2 import CONTEXT_FORMAT_MARKDOWN, AssembleContextRequest, ContextOptions


class AsyncContextCalls(AsyncCalls):
    """The part of the ledger that assembles contexts."""

    async def context(
        self,
        *,
        task: str = "",
        sprint: str = "",
        session: str = "",
        tokens: int = 0,
        since: str = "",
        max_events: int = 0,
        omit: ContextPart | Iterable[ContextPart] = (),
        include_ids: bool = False,
    ) -> Context:
        """Return what an agent needs to know about a task, a sprint or a session. Name one of them.

        Args:
            task: The code of the task.
            sprint: The code of the sprint.
            session: The key of the session.
            tokens: The most tokens of the context, 200 to 1,000,000; 0 for no limit.
            since: The ``cursor`` of an earlier context of the same target, to get only what changed since.
            max_events: The most events, the last ones, up to 500; 0 for 100.
            omit: Sections to leave out, such as "events".
            include_ids: Also return ids, hashes and exact times.

        Raises:
            NotFound: The target does not exist.
            CursorInvalid: ``since`` is not a cursor of this project.
        """
        request = AssembleContextRequest(
            **one_target(task=task, sprint=sprint, session=session),
            options=context_options(
                tokens=tokens, since=since, max_events=max_events, omit=omit, include_ids=include_ids
            ),
        )
        return Context.of((await self.call(self.raw.contexts.AssembleContext, request)).context)

    async def prompt(self, *, task: str = "", sprint: str = "", session: str = "", tokens: int = 0) -> str:
        """Return the context of a task, a sprint or a session as Markdown, for a model.

        The server writes it. Text that others wrote cannot pass for its headings and lines.

        Args:
            task: The code of the task.
            sprint: The code of the sprint.
            session: The key of the session.
            tokens: The most tokens of the text, 200 to 1,000,000; 0 for no limit.

        Raises:
            NotFound: The target does not exist.
        """
        request = AssembleContextRequest(
            **one_target(task=task, sprint=sprint, session=session),
            options=ContextOptions(token_budget=tokens, format=CONTEXT_FORMAT_MARKDOWN),
        )
        return (await self.call(self.raw.contexts.AssembleContext, request)).context.markdown
