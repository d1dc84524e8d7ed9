"""Generated stubs and a thin client for the orchestration ledger.

A name is imported when it is first used, so that the command does not wait for what it does not need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestration.async_client import AsyncClient
    from orchestration.async_work import AsyncClaim, AsyncWork
    from orchestration.client import Client
    from orchestration.emitting import EmitTotals
    from orchestration.errors import ErrorDetails, LedgerError, Resource, error_details
    from orchestration.leases import LeaseLost
    from orchestration.settings import DEFAULT_ADDRESS
    from orchestration.structs import plain
    from orchestration.timeline import AsyncTimeline, Timeline
    from orchestration.work import Claim, Work

__all__ = [
    "DEFAULT_ADDRESS",
    "AsyncClaim",
    "AsyncClient",
    "AsyncTimeline",
    "AsyncWork",
    "Claim",
    "Client",
    "EmitTotals",
    "ErrorDetails",
    "LeaseLost",
    "LedgerError",
    "Resource",
    "Timeline",
    "Work",
    "error_details",
    "plain",
]

_MODULES = {
    "async_client": ("AsyncClient",),
    "async_work": ("AsyncClaim", "AsyncWork"),
    "client": ("Client",),
    "emitting": ("EmitTotals",),
    "errors": ("ErrorDetails", "LedgerError", "Resource", "error_details"),
    "leases": ("LeaseLost",),
    "settings": ("DEFAULT_ADDRESS",),
    "structs": ("plain",),
    "timeline": ("AsyncTimeline", "Timeline"),
    "work": ("Claim", "Work"),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
