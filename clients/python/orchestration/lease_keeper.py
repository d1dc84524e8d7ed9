"""The heartbeats of a client: on a thread, or in a task of the event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc

from orchestration.claims import BEAT_TIMEOUT
from orchestration.leases import CLOSED, KeptLease, LeaseTable, heartbeat_request
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub

if TYPE_CHECKING:
    from orchestration.v1.coordination_pb2_grpc import CoordinationServiceAsyncStub

Event = threading.Event
AsyncEvent = asyncio.Event

_log = logging.getLogger("orchestration")


class LeaseKeeper:
    """The heartbeats of all work of one client, on one thread that starts with the first lease."""

    def __init__(
        self, coordination: CoordinationServiceStub, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._coordination = coordination
        self._clock = clock
        self._table = LeaseTable()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def keep(self, kept: KeptLease) -> None:
        """Beat for a lease until ``drop``."""
        with self._changed:
            if self._closed:
                kept.lost(CLOSED)
                return
            self._table.add(kept, self._clock())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="orchestration-leases", daemon=True)
                self._thread.start()
            self._changed.notify()

    def drop(self, kept: KeptLease) -> None:
        """Beat for a lease no longer."""
        with self._changed:
            self._table.remove(kept)

    def close(self) -> None:
        """End the heartbeats. The leases count as lost, and expire by themselves."""
        with self._changed:
            self._closed = True
            self._table.lose_all(CLOSED)
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=BEAT_TIMEOUT)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._table.expire(self._clock())
                due = self._table.due(self._clock())
                if self._closed:
                    return
                if not due:
                    wake = self._table.next_wake()
                    self._changed.wait(None if wake is None else max(0.0, wake - self._clock()))
                    continue
            self._beat(due)

    def _beat(self, due: list[KeptLease]) -> None:
        sent_at = self._clock()
        # A call that is not answered by then is of no use: the watchdog must not wait for it.
        left = self._table.first_expiry() - sent_at
        try:
            answer = self._coordination.Heartbeat(
                heartbeat_request(due), timeout=max(0.05, min(BEAT_TIMEOUT, left))
            )
        except (grpc.RpcError, ValueError) as error:
            # grpc raises ValueError if the channel is closed.
            _log.warning("heartbeat of %d leases failed: %s", len(due), error)
            with self._changed:
                self._table.failed(due, self._clock())
            return
        with self._changed:
            self._table.accepted(due, answer.leases, sent_at, self._clock())


class AsyncLeaseKeeper:
    """The heartbeats of all work of one client, in one task that starts with the first lease."""

    def __init__(
        self, coordination: CoordinationServiceAsyncStub, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._coordination = coordination
        self._clock = clock
        self._table = LeaseTable()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def keep(self, kept: KeptLease) -> None:
        """Beat for a lease until ``drop``."""
        self._table.add(kept, self._clock())
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="orchestration-leases")

    def drop(self, kept: KeptLease) -> None:
        """Beat for a lease no longer."""
        self._table.remove(kept)

    async def close(self) -> None:
        """End the heartbeats. The leases count as lost, and expire by themselves."""
        self._table.lose_all(CLOSED)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            self._table.expire(self._clock())
            due = self._table.due(self._clock())
            if due:
                await self._beat(due)
                continue
            wake = self._table.next_wake()
            left = None if wake is None else max(0.0, wake - self._clock())
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                continue

    async def _beat(self, due: list[KeptLease]) -> None:
        sent_at = self._clock()
        # A call that is not answered by then is of no use: the watchdog must not wait for it.
        left = self._table.first_expiry() - sent_at
        try:
            answer = await self._coordination.Heartbeat(
                heartbeat_request(due), timeout=max(0.05, min(BEAT_TIMEOUT, left))
            )
        except grpc.RpcError as error:
            _log.warning("heartbeat of %d leases failed: %s", len(due), error)
            self._table.failed(due, self._clock())
            return
        self._table.accepted(due, answer.leases, sent_at, self._clock())
