"""Events: the log of what happened, and its live timeline."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from orchestration._async.calls import AsyncCalls
from orchestration.emitting import EmitTotals
from orchestration.model.records import Event
from orchestration.model.requests import NewEvent, Words, event_filter
from orchestration.model.times import timestamp
from orchestration.model.words import EVENT_ORDERS, EventOrder, Priority
from orchestration.reasons import translated
from orchestration.timeline import AsyncTimeline
from orchestration.v1.event_pb2 import EmitEventRequest, ListEventsRequest


class AsyncEventCalls(AsyncCalls):
    """The part of the ledger that reads and writes events."""

    async def emit(
        self,
        type: str,  # noqa: A002 - the field's name
        payload: Mapping[str, Any] | None = None,
        *,
        task: str = "",
        sprint: str = "",
        session: str = "",
        priority: Priority | None = None,
        actor: str = "",
        occurred: datetime | None = None,
        dedup_key: str = "",
        request_id: str = "",
    ) -> Event | None:
        """Store an event.

        Args:
            type: The type: at least two parts of lower-case letters, digits, "_" or "-", separated by dots,
                such as "build.finished". The prefix "orchestration." is reserved.
            payload: Custom fields, as JSON values.
            task: The code of the task that the event is about.
            sprint: The code of the sprint that the event is about; with ``task``, the sprint of the event.
            session: The key of the session that the event is about.
            priority: "P0" to "P4"; None for "P2". Events of P0 and P1 are never deleted.
            actor: Who acted, if not the agent of the ledger.
            occurred: When the event happened, if that was earlier than now.
            dedup_key: A key that makes the event unique in the project for ever.
            request_id: An id to repeat the call safely after a crash of the caller.

        Returns:
            The event as stored, by this call or an earlier one with the same key; None if a rule of the
            server counted it and left it out.
        """
        new = NewEvent(type, payload or {}, task, sprint, session, priority, actor, occurred, dedup_key)
        request = EmitEventRequest(event=new.message(), request_id=request_id)
        answer = await self.call(self.raw.events.EmitEvent, request)
        return None if answer.sampled_out else Event.of(answer.event)

    async def emit_all(
        self, events: Iterable[NewEvent], *, batch: int = 500, retry_timeout: float | None = 60.0
    ) -> EmitTotals:
        """Store any number of events over one stream, in constant memory.

        If the stream breaks, unanswered messages are sent again and take effect once.

        Args:
            events: The events.
            batch: The most events of one message, up to 500.
            retry_timeout: The seconds without an answer after which an error is raised; None to retry for
                ever.

        Returns:
            The numbers of events that were stored, were there already, or were left out by sampling.

        Raises:
            InvalidRequest: A message was refused. ``metadata["first_event"]`` is the index of its first
                event; events of other messages may be stored.
        """
        with translated:
            messages = (each.message() for each in events)
            return await self.raw.emit_all(messages, batch=batch, retry_timeout=retry_timeout)

    def events(
        self,
        *,
        sprint: str = "",
        task: str = "",
        session: str = "",
        correlation_id: str = "",
        types: Words = (),
        priority: Priority | Iterable[Priority] = (),
        start: datetime | None = None,
        end: datetime | None = None,
        order: EventOrder = "newest_first",
        include_archived: bool = False,
        page_size: int = 0,
    ) -> AsyncIterator[Event]:
        """Iterate over the events that match all filters, by the time at which they happened.

        Args:
            sprint: Only events of this sprint and its tasks.
            task: Only events about this task.
            session: Only events of this session.
            correlation_id: Only events of this piece of work.
            types: Only events of these types; "orchestration.task.*" matches every type with that prefix.
            priority: Only events with this priority, or one of these.
            start: Only events at or after this time.
            end: Only events before this time.
            order: "newest_first" or "oldest_first".
            include_archived: Also archived events.
            page_size: The number of events that one call reads, up to 500; 0 for 50.
        """
        request = ListEventsRequest(
            filter=event_filter(
                sprint=sprint, task=task, session=session, correlation_id=correlation_id, types=types,
                priorities=priority,
            ),
            start_time=None if start is None else timestamp("start", start),
            end_time=None if end is None else timestamp("end", end),
            order=EVENT_ORDERS.number(order),
            include_archived=include_archived,
            page_size=page_size,
        )  # fmt: skip
        return self._pages(self.raw.events.ListEvents, request, Event.of)

    def follow(
        self,
        *,
        sprint: str = "",
        task: str = "",
        session: str = "",
        correlation_id: str = "",
        types: Words = (),
        priority: Priority | Iterable[Priority] = (),
        after: str = "",
        since: datetime | None = None,
        last: int | None = None,
        live: bool = True,
        include_archived: bool = False,
        retry_timeout: float | None = None,
    ) -> AsyncEventFeed:
        """Follow the log: return each event once, in the order of the log, and then wait for new ones.

        If the connection breaks or a server is replaced, the feed reconnects and goes on after the last
        event.

        Args:
            sprint: Only events of this sprint and its tasks.
            task: Only events about this task.
            session: Only events of this session.
            correlation_id: Only events of this piece of work.
            types: Only events of these types; "orchestration.task.*" matches every type with that prefix.
            priority: Only events with this priority, or one of these.
            after: Start after this cursor. Without ``after``, ``since`` and ``last`` the feed starts at the
                beginning.
            since: Start with the first event recorded at or after this time.
            last: Start with the last ``last`` events.
            live: If False, end with the history.
            include_archived: Also archived events.
            retry_timeout: Raise Unavailable after this many seconds without a server; None to retry for ever.

        Raises:
            CursorGone: Events after the cursor are archived or deleted. Raised by the iteration.
        """
        matching = event_filter(
            sprint=sprint, task=task, session=session, correlation_id=correlation_id, types=types,
            priorities=priority,
        )  # fmt: skip
        return AsyncEventFeed(
            self.raw.follow(
                matching,
                after_cursor=after,
                from_time=since,
                last=last,
                follow=live,
                include_archived=include_archived,
                retry_timeout=retry_timeout,
            )
        )


class AsyncEventFeed:
    """An iterator over events, in the order of the log.

    Attributes:
        raw: The timeline, which returns the messages.
    """

    def __init__(self, raw: AsyncTimeline) -> None:
        self.raw = raw

    @property
    def cursor(self) -> str:
        """The position to store, and to go on from by ``after``. It also moves if no event matches."""
        return self.raw.cursor

    @property
    def caught_up(self) -> bool:
        """True if the history has been read and the following events are live."""
        return self.raw.caught_up

    def close(self) -> None:
        """End the iteration, even if it waits for an event."""
        self.raw.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        return Event.of(await self.raw.__anext__())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
