"""`orchestration health`: ask a server for its health, for supervisors that run a command to check."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration_server.cli.options import err, refuse, with_settings
from orchestration_server.config.settings import ConfigurationError, Settings, client_files

_ASKED = ("address", "data_dir", "tls_cert", "tls_key", "tls_client_ca", "auto_tls")
NAMES = tuple(name for name in _ASKED if name in Settings.model_fields)


@with_settings(*NAMES)
def health(
    settings: Settings,
    service: Annotated[
        str, typer.Option(help="A service, such as orchestration.v1.TaskService; empty means all services.")
    ] = "",
    server_name: Annotated[str, typer.Option(help="The name in the certificate, if it is not HOST.")] = "",
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to wait for an answer.")] = 3.0,
) -> None:
    """Ask the server at ADDRESS for its health. Exits with 0 if it serves, else with 1.

    Run it with the server's own settings, or with those of a client:
    ORCHESTRATION_CA_FILE, and for mutual TLS ORCHESTRATION_CLIENT_CERT and
    ORCHESTRATION_CLIENT_KEY.
    """
    from orchestration_server.rpc import health_probe

    try:
        client = client_files()
    except ConfigurationError as error:
        refuse(str(error))
    try:
        with health_probe.open_channel(settings, server_name=server_name, client=client) as channel:
            health_probe.check(channel, service=service, seconds=seconds)
    except (health_probe.NotServing, OSError) as error:
        err.print(f"not serving: {error}", style="red")
        raise typer.Exit(1) from None
    typer.echo("SERVING")
