"""The database: it lends connections, and knows whether the database is away."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import psycopg
import psycopg_pool
import structlog
from psycopg import errors as pg

from orchestration_server.db import connect, partitions
from orchestration_server.db.cancellation import CancelHandle, StatementCanceller
from orchestration_server.db.connection import Connection
from orchestration_server.db.driver_errors import POOL_EXHAUSTED_ERRORS, lacks_partition, translate_error
from orchestration_server.db.pool import LifoPool
from orchestration_server.errors import (
    DeadlineExceeded,
    PartitionMissing,
    ResourceExhausted,
    Unavailable,
    UnfitDatabase,
)
from orchestration_server.model import Call
from orchestration_server.telemetry import metrics

log = structlog.get_logger()

__all__ = ["Connection", "Database"]

_FULL = re.compile("too many|connection slots")
RETRY_PROBE_SECONDS = 0.1
PROBE_CONNECT_SECONDS = 2
PROBE_APPLICATION = "orchestration probe"
PROBE_INTERVAL_SECONDS = 2.0
"""The longest time between two probes, which find out which server is the primary."""
ALIVE_SECONDS = 0.5
CALL_TIMEOUT_SECONDS = 0.02
"""The longest that a call waits for a connection. Its caller gets an answer at once."""
BACKGROUND_TIMEOUT_SECONDS = 1.0
"""The longest that background work waits for a connection."""
SETTLE_SECONDS = 2.0
"""The longest that connections may be missing after one was lost, or after a pool was opened."""
OPENING_POLL_SECONDS = 0.005
MAX_LIFETIME_SECONDS = 24 * 3600.0
"""The age at which a connection is replaced. Live timelines then read again from their last event."""


class Database:
    """The ledger's database, with a pool of autocommit connections. It is known to be up or known to be away.

    While it is away, every call fails at once with Unavailable. A probe every 100 ms notices its return and
    opens a new pool, so no old connection is used again.

    All connections reach one server: the one that the newest connection reached, which was a primary then.
    After a failover, connections to another server are closed instead of lent.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int,
        statement_seconds: float = 30.0,
        slow_seconds: float = 1.0,
        on_statement: Callable[[str, float, bool], None] | None = None,
        prepare: Callable[[Connection], None] | None = None,
    ) -> None:
        """``prepare`` is called with each new connection of the pool."""
        self._url = url
        self._size = size
        self._slow_seconds = slow_seconds
        self._on_statement = on_statement
        self._prepare = prepare
        self._parameters = connect.connection_parameters(url, statement_seconds=statement_seconds)
        self._node = ""
        """The server that the newest connection reached. Empty while no connection is trusted."""
        self._trust = 0
        """Counts how often all open connections were distrusted. A new one may reach the same server."""
        self._schema: str | None = None
        self._why = ""
        self._settled_at = 0.0
        """The time until which connections may be missing. A borrower that gets none until then waits longer,
        and then gets Unavailable, which clients retry."""
        self._pool = self._new_pool()
        self._away = threading.Event()
        self._closed = threading.Event()
        self._prober = threading.Thread(target=self._probe, name="db-probe", daemon=True)
        self._doubted = threading.Event()
        self._lost = threading.Event()
        """Set if a connection was lost. Others may be lost, too."""
        self.canceller = StatementCanceller()

    def start(self) -> Self:
        """Open the pool and start the threads. Return the database itself."""
        self._open(self._pool)
        self._prober.start()
        self.canceller.start()
        metrics.POOL_CONNECTIONS.watch(self, self._counted)
        return self

    def _counted(self) -> Mapping[str, float]:
        counts = self._pool.get_stats()
        size, idle = counts.get("pool_size", 0), counts.get("pool_available", 0)
        return {"size": size, "idle": idle, "used": size - idle}

    def _configure(self, conn: Connection) -> None:
        # Read before the check: a connection that is checked while all are distrusted is one of them.
        conn.trust = self._trust
        try:
            conn.node = self._reached(conn)
            if self._prepare is not None:
                self._prepare(conn)
        except BaseException:
            conn.close()
            raise
        conn.slow_seconds = self._slow_seconds
        conn.on_statement = self._on_statement

    def _reached(self, conn: psycopg.Connection[tuple[Any, ...]]) -> str:
        """Check a new connection, and return its server, which becomes the server of all connections."""
        session = connect.check(conn)
        if self._schema is None:
            self._schema = session.schema
        elif session.schema != self._schema:
            raise UnfitDatabase(
                f"the schema of new connections is {session.schema or 'none'}, and was {self._schema}",
                "set the search_path back, or restart the servers",
            )
        if self._node != session.node:
            if self._node:
                log.warning("the database is another server now, or was restarted")
                self._settled_at = time.monotonic() + SETTLE_SECONDS
            self._node = session.node
        return session.node

    def _new_pool(self) -> LifoPool:
        """Return a pool that is not open yet."""
        return LifoPool(
            # All connections open at once. A new server then answers 680 calls a second from ten callers, and
            # 530 if it begins with two connections.
            min_size=self._size,
            max_size=self._size,
            kwargs={"autocommit": True, **self._parameters},
            max_waiting=self._size * 4,
            reconnect_timeout=1.0,
            max_lifetime=MAX_LIFETIME_SECONDS,
            connection_class=Connection,
            configure=self._configure,
        )

    def _open(self, pool: LifoPool) -> None:
        """Open a pool. Return when all its connections are open, or after two seconds."""
        pool.open()
        # The pool's own wait() closes the pool if a connection is late.
        end = time.monotonic() + SETTLE_SECONDS
        while pool.get_stats().get("pool_available", 0) < self._size and time.monotonic() < end:
            time.sleep(OPENING_POLL_SECONDS)
        opened = pool.get_stats().get("pool_available", 0)
        if opened < self._size:
            log.warning("fewer connections to the database than there should be", open=opened, of=self._size)

    def connection(self, call: Call | None = None, *, timeout: float | None = None) -> BorrowedConnection:
        """Borrow an autocommit connection. If the call's caller leaves, its statement is cancelled.

        Raises ResourceExhausted if no connection is free within ``timeout`` seconds: by default 20 ms for a
        call, and 1 s for background work.
        """
        if timeout is None:
            timeout = BACKGROUND_TIMEOUT_SECONDS if call is None else CALL_TIMEOUT_SECONDS
        return BorrowedConnection(self, call, timeout)

    def take(self, timeout: float) -> tuple[LifoPool, Connection]:
        """Take a connection and its pool, to which the caller returns it."""
        if self._away.is_set():
            raise Unavailable
        pool = self._pool
        try:
            return pool, self._trusted(pool, timeout)
        except POOL_EXHAUSTED_ERRORS:
            if time.monotonic() > self._settled_at:
                raise
        try:
            return pool, self._trusted(pool, BACKGROUND_TIMEOUT_SECONDS)
        except POOL_EXHAUSTED_ERRORS as error:
            raise Unavailable from error

    def _trusted(self, pool: LifoPool, timeout: float) -> Connection:
        """Take a connection to the current primary. Close connections to other servers."""
        end = time.monotonic() + timeout
        while True:
            conn = pool.getconn(max(0.0, end - time.monotonic()))
            if conn.node == self._node and conn.trust == self._trust:
                return conn
            conn.close()
            pool.putconn(conn)

    def distrust_connections(self) -> None:
        """Trust no open connection, because the server is no longer the primary."""
        self._trust += 1
        self._node = ""

    def report_failure(self, *, lost: bool) -> None:
        """Have the database probed, as a call failed in a way that suggests that it is away.

        ``lost`` says that the call's connection was lost. Others may be lost, too.
        """
        if lost:
            self._settled_at = time.monotonic() + SETTLE_SECONDS
            self._lost.set()
        self._doubted.set()

    def _probe(self) -> None:
        while not self._closed.is_set():
            doubted = self._doubted.wait(PROBE_INTERVAL_SECONDS)
            if self._closed.is_set():
                return
            self._doubted.clear()
            lost = self._lost.is_set()
            self._lost.clear()
            if self._answers():
                # Replace the other lost connections before they are lent. The check takes all free
                # connections out of the pool, so it must not run because of an overload.
                if lost:
                    with suppress(psycopg.Error, psycopg_pool.PoolClosed):
                        self._pool.check()
                # Under overload many calls are refused, and one probe serves them all.
                if doubted:
                    self._closed.wait(RETRY_PROBE_SECONDS)
                continue
            self._away.set()
            log.warning("database away", text=self._why)
            old = self._pool
            while not self._answers():
                if self._closed.wait(RETRY_PROBE_SECONDS):
                    return
            pool = self._new_pool()
            self._open(pool)
            self._pool = pool
            self._settled_at = time.monotonic() + SETTLE_SECONDS
            self._away.clear()
            log.info("database back")
            old.close(timeout=0)

    def _answers(self) -> bool:
        """Return whether a new connection reaches a primary, or an old one if no new one can be made."""
        try:
            with connect.connect(
                self._url, psycopg.Connection, application=PROBE_APPLICATION, checked=False,
                connect_seconds=PROBE_CONNECT_SECONDS,
            ) as conn:  # fmt: skip
                self._reached(conn)
        except UnfitDatabase as error:
            self._why = str(error)
        except (psycopg.Error, OSError) as error:
            self._why = str(error).strip().partition("\n")[0]
            if _FULL.search(self._why):
                # The server has no room for one more connection, so it is up.
                return True
        else:
            self._pool.refill()
            return True
        # New connections may fail for another reason, such as a changed password. Keep the open ones.
        return not self._away.is_set() and self._pool.has_live_primary(ALIVE_SECONDS)

    @property
    def away(self) -> bool:
        """Return whether the database is known to be away."""
        return self._away.is_set()

    def close(self) -> None:
        """Close all connections and stop the threads."""
        metrics.POOL_CONNECTIONS.forget(self)
        self._closed.set()
        self._doubted.set()
        if self._prober.is_alive():
            self._prober.join(timeout=5)
        self.canceller.close()
        self._pool.close(timeout=2)


class BorrowedConnection:
    """A context manager that borrows a connection for a block and translates the block's errors.

    The pool's own context manager also commits, which autocommit connections do not need.
    """

    __slots__ = ("_call", "_conn", "_db", "_handle", "_pool", "_timeout")

    def __init__(self, db: Database, call: Call | None, timeout: float) -> None:
        self._db = db
        self._call = call
        self._timeout = timeout
        self._handle: CancelHandle | None = None

    def __enter__(self) -> Connection:
        began = time.monotonic()
        try:
            self._pool, self._conn = self._db.take(self._timeout)
        except Exception as error:
            self._raise(error)
            raise
        finally:
            metrics.POOL_WAIT_SECONDS.observe(time.monotonic() - began)
        call = self._call
        if call is not None and call.on_end is not None:
            self._handle = self._db.canceller.arm(self._conn, call)
            if self._handle is None:
                self._pool.putconn(self._conn)
                raise DeadlineExceeded("the call had ended before its statement began")
        return self._conn

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        given = error
        if self._handle is not None:
            with self._handle.lock:
                self._handle.armed = False
            if self._handle.doubtful:
                # The cancellation may still arrive, and would hit the next borrower's statement.
                self._conn.close()
        if isinstance(error, pg.ReadOnlySqlTransaction):
            self._conn.close()
            self._db.distrust_connections()
        if isinstance(error, pg.CheckViolation) and lacks_partition(error):
            error = self._add_partitions()
        self._pool.putconn(self._conn)
        if error is not None:
            self._raise(error)
            if error is not given:
                raise error from given

    def _add_partitions(self) -> BaseException:
        """Make the missing partitions. Return the error that the block ends with."""
        log.warning("no event partition for the present time: making those that are missing")
        try:
            with self._conn.transaction():
                partitions.add_missing(self._conn)
        except psycopg.Error as error:
            log.error("event partitions cannot be made", error=error)
            return Unavailable("no event of the present time can be stored: run `orchestration migrate`")
        return PartitionMissing()

    def _raise(self, error: BaseException) -> None:
        """Raise the ledger's error for a driver's error. Return for other errors."""
        ours = translate_error(error)
        if isinstance(ours, Unavailable | ResourceExhausted):
            self._db.report_failure(lost=ours is not error and isinstance(ours, Unavailable))
        try:
            if ours is not error:
                raise ours from error
        finally:
            # Its traceback holds this frame.
            del ours
