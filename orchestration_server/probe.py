"""Asks a server on this machine whether it serves, by the address and the certificate of its own settings."""

from __future__ import annotations

from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestration_server.config import Settings

ANY_HOST = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
"""Where a server that listens on all addresses is reached from its own machine."""


class NotServing(Exception):
    """It does not answer, or says that it serves no more; for people."""


def reachable(address: str) -> str:
    """The address at which a server that listens on this one is reached from the same machine."""
    host, _, number = address.rpartition(":")
    return f"{ANY_HOST.get(host, host)}:{number}"


def open_channel(settings: Settings, *, server_name: str = "") -> grpc.Channel:
    """A connection of its own to the server of these settings.

    Where that has a certificate, it is the one that is trusted; ``server_name`` is the name in it, where the
    address is not.
    """
    address = reachable(settings.address)
    options: list[tuple[str, int | str]] = [("grpc.use_local_subchannel_pool", 1)]
    certificate, key = _file(settings, "tls_cert"), _file(settings, "tls_key")
    if certificate is None:
        return grpc.insecure_channel(address, options)
    if server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    mutual = key is not None and _file(settings, "tls_client_ca") is not None
    own = {"private_key": key, "certificate_chain": certificate} if mutual else {}
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(certificate, **own), options)


def _file(settings: Settings, name: str) -> bytes | None:
    path: Path | None = getattr(settings, name, None)
    return None if path is None else path.read_bytes()


def check(channel: grpc.Channel, *, service: str, seconds: float) -> None:
    """Asks for the health of a service, of the whole server where its name is empty. Raises NotServing."""
    request = health_pb2.HealthCheckRequest(service=service)
    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=seconds)
    except grpc.RpcError as error:
        raise NotServing(f"{error.code().name}: {error.details()}") from None
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotServing(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
