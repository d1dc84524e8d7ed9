"""What can go wrong, in the ledger's own terms. Knows nothing of grpc or of the database's driver.

Every error has a stable ``reason`` for programs and a message that tells people what to do;
``rpc/interceptor.py`` alone turns the classes into status codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# An error travels in the trailing metadata, of which clients take 8 KiB.
VIOLATIONS_LISTED = 20
MESSAGE_LENGTH = 1_000
PATH_LENGTH = 1_024
ARROW = " -> "
CYCLE_NAMED = 10
"""The most codes of a cycle that a message lists."""


class LedgerError(Exception):
    """Base of all errors that a caller may see."""

    reason = "INTERNAL"
    noted = False
    """Whether it is counted among the refusals."""

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: Mapping[str, str] = metadata


class InvalidArgument(LedgerError):
    """Fields of the request break their rules: ``violations`` maps a field's path to what is wrong."""

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
    """The call carries no credential that is good here. The message never holds any of it."""

    reason = "CREDENTIALS_INVALID"

    def __init__(self, message: str, *, reason: str = "CREDENTIALS_INVALID") -> None:
        super().__init__(message)
        self.reason = reason


class PermissionDenied(LedgerError):
    """The credential is good, and does not allow this call."""

    reason = "PERMISSION_DENIED"

    def __init__(self, message: str, *, reason: str, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.reason = reason


class OutOfBounds(PermissionDenied):
    """The key is held to a sprint or a session, and the call is not shown to be about that alone."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="OUT_OF_BOUNDS")


class NotFound(LedgerError):
    """There is no such resource in the project, or it is deleted; ``message`` says so of a part of one."""

    reason = "NOT_FOUND"

    def __init__(self, kind: str, name: str, *, message: str = "") -> None:
        super().__init__(message or f"there is no {kind} {name!r} in this project")
        self.kind, self.name = kind, name


class AlreadyExists(LedgerError):
    """The code is, or once was, in use."""

    reason = "ALREADY_EXISTS"

    def __init__(self, kind: str, name: str, *, deleted: bool) -> None:
        was = "was used by a deleted one and is not given out again" if deleted else "is in use"
        super().__init__(f"the {kind} code {name!r} {was}; choose another")
        self.kind, self.name = kind, name


class FailedPrecondition(LedgerError):
    """The state of the ledger does not allow it; the same call fails until that state changes."""

    reason = "FAILED_PRECONDITION"

    def __init__(self, message: str, *, reason: str, subject: str, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.reason = reason
        self.subject = subject


class TransitionRefused(FailedPrecondition):
    """A status cannot follow another; names those that can."""

    def __init__(self, subject: str, before: str, after: str, allowed: Sequence[str]) -> None:
        super().__init__(
            f"{subject} is {before} and cannot become {after}; allowed: {', '.join(allowed)}",
            reason="TRANSITION_REFUSED",
            subject=subject,
            current=before,
            allowed=",".join(allowed),
        )


class CursorForeign(InvalidArgument):
    """A cursor of this log whose event the project does not have: another project's, or of another copy."""

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
    """Events after a cursor are archived, and the caller did not ask for the archive's.

    ``live_from`` is from when on, by emit_time, all is live.
    """

    def __init__(self, live_from: str) -> None:
        super().__init__(
            "events after this place are archived: ask for them with include_archived, or start by from_time"
            f" at {live_from}, from when on all is live, or from the beginning of what is live",
            reason="CURSOR_ARCHIVED",
            subject="timeline",
            live_from=live_from,
        )


class CursorExpired(FailedPrecondition):
    """Events after a cursor were deleted by retention; ``live_from`` is from when on, by emit_time, all is
    there."""

    def __init__(self, live_from: str) -> None:
        super().__init__(
            "events after this place were deleted by retention: start by from_time"
            f" at {live_from}, from when on all is there, or from the beginning of what is there",
            reason="CURSOR_EXPIRED",
            subject="timeline",
            live_from=live_from,
        )


class DependencyCycle(FailedPrecondition):
    """A blocking link would close this cycle, which begins and ends with the same code."""

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


def _path(codes: Sequence[str]) -> str:
    """The codes with arrows between them; of a path too long as many from both ends as fit."""
    path = ARROW.join(codes)
    if len(path) <= PATH_LENGTH:
        return path
    for kept in range(PATH_LENGTH // (2 * len(ARROW)), 0, -1):
        path = ARROW.join([*codes[:kept], "...", *codes[-kept:]])
        if len(path) <= PATH_LENGTH:
            break
    return path


class Aborted(LedgerError):
    """Somebody else was first; read again, then decide."""

    reason = "ABORTED"


class StaleRevision(Aborted):
    """``expected_revision`` is not the current one."""

    reason = "STALE_REVISION"

    def __init__(self, subject: str, *, expected: int, current: int) -> None:
        super().__init__(
            f"{subject} is at revision {current}, not {expected}: read it again",
            current_revision=str(current),
            subject=subject,
        )


class FileChanged(Aborted):
    """A file was written while it was read."""

    reason = "FILE_CHANGED"

    def __init__(self, path: str) -> None:
        super().__init__(f"the file {path} changed while it was read: read it again")


class ResourceExhausted(LedgerError):
    """A limit is reached; the call was not started. Try again after ``retry_after`` seconds, if not None."""

    reason = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, *, reason: str, retry_after: float | None = 0.1) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class AnswerTooLarge(ResourceExhausted):
    """The answer has more bytes than the server sends; the same call fails until it asks for less."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(
            f"the answer has {size} bytes and this server sends {most}: ask for less at once",
            reason="ANSWER_TOO_LARGE",
            retry_after=None,
        )


class Unavailable(LedgerError):
    """The database is away. Try again after ``retry_after`` seconds."""

    reason = "DATABASE_UNAVAILABLE"
    retry_after = 0.5

    def __init__(self, message: str = "the database is away; try again shortly") -> None:
        super().__init__(message)


class ServerStopping(Unavailable):
    """This server is stopping, as it is when it is replaced; the ledger is there. Go on at another one."""

    reason = "SERVER_STOPPING"
    retry_after = 0.1


class DeadlineExceeded(LedgerError):
    """The call's deadline passed, or its caller left, and its statement was stopped."""

    reason = "DEADLINE_EXCEEDED"


class Unimplemented(LedgerError):
    """The rpc is part of the contract and not yet of this release."""

    reason = "UNIMPLEMENTED"


class UnfitDatabase(Exception):
    """A database, or the way to it, that no ledger can run on; for operators. No caller sees it.

    The message says what is wrong, and ``fix`` what to do about it.
    """

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(f"{message}: {fix}")
        self.message = message
        self.fix = fix


class CannotListen(Exception):
    """The address of the settings cannot be listened on; for operators."""


class Conflict(Exception):
    """A write lost a race and left nothing behind. The write gate tries again; no caller sees it."""


class PendingChanges(Conflict):
    """An event would have come before what is held of its entity, and left nothing behind."""


class PartitionMissing(Conflict):
    """There was no partition for the time of an event, and the write left nothing behind.

    The partitions were made since, if the role may make them.
    """
