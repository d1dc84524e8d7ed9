"""Asks a server on this machine whether it serves, by the address and the certificate of its own settings."""

from __future__ import annotations

from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestration_server import listening
from orchestration_server.config import Settings


class NotServing(Exception):
    """It does not answer, or says that it serves no more; for people."""


def open_channel(settings: Settings, *, server_name: str = "") -> grpc.Channel:
    """A connection of its own to the server of these settings.

    Where that has a certificate, it is the one that is trusted; ``server_name`` is the name in it, where the
    address is not.
    """
    address = listening.reachable(settings.address)
    options: list[tuple[str, int | str]] = [
        ("grpc.use_local_subchannel_pool", 1),
        # It asks this machine: a proxy of https_proxy has no part in that.
        ("grpc.enable_http_proxy", 0),
    ]
    certificate = _certificate(settings)
    if certificate is None:
        return grpc.insecure_channel(address, options)
    if server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    trusted = certificate.read_bytes()
    # Where clients have to show a certificate, this one shows the server's.
    key = settings.tls_key
    if key is None or settings.tls_client_ca is None:
        credentials = grpc.ssl_channel_credentials(trusted)
    else:
        credentials = grpc.ssl_channel_credentials(trusted, key.read_bytes(), trusted)
    return grpc.secure_channel(address, credentials, options)


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
        raise NotServing(f"{error.code().name}: {error.details()}") from None
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotServing(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
