"""The ledger, as programs use it."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import grpc

from orchestration._async.events import AsyncEventCalls
from orchestration._async.sprints import AsyncSprintCalls
from orchestration._async.statuses import AsyncStatusCalls
from orchestration._async.work import AsyncWorkCalls
from orchestration.async_client import AsyncClient
from orchestration.settings import Options


class AsyncLedger(AsyncSprintCalls, AsyncStatusCalls, AsyncWorkCalls, AsyncEventCalls):
    """A connection to the ledger. Plain values go in, and frozen records come out.

    The parameters take str, datetime, timedelta, dict and words such as "P1" or "in_progress". Each record
    has its message as ``raw``. An error is raised as the class of its reason, such as ``NotFound``; all
    derive from ``LedgerError``. Calls have a deadline and are retried; a write takes effect once.

    Lists are read page by page while the caller iterates.

    Attributes:
        raw: The client, with the generated stubs of every service, such as ``raw.tasks``.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        agent: str = "",
        project: str = "",
        session: str = "",
        correlation_id: str | None = None,
        timeout: float | None = 10.0,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        options: Options = (),
    ) -> None:
        """Open a connection, which is made by the first call.

        Args:
            address: HOST:PORT. The default is that of ORCHESTRATION_ADDRESS, else 127.0.0.1:20051.
            agent: The name of the calling agent. Claims and sessions need it.
            project: The default is that of ORCHESTRATION_PROJECT, else the project of the key.
            session: The key of the session to which the calls belong.
            correlation_id: An id that the events of all calls carry.
            timeout: The deadline of calls in seconds; None for no deadline.
            credentials: The default is TLS if ORCHESTRATION_CA_FILE names the authority that signed the
                server's certificate. Without credentials nothing is encrypted.
            token: A key or a JWT. The default is that of ORCHESTRATION_TOKEN.
            options: Channel arguments of gRPC, which override those of this package.

        Raises:
            ValueError: An argument is not valid, or the token would go to another machine unencrypted.
        """
        self.raw = AsyncClient(
            address,
            project=project,
            agent=agent,
            session=session,
            correlation_id=correlation_id,
            timeout=timeout,
            credentials=credentials,
            token=token,
            options=options,
        )

    def __repr__(self) -> str:
        return f"<ledger at {self.raw.address}>"

    async def close(self) -> None:
        """End the feeds and heartbeats, and close the connection.

        Leases of work that has not ended expire by themselves.
        """
        await self.raw.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
