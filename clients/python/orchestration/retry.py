"""The retry policy: when to retry after an error, and when to raise it."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

import grpc

from orchestration.errors import ErrorDetails
from orchestration.reasons import ledger_error

ENDED = ErrorDetails(grpc.StatusCode.UNAVAILABLE, "the server ended the stream")

_INITIAL, _LONGEST = 0.05, 5.0
_TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
    }
)
# A connection reset causes one of these, and so does a permanent fault of the server.
_AMBIGUOUS = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})
_AMBIGUOUS_ATTEMPTS = 5

_log = logging.getLogger("orchestration")

OnRetry = Callable[[ErrorDetails, float], None]


def _log_retry(error: ErrorDetails, delay: float) -> None:
    # This package sets the deadline, to leave a stream that hangs.
    level = logging.DEBUG if error.code is grpc.StatusCode.DEADLINE_EXCEEDED else logging.WARNING
    _log.log(level, "stream broke: %s: %s; again in %.2f s", error.code.name, error.message, delay)


class Retry:
    """A backoff with jitter, from 0.05 to 5 seconds, that restarts at each progress."""

    def __init__(
        self,
        timeout: float | None,
        clock: Callable[[], float] = time.monotonic,
        on_retry: OnRetry | None = None,
    ) -> None:
        """Initialize.

        Args:
            timeout: The seconds without progress after which an error is raised; None to retry for ever.
            clock: The clock, in seconds.
            on_retry: Called with each error and the seconds to wait. The default logs a warning.
        """
        self._timeout, self._clock, self._on_retry = timeout, clock, on_retry or _log_retry
        self._attempts, self._ambiguous = 0, 0
        self._broken_since: float | None = None
        self._heard_since: float | None = None

    def progress(self) -> None:
        """Note that a message brought the caller on."""
        self._attempts, self._ambiguous, self._broken_since = 0, 0, None

    def heard(self) -> None:
        """Note that a message arrived that brought nothing new.

        It is progress if the stream lives on: a server may greet each stream, and end it at once.
        """
        if self._heard_since is None:
            self._heard_since = self._clock()

    def pause(self, error: ErrorDetails, *, retryable: bool = False) -> float:
        """Return the seconds to wait before the next attempt.

        Raises LedgerError if another attempt would not help or the timeout has passed. ``retryable`` says
        that the server declared the error retryable.
        """
        now = self._clock()
        if self._heard_since is not None and now - self._heard_since >= _LONGEST:
            self.progress()
        self._heard_since = None
        self._broken_since = now if self._broken_since is None else self._broken_since
        self._attempts += 1
        self._ambiguous += error.code in _AMBIGUOUS
        if not (retryable or self._may_succeed(error)) or self._timed_out(now):
            raise ledger_error(error)
        ceiling = min(_LONGEST, _INITIAL * 2.0 ** min(self._attempts - 1, 10))
        delay = max(ceiling * random.uniform(0.5, 1.0), error.retry_delay or 0.0)
        self._on_retry(error, delay)
        return delay

    def _may_succeed(self, error: ErrorDetails) -> bool:
        if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            # Without a delay it comes from the transport and means that a message is too large.
            return error.retry_delay is not None
        if error.code in _AMBIGUOUS:
            return self._ambiguous < _AMBIGUOUS_ATTEMPTS
        return error.code in _TRANSIENT

    def _timed_out(self, now: float) -> bool:
        return (
            self._timeout is not None
            and self._broken_since is not None
            and now - self._broken_since >= self._timeout
        )
