"""Checks that a request of a scoped key stays inside its sprint or session.

A request names resources, and one read finds the sprint or session of each. Writes are exact beyond that: the
gate refuses a change whose events are outside the scope (``Scope.covers``), and a change applies only if what
it read is unchanged. A read is correct as of its beginning: it may still show a task that leaves the sprint
in the same moment.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestration_server.auth.permissions import ResourceRef
from orchestration_server.db.database import Database
from orchestration_server.errors import OutOfBounds
from orchestration_server.model import Call, EntityType, Principal, Scope
from orchestration_server.store import keys as key_store


def resolve_scope(db: Database, call: Call, principal: Principal, resources: Sequence[ResourceRef]) -> Scope:
    """Return the scope that the call's writes have to stay inside.

    Raises OutOfBounds if the request does not name its resources, or names one outside the scope.
    """
    own = principal.session_key
    tasks = sorted({ref.task for ref in resources if ref.task})
    sessions = sorted({ref.session for ref in resources if ref.session} | ({own} if own else set()))
    found = key_store.Memberships({}, {})
    if tasks or sessions:
        # A message of a stream must register no callback on its call, which may last for days.
        with db.connection(call._replace(on_end=None)) as conn:
            found = key_store.memberships(conn, project=call.project, tasks=tasks, sessions=sessions)
    scope = Scope(sprint_code=principal.sprint_code)
    if own:
        session = found.sessions.get(own)
        if session is None:
            raise OutOfBounds("the session that the key is scoped to does not exist")
        scope = Scope(
            own,
            session.target_code if session.target_type is EntityType.SPRINT else "",
            session.target_code if session.target_type is EntityType.TASK else "",
        )
    if not resources or not all(_is_inside(ref, scope, found) for ref in resources):
        kind = "session" if own else "sprint"
        raise OutOfBounds(f"the request does not stay inside the {kind} that the key is scoped to")
    return scope


def check_session(db: Database, principal: Principal, project: str, session: str) -> None:
    """Raise OutOfBounds if a call's session is not in the sprint that its key is scoped to."""
    with db.connection() as conn:
        found = key_store.memberships(conn, project=project, tasks=(), sessions=(session,)).sessions.get(
            session
        )
    if found is None or found.sprint_code != principal.sprint_code:
        raise OutOfBounds("the call's session is not in the sprint that the key is scoped to")


def _is_inside(ref: ResourceRef, scope: Scope, found: key_store.Memberships) -> bool:
    named = [
        _sprint_inside(ref.sprint, scope),
        _task_inside(ref.task, scope, found),
        _session_inside(ref.session, scope, found),
        (ref.recorded_session == scope.session_key) if ref.recorded_session and scope.session_key else None,
        True if ref.in_call_session and scope.session_key else None,
    ]
    checked = [inside for inside in named if inside is not None]
    may_leave = ref.long_lived and ref.task and not (ref.sprint or scope.session_key)
    return bool(checked) and all(checked) and not may_leave


def _sprint_inside(code: str, scope: Scope) -> bool | None:
    return code == scope.sprint_code if code else None


def _task_inside(code: str, scope: Scope, found: key_store.Memberships) -> bool | None:
    if not code:
        return None
    if scope.task_code:
        return code == scope.task_code
    return bool(scope.sprint_code) and found.tasks.get(code) == scope.sprint_code


def _session_inside(key: str, scope: Scope, found: key_store.Memberships) -> bool | None:
    if not key:
        return None
    if scope.session_key:
        return key == scope.session_key
    session = found.sessions.get(key)
    return bool(scope.sprint_code) and session is not None and session.sprint_code == scope.sprint_code
