"""Replacement of servers while agents call through clients with the published service config."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import grpc
import psycopg
import pytest

from benchmarks.processes import ServerProcess
from benchmarks.rolling import SHARE_PORT, AgentLoad, change
from orchestration import Client
from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration_server.app import App
from orchestration_server.errors import CannotListen
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.lengths import lengths
from tests.support.locks import held, waiting
from tests.support.rpc_errors import refused

SECONDS = 20
CALLS = 40


@lengths("times", short=1, long=2)
def test_servers_are_replaced_under_load_and_no_call_fails(database_url: str, times: int) -> None:
    server = ServerProcess(database_url, SHARE_PORT)
    try:
        with AgentLoad(server.address) as load:
            load.wait(CALLS)
            for _ in range(times):
                new = ServerProcess(database_url, SHARE_PORT, address=server.address)
                server.stop()
                server = new
                load.wait(CALLS)
            load.stop()
    finally:
        server.stop()
    assert load.failures == {}
    assert (load.missing, load.repeated) == (0, 0)
    assert load.in_order


def test_a_server_that_shares_no_port_finds_it_taken(start_app: Callable[..., App]) -> None:
    address = start_app().address
    with pytest.raises(CannotListen, match="bind"):
        start_app(address=address)


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
        # The client keeps the stream open and sends nothing more.
        stopping = pool.submit(started.app.stop)
        with refused(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING", "stopping"):
            next(stream)
        stopping.result(timeout=SECONDS)
        asked.put(None)


def test_a_call_that_outlasts_the_grace_acts_once_on_the_next_server(
    database_url: str, start_app: Callable[..., App]
) -> None:
    old = start_app(share_port=True, grace_seconds=0.1)
    with (
        Client(old.address, timeout=SECONDS) as client,
        psycopg.connect(database_url, autocommit=True) as watch,
        ThreadPoolExecutor(1) as pool,
    ):
        client.tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a")))
        with held(database_url):
            changing = pool.submit(client.tasks.UpdateTask, change("a", 1))
            waiting(watch, 1)
            start_app(share_port=True, address=old.address)
            old.stop()
            # It ended with the old server, and now waits on the new one.
            waiting(watch, 1)
        assert changing.result(timeout=SECONDS).task.revision == 2
        chosen = event_pb2.EventFilter(types=["orchestration.task.updated"])
        request = event_pb2.ListEventsRequest(filter=chosen)
        assert len(client.events.ListEvents(request).events) == 1
