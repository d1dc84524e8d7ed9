"""Iteration over the pages of a list."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from orchestration.errors import error_details
from orchestration.reasons import ledger_error
from orchestration.v1.common_pb2 import Session
from orchestration.v1.event_pb2 import EntityChange, Event
from orchestration.v1.schedule_pb2 import Schedule
from orchestration.v1.sprint_pb2 import Sprint
from orchestration.v1.task_pb2 import Task
from orchestration.v1.template_pb2 import Template


class PageRequest(Protocol):
    """A request for a page."""

    page_token: str


class Page(Protocol):
    """A page. Its items are its one repeated field of messages."""

    @property
    def next_page_token(self) -> str:
        """Return the token of the next page; empty after the last."""
        raise NotImplementedError


class TaskPage(Page, Protocol):
    """A page whose items are in ``tasks``."""

    @property
    def tasks(self) -> Iterable[Task]:
        """Return the tasks of this page."""
        raise NotImplementedError


class SprintPage(Page, Protocol):
    """A page whose items are in ``sprints``."""

    @property
    def sprints(self) -> Iterable[Sprint]:
        """Return the sprints of this page."""
        raise NotImplementedError


class EventPage(Page, Protocol):
    """A page whose items are in ``events``."""

    @property
    def events(self) -> Iterable[Event]:
        """Return the events of this page."""
        raise NotImplementedError


class ChangePage(Page, Protocol):
    """A page whose items are in ``changes``."""

    @property
    def changes(self) -> Iterable[EntityChange]:
        """Return the changes of this page."""
        raise NotImplementedError


class SessionPage(Page, Protocol):
    """A page whose items are in ``sessions``."""

    @property
    def sessions(self) -> Iterable[Session]:
        """Return the sessions of this page."""
        raise NotImplementedError


class TemplatePage(Page, Protocol):
    """A page whose items are in ``templates``."""

    @property
    def templates(self) -> Iterable[Template]:
        """Return the templates of this page."""
        raise NotImplementedError


class SchedulePage(Page, Protocol):
    """A page whose items are in ``schedules``."""

    @property
    def schedules(self) -> Iterable[Schedule]:
        """Return the schedules of this page."""


RequestT = TypeVar("RequestT", bound=PageRequest)


def pages(method: Callable[[RequestT], Page], request: RequestT) -> Iterator[Any]:
    """Yield the items of every page, starting at ``request.page_token``. Raises LedgerError."""
    asked = copy.deepcopy(request)
    while True:
        try:
            page = method(asked)
        except grpc.RpcError as error:
            raise ledger_error(error_details(error)) from error
        yield from _items(page)
        if not page.next_page_token:
            return
        asked.page_token = page.next_page_token


async def async_pages(method: Callable[[RequestT], Awaitable[Page]], request: RequestT) -> AsyncIterator[Any]:
    """Yield the items of every page like ``pages``, for an async stub."""
    asked = copy.deepcopy(request)
    while True:
        try:
            page = await method(asked)
        except grpc.RpcError as error:
            raise ledger_error(error_details(error)) from error
        for item in _items(page):
            yield item
        if not page.next_page_token:
            return
        asked.page_token = page.next_page_token


def _items(page: Page) -> Iterable[Any]:
    if not isinstance(page, Message):
        raise TypeError(f"{type(page).__name__} is not a message")
    lists = [
        field.name
        for field in page.DESCRIPTOR.fields
        if field.is_repeated and field.type == FieldDescriptor.TYPE_MESSAGE
    ]
    if len(lists) != 1:
        raise TypeError(f"{page.DESCRIPTOR.name} has {len(lists)} lists of messages instead of one")
    items: Iterable[Any] = getattr(page, lists[0])
    return items
