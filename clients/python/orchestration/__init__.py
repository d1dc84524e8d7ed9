"""Generated stubs and a thin client for the orchestration ledger."""

from orchestration.async_client import AsyncClient
from orchestration.client import Client
from orchestration.emitting import EmitTotals
from orchestration.errors import ErrorDetails, LedgerError, Resource, error_details
from orchestration.settings import DEFAULT_ADDRESS
from orchestration.structs import plain
from orchestration.timeline import AsyncTimeline, Timeline

__all__ = [
    "DEFAULT_ADDRESS",
    "AsyncClient",
    "AsyncTimeline",
    "Client",
    "EmitTotals",
    "ErrorDetails",
    "LedgerError",
    "Resource",
    "Timeline",
    "error_details",
    "plain",
]
