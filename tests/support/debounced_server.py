"""A server that debounces changes of a status, and the events in its log."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from orchestration_server.embedded.engines import Engines
from tests.conftest import Server
from tests.support.automation import history as log_of
from tests.support.emission import DEBOUNCE, serving
from tests.support.ledger import Ledger
from tests.support.rpc_errors import Metadata


def by(agent: str, chain: str = "chain") -> Metadata:
    return (("orchestration-agent", agent), ("orchestration-correlation-id", chain))


@pytest.fixture
def server(engines: Engines, database_url: str, tmp_path: Path) -> Iterator[Server]:
    with serving(engines, database_url, tmp_path, DEBOUNCE) as found:
        yield found


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


def types_of(ledger: Ledger) -> list[str]:
    return [event.type.removeprefix("orchestration.") for event in log_of(ledger.events)]
