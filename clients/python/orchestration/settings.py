"""How a client reaches the ledger: address, call metadata and channel options."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import grpc
from grpc import aio

from orchestration.v1 import (
    admin_pb2,
    context_pb2,
    coordination_pb2,
    event_pb2,
    report_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
    template_pb2,
)

DEFAULT_ADDRESS = "127.0.0.1:20051"
ADDRESS_VARIABLE = "ORCHESTRATION_ADDRESS"

Options = Sequence[tuple[str, int | str]]

_SERVICES = (
    sprint_pb2,
    task_pb2,
    event_pb2,
    session_pb2,
    context_pb2,
    coordination_pb2,
    template_pb2,
    report_pb2,
    admin_pb2,
)

# Streams are not among them: follow and emit_all go on where a broken one ended, by themselves. And
# the transport must not: grpc keeps and replays what a stream sent, and a stream that ends while it
# does so can end the process ("ILLEGAL STATE: FORWARDED_BATCH", grpcio 1.85).
RETRIED_METHODS = tuple(
    {"service": service.full_name, "method": method.name}
    for module in _SERVICES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if not (method.client_streaming or method.server_streaming)
)

# CANCELLED is what a server that stops gracefully leaves its pending calls with. To try such a
# call again is safe only because every mutation carries a request_id.
_RETRIES = {
    "maxAttempts": 5,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
}


def service_config() -> dict[str, Any]:
    """Returns how calls are retried and spread over servers, as gRPC clients of all languages take it."""
    return {
        # Where a name stands for several servers, a retry goes to another one than that which ended.
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": list(RETRIED_METHODS), "retryPolicy": _RETRIES}],
    }


def resolve_address(address: str | None) -> str:
    """Returns the address given, else that of ORCHESTRATION_ADDRESS, else the default."""
    return address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS


def channel_options(extra: Options = ()) -> list[tuple[str, int | str]]:
    """Returns the options of a channel; those in ``extra`` win."""
    options: dict[str, int | str] = {
        "grpc.service_config": json.dumps(service_config()),
        "grpc.max_receive_message_length": 16 * 1024 * 1024,
        "grpc.max_send_message_length": 16 * 1024 * 1024,
        # A peer that is gone shows within 40 seconds, on a stream where nothing happens too.
        "grpc.keepalive_time_ms": 30_000,
        "grpc.keepalive_timeout_ms": 10_000,
        # grpcio 1.85 heeds this one alone, which is a minute unless told otherwise.
        "grpc.http2.ping_timeout_ms": 10_000,
        "grpc.http2.max_pings_without_data": 0,
        # The transport's own backoff grows to two minutes, which a restarted server is not away.
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.min_reconnect_backoff_ms": 1_000,
        "grpc.max_reconnect_backoff_ms": 2_000,
    }
    return list((options | dict(extra)).items())


def call_metadata(
    *, project: str, agent: str, session: str, correlation_id: str | None, token: str | None
) -> tuple[tuple[str, str], ...]:
    """Returns what every call says of its caller. ValueError for what a header cannot carry."""
    values = {
        "orchestration-project": project,
        "orchestration-agent": agent,
        "orchestration-session": session,
        "orchestration-correlation-id": correlation_id or "",
        "authorization": f"Bearer {token}" if token else "",
    }
    for key, value in values.items():
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"{key} takes printable ASCII characters only")
    return tuple((key, value) for key, value in values.items() if value)


def open_channel(address: str, credentials: grpc.ChannelCredentials | None, options: Options) -> grpc.Channel:
    """Opens a channel: with TLS, or whatever the credentials say, else in the clear."""
    if credentials is None:
        return grpc.insecure_channel(address, channel_options(options))
    return grpc.secure_channel(address, credentials, channel_options(options))


def open_async_channel(
    address: str,
    credentials: grpc.ChannelCredentials | None,
    options: Options,
    interceptors: Sequence[aio.ClientInterceptor],
) -> aio.Channel:
    """Does what ``open_channel`` does, for asyncio."""
    arguments = channel_options(options)
    if credentials is None:
        return aio.insecure_channel(address, arguments, interceptors=interceptors)
    return aio.secure_channel(address, credentials, arguments, interceptors=interceptors)
