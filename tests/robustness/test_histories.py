"""Random work on two servers: every answer is explained, the log is whole, followers miss nothing."""

from collections.abc import Callable, Iterator

import pytest

from orchestration_server.app import App
from tests.robustness.faults import Cluster
from tests.robustness.run import run

CALLS = 1_500
FAULTED_CALLS = 900


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    found = Cluster()
    try:
        yield found
    finally:
        found.close()


def test_a_run_on_two_servers_keeps_every_promise(start_app: Callable[..., App]) -> None:
    report = run([start_app().address, start_app().address], calls=CALLS, seed=1)
    assert not report.faults, "\n".join(report.faults)
    assert report.calls >= CALLS
    assert report.undecided == 0


def test_a_run_under_faults_keeps_every_promise(cluster: Cluster) -> None:
    report = run(cluster.addresses, calls=FAULTED_CALLS, seed=2, faults=cluster.faults())
    assert not report.faults, "\n".join(report.faults)
    assert report.calls >= FAULTED_CALLS
