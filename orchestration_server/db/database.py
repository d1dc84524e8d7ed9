"""The pool of connections. Driver errors become the ledger's own here and nowhere else."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

import psycopg
import psycopg_pool
import structlog
from psycopg import errors as pg

from orchestration_server.db import connect, partitions
from orchestration_server.db.cancellation import CancelHandle, StatementCanceller
from orchestration_server.db.connection import Connection
from orchestration_server.db.pool import LifoPool
from orchestration_server.errors import (
    Conflict,
    DeadlineExceeded,
    PartitionMissing,
    PendingChanges,
    ResourceExhausted,
    Unavailable,
    UnfitDatabase,
)
from orchestration_server.model import Call
from orchestration_server.telemetry import metrics

log = structlog.get_logger()

__all__ = ["Connection", "Database"]

CONFLICT_ERRORS = (pg.UniqueViolation, pg.DeadlockDetected, pg.SerializationFailure)
POOL_EXHAUSTED_ERRORS = (psycopg_pool.TooManyRequests, psycopg_pool.PoolTimeout)
PARTITIONED_TABLE = "events_rest"
"""The table whose partitions are months."""
UNAVAILABLE_ERRORS = (pg.ReadOnlySqlTransaction, pg.IdleInTransactionSessionTimeout, pg.TransactionTimeout)
"""What the driver calls internal errors, and comes of a primary that is none any more, or of a pause of the
server's."""
_FULL = re.compile("too many|connection slots")
LEDGER_CONFLICT = "OL001"
LEDGER_PENDING = "OL002"
RETRY_PROBE_SECONDS = 0.1
PROBE_CONNECT_SECONDS = 2
PROBE_APPLICATION = "orchestration probe"
PROBE_INTERVAL_SECONDS = 2.0
"""How often a new connection looks which server answers now, if nothing else calls for a look."""
ALIVE_SECONDS = 0.5
CALL_TIMEOUT_SECONDS = 0.02
"""The longest that a call waits for a connection: its caller is to be told at once."""
BACKGROUND_TIMEOUT_SECONDS = 1.0
"""The longest that anything nobody waits for does."""
SETTLE_SECONDS = 2.0
"""How long connections may be missing after one was lost, or a pool was opened."""
OPENING_POLL_SECONDS = 0.005
MAX_LIFETIME_SECONDS = 24 * 3600.0
"""The age at which a connection is replaced: after each, live timelines read from their last event."""


class Database:
    """A pool of autocommit connections to one Postgres that is known to be up or known to be away.

    While it is away every call fails at once with Unavailable, and a probe every 100 ms notices its
    return, then starts a fresh pool: none of the old connections is met again.

    It is one server at a time: the one that the latest connection reached, which was a primary then. A
    connection to another one, as there are after a failover, is closed instead of lent.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int,
        statement_seconds: float = 30.0,
        slow_seconds: float = 1.0,
        on_statement: Callable[[str, float, bool], None] | None = None,
    ) -> None:
        self._url = url
        self._size = size
        self._slow_seconds = slow_seconds
        self._on_statement = on_statement
        self._parameters = connect.connection_parameters(url, statement_seconds=statement_seconds)
        self._node = ""
        """The server that the latest connection reached; empty while none is trusted."""
        self._schema: str | None = None
        self._why = ""
        self._settled_at = 0.0
        """Until then whoever finds no connection waits for those that are made anew, and is told that the
        database is away: clients try that again by themselves."""
        self._pool = self._open()
        self._away = threading.Event()
        self._closed = threading.Event()
        self._prober = threading.Thread(target=self._probe, name="db-probe", daemon=True)
        self._doubted = threading.Event()
        self._lost = threading.Event()
        """A connection was, and others may be."""
        self._prober.start()
        self.canceller = StatementCanceller()
        metrics.POOL_CONNECTIONS.watch(self, self._counted)

    def _counted(self) -> Mapping[str, float]:
        counts = self._pool.get_stats()
        size, idle = counts.get("pool_size", 0), counts.get("pool_available", 0)
        return {"size": size, "idle": idle, "used": size - idle}

    def _configure(self, conn: Connection) -> None:
        try:
            conn.node = self._reached(conn)
        except BaseException:
            conn.close()
            raise
        conn.slow_seconds = self._slow_seconds
        conn.on_statement = self._on_statement

    def _reached(self, conn: psycopg.Connection[tuple[Any, ...]]) -> str:
        """Check a new connection; return the server that it reached, to which all others have to be too."""
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

    def _open(self) -> LifoPool:
        """Open a pool; return it when it has all its connections, or as many as there are in two seconds."""
        pool = LifoPool(
            # All at once: a fresh server answered ten callers 680 times a second so, with two at first 530.
            min_size=self._size,
            max_size=self._size,
            kwargs={"autocommit": True, **self._parameters},
            max_waiting=self._size * 4,
            reconnect_timeout=1.0,
            max_lifetime=MAX_LIFETIME_SECONDS,
            connection_class=Connection,
            configure=self._configure,
        )
        # The pool's own wait() closes it where one is late.
        end = time.monotonic() + SETTLE_SECONDS
        while pool.get_stats().get("pool_available", 0) < self._size and time.monotonic() < end:
            time.sleep(OPENING_POLL_SECONDS)
        opened = pool.get_stats().get("pool_available", 0)
        if opened < self._size:
            log.warning("fewer connections to the database than there should be", open=opened, of=self._size)
        return pool

    def connection(self, call: Call | None = None, *, timeout: float | None = None) -> BorrowedConnection:
        """Lends an autocommit connection. Its statement is stopped when the call's caller leaves.

        ``timeout`` is how many seconds it waits for one: a call, where nothing else is said, as good as not.
        """
        if timeout is None:
            timeout = BACKGROUND_TIMEOUT_SECONDS if call is None else CALL_TIMEOUT_SECONDS
        return BorrowedConnection(self, call, timeout)

    def take(self, timeout: float) -> tuple[LifoPool, Connection]:
        """Takes a connection, which goes back to the pool it is of."""
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
        """Take a connection to the server that is the primary now; close those to others."""
        end = time.monotonic() + timeout
        while True:
            conn = pool.getconn(max(0.0, end - time.monotonic()))
            if conn.node == self._node:
                return conn
            conn.close()
            pool.putconn(conn)

    def distrust_connections(self) -> None:
        """Trust no connection that there is: the server is no primary any more."""
        self._node = ""

    def report_failure(self, *, lost: bool) -> None:
        """A call failed as it does when the database is away: the prober looks.

        ``lost`` says that its connection was, and then others may be.
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
                # Those that were lost with that one are replaced unseen. All that are free are away from the
                # pool meanwhile, so an overload is no reason for it.
                if lost:
                    with suppress(psycopg.Error, psycopg_pool.PoolClosed):
                        self._pool.check()
                # Under overload call after call is refused, and none needs a look of its own.
                if doubted:
                    self._closed.wait(RETRY_PROBE_SECONDS)
                continue
            self._away.set()
            log.warning("database away", text=self._why)
            old = self._pool
            while not self._answers():
                if self._closed.wait(RETRY_PROBE_SECONDS):
                    return
            self._pool = self._open()
            self._settled_at = time.monotonic() + SETTLE_SECONDS
            self._away.clear()
            log.info("database back")
            old.close(timeout=0)

    def _answers(self) -> bool:
        """Return whether a primary is reached by a new connection, or if none can be made, by an old one."""
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
                # It has no room for one more: that it says so is an answer.
                return True
        else:
            self._pool.refill()
            return True
        # The password may be another one now, say: who is in stays in.
        return not self._away.is_set() and self._pool.has_live_primary(ALIVE_SECONDS)

    @property
    def away(self) -> bool:
        """Whether the database is known to be away."""
        return self._away.is_set()

    def close(self) -> None:
        """Closes every connection."""
        metrics.POOL_CONNECTIONS.forget(self)
        self._closed.set()
        self._doubted.set()
        self._prober.join(timeout=5)
        self.canceller.close()
        self._pool.close(timeout=2)


def lacks_partition(error: pg.CheckViolation) -> bool:
    """Return whether a row was refused as there is no partition for its time."""
    return error.diag.constraint_name is None and error.diag.table_name == PARTITIONED_TABLE


def translate_error(error: BaseException) -> BaseException:
    """The ledger's own error for one of the driver's; text from the driver goes to the log alone."""
    if isinstance(error, CONFLICT_ERRORS):
        return Conflict()
    if isinstance(error, pg.QueryCanceled):
        return DeadlineExceeded("the statement was stopped: its deadline passed")
    if isinstance(error, pg.LockNotAvailable | pg.OutOfMemory | pg.TooManyConnections):
        return ResourceExhausted("the database is at a limit; try again shortly", reason="DATABASE_BUSY")
    if isinstance(error, POOL_EXHAUSTED_ERRORS):
        metrics.POOL_EXHAUSTED.inc()
        return ResourceExhausted(
            "no connection to the database came free; try again shortly", reason="POOL_EXHAUSTED"
        )
    if isinstance(
        error,
        (psycopg.OperationalError, psycopg_pool.PoolClosed, pg.InFailedSqlTransaction, *UNAVAILABLE_ERRORS),
    ):
        # With an SQLSTATE it is the server's text, which may quote values.
        text = "" if getattr(error, "sqlstate", None) else str(error).partition("\n")[0]
        log.warning("database error", error=error, text=text)
        return Unavailable()
    if isinstance(error, psycopg.Error) and error.sqlstate == LEDGER_CONFLICT:
        return Conflict()
    if isinstance(error, psycopg.Error) and error.sqlstate == LEDGER_PENDING:
        return PendingChanges()
    return error


class BorrowedConnection:
    """A connection of the pool for the length of a block, which may end in any error.

    The pool's own context manager also commits, which an autocommit connection has no use for.
    """

    __slots__ = ("_call", "_conn", "_db", "_pool", "_timeout", "_watch")

    def __init__(self, db: Database, call: Call | None, timeout: float) -> None:
        self._db = db
        self._call = call
        self._timeout = timeout
        self._watch: CancelHandle | None = None

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
            self._watch = self._db.canceller.arm(self._conn, call)
            if self._watch is None:
                self._pool.putconn(self._conn)
                raise DeadlineExceeded("the call had ended before its statement began")
        return self._conn

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        given = error
        if self._watch is not None:
            with self._watch.lock:
                self._watch.armed = False
            if self._watch.doubtful:
                # The stop may still arrive: whoever had this connection next would be the one to feel it.
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
        """Make the partitions of this month and of those ahead; return the error that the block ends in."""
        log.warning("no event partition for the present time: making those that are missing")
        try:
            with self._conn.transaction():
                partitions.add_missing(self._conn)
        except psycopg.Error as error:
            log.error("event partitions cannot be made", error=error)
            return Unavailable("no event of the present time can be stored: run `orchestration migrate`")
        return PartitionMissing()

    def _raise(self, error: BaseException) -> None:
        """Raises the ledger's error for the driver's; any other goes on by itself."""
        ours = translate_error(error)
        if isinstance(ours, Unavailable | ResourceExhausted):
            self._db.report_failure(lost=ours is not error and isinstance(ours, Unavailable))
        try:
            if ours is not error:
                raise ours from error
        finally:
            # Its traceback holds this frame.
            del ours
