"""Asks a server on this machine whether it serves, by the address and the certificate of its own settings, or
by what its clients trust."""

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
    """It does not answer, or says that it serves no more; for people."""


def open_channel(
    settings: Settings, *, server_name: str = "", client: ClientFiles = _NO_FILES
) -> grpc.Channel:
    """A connection of its own to the server of these settings.

    Where that has a certificate, it is the one that is trusted, else what the client's files name;
    ``server_name`` is the name in it, where the address is not.
    """
    address = listening.dial_address(settings.address)
    options: list[tuple[str, int | str]] = [
        ("grpc.use_local_subchannel_pool", 1),
        # It asks this machine: a proxy of https_proxy has no part in that.
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
        # Where clients have to show a certificate and none is named, this one shows the server's.
        shown, key = certificate, settings.tls_key
    own = (key.read_bytes(), shown.read_bytes()) if key and shown else (None, None)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(trusted, *own), options)


def _certificate(settings: Settings) -> Path | None:
    """The server's, or the one that it made itself."""
    if settings.tls_cert is None and settings.auto_tls:
        return settings.data_dir.expanduser() / "tls" / "cert.pem"
    return settings.tls_cert


def check(channel: grpc.Channel, *, service: str, seconds: float) -> None:
    """Asks for the health of a service, of the whole server where its name is empty. Raises NotServing."""
    request = health_pb2.HealthCheckRequest(service=service)
    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=seconds)
    except grpc.RpcError as error:
        said = str(error.details())
        hint = _MAY_WANT_TLS if _CLOSED in said else ""
        raise NotServing(f"{error.code().name}: {said}{hint}") from None
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotServing(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
