"""Statuses, assignees, deletion and history of tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator

from orchestration._async.tasks import AsyncTaskCalls
from orchestration.model.history_records import Change
from orchestration.model.records import Task
from orchestration.model.words import (
    ENTITY_KINDS,
    EVENT_ORDERS,
    TASK_STATUSES,
    EntityKind,
    EventOrder,
    TaskStatus,
)
from orchestration.v1.event_pb2 import GetEntityHistoryRequest
from orchestration.v1.task_pb2 import DeleteTaskRequest, UpdateTaskStatusRequest


class AsyncStatusCalls(AsyncTaskCalls):
    """The part of the ledger that changes the status of tasks, without a claim."""

    async def set_status(
        self,
        code: str,
        status: TaskStatus,
        *,
        reason: str = "",
        expected_revision: int = 0,
        fence: int = 0,
        request_id: str = "",
    ) -> Task:
        """Change the status of a task. A task that has the status already stays as it is.

        Args:
            code: The code of the task.
            status: The new status.
            reason: The reason, which the history shows.
            expected_revision: The revision that the task must have; 0 for any.
            fence: The fence of the caller's lease, if the task is held.
            request_id: An id to repeat the call safely after a crash of the caller.

        Raises:
            NotFound: The task does not exist or is deleted.
            TransitionRefused: The status cannot change in this way.
            StaleRevision: The task has another revision.
            TaskHeld: Another holder has a lease of the task.
            StaleFence: The lease of ``fence`` has ended.
        """
        request = UpdateTaskStatusRequest(
            task_code=code,
            status=TASK_STATUSES.number(status),
            reason=reason,
            expected_revision=expected_revision,
            fence=fence,
            request_id=request_id,
        )
        return Task.of((await self.call(self.raw.tasks.UpdateTaskStatus, request)).task)

    async def start(self, code: str, reason: str = "") -> Task:
        """Set a task to "in_progress" without a claim. ``claim`` also keeps other agents away.

        Args:
            code: The code of the task.
            reason: The reason, which the history shows.

        Raises:
            NotFound: The task does not exist or is deleted.
            TransitionRefused: The task is cancelled.
            TaskHeld: Another holder has a lease of the task.
        """
        return await self.set_status(code, "in_progress", reason=reason)

    async def done(self, code: str, reason: str = "") -> Task:
        """Complete a task that nobody holds. The holder of a task completes it by ``work.done``.

        Args:
            code: The code of the task.
            reason: The reason, which the history shows.

        Raises:
            NotFound: The task does not exist or is deleted.
            TransitionRefused: The task is blocked or cancelled.
            TaskHeld: Another holder has a lease of the task.
        """
        return await self.set_status(code, "completed", reason=reason)

    async def block(self, code: str, reason: str) -> Task:
        """Set a task to "blocked": it cannot continue for a reason outside the ledger.

        Args:
            code: The code of the task.
            reason: The reason, which reports and explanations show.

        Raises:
            NotFound: The task does not exist or is deleted.
            TransitionRefused: The task is completed or cancelled.
            TaskHeld: Another holder has a lease of the task.
        """
        return await self.set_status(code, "blocked", reason=reason)

    async def cancel(self, code: str, reason: str = "") -> Task:
        """Give a task up.

        Args:
            code: The code of the task.
            reason: The reason, which the history shows.

        Raises:
            NotFound: The task does not exist or is deleted.
            TransitionRefused: The task is completed.
            TaskHeld: Another holder has a lease of the task.
        """
        return await self.set_status(code, "cancelled", reason=reason)

    async def reopen(self, code: str, reason: str = "") -> Task:
        """Set a task to "pending" again, after a block, a cancellation or its completion.

        Args:
            code: The code of the task.
            reason: The reason, which the history shows.

        Raises:
            NotFound: The task does not exist or is deleted.
            TaskHeld: Another holder has a lease of the task.
        """
        return await self.set_status(code, "pending", reason=reason)

    async def assign(self, code: str, assignee: str) -> Task:
        """Name who works on a task. An empty name leaves it unassigned.

        Args:
            code: The code of the task.
            assignee: The agent or person.

        Raises:
            NotFound: The task does not exist or is deleted.
            TaskHeld: Another holder has a lease of the task.
        """
        return await self.update_task(code, assignee=assignee)

    async def delete_task(
        self, code: str, *, expected_revision: int = 0, fence: int = 0, request_id: str = ""
    ) -> None:
        """Delete a task. It no longer blocks other tasks, its code is not used again, and its events stay.

        Args:
            code: The code of the task.
            expected_revision: The revision that the task must have; 0 for any.
            fence: The fence of the caller's lease, if the task is held.
            request_id: An id to repeat the call safely after a crash of the caller.

        Raises:
            NotFound: The task does not exist or is deleted.
            StaleRevision: The task has another revision.
            TaskHeld: Another holder has a lease of the task.
            StaleFence: The lease of ``fence`` has ended.
        """
        request = DeleteTaskRequest(
            task_code=code, expected_revision=expected_revision, fence=fence, request_id=request_id
        )
        await self.call(self.raw.tasks.DeleteTask, request)

    def history(
        self,
        code: str,
        *,
        kind: EntityKind = "task",
        order: EventOrder = "newest_first",
        include_archived: bool = False,
        page_size: int = 0,
    ) -> AsyncIterator[Change]:
        """Iterate over the changes of a task, sprint or session: what changed, when, and who did it.

        Args:
            code: The code of the task or sprint, or the key of the session.
            kind: "task", "sprint" or "session".
            order: "newest_first" or "oldest_first".
            include_archived: Also read archived events.
            page_size: The number of changes that one call reads, up to 500; 0 for 50.

        Raises:
            NotFound: The entity never existed. Raised by the first step of the iteration.
        """
        request = GetEntityHistoryRequest(
            entity_type=ENTITY_KINDS.number(kind),
            entity_code=code,
            order=EVENT_ORDERS.number(order),
            include_archived=include_archived,
            page_size=page_size,
        )
        return self._pages(self.raw.events.GetEntityHistory, request, Change.of)
