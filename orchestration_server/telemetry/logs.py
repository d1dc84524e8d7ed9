"""The log of the server: readable on a terminal, JSON elsewhere, and without the values of calls.

Logging does not wait: a thread writes the lines. If the reader of the log is too slow, lines are dropped and
counted. An error is logged with its type, its SQLSTATE or errno, and its traceback. Texts of errors contain
users' data, so they are left out, as are the local variables of tracebacks.
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
"""The most lines that wait to be written. Further lines are dropped."""
LINE_CHARACTERS = 65_536
"""The length at which lines are cut."""
TRACE_CHARACTERS = 8_192
"""The length of a traceback that is kept: its end, which shows where the error was raised."""
STDERR = 2
STOP_SECONDS = 2.0
"""The time for which the process waits at its end for lines to be written."""

Event = MutableMapping[str, Any]

log = structlog.get_logger()


class Writer:
    """A writer of lines to a file descriptor, with its own thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._dropped = 0
        self._reported = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, line: str) -> None:
        """Queue a line, or drop it if too many wait. It does not block."""
        if self._lines.qsize() >= LINES:
            self._dropped += 1
            metrics.LOG_LINES_DROPPED.inc()
            return
        self._lines.put(line)

    def close(self) -> None:
        """Write the queued lines, for at most STOP_SECONDS."""
        self._lines.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=STOP_SECONDS)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)
            dropped = self._dropped
            if dropped > self._reported and self._lines.qsize() < LINES // 2:
                log.warning("log lines dropped", lines=dropped - self._reported)
                self._reported = dropped

    def _write(self, line: str) -> None:
        left = memoryview((line[:LINE_CHARACTERS] + "\n").encode(errors="backslashreplace"))
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            # The reader of the log has gone, and there is nowhere else to report it.
            self._dropped += 1


class _Logger:
    """The logger that receives rendered lines from structlog."""

    def __init__(self, writer: Writer) -> None:
        self._put = writer.put

    def msg(self, line: str) -> None:
        self._put(line)

    debug = info = warning = error = critical = exception = msg


class _Foreign(logging.Handler):
    """A handler for the logs of libraries: grpc, psycopg and its pool, redis."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(record.args, tuple):
            record.args = tuple(_redacted(one) for one in record.args)
        # The text of the error may follow the colon of the message.
        text = record.getMessage() if error is None else str(record.msg).partition(":")[0]
        log.log(record.levelno, text, logger=record.name, **({"exc_info": error} if error else {}))


_configured: Writer | None = None


def configure(level: str = "info") -> None:
    """Configure the log. To change the level, call it again before the first line is logged."""
    global _configured  # a process has one stderr and one writer of it
    if _configured is None:
        _configured = Writer(STDERR)
        _configured.start()
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
    """Replace errors in a log event by what may be logged of them."""
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
    """Return the type of an error with its code, which contain no data of callers."""
    state = getattr(error, "sqlstate", None)
    if isinstance(error, LedgerError):
        state = error.reason
    elif isinstance(error, OSError) and error.errno:
        state = errno.errorcode.get(error.errno, str(error.errno))
    kind = type(error).__name__
    return f"{kind} {state}" if isinstance(state, str) else kind


def _redacted(value: object) -> object:
    """Return what a library's message may contain instead of a value.

    A database error without an SQLSTATE is the driver's own. Its text is about the connection, and is kept.
    """
    if not isinstance(value, BaseException):
        return value
    if type(value).__module__.startswith("psycopg") and getattr(value, "sqlstate", None) is None:
        return str(value).partition("\n")[0]
    return named(value)


def _trace(error: BaseException) -> Iterator[str]:
    """Yield the traceback of an error, after those of its causes."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _trace(before)
        yield "\n"
    yield from format_tb(error.__traceback__)
    yield named(error)
