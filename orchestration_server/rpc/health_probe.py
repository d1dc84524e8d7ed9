"""A health check of the server on this machine.

It uses the address and the certificate of the server's settings, or the certificates that its clients trust.
"""

from __future__ import annotations

from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestration_server.config.settings import ClientFiles, Settings
from orchestration_server.rpc import address as listening

_CLOSED = "Socket closed"
_MAY_WANT_TLS = (
    "; it may want TLS: give --auto-tls or --tls-cert as the server has them, or name its certificate in"
    " ORCHESTRATION_CA_FILE"
)
_NO_FILES = ClientFiles()


class NotServing(Exception):
    """The server does not respond, or reports that it does not serve. The text is for people."""


def open_channel(
    settings: Settings, *, server_name: str = "", client: ClientFiles = _NO_FILES
) -> grpc.Channel:
    """Open a new connection to the server of these settings.

    Args:
        settings: The server's settings. If they have a certificate, the connection trusts it alone.
        server_name: The name in the certificate, if it is not that of the address.
        client: The files of a client, which name what to trust if the server has no certificate.
    """
    address = listening.dial_address(settings.address)
    options: list[tuple[str, int | str]] = [
        ("grpc.use_local_subchannel_pool", 1),
        # The server is on this machine, so the proxy of https_proxy is of no use.
        ("grpc.enable_http_proxy", 0),
    ]
    certificate = _certificate(settings)
    if certificate is None and not client.authorities:
        return grpc.insecure_channel(address, options)
    if server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    known = certificate is None and client.authorities == "system"
    trusted = None if known else (certificate or Path(client.authorities)).read_bytes()
    shown, key = client.cert, client.key
    if shown is None and settings.tls_client_ca is not None and settings.tls_key is not None:
        # The server requires client certificates and none is named: present the server's.
        shown, key = certificate, settings.tls_key
    own = (key.read_bytes(), shown.read_bytes()) if key and shown else (None, None)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(trusted, *own), options)


def _certificate(settings: Settings) -> Path | None:
    """Return the server's certificate, or the self-signed one that auto_tls made."""
    if settings.tls_cert is None and settings.auto_tls:
        return settings.data_dir.expanduser() / "tls" / "cert.pem"
    return settings.tls_cert


def check(channel: grpc.Channel, *, service: str, seconds: float) -> None:
    """Check the health of a service, or of the whole server if the name is empty. Raises NotServing."""
    request = health_pb2.HealthCheckRequest(service=service)
    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=seconds)
    except grpc.RpcError as error:
        details = str(error.details())
        hint = _MAY_WANT_TLS if _CLOSED in details else ""
        raise NotServing(f"{error.code().name}: {details}{hint}") from None
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotServing(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
