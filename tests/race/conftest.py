"""Calls that start together, on two servers of one ledger."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import grpc
import pytest

from tests.conftest import Server, open_channel

CALLS = 16


def at_once(call: Callable[[], Any]) -> list[Any]:
    """The answers of so many calls that start together."""
    barrier = Barrier(CALLS)

    def one(_: int) -> Any:
        barrier.wait(timeout=10)
        return call()

    with ThreadPoolExecutor(CALLS) as pool:
        return list(pool.map(one, range(CALLS)))


@pytest.fixture
def channels(database_url: str, start_server: Callable[[str], Server]) -> Iterator[list[grpc.Channel]]:
    """Two servers on one ledger, so that no lock of one process can be what makes it work."""
    with (
        open_channel(start_server(database_url).address) as one,
        open_channel(start_server(database_url).address) as two,
    ):
        yield [one, two]
