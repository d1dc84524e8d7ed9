"""Dependencies, and which tasks are ready."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from orchestration._async.calls import AsyncCalls
from orchestration.model.records import Task
from orchestration.model.requests import Words, many
from orchestration.model.words import (
    DEPENDENCY_KINDS,
    DIRECTIONS,
    PRIORITIES,
    DependencyDirection,
    DependencyKind,
    Priority,
)
from orchestration.model.work_records import Dependency, Readiness
from orchestration.v1 import coordination_pb2
from orchestration.v1.coordination_pb2 import (
    AddDependencyRequest,
    ExplainReadinessRequest,
    ListDependenciesRequest,
    ListReadyTasksRequest,
    RemoveDependencyRequest,
)


class AsyncGraphCalls(AsyncCalls):
    """The part of the ledger that manages dependencies and tells what is ready."""

    async def add_dependency(
        self, task: str, on: str, kind: DependencyKind = "blocks", *, request_id: str = ""
    ) -> Dependency:
        """Let a task depend on another one. A dependency that exists stays as it is.

        Args:
            task: The code of the task that depends on the other one.
            on: The code of the task that it depends on.
            kind: "blocks" if the other one has to end first, "parent_child" if the other one is the parent,
                "discovered_from" or "related".
            request_id: An id to repeat the call safely after a crash of the caller.

        Raises:
            NotFound: One of the tasks does not exist or is deleted.
            DependencyCycle: The dependency would close a cycle.
        """
        link = coordination_pb2.Dependency(
            task_code=task, depends_on_code=on, kind=DEPENDENCY_KINDS.number(kind)
        )
        request = AddDependencyRequest(dependency=link, request_id=request_id)
        return Dependency.of((await self.call(self.raw.coordination.AddDependency, request)).dependency)

    async def remove_dependency(
        self, task: str, on: str, kind: DependencyKind = "blocks", *, request_id: str = ""
    ) -> None:
        """Remove a dependency.

        Args:
            task: The code of the task that depends on the other one.
            on: The code of the task that it depends on.
            kind: The kind of the dependency.
            request_id: An id to repeat the call safely after a crash of the caller.

        Raises:
            NotFound: The dependency does not exist.
        """
        link = coordination_pb2.Dependency(
            task_code=task, depends_on_code=on, kind=DEPENDENCY_KINDS.number(kind)
        )
        request = RemoveDependencyRequest(dependency=link, request_id=request_id)
        await self.call(self.raw.coordination.RemoveDependency, request)

    def dependencies(
        self,
        task: str,
        *,
        direction: DependencyDirection = "depends_on",
        kind: DependencyKind | Iterable[DependencyKind] = (),
        page_size: int = 0,
    ) -> AsyncIterator[Dependency]:
        """Iterate over the dependencies of a task, or over those of other tasks on it.

        Args:
            task: The code of the task.
            direction: "depends_on" for what the task depends on, "dependents" for what depends on it.
            kind: Only dependencies of this kind, or of these.
            page_size: The number of dependencies that one call reads, up to 500; 0 for 50.

        Raises:
            NotFound: The task never existed. Raised by the first step of the iteration.
        """
        request = ListDependenciesRequest(
            task_code=task,
            direction=DIRECTIONS.number(direction),
            kinds=DEPENDENCY_KINDS.numbers(kind),
            page_size=page_size,
        )
        return self._pages(self.raw.coordination.ListDependencies, request, Dependency.of)

    def ready(
        self, *, sprint: str = "", include_not_due: bool = False, page_size: int = 0
    ) -> AsyncIterator[Task]:
        """Iterate over the tasks that are ready to start, in the order in which claims take them.

        Args:
            sprint: Only tasks of this sprint.
            include_not_due: Also tasks of sprints that are not active.
            page_size: The number of tasks that one call reads, up to 500; 0 for 50.
        """
        request = ListReadyTasksRequest(
            sprint_code=sprint, include_not_due=include_not_due, page_size=page_size
        )
        return self._pages(self.raw.coordination.ListReadyTasks, request, Task.of)

    async def why(
        self,
        task: str = "",
        *,
        sprint: str = "",
        labels: Words = (),
        priority: Priority | Iterable[Priority] = (),
        capabilities: Words = (),
        provider: str = "",
        agent: str = "",
    ) -> Readiness:
        """Explain why a task is ready or not, or, without a task, why an agent would get none.

        Args:
            task: The code of the task; empty for what the agent would get.
            sprint: Look only at tasks of this sprint.
            labels: Look only at tasks with all of these labels.
            priority: Look only at tasks with this priority, or one of these.
            capabilities: What the agent can do.
            provider: The provider of the agent's model, for limits of providers.
            agent: The agent that would claim; empty for the agent of the ledger.

        Returns:
            An object that is true if a claim would succeed, and has all reasons if not.

        Raises:
            NotFound: The task does not exist or is deleted.
        """
        request = ExplainReadinessRequest(
            task_code=task,
            sprint_code=sprint,
            labels=many(labels),
            priorities=PRIORITIES.numbers(priority),
            capabilities=many(capabilities),
            provider=provider,
            agent=agent,
        )
        return Readiness.of(await self.call(self.raw.coordination.ExplainReadiness, request))
