"""Random work on two servers: every answer is explained, the log is whole, followers miss nothing."""

from collections.abc import Callable, Iterator

import pytest

from orchestration_server.app import App
from tests.robustness.faults import Cluster
from tests.robustness.run import run
from tests.support.lengths import lengths


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    found = Cluster()
    try:
        yield found
    finally:
        found.close()


@lengths("calls", short=300, long=1_500)
def test_a_run_on_two_servers_keeps_every_promise(start_app: Callable[..., App], calls: int) -> None:
    report = run([start_app().address, start_app().address], calls=calls, seed=1)
    assert not report.faults, "\n".join(report.faults)
    assert report.calls >= calls
    assert report.undecided == 0


@lengths("size", short=(250, 3), long=(900, 8))
def test_a_run_under_faults_keeps_every_promise(cluster: Cluster, size: tuple[int, int]) -> None:
    calls, faults = size
    report = run(cluster.addresses, calls=calls, seed=2, faults=cluster.faults()[-faults:])
    assert not report.faults, "\n".join(report.faults)
    assert report.calls >= calls
