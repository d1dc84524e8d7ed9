"""A client that watches the health of a server and takes nothing keeps no other client from its answer.

grpcio-health-checking waits for each watcher under its one lock: the control shows it.
"""

from __future__ import annotations  # grpc's classes take type arguments in its stubs alone

import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from benchmarks.raw_http2_client import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW,
    PREFACE,
    SETTINGS,
    frame,
    headers_of,
)
from orchestration_server.rpc.health import SERVICE, Health
from tests.conftest import open_channel

SECONDS = 10.0
STUCK_SECONDS = 0.5
"""The time that the test waits for the control."""


def ours(server: grpc.Server) -> Callable[[], None]:
    found = Health([])
    server.add_generic_rpc_handlers((found.handler(),))
    found.start()
    found.set(serving=True)
    return found.shutdown


def library(server: grpc.Server) -> Callable[[], None]:
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    return lambda: None


@contextmanager
def watched(add: Callable[[grpc.Server], Callable[[], None]]) -> Iterator[health_pb2_grpc.HealthStub]:
    """A server that a client watches whose window has no room for an answer."""
    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(4))
        server = grpc.server(threads)
        stack.callback(add(server))
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        stack.callback(lambda: server.stop(None).wait(SECONDS))
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", int(address[10:]))))
        connection.settimeout(SECONDS)
        settings = frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW, 0)) + frame(SETTINGS, ACK, 0, b"")
        call = frame(HEADERS, END_HEADERS, 1, headers_of(address, f"/{SERVICE}/Watch"))
        connection.sendall(PREFACE + settings + call + frame(DATA, END_STREAM, 1, bytes(5)))
        # The server has begun to answer once its headers have come.
        received = b""
        while b"application/grpc" not in received:
            received += connection.recv(1 << 16)
        yield health_pb2_grpc.HealthStub(stack.enter_context(open_channel(address)))


def test_a_watcher_that_takes_nothing_holds_no_check_up() -> None:
    with watched(ours) as stub:
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_control_with_the_library_holds_every_check_up() -> None:
    with watched(library) as stub, pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(), timeout=STUCK_SECONDS)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
