"""Calls that start together, on two servers of one ledger."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import Any

import grpc
import pytest

from orchestration_server.embedded.engines import Engines
from tests.conftest import new_database, open_channel, running
from tests.support.projects import in_project, new_project

CALLS = 16


def at_once(call: Callable[[], Any]) -> list[Any]:
    """Make CALLS calls that start together; return their answers."""
    barrier = Barrier(CALLS)

    def one(_: int) -> Any:
        barrier.wait(timeout=10)
        return call()

    with ThreadPoolExecutor(CALLS) as pool:
        return list(pool.map(one, range(CALLS)))


@pytest.fixture
def pool_size() -> int | None:
    """Return the server's default: races need a connection for everything that happens at once."""
    return None


@pytest.fixture(scope="session")
def shared_pair(engines: Engines) -> Iterator[list[str]]:
    """Run two servers on one ledger for tests in their own projects; return the addresses."""
    with new_database(engines) as url, ExitStack() as stack:
        yield [stack.enter_context(running(engines, url)) for _ in range(2)]


@pytest.fixture
def channels(request: pytest.FixtureRequest) -> Iterator[list[grpc.Channel]]:
    """Open channels to two servers on one ledger, where a lock inside one process cannot help."""
    with ExitStack() as stack:
        if "database_url" in request.fixturenames:
            url, start = request.getfixturevalue("database_url"), request.getfixturevalue("start_server")
            addresses = [start(url).address for _ in range(2)]
            yield [stack.enter_context(open_channel(address)) for address in addresses]
        else:
            project = new_project()
            addresses = request.getfixturevalue("shared_pair")
            opened = [stack.enter_context(open_channel(address)) for address in addresses]
            yield [in_project(channel, project) for channel in opened]
