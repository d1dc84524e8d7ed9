"""Tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Any

from orchestration._async.calls import AsyncCalls
from orchestration.model.records import RetryPolicy, Task
from orchestration.model.requests import NewTask, Words, linked_outside, many, new_task, task_update
from orchestration.model.times import timestamp
from orchestration.model.words import (
    DEPENDENCY_KINDS,
    PRIORITIES,
    TASK_ORDERS,
    TASK_STATUSES,
    DependencyKind,
    Priority,
    TaskOrder,
    TaskStatus,
)
from orchestration.v1.coordination_pb2 import AddDependencyRequest, Dependency
from orchestration.v1.task_pb2 import (
    BatchCreateTasksRequest,
    BatchUpdateTaskStatusRequest,
    CreateTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    TaskStatusChange,
    UpdateTaskStatusRequest,
)

_LINKED = "all links of the new task are stored"


def _linked_id(request_id: str) -> str:
    """Return the id of the last call of a creation with links; empty for one of its own."""
    return f"{request_id}.linked" if request_id else ""


class AsyncTaskCalls(AsyncCalls):
    """The part of the ledger that manages tasks."""

    async def create_task(
        self,
        code: str,
        title: str,
        *,
        sprint: str = "",
        after: Words = (),
        part_of: Words = (),
        priority: Priority | None = None,
        description: str = "",
        accept: Words = (),
        objectives: Words = (),
        deliverables: Words = (),
        labels: Words = (),
        capabilities: Words = (),
        assignee: str = "",
        phase: str = "",
        config: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        not_before: datetime | None = None,
        due: datetime | None = None,
        retry: RetryPolicy | None = None,
        completed_by_children: bool = False,
        status: TaskStatus = "pending",
        occurred: datetime | None = None,
        request_id: str = "",
    ) -> Task:
        """Create a task, with its links.

        A task with ``after`` is blocked until its links are stored, so that no agent claims it too early. If
        the program ends in between, the task stays blocked; the same call with the same ``request_id`` goes
        on where it ended.

        Args:
            code: The name of the task, unique in the project for ever: up to 128 letters, digits, ".", "_" or
                "-".
            title: What the task is, in one line.
            sprint: The code of the sprint; empty for none.
            after: The codes of the tasks that have to end first.
            part_of: The codes of the parents.
            priority: "P0", the highest, to "P4"; None for "P2".
            description: The task in full.
            accept: The conditions under which the task is done.
            objectives: What the task is to achieve.
            deliverables: What the task is to produce.
            labels: Labels.
            capabilities: What an agent has to be able to do to claim the task.
            assignee: The agent or person who works on the task.
            phase: A stage with a name that the caller chooses.
            config: Settings for the agent that works on the task, as JSON values.
            metadata: Custom fields, as JSON values.
            not_before: The task is not ready before this time.
            due: When the task should be done.
            retry: What follows a failed attempt; None for the default of the server.
            completed_by_children: True if the last of its children completes the task.
            status: The status; an import may create completed tasks.
            occurred: When the task was created, if that was earlier than now.
            request_id: An id to repeat the call safely after a crash of the caller, up to 100 characters.

        Raises:
            AlreadyExists: The code is or was in use.
            NotFound: The sprint, or a task of ``after`` or ``part_of``, does not exist.
            ValueError: The links close a cycle.
            StaleRevision: Somebody changed a task before its links were stored. It stays as it is.
        """
        given = {
            "title": title, "sprint": sprint, "priority": priority, "description": description,
            "accept": accept, "objectives": objectives, "deliverables": deliverables, "labels": labels,
            "capabilities": capabilities, "assignee": assignee, "phase": phase, "config": config,
            "metadata": metadata, "not_before": not_before, "due": due, "retry": retry,
            "completed_by_children": completed_by_children, "status": status,
        }  # fmt: skip
        waits = status == "pending" and bool(after)
        request = CreateTaskRequest(task=new_task(code, given, waits=waits), request_id=request_id)
        if occurred is not None:
            request.occur_time.CopyFrom(timestamp("occurred", occurred))
        new = NewTask(code, title, after=after, part_of=part_of) if after or part_of else None
        if new is not None:
            await self._check_links([new])
        created = (await self.call(self.raw.tasks.CreateTask, request)).task
        if new is not None:
            await self._link(new)
        if not waits:
            return Task.of(created)
        ready = UpdateTaskStatusRequest(
            task_code=code,
            status=TASK_STATUSES.number("pending"),
            reason=_LINKED,
            expected_revision=created.revision,
            request_id=_linked_id(request_id),
        )
        return Task.of((await self.call(self.raw.tasks.UpdateTaskStatus, ready)).task)

    async def create_tasks(self, tasks: Iterable[NewTask], *, request_id: str = "") -> list[Task]:
        """Create up to 1,000 tasks, all or none, and then their links.

        Links may name tasks of the same call. Tasks with ``after`` are blocked until all links are stored,
        and become pending together. If the program ends in between, they stay blocked; the same call with
        the same ``request_id`` goes on where it ended.

        Args:
            tasks: The tasks.
            request_id: An id to repeat the call safely after a crash of the caller, up to 100 characters.

        Returns:
            The tasks, in the order of the call.

        Raises:
            AlreadyExists: A code is or was in use.
            NotFound: A sprint, or a task of ``after`` or ``part_of``, does not exist.
            ValueError: The links close a cycle.
            StaleRevision: Somebody changed a task before its links were stored. It stays as it is.
        """
        new = list(tasks)
        await self._check_links(new)
        request = BatchCreateTasksRequest(tasks=[each.message() for each in new], request_id=request_id)
        created = (await self.call(self.raw.tasks.BatchCreateTasks, request)).tasks
        found = {task.code: task for task in created}
        for each in new:
            await self._link(each)
        waiting = [
            TaskStatusChange(
                task_code=each.code,
                status=TASK_STATUSES.number("pending"),
                reason=_LINKED,
                expected_revision=found[each.code].revision,
            )
            for each in new
            if each.waits_for_links
        ]
        if waiting:
            ready = BatchUpdateTaskStatusRequest(changes=waiting, request_id=_linked_id(request_id))
            for task in (await self.call(self.raw.tasks.BatchUpdateTaskStatus, ready)).tasks:
                found[task.code] = task
        return [Task.of(found[each.code]) for each in new]

    async def _check_links(self, new: Iterable[NewTask]) -> None:
        """Raise NotFound for a link to no task, before a task is created and its code is used up."""
        for code in linked_outside(new):
            await self.call(self.raw.tasks.GetTask, GetTaskRequest(task_code=code))

    async def _link(self, new: NewTask) -> None:
        links: tuple[tuple[DependencyKind, Words], ...] = (
            ("blocks", new.after), ("parent_child", new.part_of)
        )  # fmt: skip
        for kind, codes in links:
            number = DEPENDENCY_KINDS.number(kind)
            for on in many(codes):
                link = Dependency(task_code=new.code, depends_on_code=on, kind=number)
                # AddDependency itself may be repeated: a dependency that exists stays as it is.
                await self.call(self.raw.coordination.AddDependency, AddDependencyRequest(dependency=link))

    async def get_task(self, code: str) -> Task:
        """Return a task.

        Args:
            code: The code of the task.

        Raises:
            NotFound: The task does not exist or is deleted.
        """
        return Task.of((await self.call(self.raw.tasks.GetTask, GetTaskRequest(task_code=code))).task)

    def tasks(
        self,
        *,
        sprint: str = "",
        status: TaskStatus | Iterable[TaskStatus] = (),
        priority: Priority | Iterable[Priority] = (),
        assignee: str = "",
        labels: Words = (),
        order: TaskOrder = "created",
        page_size: int = 0,
    ) -> AsyncIterator[Task]:
        """Iterate over the tasks that match all filters.

        Args:
            sprint: Only tasks of this sprint.
            status: Only tasks with this status, or one of these.
            priority: Only tasks with this priority, or one of these.
            assignee: Only tasks of this assignee.
            labels: Only tasks with all of these labels.
            order: "created" for the newest first, "priority" for P0 first.
            page_size: The number of tasks that one call reads, up to 500; 0 for 50.
        """
        request = ListTasksRequest(
            sprint_code=sprint,
            statuses=TASK_STATUSES.numbers(status),
            priorities=PRIORITIES.numbers(priority),
            assignee=assignee,
            labels=many(labels),
            order=TASK_ORDERS.number(order),
            page_size=page_size,
        )
        return self._pages(self.raw.tasks.ListTasks, request, Task.of)

    async def update_task(
        self,
        code: str,
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
        expected_revision: int = 0,
        fence: int = 0,
        request_id: str = "",
    ) -> Task:
        """Change fields of a task. A parameter that is None leaves its field as it is.

        Args:
            code: The code of the task.
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
            expected_revision: The revision that the task must have; 0 for any.
            fence: The fence of the caller's lease, to change the status or assignee of a held task.
            request_id: An id to repeat the call safely after a crash of the caller.

        Raises:
            NotFound: The task does not exist or is deleted.
            StaleRevision: The task has another revision.
            TransitionRefused: The status cannot change in this way.
            TaskHeld: Another holder has a lease, and the call changes the status or the assignee.
            StaleFence: The lease of ``fence`` has ended.
        """
        given = {
            "title": title, "description": description, "sprint": sprint, "status": status,
            "priority": priority, "phase": phase, "assignee": assignee, "labels": labels,
            "objectives": objectives, "deliverables": deliverables, "accept": accept,
            "capabilities": capabilities, "config": config, "metadata": metadata, "not_before": not_before,
            "due": due, "retry": retry, "completed_by_children": completed_by_children,
        }  # fmt: skip
        request = task_update(
            code, given, clear=clear, expected_revision=expected_revision, fence=fence, request_id=request_id
        )
        return Task.of((await self.call(self.raw.tasks.UpdateTask, request)).task)
