"""How the server logs: for people on a terminal, JSON elsewhere; never the values of a call.

Whoever logs waits for nobody: a thread writes the lines, and where what reads them is slower than they come,
some are dropped and counted. Of an error the log tells its type, its SQLSTATE or errno, and where it was
raised: texts of errors hold users' data, so they are left out, and so are the local variables of tracebacks.
"""

from __future__ import annotations

import atexit
import errno
import logging
import os
import sys
import threading
from collections.abc import Iterator, MutableMapping
from queue import SimpleQueue
from traceback import format_tb
from typing import Any

import structlog

from orchestration_server.errors import LedgerError
from orchestration_server.telemetry import metrics

LINES = 5_000
"""So many lines wait to be written; those above are dropped."""
LINE_CHARACTERS = 65_536
"""Lines are cut there."""
TRACE_CHARACTERS = 8_192
"""So much of a traceback is kept: its end, where the error was raised."""
STDERR = 2
STOP_SECONDS = 2.0
"""How long the end of the process waits for what is still to be written."""

Event = MutableMapping[str, Any]

log = structlog.get_logger()


class Writer:
    """Writes lines to a file descriptor, from a thread of its own."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._dropped = 0
        self._told = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Has a line written soon, or drops it. Never waits."""
        if self._lines.qsize() >= LINES:
            self._dropped += 1
            metrics.LOG_LINES_DROPPED.inc()
            return
        self._lines.put(line)

    def close(self) -> None:
        """Writes what waits, for a moment."""
        self._lines.put(None)
        self._thread.join(timeout=STOP_SECONDS)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)
            dropped = self._dropped
            if dropped > self._told and self._lines.qsize() < LINES // 2:
                log.warning("log lines dropped", lines=dropped - self._told)
                self._told = dropped

    def _write(self, line: str) -> None:
        left = memoryview((line[:LINE_CHARACTERS] + "\n").encode(errors="backslashreplace"))
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            # Nobody reads it any more, and there is nowhere else to say so.
            self._dropped += 1


class _Logger:
    """What structlog hands a finished line to."""

    def __init__(self, writer: Writer) -> None:
        self._put = writer.put

    def msg(self, line: str) -> None:
        self._put(line)

    debug = info = warning = error = critical = exception = msg


class _Foreign(logging.Handler):
    """Takes in what libraries log: grpc, psycopg and its pool, redis."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(record.args, tuple):
            record.args = tuple(_told(one) for one in record.args)
        # Where an error goes with it, its text may stand behind a colon.
        text = record.getMessage() if error is None else str(record.msg).partition(":")[0]
        log.log(record.levelno, text, logger=record.name, **({"exc_info": error} if error else {}))


_configured: Writer | None = None


def configure(level: str = "info") -> None:
    """Sets the log up; again, for another level, before anything is logged."""
    global _configured  # stderr is one, and so is its writer
    if _configured is None:
        _configured = Writer(STDERR)
        atexit.register(_configured.close)
    writer = _configured
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *_: _Logger(writer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Foreign()], level=max(least, logging.WARNING), force=True)
    threading.excepthook = _uncaught


def _uncaught(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_type is not SystemExit:
        name = failed.thread.name if failed.thread else ""
        log.error("thread failed", thread=name, exc_info=failed.exc_value)


def redact(_logger: object, _method: str, event: Event) -> Event:
    """Puts what may be told of errors in their place."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    for key, value in event.items():
        if isinstance(value, BaseException):
            event[key] = named(value)
    if isinstance(error, BaseException):
        event["exception"] = "".join(_trace(error))[-TRACE_CHARACTERS:]
    return event


def named(error: BaseException) -> str:
    """What kind of error it is: nothing in it is a caller's."""
    state = getattr(error, "sqlstate", None)
    if isinstance(error, LedgerError):
        state = error.reason
    elif isinstance(error, OSError) and error.errno:
        state = errno.errorcode.get(error.errno, str(error.errno))
    kind = type(error).__name__
    return f"{kind} {state}" if isinstance(state, str) else kind


def _told(value: object) -> object:
    """What a library's message may hold in place of a value. Without an SQLSTATE the text of a database's
    error is the driver's own, of a connection: who is not reached, and why."""
    if not isinstance(value, BaseException):
        return value
    if type(value).__module__.startswith("psycopg") and getattr(value, "sqlstate", None) is None:
        return str(value).partition("\n")[0]
    return named(value)


def _trace(error: BaseException) -> Iterator[str]:
    """Where an error was raised, and what had been before it."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _trace(before)
        yield "\n"
    yield from format_tb(error.__traceback__)
    yield named(error)
