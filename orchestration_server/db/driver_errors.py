"""The translation of the driver's errors to the ledger's own."""

from __future__ import annotations

import psycopg
import psycopg_pool
import structlog
from psycopg import errors as pg

from orchestration_server.errors import (
    Conflict,
    DeadlineExceeded,
    PendingChanges,
    ResourceExhausted,
    Unavailable,
)
from orchestration_server.telemetry import metrics

log = structlog.get_logger()

POOL_EXHAUSTED_ERRORS = (psycopg_pool.TooManyRequests, psycopg_pool.PoolTimeout)
_CONFLICT_ERRORS = (pg.UniqueViolation, pg.DeadlockDetected, pg.SerializationFailure)
# The driver calls some of these internal errors. They come from a primary that became a standby, or from a
# pause of this process.
_UNAVAILABLE_ERRORS = (
    psycopg.OperationalError,
    psycopg_pool.PoolClosed,
    pg.InFailedSqlTransaction,
    pg.ReadOnlySqlTransaction,
    pg.IdleInTransactionSessionTimeout,
    pg.TransactionTimeout,
)
_PARTITIONED_TABLE = "events_rest"
"""The table whose partitions are months."""
_CONFLICT_STATE = "OL001"
"""The SQLSTATE of a write whose rows are not as expected."""
_PENDING_STATE = "OL002"
"""The SQLSTATE of an event whose entity has pending changes."""


def lacks_partition(error: pg.CheckViolation) -> bool:
    """Return whether a row was rejected because no partition takes its time."""
    return error.diag.constraint_name is None and error.diag.table_name == _PARTITIONED_TABLE


def translate_error(error: BaseException) -> BaseException:
    """Return the ledger's error for one of the driver's, or the error itself if it is another one.

    The driver's text goes to the log only.
    """
    if isinstance(error, _CONFLICT_ERRORS):
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
    if isinstance(error, _UNAVAILABLE_ERRORS):
        # An error with an SQLSTATE has the server's text, which may quote values.
        text = "" if getattr(error, "sqlstate", None) else str(error).partition("\n")[0]
        log.warning("database error", error=error, text=text)
        return Unavailable()
    if isinstance(error, psycopg.Error) and error.sqlstate == _CONFLICT_STATE:
        return Conflict()
    if isinstance(error, psycopg.Error) and error.sqlstate == _PENDING_STATE:
        return PendingChanges()
    return error
