"""How the server logs: for people on a terminal, JSON elsewhere; never the values of a call."""

from __future__ import annotations

import sys

import structlog


def configure() -> None:
    """Sets the log up, once a process. Tracebacks show no local variables: they hold users' data."""
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            if terminal
            else structlog.processors.format_exc_info,
            *([] if terminal else [structlog.processors.JSONRenderer()]),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
