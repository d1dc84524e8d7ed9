"""Generated stubs and a thin client for the orchestration ledger."""

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
