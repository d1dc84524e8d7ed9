"""The client: typed stubs on one channel, with paging, a followed timeline and reliable emission."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import grpc

from orchestration import emitting, paging, settings, timeline
from orchestration._sync.claim import Claim
from orchestration.claims import claim_request
from orchestration.interceptors import CallInterceptor
from orchestration.lease_keeper import LeaseKeeper
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

RequestT = TypeVar("RequestT", bound=paging.PageRequest)


class Client:
    """A connection to the ledger for any number of threads.

    ``sprints``, ``tasks``, ``events``, ``sessions``, ``contexts``, ``coordination``, ``templates``,
    ``schedules``, ``reports`` and ``admin`` are the generated stubs. A unary call through them carries the
    caller's metadata, a deadline of ``timeout`` seconds unless the call sets one, and a ``request_id`` if a
    mutation has none, so that a call that the channel retries takes effect once. The stubs raise
    ``grpc.RpcError``;
    ``error_details`` returns its details.
    """

    sprints: SprintServiceStub
    tasks: TaskServiceStub
    events: EventServiceStub
    sessions: SessionServiceStub
    contexts: ContextServiceStub
    coordination: CoordinationServiceStub
    templates: TemplateServiceStub
    schedules: ScheduleServiceStub
    reports: ReportServiceStub
    admin: AdminServiceStub

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
        """Open a channel, which connects with the first call.

        Args:
            address: HOST:PORT. The default is that of ORCHESTRATION_ADDRESS, else DEFAULT_ADDRESS.
            project: The default is that of ORCHESTRATION_PROJECT, else the project of the key.
            agent: The name of the calling agent.
            session: The session_key of the session to which the calls belong.
            correlation_id: An id that the events of all calls carry.
            timeout: The deadline of unary calls in seconds; None for no deadline.
            credentials: The default is TLS if ORCHESTRATION_CA_FILE names the authority that signed the
                server's certificate. Without credentials nothing is encrypted.
            token: A key or a JWT. The default is that of ORCHESTRATION_TOKEN.
            options: Channel arguments, which override those of this package.

        Raises:
            ValueError: An argument is not valid, or the token would go to another machine unencrypted.
        """
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
        self._channel = settings.open_channel(self.address, credentials, options)
        channel = grpc.intercept_channel(self._channel, CallInterceptor(metadata, timeout))
        self.sprints = SprintServiceStub(channel)
        self.tasks = TaskServiceStub(channel)
        self.events = EventServiceStub(channel)
        self.sessions = SessionServiceStub(channel)
        self.contexts = ContextServiceStub(channel)
        self.coordination = CoordinationServiceStub(channel)
        self.templates = TemplateServiceStub(channel)
        self.schedules = ScheduleServiceStub(channel)
        self.reports = ReportServiceStub(channel)
        self.admin = AdminServiceStub(channel)
        self._session_key = session
        self._keeper = LeaseKeeper(self.coordination)
        self._timelines: weakref.WeakSet[timeline.Timeline] = weakref.WeakSet()

    @overload
    def pages(self, method: Callable[[RequestT], paging.TaskPage], request: RequestT) -> Iterator[Task]: ...
    @overload
    def pages(
        self, method: Callable[[RequestT], paging.SprintPage], request: RequestT
    ) -> Iterator[Sprint]: ...
    @overload
    def pages(self, method: Callable[[RequestT], paging.EventPage], request: RequestT) -> Iterator[Event]: ...
    @overload
    def pages(
        self, method: Callable[[RequestT], paging.ChangePage], request: RequestT
    ) -> Iterator[EntityChange]: ...
    @overload
    def pages(
        self, method: Callable[[RequestT], paging.SessionPage], request: RequestT
    ) -> Iterator[Session]: ...
    @overload
    def pages(
        self, method: Callable[[RequestT], paging.TemplatePage], request: RequestT
    ) -> Iterator[Template]: ...
    @overload
    def pages(
        self, method: Callable[[RequestT], paging.SchedulePage], request: RequestT
    ) -> Iterator[Schedule]: ...
    def pages(self, method: Callable[[RequestT], Any], request: RequestT) -> Iterator[Any]:
        """Yield the items of every page of a list, such as ``pages(client.tasks.ListTasks, ...)``.

        The items are those of the response's one repeated field of messages: ``tasks``, ``sprints``,
        ``events``, ``changes``, ``sessions``, ``templates`` or ``schedules``. ``request.page_size`` is the
        size of a page, not of the list. Raises LedgerError if the server refuses a page.
        """
        return paging.pages(method, request)

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
    ) -> timeline.Timeline:
        """Follow the timeline from a start, or from its beginning, and return each event once.

        If the stream breaks, the timeline reconnects and goes on after the last event. Breaks are logged as
        warnings of the logger "orchestration".

        Args:
            filter: The events to return; None for all events.
            after_cursor: Start after this cursor.
            from_time: Start with the first event recorded at or after this time.
            last: Start with the last ``last`` events.
            follow: If False, end with the history.
            include_archived: Include archived events.
            retry_timeout: Raise LedgerError if no message arrives for this many seconds while the server
                cannot be reached. None retries for ever.
        """
        request = timeline.timeline_request(
            filter,
            after_cursor=after_cursor,
            from_time=from_time,
            last=last,
            follow=follow,
            include_archived=include_archived,
        )
        opened = timeline.Timeline(self.events, request, retry_timeout=retry_timeout)
        self._timelines.add(opened)
        return opened

    def emit_all(
        self,
        events: Iterable[NewEvent],
        *,
        batch: int = emitting.MAX_BATCH,
        retry_timeout: float | None = 60.0,
    ) -> emitting.EmitTotals:
        """Store all events over one stream, in messages of up to ``batch`` events and 2 MiB.

        At most 4 messages wait for an answer, so memory use does not grow with the number of events. If the
        stream breaks, unanswered messages are sent again under the same request_id. ``retry_timeout`` is the
        time in seconds for which this is retried without an answer.

        Raises LedgerError if the server refuses a message; ``metadata["first_event"]`` is the index of its
        first event in ``events``. The events of other messages may be stored then, so give events a dedup_key
        if you may run the whole again.
        """
        return emitting.emit_all(self.events, events, batch=batch, retry_timeout=retry_timeout)

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
    ) -> Claim:
        """Claim a task, or the next ready one, and keep its lease by heartbeats.

        Use it as a context manager; ``as`` gives the work, or None if no task was ready in time.

        Args:
            task_code: The task; empty for the next ready task that matches the filters.
            sprint_code: Only tasks of this sprint.
            labels: Only tasks with all of these labels.
            priorities: Only tasks with one of these priorities.
            capabilities: What the agent can do.
            provider: The provider of the agent's model, for limits of providers.
            lease: The seconds that the lease lasts without a heartbeat, 10 to 86,400.
            attempt_deadline: The most seconds that the attempt may take; None for no limit.
            wait: The seconds to wait for a ready task, up to 60.
            context: Options of the context to get with the task; None for no context.
            request_id: An id to get the same lease again after a crash of the caller.
        """
        return self.claim_of(
            claim_request(
                task_code, sprint_code=sprint_code, labels=labels, priorities=priorities,
                capabilities=capabilities, provider=provider, lease=lease,
                attempt_deadline=attempt_deadline, wait=wait, context=context, request_id=request_id,
            )
        )  # fmt: skip

    def claim_of(self, request: ClaimTaskRequest) -> Claim:
        """Return the claim of a request, which may ask for several tasks, by ``take``."""
        return Claim(
            request,
            coordination=self.coordination, tasks=self.tasks, events=self.events, sessions=self.sessions,
            keeper=self._keeper, session_key=self._session_key,
        )  # fmt: skip

    def close(self) -> None:
        """End the timelines and heartbeats, and close the channel. Pending calls fail with CANCELLED."""
        for opened in list(self._timelines):
            opened.close()
        self._keeper.close()
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
