"""Claims: who works on a task, and the attempts at it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Self

from orchestration._async.claimed import AsyncClaimedWork
from orchestration._async.graph import AsyncGraphCalls
from orchestration._async.sessions import AsyncSessionCalls
from orchestration.model import requests
from orchestration.model.requests import Words
from orchestration.model.times import async_sleep, monotonic, seconds_of
from orchestration.model.words import Priority
from orchestration.model.work_records import Attempt, Lease
from orchestration.reasons import NotFound, Overloaded, TaskHeld, TaskNotReady, translated
from orchestration.v1.coordination_pb2 import ClaimTaskRequest, ListAttemptsRequest, ListLeasesRequest

LONGEST_WAIT = 60.0
"""The longest wait of one call, in seconds."""
OVERLOADED_SECONDS = 60.0
"""The longest time for which a loop asks a server again that is at a limit, in seconds."""
LOOK_AGAIN = 5.0
"""The seconds between two looks for a task that a loop has not given back."""

_log = logging.getLogger("orchestration")


class AsyncWorkCalls(AsyncSessionCalls, AsyncGraphCalls):
    """The part of the ledger that claims tasks."""

    async def claim(
        self,
        code: str,
        *,
        capabilities: Words = (),
        provider: str = "",
        lease: float | timedelta = 90.0,
        deadline: float | timedelta | None = None,
        request_id: str = "",
    ) -> AsyncClaimedWork:
        """Claim a task by its code, and keep its lease by heartbeats.

        Args:
            code: The code of the task.
            capabilities: What the agent can do.
            provider: The provider of the agent's model, for limits of providers.
            lease: How long the lease lasts without a heartbeat, in seconds or as a timedelta: 10 seconds to a
                day.
            deadline: How long the attempt may take at most; None for no limit.
            request_id: An id to get the same lease again after a crash of the caller.

        Raises:
            NotFound: The task does not exist or is deleted.
            TaskHeld: Another holder has a lease of the task.
            TaskNotReady: The task is not ready. ``why`` tells more.
        """
        request = requests.claim(
            code, capabilities=capabilities, provider=provider, lease=lease, deadline=deadline,
            request_id=request_id,
        )  # fmt: skip
        (work,) = await self.take(request)
        return work

    async def claim_next(
        self,
        *,
        sprint: str = "",
        labels: Words = (),
        priority: Priority | Iterable[Priority] = (),
        capabilities: Words = (),
        provider: str = "",
        lease: float | timedelta = 90.0,
        deadline: float | timedelta | None = None,
        wait: float | timedelta = 0.0,
        request_id: str = "",
    ) -> AsyncClaimedWork | None:
        """Claim the next ready task that matches, and keep its lease by heartbeats.

        Args:
            sprint: Only tasks of this sprint.
            labels: Only tasks with all of these labels.
            priority: Only tasks with this priority, or one of these.
            capabilities: What the agent can do.
            provider: The provider of the agent's model, for limits of providers.
            lease: How long the lease lasts without a heartbeat, in seconds or as a timedelta: 10 seconds to a
                day.
            deadline: How long the attempt may take at most; None for no limit.
            wait: How long to wait for a ready task, in seconds or as a timedelta: up to 60 seconds.
            request_id: An id to get the same lease again after a crash of the caller.

        Returns:
            The work, or None if no task was ready in time.
        """
        request = requests.claim(
            sprint=sprint, labels=labels, priorities=priority, capabilities=capabilities, provider=provider,
            lease=lease, deadline=deadline, wait=seconds_of(wait), request_id=request_id,
        )  # fmt: skip
        taken = await self.take(request)
        return taken[0] if taken else None

    async def claim_many(
        self,
        count: int,
        *,
        sprint: str = "",
        labels: Words = (),
        priority: Priority | Iterable[Priority] = (),
        capabilities: Words = (),
        provider: str = "",
        lease: float | timedelta = 90.0,
        deadline: float | timedelta | None = None,
        wait: float | timedelta = 0.0,
        request_id: str = "",
    ) -> list[AsyncClaimedWork]:
        """Claim the next ready tasks that match, in one call, and keep their leases by heartbeats.

        Args:
            count: The most tasks to claim, 1 to 100.
            sprint: Only tasks of this sprint.
            labels: Only tasks with all of these labels.
            priority: Only tasks with this priority, or one of these.
            capabilities: What the agent can do.
            provider: The provider of the agent's model, for limits of providers.
            lease: How long the leases last without a heartbeat, in seconds or as a timedelta: 10 seconds to a
                day.
            deadline: How long each attempt may take at most; None for no limit.
            wait: How long to wait for a first ready task, in seconds or as a timedelta: up to 60 seconds.
            request_id: An id to get the same leases again after a crash of the caller.

        Returns:
            The work on each task, each for a ``with`` block; empty if no task was ready in time.
        """
        if count < 1:
            raise ValueError("count is at least 1")
        request = requests.claim(
            sprint=sprint, labels=labels, priorities=priority, capabilities=capabilities, provider=provider,
            lease=lease, deadline=deadline, wait=seconds_of(wait), count=count, request_id=request_id,
        )  # fmt: skip
        return await self.take(request)

    def claims(
        self,
        *,
        sprint: str = "",
        labels: Words = (),
        priority: Priority | Iterable[Priority] = (),
        capabilities: Words = (),
        provider: str = "",
        lease: float | timedelta = 90.0,
        deadline: float | timedelta | None = None,
        wait: float | timedelta | None = 0.0,
    ) -> AsyncClaims:
        """Iterate over ready tasks: claim one, work on it, and claim the next, until none is ready.

        A task that this loop gave back, by ``hand_over`` or by leaving its block, is not claimed again by the
        loop: other agents may have it. Work that has not ended when the loop goes on is given back.

        Args:
            sprint: Only tasks of this sprint.
            labels: Only tasks with all of these labels.
            priority: Only tasks with this priority, or one of these.
            capabilities: What the agent can do.
            provider: The provider of the agent's model, for limits of providers.
            lease: How long a lease lasts without a heartbeat, in seconds or as a timedelta: 10 seconds to a
                day.
            deadline: How long each attempt may take at most; None for no limit.
            wait: How long to wait for the next ready task before the loop ends, in seconds or as a timedelta;
                None to wait for ever.
        """
        request = requests.claim(
            sprint=sprint, labels=labels, priorities=priority, capabilities=capabilities, provider=provider,
            lease=lease, deadline=deadline,
        )  # fmt: skip
        return AsyncClaims(self, request, None if wait is None else seconds_of(wait))

    async def take(self, request: ClaimTaskRequest) -> list[AsyncClaimedWork]:
        """Claim what a request asks for, and keep the leases by heartbeats.

        Args:
            request: The request.

        Raises:
            LedgerError: The class of the error's reason.
        """
        with translated:
            taken = await self.raw.claim_of(request).take()
        return [AsyncClaimedWork(self, work) for work in taken]

    def leases(self, *, agent: str = "", session: str = "", page_size: int = 0) -> AsyncIterator[Lease]:
        """Iterate over the valid leases of the project, by task.

        Args:
            agent: Only leases of this agent.
            session: Only leases of this session.
            page_size: The number of leases that one call reads, up to 500; 0 for 50.
        """
        request = ListLeasesRequest(agent=agent, session_key=session, page_size=page_size)
        return self._pages(self.raw.coordination.ListLeases, request, Lease.of)

    def attempts(self, code: str, *, page_size: int = 0) -> AsyncIterator[Attempt]:
        """Iterate over the attempts at a task, newest first.

        Args:
            code: The code of the task.
            page_size: The number of attempts that one call reads, up to 500; 0 for 50.

        Raises:
            NotFound: The task never existed. Raised by the first step of the iteration.
        """
        request = ListAttemptsRequest(task_code=code, page_size=page_size)
        return self._pages(self.raw.coordination.ListAttempts, request, Attempt.of)


class AsyncClaims:
    """An iterator that claims the next ready task at each step."""

    def __init__(self, ledger: AsyncWorkCalls, request: ClaimTaskRequest, wait: float | None) -> None:
        self._ledger = ledger
        self._request = request
        self._wait = wait
        self._last: AsyncClaimedWork | None = None
        self._given_back: set[str] = set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AsyncClaimedWork:
        await self._leave_last()
        until = None if self._wait is None else monotonic() + self._wait
        while True:
            left = LONGEST_WAIT if until is None else max(0.0, until - monotonic())
            self._last = await self._next(left)
            if self._last is not None:
                return self._last
            if until is not None and monotonic() >= until:
                raise StopAsyncIteration

    async def _leave_last(self) -> None:
        work, self._last = self._last, None
        if work is None:
            return
        if not work.ended:
            _log.warning("the loop went on before the work on %s had ended: it is given back", work.code)
            await work.give_back("the loop went on before the work had ended")
        if work.raw.given_back:
            self._given_back.add(work.code)

    async def _next(self, left: float) -> AsyncClaimedWork | None:
        request = ClaimTaskRequest()
        request.CopyFrom(self._request)
        if not self._given_back:
            if left:
                request.wait.FromTimedelta(timedelta(seconds=min(left, LONGEST_WAIT)))
            taken = await self._take(request)
            return taken[0] if taken else None
        work = await self._other(request)
        if work is None and left:
            await async_sleep(min(left, LOOK_AGAIN))
        return work

    async def _take(self, request: ClaimTaskRequest) -> list[AsyncClaimedWork]:
        """Claim. If the server is at a limit, wait as long as it says and send the same request again."""
        until = monotonic() + OVERLOADED_SECONDS
        while True:
            try:
                return await self._ledger.take(request)
            except Overloaded as error:
                if error.retry_delay is None or monotonic() + error.retry_delay > until:
                    raise
                _log.warning("the server is at a limit: the next claim in %.1f s", error.retry_delay)
                await async_sleep(error.retry_delay)

    async def _other(self, request: ClaimTaskRequest) -> AsyncClaimedWork | None:
        """Claim the next ready task that this loop has not given back, by its code.

        A claim has no filter for that: it would get the same task again and again.
        """
        async for task in self._ledger.ready(sprint=request.sprint_code, page_size=500):
            if task.code in self._given_back or not requests.matches(
                task.raw,
                labels=request.labels,
                priorities=request.priorities,
                capabilities=request.capabilities,
            ):
                continue
            named = ClaimTaskRequest()
            named.CopyFrom(request)
            named.task_code = task.code
            for name in ("sprint_code", "labels", "priorities"):
                named.ClearField(name)
            try:
                (work,) = await self._take(named)
            except (TaskHeld, TaskNotReady, NotFound):
                continue
            return work
        return None
