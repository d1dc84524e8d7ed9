"""The client for asyncio."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import grpc

from orchestration import emitting, paging, settings, timeline
from orchestration._async.claim import AsyncClaim
from orchestration.claims import claim_request
from orchestration.interceptors import async_interceptors
from orchestration.lease_keeper import AsyncLeaseKeeper
from orchestration.v1.admin_pb2_grpc import AdminServiceStub
from orchestration.v1.common_pb2 import Priority, Session
from orchestration.v1.context_pb2 import ContextOptions
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.coordination_pb2 import ClaimTaskRequest
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2 import EntityChange, Event, EventFilter, NewEvent
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.report_pb2_grpc import ReportServiceStub
from orchestration.v1.schedule_pb2 import Schedule
from orchestration.v1.schedule_pb2_grpc import ScheduleServiceStub
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.sprint_pb2 import Sprint
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2 import Task
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration.v1.template_pb2 import Template
from orchestration.v1.template_pb2_grpc import TemplateServiceStub

if TYPE_CHECKING:
    from orchestration.v1.admin_pb2_grpc import AdminServiceAsyncStub
    from orchestration.v1.context_pb2_grpc import ContextServiceAsyncStub
    from orchestration.v1.coordination_pb2_grpc import CoordinationServiceAsyncStub
    from orchestration.v1.event_pb2_grpc import EventServiceAsyncStub
    from orchestration.v1.report_pb2_grpc import ReportServiceAsyncStub
    from orchestration.v1.schedule_pb2_grpc import ScheduleServiceAsyncStub
    from orchestration.v1.session_pb2_grpc import SessionServiceAsyncStub
    from orchestration.v1.sprint_pb2_grpc import SprintServiceAsyncStub
    from orchestration.v1.task_pb2_grpc import TaskServiceAsyncStub
    from orchestration.v1.template_pb2_grpc import TemplateServiceAsyncStub

RequestT = TypeVar("RequestT", bound=paging.PageRequest)


class AsyncClient:
    """A connection to the ledger for any number of tasks of one event loop.

    It works like ``Client``, but the calls of the stubs are awaited. Create it inside the event loop.
    """

    sprints: SprintServiceAsyncStub
    tasks: TaskServiceAsyncStub
    events: EventServiceAsyncStub
    sessions: SessionServiceAsyncStub
    contexts: ContextServiceAsyncStub
    coordination: CoordinationServiceAsyncStub
    templates: TemplateServiceAsyncStub
    schedules: ScheduleServiceAsyncStub
    reports: ReportServiceAsyncStub
    admin: AdminServiceAsyncStub

    def __init__(
        self,
        address: str | None = None,
        *,
        project: str = "",
        agent: str = "",
        session: str = "",
        correlation_id: str | None = None,
        timeout: float | None = 10.0,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        options: settings.Options = (),
    ) -> None:
        """Open a channel. The arguments are those of ``Client``."""
        token = settings.resolve_token(token)
        metadata = settings.call_metadata(
            project=settings.resolve_project(project),
            agent=agent,
            session=session,
            correlation_id=correlation_id,
            token=token,
        )
        self.address = settings.resolve_address(address)
        credentials = settings.resolve_credentials(credentials)
        settings.check_secret(self.address, credentials, token)
        self._channel = settings.open_async_channel(
            self.address, credentials, options, async_interceptors(metadata, timeout)
        )
        self.sprints = SprintServiceStub(self._channel)
        self.tasks = TaskServiceStub(self._channel)
        self.events = EventServiceStub(self._channel)
        self.sessions = SessionServiceStub(self._channel)
        self.contexts = ContextServiceStub(self._channel)
        self.coordination = CoordinationServiceStub(self._channel)
        self.templates = TemplateServiceStub(self._channel)
        self.schedules = ScheduleServiceStub(self._channel)
        self.reports = ReportServiceStub(self._channel)
        self.admin = AdminServiceStub(self._channel)
        self._session_key = session
        self._keeper = AsyncLeaseKeeper(self.coordination)
        self._timelines: weakref.WeakSet[timeline.AsyncTimeline] = weakref.WeakSet()

    @overload
    def pages(
        self, method: Callable[[RequestT], Awaitable[paging.TaskPage]], request: RequestT
    ) -> AsyncIterator[Task]: ...
    @overload
    def pages(
        self, method: Callable[[RequestT], Awaitable[paging.SprintPage]], request: RequestT
    ) -> AsyncIterator[Sprint]: ...
    @overload
    def pages(
        self, method: Callable[[RequestT], Awaitable[paging.EventPage]], request: RequestT
    ) -> AsyncIterator[Event]: ...
    @overload
    def pages(
        self, method: Callable[[RequestT], Awaitable[paging.ChangePage]], request: RequestT
    ) -> AsyncIterator[EntityChange]: ...
    @overload
    def pages(
        self, method: Callable[[RequestT], Awaitable[paging.SessionPage]], request: RequestT
    ) -> AsyncIterator[Session]: ...
    @overload
    def pages(
        self, method: Callable[[RequestT], Awaitable[paging.TemplatePage]], request: RequestT
    ) -> AsyncIterator[Template]: ...
    @overload
    def pages(
        self, method: Callable[[RequestT], Awaitable[paging.SchedulePage]], request: RequestT
    ) -> AsyncIterator[Schedule]: ...
    def pages(self, method: Callable[[RequestT], Awaitable[Any]], request: RequestT) -> AsyncIterator[Any]:
        """Yield the items of every page of a list, as ``Client.pages`` does."""
        return paging.async_pages(method, request)

    def follow(
        self,
        filter: EventFilter | None = None,  # noqa: A002 - the field's name in the request
        *,
        after_cursor: str = "",
        from_time: datetime | None = None,
        last: int | None = None,
        follow: bool = True,
        include_archived: bool = False,
        retry_timeout: float | None = None,
    ) -> timeline.AsyncTimeline:
        """Follow the timeline across broken connections, as ``Client.follow`` does."""
        request = timeline.timeline_request(
            filter,
            after_cursor=after_cursor,
            from_time=from_time,
            last=last,
            follow=follow,
            include_archived=include_archived,
        )
        opened = timeline.AsyncTimeline(self.events, request, retry_timeout=retry_timeout)
        self._timelines.add(opened)
        return opened

    async def emit_all(
        self,
        events: Iterable[NewEvent] | AsyncIterable[NewEvent],
        *,
        batch: int = emitting.MAX_BATCH,
        retry_timeout: float | None = 60.0,
    ) -> emitting.EmitTotals:
        """Store all events over one stream, as ``Client.emit_all`` does."""
        return await emitting.async_emit_all(self.events, events, batch=batch, retry_timeout=retry_timeout)

    def claim(
        self,
        task_code: str = "",
        *,
        sprint_code: str = "",
        labels: Sequence[str] = (),
        priorities: Sequence[Priority.ValueType] = (),
        capabilities: Sequence[str] = (),
        provider: str = "",
        lease: float = 90.0,
        attempt_deadline: float | None = None,
        wait: float = 0.0,
        context: ContextOptions | None = None,
        request_id: str = "",
    ) -> AsyncClaim:
        """Claim a task, or the next ready one, and keep its lease by heartbeats, as ``Client.claim`` does."""
        return self.claim_of(
            claim_request(
                task_code, sprint_code=sprint_code, labels=labels, priorities=priorities,
                capabilities=capabilities, provider=provider, lease=lease,
                attempt_deadline=attempt_deadline, wait=wait, context=context, request_id=request_id,
            )
        )  # fmt: skip

    def claim_of(self, request: ClaimTaskRequest) -> AsyncClaim:
        """Return the claim of a request, which may ask for several tasks, by ``take``."""
        return AsyncClaim(
            request,
            coordination=self.coordination, tasks=self.tasks, events=self.events, sessions=self.sessions,
            keeper=self._keeper, session_key=self._session_key,
        )  # fmt: skip

    async def close(self) -> None:
        """End the timelines and heartbeats, and close the channel. Pending calls are cancelled."""
        for opened in list(self._timelines):
            opened.close()
        await self._keeper.close()
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
