"""Errors of calls, explained: what is wrong, what to do, and the exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc

from orchestration.cli import exit_codes
from orchestration.cli.refusal import Refusal
from orchestration.errors import ErrorDetails, error_details

if TYPE_CHECKING:
    from orchestration.cli.verb import Session

_Fix = Callable[[ErrorDetails, "Session"], str]


def explain(error: grpc.RpcError, session: Session) -> Refusal:
    """Return the refusal of an error of a call."""
    details = error_details(error)
    fix = _FIXES.get(details.reason)
    message = details.message
    if not details.reason and details.code is grpc.StatusCode.UNAVAILABLE:
        # The transport's own text is about its sockets.
        message = f"no server answers at {_address(session)}"
    return Refusal(
        message,
        fix=fix(details, session) if fix else _by_code(details, session),
        code=exit_codes.of_error(error),
        reason=details.reason or details.code.name,
        metadata=details.metadata,
        violations=details.violations,
    )


def _by_code(details: ErrorDetails, session: Session) -> str:
    if details.retry_delay is not None:
        return f"try again in {details.retry_delay:g} s"
    if details.code is grpc.StatusCode.UNAVAILABLE:
        return "start one with `orchestration serve`, or name another with --address or `orchestration use`"
    if details.code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return "try again; `orchestration health` says if the server serves"
    if details.code is grpc.StatusCode.UNIMPLEMENTED:
        return "the server is older than this command; `orchestration version` shows both"
    return ""


def _address(session: Session) -> str:
    return ", ".join(sorted({one.address for one in session.opened})) or "the address"


def _subject(details: ErrorDetails, session: Session) -> str:
    return details.resource.name if details.resource else session.subject


def _not_found(details: ErrorDetails, session: Session) -> str:
    kind = details.resource.type.rpartition(".")[2].lower() if details.resource else ""
    group = kind if kind in ("task", "sprint", "session") else "task"
    return f"see what there is: {session.command(group, 'list')}"


def _taken(details: ErrorDetails, session: Session) -> str:
    kind = details.resource.type.rpartition(".")[2].lower() if details.resource else "task"
    shown = session.command("sprint", "show", _subject(details, session)) if kind == "sprint" else ""
    shown = shown or session.command("show", _subject(details, session))
    return f"choose another code, or see the one that is there: {shown}"


def _not_allowed(details: ErrorDetails, session: Session) -> str:
    """Return the commands of the allowed statuses; the message itself names these."""
    allowed = [one.strip() for one in details.metadata.get("allowed", "").split(",")]
    known = _SPRINT_VERBS if details.message.startswith("sprint ") else _TASK_VERBS
    verbs = [session.command(*known[one], session.subject) for one in allowed if one in known]
    return f"what is allowed: {'; '.join(verbs)}" if verbs else ""


def _credentials(details: ErrorDetails, session: Session) -> str:
    return "set ORCHESTRATION_TOKEN to a key; on the server, `orchestration keys create NAME` makes one"


_TASK_VERBS = {
    "pending": ("task", "reopen"),
    "in_progress": ("start",),
    "blocked": ("block",),
    "completed": ("done",),
    "cancelled": ("task", "cancel"),
}
_SPRINT_VERBS = {
    "active": ("sprint", "start"),
    "completed": ("sprint", "complete"),
    "cancelled": ("sprint", "cancel"),
}
_FIXES: dict[str, _Fix] = {
    "NOT_FOUND": _not_found,
    "ALREADY_EXISTS": _taken,
    "TRANSITION_REFUSED": _not_allowed,
    "TASK_HELD": lambda details, session: (
        "give its --fence, wait, or end it: "
        + session.command("preempt", _subject(details, session), tail=["-m", "REASON"])
    ),
    "STALE_FENCE": lambda *_: "stop the work: another may hold the task; claim it again to go on",
    "TASK_NOT_READY": lambda details, session: (
        f"ask why: {session.command('why', _subject(details, session))}"
    ),
    "STALE_REVISION": lambda *_: (
        "somebody was first: read it again, decide again, and retry with the new revision"
    ),
    "DEPENDENCY_CYCLE": lambda *_: "leave this dependency out, or remove one of the others with `dep rm`",
    "REQUEST_ID_REUSED": lambda *_: "use another --request-id for another change",
    "SESSION_CLOSED": lambda *_: "start another session",
    "CREDENTIALS_MISSING": _credentials,
    "CREDENTIALS_INVALID": _credentials,
    "KEY_REVOKED": _credentials,
    "KEY_EXPIRED": _credentials,
    "TOKEN_EXPIRED": lambda *_: "get a new token and set ORCHESTRATION_TOKEN to it",
    "PROJECT_CLOSED": lambda *_: "name the key's own project with --project, or leave --project out",
    "ROLE_TOO_LOW": lambda *_: "use a key with the role that the error names",
}
