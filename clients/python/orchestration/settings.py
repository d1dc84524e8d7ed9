"""Settings of a client: address, credentials, call metadata and channel options."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from grpc import aio

from orchestration.v1 import (
    admin_pb2,
    context_pb2,
    coordination_pb2,
    event_pb2,
    report_pb2,
    schedule_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
    template_pb2,
)

DEFAULT_ADDRESS = "127.0.0.1:20051"
ADDRESS_VARIABLE = "ORCHESTRATION_ADDRESS"
TOKEN_VARIABLE = "ORCHESTRATION_TOKEN"
PROJECT_VARIABLE = "ORCHESTRATION_PROJECT"
CA_VARIABLE = "ORCHESTRATION_CA_FILE"
CERT_VARIABLE = "ORCHESTRATION_CLIENT_CERT"
KEY_VARIABLE = "ORCHESTRATION_CLIENT_KEY"
KNOWN_AUTHORITIES = "system"
"""The value that means the authorities that grpc comes with, in place of a file."""
_SCHEMES = frozenset(
    ("dns", "unix", "unix-abstract", "ipv4", "ipv6", "vsock", "xds", "google-c2p", "passthrough")
)
"""Schemes of the names that grpc resolves."""
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_SCHEME = re.compile(r"(?:dns:(?://[^/]*/)?|ipv4:|ipv6:|)(.*)", re.DOTALL)

Options = Sequence[tuple[str, int | str]]

_SERVICES = (
    sprint_pb2,
    task_pb2,
    event_pb2,
    session_pb2,
    context_pb2,
    coordination_pb2,
    template_pb2,
    schedule_pb2,
    report_pb2,
    admin_pb2,
)

# Without streams, because follow and emit_all resume a broken stream themselves. The transport must not retry
# one: if it ends during the replay, grpcio 1.85 can abort the process ("ILLEGAL STATE: FORWARDED_BATCH").
RETRIED_METHODS = tuple(
    {"service": service.full_name, "method": method.name}
    for module in _SERVICES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if not (method.client_streaming or method.server_streaming)
)

# A server that stops gracefully ends its pending calls with CANCELLED. Retrying such a call is safe only
# because every mutation carries a request_id.
_RETRIES = {
    "maxAttempts": 5,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
}


def service_config() -> dict[str, Any]:
    """Return the service config, which tells gRPC clients of all languages how to retry and balance calls."""
    return {
        # If a name resolves to several servers, a retry goes to another one than the one that ended.
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": list(RETRIED_METHODS), "retryPolicy": _RETRIES}],
    }


def resolve_address(address: str | None) -> str:
    """Return the address, else that of ORCHESTRATION_ADDRESS, else the default.

    Raises ValueError if the address cannot be valid, because grpc reports that as UNAVAILABLE, which is
    retried.
    """
    found = (address or "").strip() or _environment(ADDRESS_VARIABLE) or DEFAULT_ADDRESS
    if wrong := _fault_of(found):
        # A URL may contain a password.
        shown = re.sub(r"//.*@", "//…@", found)
        raise ValueError(f"{shown!r} is no address: {wrong}; use HOST:PORT, such as {DEFAULT_ADDRESS}")
    return found


def _fault_of(address: str) -> str:
    """Return what is wrong with an address of grpc; empty if it may be valid."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", address)
    if scheme and scheme[1] not in _SCHEMES:
        return f"leave out {scheme[0]} (for TLS, name the authorities in {CA_VARIABLE})"
    if re.search(r"\s", address):
        return "it contains a space"
    known = re.match(r"([a-z0-9-]+):", address)
    if known and known[1] in _SCHEMES - {"dns", "ipv4", "ipv6"}:
        return ""
    target = _SCHEME.fullmatch(address)
    for one in (target[1] if target else address).split(","):
        if wrong := _fault_of_host(one):
            return wrong
    return ""


def _fault_of_host(target: str) -> str:
    with suppress(ValueError):
        ipaddress.ip_address(target[1:-1] if target[:1] + target[-1:] == "[]" else target)
        return ""
    host, colon, port = target.rpartition(":")
    host = host if colon else target
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        return f"{port!r} is no port"
    if host.startswith("[") and host.endswith("]"):
        with suppress(ValueError):
            ipaddress.ip_address(host[1:-1])
            return ""
    labels = host.removesuffix(".").split(".")
    if len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels):
        return ""
    return f"{host!r} is no name of a host"


def resolve_token(token: str | None) -> str:
    """Return the key or token, else that of ORCHESTRATION_TOKEN, else an empty string.

    White space around it is removed, such as the newline of a file.
    """
    return _environment(TOKEN_VARIABLE) if token is None else token.strip()


def resolve_project(project: str) -> str:
    """Return the project, else that of ORCHESTRATION_PROJECT, else an empty string.

    If it is empty, the server uses the project of the key.
    """
    return project or _environment(PROJECT_VARIABLE)


def resolve_credentials(given: grpc.ChannelCredentials | None) -> grpc.ChannelCredentials | None:
    """Return the credentials, else TLS with the authorities of ORCHESTRATION_CA_FILE, else None.

    ORCHESTRATION_CA_FILE is a PEM file or "system". If the client's own certificate is set, it is included.
    Raises ValueError if a file cannot be read, or only one of the certificate and its key is set.
    """
    authorities = _environment(CA_VARIABLE)
    if given is not None or not authorities:
        return given
    cert, key = _environment(CERT_VARIABLE), _environment(KEY_VARIABLE)
    if bool(cert) != bool(key):
        # grpc aborts the process if it gets only one of them.
        raise ValueError(f"{CERT_VARIABLE} and {KEY_VARIABLE} belong together: set both")
    return grpc.ssl_channel_credentials(
        None if authorities == KNOWN_AUTHORITIES else _read(authorities, CA_VARIABLE),
        _read(key, KEY_VARIABLE),
        _read(cert, CERT_VARIABLE),
    )


def _environment(variable: str) -> str:
    return os.environ.get(variable, "").strip()


def _read(file: str | None, variable: str) -> bytes | None:
    if not file:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {file}, the file in {variable}: {error.strerror}") from None


def check_secret(address: str, credentials: grpc.ChannelCredentials | None, token: str) -> None:
    """Raise ValueError if a token would go to another machine unencrypted."""
    if token and credentials is None and not on_loopback(address):
        raise ValueError(
            f"a token would go to {address} in the clear: set {CA_VARIABLE} to the certificate of the server"
            f" or of its authority ({KNOWN_AUTHORITIES!r} for the known authorities), or pass"
            " credentials=grpc.ssl_channel_credentials(...)"
        )


def on_loopback(address: str) -> bool:
    """Return True if an address of grpc is on this machine. Names other than localhost are not resolved."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    found = _SCHEME.fullmatch(address)
    target = found[1] if found else address
    host, colon, port = target.rpartition(":")
    if not colon or not port.isdigit() or (target.count(":") > 1 and not target.startswith("[")):
        host = target
    host = host.strip("[]")
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def channel_options(extra: Options = ()) -> list[tuple[str, int | str]]:
    """Return the options of a channel. Those in ``extra`` override the others."""
    options: dict[str, int | str] = {
        "grpc.service_config": json.dumps(service_config()),
        "grpc.max_receive_message_length": 16 * 1024 * 1024,
        "grpc.max_send_message_length": 16 * 1024 * 1024,
        # A lost peer is detected within 40 seconds, even on a silent stream.
        "grpc.keepalive_time_ms": 30_000,
        "grpc.keepalive_timeout_ms": 10_000,
        # grpcio 1.85 obeys only this option, whose default is a minute.
        "grpc.http2.ping_timeout_ms": 10_000,
        "grpc.http2.max_pings_without_data": 0,
        # The transport's own backoff grows to two minutes, which is longer than a restart takes.
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.min_reconnect_backoff_ms": 1_000,
        "grpc.max_reconnect_backoff_ms": 2_000,
    }
    return list((options | dict(extra)).items())


def call_metadata(
    *, project: str, agent: str, session: str, correlation_id: str | None, token: str
) -> tuple[tuple[str, str], ...]:
    """Return the metadata of every call. Raises ValueError for a value that a header cannot carry."""
    values = {
        "orchestration-project": project,
        "orchestration-agent": agent,
        "orchestration-session": session,
        "orchestration-correlation-id": correlation_id or "",
        "authorization": f"Bearer {token}" if token else "",
    }
    for key, value in values.items():
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"{key} may have only printable ASCII characters")
    return tuple((key, value) for key, value in values.items() if value)


def open_channel(address: str, credentials: grpc.ChannelCredentials | None, options: Options) -> grpc.Channel:
    """Open a channel with the credentials, or unencrypted without them."""
    arguments = _directly(address, credentials) + channel_options(options)
    if credentials is None:
        return grpc.insecure_channel(address, arguments)
    return grpc.secure_channel(address, credentials, arguments)


def _directly(address: str, credentials: grpc.ChannelCredentials | None) -> list[tuple[str, int | str]]:
    """Return the option that bypasses the proxy of https_proxy for unencrypted and loopback connections.

    Without it grpc would send the proxy even calls to this machine, including the token.
    """
    return [("grpc.enable_http_proxy", 0)] if credentials is None or on_loopback(address) else []


def open_async_channel(
    address: str,
    credentials: grpc.ChannelCredentials | None,
    options: Options,
    interceptors: Sequence[aio.ClientInterceptor],
) -> aio.Channel:
    """Open a channel for asyncio like ``open_channel``."""
    arguments = _directly(address, credentials) + channel_options(options)
    if credentials is None:
        return aio.insecure_channel(address, arguments, interceptors=interceptors)
    return aio.secure_channel(address, credentials, arguments, interceptors=interceptors)
