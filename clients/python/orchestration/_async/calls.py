"""The base of all parts of the ledger: calls whose errors are raised by reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc

from orchestration.async_client import AsyncClient
from orchestration.errors import error_details
from orchestration.model.methods import AsyncMethod
from orchestration.paging import PageRequest, async_pages
from orchestration.reasons import ledger_error

RequestT = TypeVar("RequestT")
PageRequestT = TypeVar("PageRequestT", bound=PageRequest)
ResponseT = TypeVar("ResponseT")
RecordT = TypeVar("RecordT")


class AsyncCalls:
    """The part of the ledger that calls the stubs.

    Attributes:
        raw: The client, with the generated stubs of every service.
    """

    raw: AsyncClient

    async def call(self, method: AsyncMethod[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """Call a method of a stub, such as ``ledger.raw.templates.GetTemplate``.

        Args:
            method: The method.
            request: Its request.

        Raises:
            LedgerError: The class of the error's reason.
        """
        try:
            return await method(request)
        except grpc.RpcError as error:
            # The error of gRPC stays the context, and is not printed.
            raise ledger_error(error_details(error)) from None

    async def _pages(
        self,
        method: AsyncMethod[PageRequestT, Any],
        request: PageRequestT,
        convert: Callable[[Any], RecordT],
    ) -> AsyncIterator[RecordT]:
        async for item in async_pages(method, request):
            yield convert(item)
