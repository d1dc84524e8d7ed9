"""Errors by reason: a class for each reason that a caller can act on. docs/errors.md publishes the reasons.

The classes of one status have a common base, which also stands for the reasons without a class of their own
and for errors of the transport, which have no reason. All derive from ``LedgerError``.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import ClassVar

import grpc

from orchestration.errors import ErrorDetails, LedgerError, error_details


class ReasonError(LedgerError):
    """The base class of the errors by reason. str() has the reason, the server's message and what to do."""

    codes: ClassVar[tuple[grpc.StatusCode, ...]] = ()
    """The status codes for which this class is the base."""
    reasons: ClassVar[tuple[str, ...]] = ()
    """The reasons for which this class is raised."""
    fix: ClassVar[str] = "look at `code()` and `reason`"
    """What the caller can do."""

    def __str__(self) -> str:
        name = self.reason or self.error.code.name
        listed = "".join(f"\n  {path}: {text}" for path, text in self.violations.items())
        message = f"{name}: {self.error.message or 'no message'}"
        # The message of invalid fields lists them already, in one line.
        message = f"{name}:{listed}" if listed else message
        return f"{message}\nWhat to do: {self.advice()}."

    def advice(self) -> str:
        """Return what the caller can do, with the values of this error."""
        after = "" if self.retry_delay is None else f", after {self.retry_delay:g} s"
        return self.fix.format_map(_Values(self.metadata, after=after))


class _Values(dict[str, str]):
    """The values of an error. One that the server did not send is "?"."""

    def __missing__(self, key: str) -> str:
        return "?"


class InvalidRequest(ReasonError):
    """The request cannot be served as it is."""

    codes = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE)
    reasons: ClassVar[tuple[str, ...]] = ("INVALID_ARGUMENT", "UNPARSABLE", "REQUEST_TOO_COMPLEX")
    fix = "change the values that are named, and call again"


class RequestTooLarge(InvalidRequest):
    """The request has too many bytes."""

    reasons = ("REQUEST_TOO_LARGE",)
    fix = "send less in one call"


class CursorInvalid(InvalidRequest):
    """The cursor belongs to another log or project."""

    reasons = ("CURSOR_INVALID", "CURSOR_OF_ANOTHER_PROJECT", "CURSOR_FOREIGN")
    fix = "start again without a cursor, or with one that this project returned"


class PageTokenInvalid(InvalidRequest):
    """The page token belongs to another request or server."""

    reasons = ("PAGE_TOKEN_INVALID", "PAGE_TOKEN_FOREIGN")
    fix = "read the list again from its first page"


class TemplateLimit(InvalidRequest):
    """Rendering the template takes too long or gives too much text."""

    reasons = ("TEMPLATE_LIMIT",)
    fix = "use smaller variables, or a simpler template"


class Unauthenticated(ReasonError):
    """The call has no valid key or token."""

    codes = (grpc.StatusCode.UNAUTHENTICATED,)
    reasons = ("CREDENTIALS_MISSING", "CREDENTIALS_INVALID", "CLAIMS_INVALID")
    fix = "set ORCHESTRATION_TOKEN, or `token`, to a key from the operator of the ledger"


class CredentialsEnded(Unauthenticated):
    """The key or token was valid once."""

    reasons = ("KEY_REVOKED", "KEY_EXPIRED", "TOKEN_EXPIRED")
    fix = "get a new key or token"


class PermissionDenied(ReasonError):
    """The key does not allow the call."""

    codes = (grpc.StatusCode.PERMISSION_DENIED,)
    reasons = ("RPC_CLOSED",)
    fix = "ask the operator of the ledger for a key that allows it"


class ProjectClosed(PermissionDenied):
    """The key opens another project."""

    reasons = ("PROJECT_CLOSED",)
    fix = "leave out `project` and ORCHESTRATION_PROJECT to use the project of the key, or use another key"


class RoleTooLow(PermissionDenied):
    """The call needs a key with another role."""

    reasons = ("ROLE_TOO_LOW",)
    fix = "use a key with the role {role}"


class OutOfBounds(PermissionDenied):
    """The key is scoped to a sprint or a session, and the call may leave it."""

    reasons = ("OUT_OF_BOUNDS",)
    fix = "name the sprint or the session of the key in the call"


class NotFound(ReasonError):
    """The resource does not exist in the project, or is deleted. ``resource`` names it."""

    codes = (grpc.StatusCode.NOT_FOUND,)
    reasons = ("NOT_FOUND",)
    fix = "check the code and the project"


class AlreadyExists(ReasonError):
    """The code is or was in use. ``resource`` names it."""

    codes = (grpc.StatusCode.ALREADY_EXISTS,)
    reasons = ("ALREADY_EXISTS",)
    fix = "choose another code: the code of a deleted task or sprint is not used again"


class Refused(ReasonError):
    """The state of the ledger does not allow the call."""

    codes = (grpc.StatusCode.FAILED_PRECONDITION,)
    fix = "wait until the ledger has changed"


class TransitionRefused(Refused):
    """The status cannot change in this way. ``metadata`` has ``current`` and ``allowed``."""

    reasons = ("TRANSITION_REFUSED",)
    fix = "change the status from {current} to one of: {allowed}"


class TaskHeld(Refused):
    """Another holder has a lease of the task: ``metadata`` has ``holder`` and ``expire_time``."""

    reasons = ("TASK_HELD",)
    fix = "take another task, or try again when the lease of {holder} has ended ({expire_time} or earlier)"


class StaleFence(Refused):
    """The lease of the caller has ended. ``metadata`` names the present holder, if there is one."""

    reasons = ("STALE_FENCE",)
    fix = "stop the work: another agent may have the task; claim it again to go on"


class TaskNotReady(Refused):
    """The task to claim is not ready. ``metadata`` has ``reasons``."""

    reasons = ("TASK_NOT_READY",)
    fix = "see why() for what would make it ready ({reasons})"


class NotHeld(Refused):
    """Nobody holds the task to preempt."""

    reasons = ("NOT_HELD",)
    fix = "nothing: no attempt is open"


class SprintNotEmpty(Refused):
    """A sprint with tasks cannot be deleted."""

    reasons = ("SPRINT_NOT_EMPTY",)
    fix = "move or delete its tasks first"


class DependencyCycle(Refused):
    """The dependency would close a cycle. ``metadata`` has its ``path``."""

    reasons = ("DEPENDENCY_CYCLE",)
    fix = "remove one dependency of the cycle first: {path}"


class SessionClosed(Refused):
    """The session is completed."""

    reasons = ("SESSION_CLOSED",)
    fix = "start another session"


class CursorGone(Refused):
    """Events after the cursor are archived or deleted. ``metadata`` has ``live_from``."""

    reasons = ("CURSOR_ARCHIVED", "CURSOR_EXPIRED")
    fix = "start at the time {live_from}, or include archived events"


class HistoryIncomplete(Refused):
    """The log no longer has all events of that moment."""

    reasons = ("HISTORY_INCOMPLETE",)
    fix = "ask for a later moment"


class RequestIdReused(Refused):
    """The request_id was used with other values."""

    reasons = ("REQUEST_ID_REUSED",)
    fix = "use a new request_id for another request"


class NoWorkspace(Refused):
    """The server has no workspace to read files from."""

    reasons = ("NO_WORKSPACE",)
    fix = "ask the operator of the ledger to give it a workspace"


class FileTooLarge(Refused):
    """The file has more than 16 MiB."""

    reasons = ("FILE_TOO_LARGE",)
    fix = "read the file from the workspace itself"


class TemplateBroken(Refused):
    """The template does something that its values do not allow."""

    reasons = ("TEMPLATE_BROKEN",)
    fix = "correct the template in the line that the message names, or its variables"


class Conflict(ReasonError):
    """Another write came first."""

    codes = (grpc.StatusCode.ABORTED,)
    reasons = ("ABORTED",)
    fix = "read the present state, decide again, and call again"


class StaleRevision(Conflict):
    """``expected_revision`` is not the current revision. ``metadata`` has ``current_revision``."""

    reasons = ("STALE_REVISION",)
    fix = "read it again, decide, and write with expected_revision={current_revision}"

    @property
    def current_revision(self) -> int:
        """The current revision."""
        return int(self.metadata["current_revision"])


class FileChanged(Conflict):
    """The file changed while the server read it."""

    reasons = ("FILE_CHANGED",)
    fix = "read the file again"


class Overloaded(ReasonError):
    """The server, the database or the key is at a limit for now. ``retry_delay`` says when to try again."""

    codes = (grpc.StatusCode.RESOURCE_EXHAUSTED,)
    reasons: ClassVar[tuple[str, ...]] = (
        "EMIT_QUEUE_FULL", "ACCEPTED_QUEUE_FULL", "POOL_EXHAUSTED", "TOO_MANY_CALLS", "WAITED_TOO_LONG",
        "SENT_TOO_SLOWLY", "DATABASE_BUSY", "TOO_MANY_STREAMS", "TOO_MANY_WAITING_CLAIMS",
    )  # fmt: skip
    fix = "send the same call with the same request_id again{after}"


class RateLimited(Overloaded):
    """The key has used its calls or events of this minute."""

    reasons = ("RATE_LIMITED", "EVENTS_RATE_LIMITED")
    fix = "call less often; send this call again{after}"


class TooManySchedules(Overloaded):
    """The project has as many schedules as it may have."""

    reasons = ("TOO_MANY_SCHEDULES",)
    fix = "delete a schedule first"


class AnswerTooLarge(Overloaded):
    """The response is larger than the server sends."""

    reasons = ("ANSWER_TOO_LARGE",)
    fix = "ask for less, such as a smaller page"


class Unavailable(ReasonError):
    """No server answers, or its database is away. The client has retried the call already."""

    codes = (grpc.StatusCode.UNAVAILABLE,)
    reasons = ("DATABASE_UNAVAILABLE", "SERVER_STOPPING")
    fix = (
        "check ORCHESTRATION_ADDRESS and that a server runs; then send the same call with the same request_id"
    )


class DeadlineExceeded(ReasonError):
    """The deadline passed. A write may have taken effect."""

    codes = (grpc.StatusCode.DEADLINE_EXCEEDED,)
    reasons = ("DEADLINE_EXCEEDED",)
    fix = (
        "send the same call with the same request_id again, with a longer `timeout` of the ledger if need be"
    )


class Unimplemented(ReasonError):
    """The server does not have the call."""

    codes = (grpc.StatusCode.UNIMPLEMENTED,)
    reasons = ("UNIMPLEMENTED",)
    fix = "use a server of the release of this client"


class InternalFault(ReasonError):
    """A fault of the server, whose log has the details."""

    codes = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)
    reasons = ("INTERNAL",)
    fix = "give the correlation id of the call to the operator of the ledger"


class LeaseLost(StaleFence):
    """Raised by work whose lease is lost. Stop the work: another agent may have the task."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorDetails(grpc.StatusCode.FAILED_PRECONDITION, message, "STALE_FENCE"))


def _subclasses(base: type[ReasonError]) -> Iterator[type[ReasonError]]:
    yield base
    for each in base.__subclasses__():
        yield from _subclasses(each)


_ALL = tuple(found for found in _subclasses(ReasonError) if found is not LeaseLost)
BY_REASON: dict[str, type[ReasonError]] = {
    reason: found for found in _ALL for reason in found.__dict__.get("reasons", ())
}
"""The class of each reason."""
BY_CODE: dict[grpc.StatusCode, type[ReasonError]] = {
    code: found for found in _ALL for code in found.__dict__.get("codes", ())
}
"""The class of each status code, for errors whose reason has no class."""


def ledger_error(error: ErrorDetails) -> LedgerError:
    """Return the error of the class of its reason, or else of its status code."""
    found = BY_REASON.get(error.reason) or BY_CODE.get(error.code, ReasonError)
    return found(error)


class _Translation:
    """A context manager that raises the errors of stubs as errors by reason."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, grpc.RpcError) and not isinstance(error, ReasonError):
            raise ledger_error(error_details(error)) from None


translated = _Translation()
