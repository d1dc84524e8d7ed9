"""Sprints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import date
from typing import Any

from orchestration._async.calls import AsyncCalls
from orchestration.model.history_records import SprintReport
from orchestration.model.records import Sprint
from orchestration.model.requests import Words, sprint_message, sprint_update
from orchestration.model.words import SPRINT_STATUSES, SprintStatus
from orchestration.reasons import AlreadyExists, NotFound
from orchestration.v1.report_pb2 import GetSprintStatusReportRequest
from orchestration.v1.sprint_pb2 import (
    CreateSprintRequest,
    DeleteSprintRequest,
    GetSprintRequest,
    ListSprintsRequest,
)


class AsyncSprintCalls(AsyncCalls):
    """The part of the ledger that manages sprints."""

    async def sprint(
        self,
        code: str,
        *,
        title: str = "",
        goal: str = "",
        owner: str = "",
        start_date: date | str = "",
        end_date: date | str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> AsyncSprintHandle:
        """Return a sprint to work with. With a title, create it if it does not exist.

        A program may run twice: if the sprint exists with the given values, nothing changes.

        Args:
            code: The name of the sprint: up to 128 letters, digits, ".", "_" or "-".
            title: What the sprint is, in one line. Without it, the sprint has to exist.
            goal: What the sprint is to achieve.
            owner: The agent or person responsible for the sprint.
            start_date: The first day.
            end_date: The last day, not before ``start_date``.
            metadata: Custom fields, as JSON values.

        Raises:
            NotFound: The sprint does not exist, and no title is given.
            AlreadyExists: The sprint exists with other values, or a deleted sprint had its code.
        """
        given = {
            "title": title, "goal": goal, "owner": owner, "start_date": start_date, "end_date": end_date,
            "metadata": metadata,
        }  # fmt: skip
        if not title:
            if any(given.values()):
                raise ValueError("a sprint needs a title to be created; change one by update_sprint")
            return AsyncSprintHandle(self, await self.get_sprint(code))
        message = sprint_message(code, given)
        try:
            created = await self.call(self.raw.sprints.CreateSprint, CreateSprintRequest(sprint=message))
        except AlreadyExists as error:
            try:
                found = await self.get_sprint(code)
            except NotFound:
                raise error from None
            for descriptor, value in message.ListFields():
                if getattr(found.raw, descriptor.name) != value:
                    raise error
            return AsyncSprintHandle(self, found)
        return AsyncSprintHandle(self, Sprint.of(created.sprint))

    async def create_sprint(
        self,
        code: str,
        title: str,
        *,
        goal: str = "",
        owner: str = "",
        start_date: date | str = "",
        end_date: date | str = "",
        metadata: Mapping[str, Any] | None = None,
        status: SprintStatus = "planning",
        request_id: str = "",
    ) -> Sprint:
        """Create a sprint.

        Args:
            code: The name of the sprint: up to 128 letters, digits, ".", "_" or "-".
            title: What the sprint is, in one line.
            goal: What the sprint is to achieve.
            owner: The agent or person responsible for the sprint.
            start_date: The first day.
            end_date: The last day, not before ``start_date``.
            metadata: Custom fields, as JSON values.
            status: The status; an import may create completed sprints.
            request_id: An id to repeat the call safely after a crash of the caller.

        Raises:
            AlreadyExists: The code is or was in use.
        """
        message = sprint_message(
            code,
            {
                "title": title, "goal": goal, "owner": owner, "start_date": start_date, "end_date": end_date,
                "metadata": metadata, "status": status,
            },
        )  # fmt: skip
        request = CreateSprintRequest(sprint=message, request_id=request_id)
        return Sprint.of((await self.call(self.raw.sprints.CreateSprint, request)).sprint)

    async def get_sprint(self, code: str) -> Sprint:
        """Return a sprint.

        Args:
            code: The code of the sprint.

        Raises:
            NotFound: The sprint does not exist or is deleted.
        """
        request = GetSprintRequest(sprint_code=code)
        return Sprint.of((await self.call(self.raw.sprints.GetSprint, request)).sprint)

    def sprints(
        self,
        *,
        status: SprintStatus | Iterable[SprintStatus] = (),
        owner: str = "",
        page_size: int = 0,
    ) -> AsyncIterator[Sprint]:
        """Iterate over the sprints, newest first.

        Args:
            status: Only sprints with this status, or one of these.
            owner: Only sprints of this owner.
            page_size: The number of sprints that one call reads, up to 500; 0 for 50.
        """
        request = ListSprintsRequest(
            statuses=SPRINT_STATUSES.numbers(status), owner=owner, page_size=page_size
        )
        return self._pages(self.raw.sprints.ListSprints, request, Sprint.of)

    async def update_sprint(
        self,
        code: str,
        *,
        title: str | None = None,
        status: SprintStatus | None = None,
        goal: str | None = None,
        owner: str | None = None,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        metadata: Mapping[str, Any] | None = None,
        clear: Words = (),
        expected_revision: int = 0,
        request_id: str = "",
    ) -> Sprint:
        """Change fields of a sprint. A parameter that is None leaves its field as it is.

        Args:
            code: The code of the sprint.
            title: The new title.
            status: The new status.
            goal: The new goal.
            owner: The new owner.
            start_date: The new first day.
            end_date: The new last day.
            metadata: The new custom fields, which replace all others.
            clear: The names of parameters whose fields are emptied, such as "end_date".
            expected_revision: The revision that the sprint must have; 0 for any.
            request_id: An id to repeat the call safely after a crash of the caller.

        Raises:
            NotFound: The sprint does not exist or is deleted.
            StaleRevision: The sprint has another revision.
            TransitionRefused: The status cannot change in this way.
        """
        given = {
            "title": title, "status": status, "goal": goal, "owner": owner, "start_date": start_date,
            "end_date": end_date, "metadata": metadata,
        }  # fmt: skip
        request = sprint_update(
            code, given, clear=clear, expected_revision=expected_revision, request_id=request_id
        )
        return Sprint.of((await self.call(self.raw.sprints.UpdateSprint, request)).sprint)

    async def start_sprint(self, code: str) -> Sprint:
        """Make a sprint active, so that its tasks are ready. An active sprint stays as it is.

        Args:
            code: The code of the sprint.

        Raises:
            NotFound: The sprint does not exist or is deleted.
            TransitionRefused: The sprint is cancelled.
        """
        return await self.update_sprint(code, status="active")

    async def complete_sprint(self, code: str) -> Sprint:
        """Complete a sprint. Its tasks stay as they are.

        Args:
            code: The code of the sprint.

        Raises:
            NotFound: The sprint does not exist or is deleted.
            TransitionRefused: The sprint is not active.
        """
        return await self.update_sprint(code, status="completed")

    async def delete_sprint(self, code: str, *, expected_revision: int = 0, request_id: str = "") -> None:
        """Delete a sprint without tasks. Its code is not used again, and its events stay.

        Args:
            code: The code of the sprint.
            expected_revision: The revision that the sprint must have; 0 for any.
            request_id: An id to repeat the call safely after a crash of the caller.

        Raises:
            NotFound: The sprint does not exist or is deleted.
            SprintNotEmpty: The sprint still has tasks.
            StaleRevision: The sprint has another revision.
        """
        await self.call(
            self.raw.sprints.DeleteSprint,
            DeleteSprintRequest(sprint_code=code, expected_revision=expected_revision, request_id=request_id),
        )

    async def sprint_report(self, code: str) -> SprintReport:
        """Return the status of a sprint, as fields and as Markdown.

        Args:
            code: The code of the sprint.

        Raises:
            NotFound: The sprint does not exist or is deleted.
        """
        request = GetSprintStatusReportRequest(sprint_code=code, include_markdown=True)
        return SprintReport.of(await self.call(self.raw.reports.GetSprintStatusReport, request))


class AsyncSprintHandle:
    """A sprint and what can be done with it.

    Attributes:
        code: The code of the sprint.
        record: The sprint, as the last answer has it.
    """

    def __init__(self, ledger: AsyncSprintCalls, record: Sprint) -> None:
        self._ledger = ledger
        self.code = record.code
        self.record = record

    def __repr__(self) -> str:
        return f"<sprint {self.code} {self.record.status}: {self.record.title}>"

    async def start(self) -> Sprint:
        """Make the sprint active, so that its tasks are ready. An active sprint stays as it is."""
        self.record = await self._ledger.start_sprint(self.code)
        return self.record

    async def complete(self) -> Sprint:
        """Complete the sprint. Its tasks stay as they are."""
        self.record = await self._ledger.complete_sprint(self.code)
        return self.record

    async def refresh(self) -> Sprint:
        """Read the sprint again."""
        self.record = await self._ledger.get_sprint(self.code)
        return self.record

    async def report(self) -> SprintReport:
        """Return the status of the sprint, as fields and as Markdown."""
        return await self._ledger.sprint_report(self.code)
