"""What the callers that caused an event may change, recorded with it by the server.

A rule of automation acts later, without the caller's key. It stays inside what is recorded here, which no
caller can write: it has a column, apart from the event's message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import orjson

from orchestration_server.model import Bounds, Call, EventRow, Role


def recorded(call: Call, bounds: Bounds | None = None) -> str:
    """Return what to record with the events of a call; empty if nothing bounds its caller.

    ``bounds`` are those of one message of a stream, in place of the call's.
    """
    if call.scopes:
        return call.scopes
    inside = bounds or call.bounds
    reader = call.principal is not None and call.principal.role < Role.AGENT
    if inside is None:
        return _written((Bounds(),), read_only=True) if reader else ""
    return _written((inside,), read_only=reader)


def merged(scopes: Iterable[str]) -> str:
    """Return what to record with one event of several callers: a rule has to stay inside all of it."""
    different = dict.fromkeys(scope for scope in scopes if scope)
    if len(different) < 2:
        return next(iter(different), "")
    return orjson.dumps([one for scope in different for one in orjson.loads(scope)]).decode()


def allow(scopes: str, events: Sequence[EventRow]) -> bool:
    """Return whether callers with these scopes could have caused all of these events themselves."""
    bounds = [Bounds(**fields) for fields in orjson.loads(scopes)] if scopes else []
    return all(not one.read_only and all(map(one.hold, events)) for one in bounds)


def _written(bounds: Sequence[Bounds], *, read_only: bool) -> str:
    found = [{**asdict(one), "read_only": read_only} for one in bounds]
    return orjson.dumps([{name: value for name, value in one.items() if value} for one in found]).decode()
