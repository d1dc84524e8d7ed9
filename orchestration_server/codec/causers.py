"""The scopes of the callers that caused an event, which the server records with it.

A rule of automation acts later, without the caller's key, and stays inside the recorded scopes. No caller can
write them: they are in a column beside the event's message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import orjson

from orchestration_server.model import Call, EventRow, Role, Scope


def recorded(call: Call) -> str:
    """Return the scopes to record with the events of a call; empty if nothing restricts the caller."""
    if call.causer_scopes:
        return call.causer_scopes
    reader = call.principal is not None and call.principal.role < Role.AGENT
    if call.scope is None:
        return _serialized(Scope(), read_only=True) if reader else ""
    return _serialized(call.scope, read_only=reader)


def merged(scopes: Iterable[str]) -> str:
    """Return the scopes to record with one event of several callers.

    A rule has to stay inside all of them.
    """
    different = dict.fromkeys(scope for scope in scopes if scope)
    if len(different) < 2:
        return next(iter(different), "")
    return orjson.dumps([one for scope in different for one in orjson.loads(scope)]).decode()


def allow(recorded_scopes: str, events: Sequence[EventRow]) -> bool:
    """Return whether callers with these scopes could have caused all of these events themselves."""
    scopes = [Scope(**fields) for fields in orjson.loads(recorded_scopes)] if recorded_scopes else []
    return all(not one.read_only and all(map(one.covers, events)) for one in scopes)


def _serialized(scope: Scope, *, read_only: bool) -> str:
    fields = {**asdict(scope), "read_only": read_only}
    return orjson.dumps([{name: value for name, value in fields.items() if value}]).decode()
