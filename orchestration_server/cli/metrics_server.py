"""The metrics endpoint of long-running commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import typer
from prometheus_client import CollectorRegistry

from orchestration_server.cli.options import err, refuse
from orchestration_server.config.settings import ConfigurationError, Settings
from orchestration_server.rpc.address import check_metrics
from orchestration_server.telemetry.exposition import Exposition

log = structlog.get_logger()


@contextmanager
def serve_metrics(settings: Settings, registry: CollectorRegistry) -> Iterator[str]:
    """Serve /metrics for the duration of the block. Yield the address, or "" if metrics are off."""
    if not settings.metrics_address:
        yield ""
        return
    try:
        check_metrics(settings)
    except ConfigurationError as error:
        refuse(str(error))
    try:
        exposition = Exposition(settings.metrics_address, registry)
    except OSError as error:
        named = settings.metrics_address
        err.print(f"cannot listen on {named}: {error}; choose another --metrics-address", style="red")
        raise typer.Exit(1) from error
    try:
        exposition.start()
        log.info("metrics", address=exposition.address)
        yield exposition.address
    finally:
        exposition.close()
