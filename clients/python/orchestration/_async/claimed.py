"""Work on a claimed task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from orchestration._async.claim import AsyncWork
from orchestration._async.sessions import AsyncSessionCalls
from orchestration.model.context_records import Context
from orchestration.model.records import Budget, RetryPolicy, Task
from orchestration.model.requests import Words, task_update
from orchestration.model.words import DIRECTIVES, Directive, Priority, TaskStatus
from orchestration.model.work_records import Artifact, Attempt, Lease, Usage
from orchestration.reasons import translated

MAX_REASON = 2_000
"""The most characters of the reason of an attempt."""


class AsyncClaimedWork:
    """A claimed task. Its lease is kept by heartbeats until the work ends or the lease is lost.

    Use it in a ``with`` block: if the block ends without ``done`` or another end, the task is given back, and
    if an exception leaves the block, the attempt has failed and the task is ready again after a pause.

    Attributes:
        raw: The work of the client, whose ``lost`` is an event to wait for.
    """

    def __init__(self, ledger: AsyncSessionCalls, raw: AsyncWork) -> None:
        self._ledger = ledger
        self.raw = raw

    def __repr__(self) -> str:
        return f"<work on {self.code}, attempt {self.raw.lease.attempt}: {self.raw.task.title}>"

    @property
    def code(self) -> str:
        """The code of the task."""
        return self.raw.task.code

    @property
    def task(self) -> Task:
        """The task, as the last answer has it."""
        return Task.of(self.raw.task)

    @property
    def lease(self) -> Lease:
        """The lease, as the claim returned it."""
        return Lease.of(self.raw.lease)

    @property
    def fence(self) -> int:
        """The fence of the lease, for systems outside the ledger that can refuse an older one."""
        return self.raw.fence

    @property
    def lost(self) -> bool:
        """True if the lease is lost. Stop the work: another agent may have the task."""
        return self.raw.lost.is_set()

    @property
    def ended(self) -> bool:
        """True if the work has ended: by ``done`` or another end, or by the loss of the lease."""
        return self.raw.ended or self.lost

    @property
    def directive(self) -> Directive:
        """The directive of the last heartbeat: "continue", "pause", "cancel" or "drain"."""
        return DIRECTIVES.word(self.raw.directive)

    @property
    def directive_reason(self) -> str:
        """Why, and by whom."""
        return self.raw.directive_reason

    @property
    def budget_left(self) -> Budget:
        """What is left of the budget of the task, by the last heartbeat. No limits if it has none."""
        return Budget.of(self.raw.budget_left)

    def check(self) -> None:
        """Raise LeaseLost if the lease is lost. Call it before an effect outside the ledger."""
        self.raw.check()

    def report(self, usage: Usage) -> None:
        """Report by each heartbeat from now on what the attempt has used since its start.

        Args:
            usage: What the attempt has used.
        """
        self.raw.report(usage.message())

    async def context(self, tokens: int = 0) -> Context:
        """Return what an agent needs to know about the task.

        Args:
            tokens: The most tokens, 200 to 1,000,000; 0 for no limit.
        """
        return await self._ledger.context(task=self.code, tokens=tokens)

    async def prompt(self, tokens: int = 0) -> str:
        """Return what an agent needs to know about the task as Markdown, for a model.

        Args:
            tokens: The most tokens, 200 to 1,000,000; 0 for no limit.
        """
        return await self._ledger.prompt(task=self.code, tokens=tokens)

    async def log(self, message: str, kind: str = "note", **fields: Any) -> None:
        """Log what the agent did: an activity of the ledger's session, or else an event about the task.

        Args:
            message: What it did, in 1 to 10,000 characters.
            kind: The kind of activity, such as "note" or "decision".
            fields: JSON values that the payload of the event gets.
        """
        with translated:
            await self.raw.log(message, kind, **fields)

    async def update(
        self,
        *,
        title: str | None = None,
        description: str | None = None,
        sprint: str | None = None,
        status: TaskStatus | None = None,
        priority: Priority | None = None,
        phase: str | None = None,
        assignee: str | None = None,
        labels: Words | None = None,
        objectives: Words | None = None,
        deliverables: Words | None = None,
        accept: Words | None = None,
        capabilities: Words | None = None,
        config: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        not_before: datetime | None = None,
        due: datetime | None = None,
        retry: RetryPolicy | None = None,
        completed_by_children: bool | None = None,
        clear: Words = (),
    ) -> Task:
        """Change fields of the task, with the fence. A parameter that is None leaves its field as it is.

        Args:
            title: The new title.
            description: The new description.
            sprint: The code of the new sprint.
            status: The new status.
            priority: The new priority.
            phase: The new phase.
            assignee: The new assignee.
            labels: The new labels, which replace all others; so do the other lists.
            objectives: What the task is to achieve.
            deliverables: What the task is to produce.
            accept: The conditions under which the task is done.
            capabilities: What an agent has to be able to do to claim the task.
            config: Settings for the agent, which replace all others.
            metadata: Custom fields, which replace all others.
            not_before: The task is not ready before this time.
            due: When the task should be done.
            retry: What follows a failed attempt.
            completed_by_children: True if the last of its children completes the task.
            clear: The names of parameters whose fields are emptied, such as "due".

        Raises:
            LeaseLost: The lease is lost.
            StaleFence: The lease has ended.
        """
        self.check()
        given = {
            "title": title, "description": description, "sprint": sprint, "status": status,
            "priority": priority, "phase": phase, "assignee": assignee, "labels": labels,
            "objectives": objectives, "deliverables": deliverables, "accept": accept,
            "capabilities": capabilities, "config": config, "metadata": metadata, "not_before": not_before,
            "due": due, "retry": retry, "completed_by_children": completed_by_children,
        }  # fmt: skip
        request = task_update(
            self.code, given, clear=clear, expected_revision=0, fence=self.fence, request_id=""
        )
        self.raw.task = (await self._ledger.call(self._ledger.raw.tasks.UpdateTask, request)).task
        return self.task

    async def done(
        self, summary: str = "", *, usage: Usage | None = None, artifacts: Iterable[Artifact] = ()
    ) -> Attempt:
        """Complete the task.

        Args:
            summary: What was done, in up to 2,000 characters.
            usage: What the attempt used; None for what was reported last.
            artifacts: What the attempt produced.

        Raises:
            LeaseLost: The lease is lost.
            StaleFence: The lease has ended.
        """
        made = [each.message() for each in artifacts]
        used = None if usage is None else usage.message()
        with translated:
            return Attempt.of(await self.raw.finish(_reason(summary), usage=used, artifacts=made))

    async def hand_over(self, note: str) -> Attempt:
        """Give the task back with a note for the next agent, whose context shows it.

        A note of more than 2,000 characters, or one of a ledger with a session, is logged in a session before
        the task is given back.

        Args:
            note: What is done, what is not, and what the next agent should know, in 1 to 10,000 characters.

        Raises:
            LeaseLost: The lease is lost.
            StaleFence: The lease has ended.
        """
        self.check()
        if not note:
            raise ValueError("a note for the next agent has at least one character")
        if self.raw.session_key:
            await self.log(note, "handover")
        elif len(note) > MAX_REASON:
            session = await self._ledger.session(task=self.code, new=True)
            await session.note(note)
            await session.close("the note has the rest", "handed_over")
        else:
            return await self.give_back(note)
        return await self.give_back("handed over with a note")

    async def fail(
        self,
        reason: str,
        *,
        retryable: bool = True,
        usage: Usage | None = None,
        artifacts: Iterable[Artifact] = (),
    ) -> Attempt:
        """End the attempt as failed. The retry policy of the task decides what follows.

        Args:
            reason: Why it failed, in up to 2,000 characters.
            retryable: False if another try cannot succeed; the task is then blocked.
            usage: What the attempt used; None for what was reported last.
            artifacts: What the attempt produced.

        Raises:
            LeaseLost: The lease is lost.
            StaleFence: The lease has ended.
        """
        made = [each.message() for each in artifacts]
        used = None if usage is None else usage.message()
        with translated:
            return Attempt.of(
                await self.raw.fail(_reason(reason), retryable=retryable, usage=used, artifacts=made)
            )

    async def give_back(self, reason: str = "") -> Attempt:
        """Give the task back without a fault of the task, which is ready again at once.

        Args:
            reason: Why, in up to 2,000 characters.

        Raises:
            LeaseLost: The lease is lost.
            StaleFence: The lease has ended.
        """
        with translated:
            return Attempt.of(await self.raw.give_back(_reason(reason)))

    async def block(self, reason: str) -> Attempt:
        """End the attempt because the task cannot continue for now, and block the task.

        Args:
            reason: Why, in 1 to 2,000 characters.

        Raises:
            LeaseLost: The lease is lost.
            StaleFence: The lease has ended.
        """
        with translated:
            return Attempt.of(await self.raw.block(_reason(reason)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with translated:
            await self.raw.leave(error)


def _reason(text: str) -> str:
    if len(text) > MAX_REASON:
        raise ValueError(f"{len(text)} characters are too many: a reason or summary has up to {MAX_REASON}")
    return text
