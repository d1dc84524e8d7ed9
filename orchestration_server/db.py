"""The pool of connections. Driver errors become the ledger's own here and nowhere else."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

import psycopg
import psycopg_pool
import structlog
from psycopg import errors as pg

from orchestration_server import metrics
from orchestration_server.cancels import Cancels, Watch
from orchestration_server.errors import (
    Conflict,
    DeadlineExceeded,
    Held,
    ResourceExhausted,
    Unavailable,
)
from orchestration_server.model import Call
from orchestration_server.store.connection import APPLICATION, Connection

log = structlog.get_logger()

__all__ = ["Connection", "Database", "session_options"]

CONFLICTS = (pg.UniqueViolation, pg.DeadlockDetected, pg.SerializationFailure)
EXHAUSTED = (psycopg_pool.TooManyRequests, psycopg_pool.PoolTimeout)
UNAVAILABLE = (pg.ReadOnlySqlTransaction, pg.IdleInTransactionSessionTimeout, pg.TransactionTimeout)
"""What the driver calls internal errors, and comes of a primary that is none any more, or of a pause of the
server's."""
LEDGER_CONFLICT = "OL001"
LEDGER_HELD = "OL002"
PROBE_SECONDS = 0.1
CALL_SECONDS = 0.02
"""The longest that a call waits for a connection: its caller is to be told at once."""
PATIENCE_SECONDS = 1.0
"""The longest that anything nobody waits for does."""
SETTLE_SECONDS = 2.0
"""How long connections may be missing after one was lost, or a pool was opened."""
LOOK_SECONDS = 0.005
NOTICED = {
    "keepalives_idle": 30, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 10_000,
}  # fmt: skip
"""A database that is silently gone, behind a firewall that forgot its connections say, is noticed after
seconds, where the kernel's own patience is a quarter of an hour and more."""
LIFETIME_SECONDS = 24 * 3600.0
"""The age at which a connection is replaced: after each, live timelines read from their last event."""


def session_options(statement_seconds: float) -> str:
    """The settings that each session begins with."""
    return (
        f"-c statement_timeout={int(statement_seconds * 1000)} -c lock_timeout=10s"
        " -c idle_in_transaction_session_timeout=10s -c jit=off -c timezone=UTC"
        # Planning for six partitions takes longer than most statements run.
        " -c plan_cache_mode=force_generic_plan"
    )


class _LastInFirstOut(deque[Connection]):
    """Connections that are free; the next is the one that came back last."""

    def popleft(self) -> Connection:
        return self.pop()


class _Pool(psycopg_pool.ConnectionPool[Connection]):
    """Lends the connection that came back last, so that few have to prepare and plan what is asked now.

    psycopg's own takes turns: of 500 timelines with six kinds of filter a third of the time went into plans.
    """

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._pool = _LastInFirstOut()
        self.open()

    def _get_ready_connection(self, timeout: float | None) -> Connection | None:
        # psycopg's own refuses whoever comes late, also where connections are free: of a wait of 20 ms a busy
        # machine takes that much before the pool is even looked at. Who finds none waits no longer for that.
        return super()._get_ready_connection(None)


class Database:
    """A pool of autocommit connections to one Postgres that is known to be up or known to be away.

    While it is away every call fails at once with Unavailable, and a probe every 100 ms notices its
    return, then starts a fresh pool: none of the old connections is met again.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int,
        statement_seconds: float = 30.0,
        slow_seconds: float = 1.0,
        told: Callable[[str, float, bool], None] | None = None,
    ) -> None:
        self._url = url
        self._size = size
        self._slow_seconds = slow_seconds
        self._told = told
        self._options = session_options(statement_seconds)
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
        self.cancels = Cancels()
        metrics.POOL_CONNECTIONS.watch(self, self._counted)

    def _counted(self) -> Mapping[str, float]:
        counts = self._pool.get_stats()
        size, idle = counts.get("pool_size", 0), counts.get("pool_available", 0)
        return {"size": size, "idle": idle, "used": size - idle}

    def _configure(self, conn: Connection) -> None:
        conn.slow_seconds = self._slow_seconds
        conn.told = self._told

    def _open(self) -> psycopg_pool.ConnectionPool[Connection]:
        """A pool that has all its connections, or as many as there were in two seconds."""
        pool = _Pool(
            self._url,
            # All at once: a fresh server answered ten callers 680 times a second so, with two at first 530.
            min_size=self._size,
            max_size=self._size,
            kwargs={
                "autocommit": True,
                "options": self._options,
                "connect_timeout": 5,
                "application_name": APPLICATION,
                **NOTICED,
            },
            max_waiting=self._size * 4,
            reconnect_timeout=1.0,
            max_lifetime=LIFETIME_SECONDS,
            connection_class=Connection,
            configure=self._configure,
            open=False,
        )
        # The pool's own wait() closes it where one is late.
        end = time.monotonic() + SETTLE_SECONDS
        while pool.get_stats().get("pool_available", 0) < self._size and time.monotonic() < end:
            time.sleep(LOOK_SECONDS)
        return pool

    def connection(self, call: Call | None = None, *, patience: float | None = None) -> Lent:
        """Lends an autocommit connection. Its statement is stopped when the call's caller leaves.

        ``patience`` is how many seconds it waits for one: a call, where nothing else is said, as good as not.
        """
        if patience is None:
            patience = PATIENCE_SECONDS if call is None else CALL_SECONDS
        return Lent(self, call, patience)

    def take(self, patience: float) -> tuple[psycopg_pool.ConnectionPool[Connection], Connection]:
        """Takes a connection, which goes back to the pool it is of."""
        if self._away.is_set():
            raise Unavailable
        pool = self._pool
        try:
            return pool, pool.getconn(patience)
        except EXHAUSTED:
            if time.monotonic() > self._settled_at:
                raise
        try:
            return pool, pool.getconn(PATIENCE_SECONDS)
        except EXHAUSTED as error:
            raise Unavailable from error

    def suspect(self, *, lost: bool) -> None:
        """A call failed as it does when the database is away: the prober looks.

        ``lost`` says that its connection was, and then others may be.
        """
        if lost:
            self._settled_at = time.monotonic() + SETTLE_SECONDS
            self._lost.set()
        self._doubted.set()

    def _probe(self) -> None:
        while not self._closed.is_set():
            self._doubted.wait()
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
                self._closed.wait(PROBE_SECONDS)
                continue
            self._away.set()
            log.warning("database away")
            old = self._pool
            while not self._answers():
                if self._closed.wait(PROBE_SECONDS):
                    return
            self._pool = self._open()
            self._settled_at = time.monotonic() + SETTLE_SECONDS
            self._away.clear()
            log.info("database back")
            old.close(timeout=0)

    def _answers(self) -> bool:
        with suppress(psycopg.Error):
            with psycopg.connect(self._url, connect_timeout=2, autocommit=True) as conn:
                conn.execute("select 1")
            return True
        return False

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
        self.cancels.close()
        self._pool.close(timeout=2)


def translated(error: BaseException) -> BaseException:
    """The ledger's own error for one of the driver's; text from the driver goes to the log alone."""
    if isinstance(error, CONFLICTS):
        return Conflict()
    if isinstance(error, pg.QueryCanceled):
        return DeadlineExceeded("the statement was stopped: its deadline passed")
    if isinstance(error, pg.LockNotAvailable | pg.OutOfMemory | pg.TooManyConnections):
        return ResourceExhausted("the database is at a limit; try again shortly", reason="DATABASE_BUSY")
    if isinstance(error, EXHAUSTED):
        metrics.POOL_EXHAUSTED.inc()
        return ResourceExhausted(
            "no connection to the database came free; try again shortly", reason="POOL_EXHAUSTED"
        )
    if isinstance(
        error, (psycopg.OperationalError, psycopg_pool.PoolClosed, pg.InFailedSqlTransaction, *UNAVAILABLE)
    ):
        # With an SQLSTATE it is the server's text, which may quote values.
        text = "" if getattr(error, "sqlstate", None) else str(error).partition("\n")[0]
        log.warning("database error", error=error, text=text)
        return Unavailable()
    if isinstance(error, psycopg.Error) and error.sqlstate == LEDGER_CONFLICT:
        return Conflict()
    if isinstance(error, psycopg.Error) and error.sqlstate == LEDGER_HELD:
        return Held()
    return error


class Lent:
    """A connection of the pool for the length of a block, which may end in any error.

    The pool's own context manager also commits, which an autocommit connection has no use for.
    """

    __slots__ = ("_call", "_conn", "_db", "_patience", "_pool", "_watch")

    def __init__(self, db: Database, call: Call | None, patience: float) -> None:
        self._db = db
        self._call = call
        self._patience = patience
        self._watch: Watch | None = None

    def __enter__(self) -> Connection:
        began = time.monotonic()
        try:
            self._pool, self._conn = self._db.take(self._patience)
        except Exception as error:
            self._raise(error)
            raise
        finally:
            metrics.POOL_WAIT_SECONDS.observe(time.monotonic() - began)
        call = self._call
        if call is not None and call.on_end is not None:
            self._watch = self._db.cancels.watch(self._conn, call)
            if self._watch is None:
                self._pool.putconn(self._conn)
                raise DeadlineExceeded("the call had ended before its statement began")
        return self._conn

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            with self._watch.lock:
                self._watch.armed = False
            if self._watch.doubtful:
                # The stop may still arrive: whoever had this connection next would be the one to feel it.
                self._conn.close()
        if isinstance(error, pg.ReadOnlySqlTransaction):
            # The next one finds the primary that there is now.
            self._conn.close()
        self._pool.putconn(self._conn)
        if error is not None:
            self._raise(error)

    def _raise(self, error: BaseException) -> None:
        """Raises the ledger's error for the driver's; any other goes on by itself."""
        ours = translated(error)
        if isinstance(ours, Unavailable | ResourceExhausted):
            self._db.suspect(lost=ours is not error and isinstance(ours, Unavailable))
        try:
            if ours is not error:
                raise ours from error
        finally:
            # Its traceback holds this frame.
            del ours
