"""Servers that are replaced while agents call, through clients with the published service config."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import grpc
import pytest

from benchmarks.processes import ServerProcess
from benchmarks.rolling import SHARED, Load
from orchestration.v1 import event_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from tests import factories
from tests.conftest import Server, open_channel
from tests.status import refused

SECONDS = 20
CALLS = 40


def test_servers_are_replaced_under_load_and_no_call_fails(database_url: str) -> None:
    server = ServerProcess(database_url, SHARED)
    try:
        with Load(server.address) as load:
            load.wait(CALLS)
            for _ in range(2):
                new = ServerProcess(database_url, SHARED, address=server.address)
                server.stop()
                server = new
                load.wait(CALLS)
            load.stop()
    finally:
        server.stop()
    assert load.failures == {}
    assert (load.missing, load.repeated) == (0, 0)
    assert load.in_order


def test_a_server_that_shares_no_port_finds_it_taken(database_url: str) -> None:
    with ServerProcess(database_url) as server, pytest.raises(RuntimeError, match="cannot listen"):
        ServerProcess(database_url, address=server.address)


def test_an_emit_stream_ends_with_the_server_after_its_answers(
    database_url: str, start_server: Callable[[str], Server]
) -> None:
    started = start_server(database_url)
    assert started.app is not None
    asked: SimpleQueue[event_pb2.EmitEventsRequest | None] = SimpleQueue()
    with open_channel(started.address) as channel, ThreadPoolExecutor(1) as pool:
        stream = EventServiceStub(channel).EmitEvents(iter(asked.get, None), timeout=SECONDS)
        asked.put(event_pb2.EmitEventsRequest(request_id="r", events=[factories.event()]))
        assert next(stream).stored == 1
        # The client keeps the stream open, and sends nothing more.
        stopping = pool.submit(started.app.stop)
        with refused(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE", "stopping"):
            next(stream)
        stopping.result(timeout=SECONDS)
        asked.put(None)
