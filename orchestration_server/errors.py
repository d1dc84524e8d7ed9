"""The errors of the ledger, without any terms of gRPC or of the database's driver.

Each error has a stable ``reason`` for programs and a message that tells people what to do. Only
``rpc/interceptor.py`` turns the classes into status codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# An error is sent in the trailing metadata, of which clients accept 8 KiB.
VIOLATIONS_LISTED = 20
MESSAGE_LENGTH = 1_000
PATH_LENGTH = 1_024
ARROW = " -> "
CYCLE_NAMED = 10
"""The most codes of a cycle that a message names."""


class LedgerError(Exception):
    """The base class of all errors that a caller may get."""

    reason = "INTERNAL"
    noted = False
    """True if the audit of refusals has counted the error."""

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: Mapping[str, str] = metadata


class InvalidArgument(LedgerError):
    """Fields of the request that break their rules. ``violations`` maps a field's path to the problem."""

    reason = "INVALID_ARGUMENT"

    def __init__(self, violations: Mapping[str, str], *, reason: str = "INVALID_ARGUMENT") -> None:
        listed = dict(list(violations.items())[:VIOLATIONS_LISTED])
        if len(violations) > len(listed):
            listed["…"] = f"and {len(violations) - len(listed)} more"
        text = "; ".join(f"{path}: {text}" for path, text in listed.items())
        super().__init__(text if len(text) <= MESSAGE_LENGTH else text[:MESSAGE_LENGTH] + "…")
        self.violations: Mapping[str, str] = listed
        self.reason = reason


class Unauthenticated(LedgerError):
    """A call without a valid credential. The message contains no part of the credential."""

    reason = "CREDENTIALS_INVALID"

    def __init__(self, message: str, *, reason: str = "CREDENTIALS_INVALID") -> None:
        super().__init__(message)
        self.reason = reason


class PermissionDenied(LedgerError):
    """A call that its valid credential does not allow."""

    reason = "PERMISSION_DENIED"

    def __init__(self, message: str, *, reason: str, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.reason = reason


class OutOfBounds(PermissionDenied):
    """A call that may be about more than the sprint or session that its key is scoped to."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="OUT_OF_BOUNDS")


class NotFound(LedgerError):
    """A resource that does not exist in the project, or is deleted. ``message`` replaces the usual text."""

    reason = "NOT_FOUND"

    def __init__(self, kind: str, name: str, *, message: str = "") -> None:
        super().__init__(message or f"there is no {kind} {name!r} in this project")
        self.kind, self.name = kind, name


class AlreadyExists(LedgerError):
    """A code that is in use, or that a deleted resource used."""

    reason = "ALREADY_EXISTS"

    def __init__(self, kind: str, name: str, *, deleted: bool) -> None:
        was = "was used by a deleted one and is not given out again" if deleted else "is in use"
        super().__init__(f"the {kind} code {name!r} {was}; choose another")
        self.kind, self.name = kind, name


class FailedPrecondition(LedgerError):
    """A call that the state of the ledger does not allow. It fails until that state changes."""

    reason = "FAILED_PRECONDITION"

    def __init__(self, message: str, *, reason: str, subject: str, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.reason = reason
        self.subject = subject


class TransitionRefused(FailedPrecondition):
    """A change of status that is not allowed. The error names the allowed ones."""

    def __init__(self, subject: str, before: str, after: str, allowed: Sequence[str]) -> None:
        super().__init__(
            f"{subject} is {before} and cannot become {after}; allowed: {', '.join(allowed)}",
            reason="TRANSITION_REFUSED",
            subject=subject,
            current=before,
            allowed=",".join(allowed),
        )


class TaskHeld(FailedPrecondition):
    """A write of what the holder of a task owns, by somebody else."""

    def __init__(self, code: str, *, holder: str, session_key: str, expire_time: str) -> None:
        super().__init__(
            f"task {code} is held by {holder!r} until {_to_seconds(expire_time)} at the earliest: wait, or"
            " end the attempt with PreemptTask",
            reason="TASK_HELD",
            subject=f"task {code}",
            holder=holder,
            session_key=session_key,
            expire_time=expire_time,
        )


class StaleFence(FailedPrecondition):
    """A write with the fence of a lease that has ended. ``holder`` is empty if nobody holds the task."""

    def __init__(self, code: str, fence: int, *, holder: str, session_key: str, expire_time: str) -> None:
        now = f"{holder!r} holds it until {_to_seconds(expire_time)}" if holder else "nobody holds it"
        super().__init__(
            f"the lease with fence {fence} of task {code} has ended, and {now}: stop the work, and claim the"
            " task again before you write",
            reason="STALE_FENCE",
            subject=f"task {code}",
            holder=holder,
            session_key=session_key,
            expire_time=expire_time,
        )


class TaskNotReady(FailedPrecondition):
    """A claim of a task that is not ready. ``reasons`` are names of ReadinessReasonKind."""

    def __init__(self, code: str, reasons: Sequence[str]) -> None:
        super().__init__(
            f"task {code} is not ready: {', '.join(reasons)}; ExplainReadiness tells what would change it",
            reason="TASK_NOT_READY",
            subject=f"task {code}",
            reasons=",".join(reasons),
        )


class CursorForeign(InvalidArgument):
    """A cursor whose event the project does not have: another project's, or another copy's."""

    def __init__(self, field: str, *, of_another_project: bool) -> None:
        if of_another_project:
            text, reason = "is a cursor of another project", "CURSOR_OF_ANOTHER_PROJECT"
        else:
            text = (
                "lies in a part of the log that this copy does not have;"
                " start from the beginning or by a time"
            )
            reason = "CURSOR_FOREIGN"
        super().__init__({field: text}, reason=reason)


class CursorArchived(FailedPrecondition):
    """A cursor after which events are archived, if the caller did not ask for archived events.

    All events with an emit_time from ``live_from`` on are live.
    """

    def __init__(self, live_from: str) -> None:
        super().__init__(
            "events after this position are archived: ask for them with include_archived, or start by"
            f" from_time at {live_from}, from which on all events are live, or at the first live event",
            reason="CURSOR_ARCHIVED",
            subject="timeline",
            live_from=live_from,
        )


class CursorExpired(FailedPrecondition):
    """A cursor after which retention deleted events.

    All events with an emit_time from ``live_from`` on exist.
    """

    def __init__(self, live_from: str) -> None:
        super().__init__(
            "events after this position were deleted by retention: start by from_time at"
            f" {live_from}, from which on all events exist, or at the first event that exists",
            reason="CURSOR_EXPIRED",
            subject="timeline",
            live_from=live_from,
        )


class DependencyCycle(FailedPrecondition):
    """A blocking link that would close a cycle. ``cycle`` begins and ends with the same code."""

    def __init__(self, cycle: Sequence[str]) -> None:
        named = list(cycle)
        if len(named) > CYCLE_NAMED:
            half = CYCLE_NAMED // 2
            named[half:-half] = [f"({len(named) - 2 * half} more)"]
        super().__init__(
            f"the link would close a cycle: {ARROW.join(named)}",
            reason="DEPENDENCY_CYCLE",
            subject=f"task {cycle[0]}",
            path=_path(cycle),
        )


def _to_seconds(time: str) -> str:
    """Return an RFC 3339 time in UTC without its fraction of a second."""
    whole, dot, _ = time.partition(".")
    return f"{whole}Z" if dot else time


def _path(codes: Sequence[str]) -> str:
    """Return the codes with arrows between them. Of a path that is too long, keep both ends."""
    path = ARROW.join(codes)
    if len(path) <= PATH_LENGTH:
        return path
    for kept in range(PATH_LENGTH // (2 * len(ARROW)), 0, -1):
        path = ARROW.join([*codes[:kept], "...", *codes[-kept:]])
        if len(path) <= PATH_LENGTH:
            break
    return path


class Aborted(LedgerError):
    """A write that lost a race. The caller should read again, then decide."""

    reason = "ABORTED"


class StaleRevision(Aborted):
    """An ``expected_revision`` that is not the current revision."""

    reason = "STALE_REVISION"

    def __init__(self, subject: str, *, expected: int, current: int) -> None:
        super().__init__(
            f"{subject} is at revision {current}, not {expected}: read it again",
            current_revision=str(current),
            subject=subject,
        )


class FileChanged(Aborted):
    """A file that changed while it was read."""

    reason = "FILE_CHANGED"

    def __init__(self, path: str) -> None:
        super().__init__(f"the file {path} changed while it was read: read it again")


class ResourceExhausted(LedgerError):
    """A call that was not started because of a limit. Retry after ``retry_after`` seconds if set."""

    reason = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, *, reason: str, retry_after: float | None = 0.1) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class AnswerTooLarge(ResourceExhausted):
    """A response that is larger than the server sends. The call fails until it asks for less."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(
            f"the answer has {size} bytes and this server sends {most}: ask for less at once",
            reason="ANSWER_TOO_LARGE",
            retry_after=None,
        )


class Unavailable(LedgerError):
    """A call that failed because the database is away. Retry after ``retry_after`` seconds."""

    reason = "DATABASE_UNAVAILABLE"
    retry_after = 0.5

    def __init__(self, message: str = "the database is away; try again shortly") -> None:
        super().__init__(message)


class ServerStopping(Unavailable):
    """A call to a server that is stopping, for example because it is replaced. Retry at another server."""

    reason = "SERVER_STOPPING"
    retry_after = 0.1


class DeadlineExceeded(LedgerError):
    """A call whose deadline passed, or whose caller left. Its statement was cancelled."""

    reason = "DEADLINE_EXCEEDED"


class Unimplemented(LedgerError):
    """An rpc of the contract that this release does not have."""

    reason = "UNIMPLEMENTED"


class UnfitDatabase(Exception):
    """A database, or a way to connect to it, that the ledger cannot use. Only operators get this error.

    The message names the problem, and ``fix`` the remedy.
    """

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(f"{message}: {fix}")
        self.message = message
        self.fix = fix


class CannotListen(Exception):
    """An address in the settings on which the server cannot listen. Operators get this error."""


class Conflict(Exception):
    """A write that lost a race and was rolled back. The write gate retries it, so callers never see this."""


class PendingChanges(Conflict):
    """An event of an entity whose pending changes must be logged first. The write was rolled back."""


class PartitionMissing(Conflict):
    """An event for whose time there was no partition. The write was rolled back.

    The server has made the partitions since, if its role may make them.
    """
