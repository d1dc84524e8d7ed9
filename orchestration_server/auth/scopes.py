"""What a key that is held to a sprint or a session may name.

A request shows what it is about, and one read says where the tasks and sessions of it belong. Writes are
exact beyond that: the gate refuses a change whose events tell of something outside (``Bounds.hold``), and the
change holds only if what it read still is. A read is right as of its beginning: a task that leaves the sprint
in the same moment may still be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestration_server.auth.permissions import About
from orchestration_server.db.database import Database
from orchestration_server.errors import OutOfBounds
from orchestration_server.model import Bounds, Call, EntityType, Principal
from orchestration_server.store import keys as store


def bounds(db: Database, call: Call, principal: Principal, shown: Sequence[About]) -> Bounds:
    """What the call's writes are held to; OutOfBounds where it is not shown to stay inside."""
    own = principal.session_key
    tasks = sorted({about.task for about in shown if about.task})
    sessions = sorted({about.session for about in shown if about.session} | ({own} if own else set()))
    found = store.Places({}, {})
    if tasks or sessions:
        # A message of a stream must leave no hook on its call, which may last for days.
        with db.connection(replace(call, on_end=None)) as conn:
            found = store.places(conn, project=call.project, tasks=tasks, sessions=sessions)
    inside = Bounds(sprint_code=principal.sprint_code)
    if own:
        place = found.sessions.get(own)
        if place is None:
            raise OutOfBounds("the session that the key is held to is not there")
        inside = Bounds(
            own,
            place.target_code if place.target_type is EntityType.SPRINT else "",
            place.target_code if place.target_type is EntityType.TASK else "",
        )
    if not shown or not all(_is_inside(about, inside, found) for about in shown):
        kind = "session" if own else "sprint"
        raise OutOfBounds(f"the request is not shown to be about the {kind} that the key is held to")
    return inside


def within(db: Database, principal: Principal, project: str, session: str) -> None:
    """OutOfBounds where a call says that it is of a session outside the sprint that its key is held to."""
    with db.connection() as conn:
        found = store.places(conn, project=project, tasks=(), sessions=(session,)).sessions.get(session)
    if found is None or found.sprint_code != principal.sprint_code:
        raise OutOfBounds("the call's session is not shown to be in the sprint that the key is held to")


def _is_inside(about: About, inside: Bounds, found: store.Places) -> bool:
    named = [
        _sprint(about.sprint, inside),
        _task(about.task, inside, found),
        _session(about.session, inside, found),
        (about.recorded == inside.session_key) if about.recorded and inside.session_key else None,
        True if about.own and inside.session_key else None,
    ]
    said = [one for one in named if one is not None]
    may_leave = about.lasting and about.task and not (about.sprint or inside.session_key)
    return bool(said) and all(said) and not may_leave


def _sprint(code: str, inside: Bounds) -> bool | None:
    return code == inside.sprint_code if code else None


def _task(code: str, inside: Bounds, found: store.Places) -> bool | None:
    if not code:
        return None
    if inside.task_code:
        return code == inside.task_code
    return bool(inside.sprint_code) and found.tasks.get(code) == inside.sprint_code


def _session(key: str, inside: Bounds, found: store.Places) -> bool | None:
    if not key:
        return None
    if inside.session_key:
        return key == inside.session_key
    place = found.sessions.get(key)
    return bool(inside.sprint_code) and place is not None and place.sprint_code == inside.sprint_code
