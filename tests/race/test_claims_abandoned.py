"""The task of an agent that was killed is claimed by another within its lease and a second."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from google.protobuf.duration_pb2 import Duration

from orchestration.v1 import coordination_pb2
from orchestration_server.app import App
from tests.conftest import open_channel
from tests.support import short_leases
from tests.support.ledger import Ledger

LATE_SECONDS = 1.0
AGENT = """
import sys, grpc
from google.protobuf.duration_pb2 import Duration
from orchestration.v1 import coordination_pb2, coordination_pb2_grpc
stub = coordination_pb2_grpc.CoordinationServiceStub(grpc.insecure_channel(sys.argv[1]))
request = coordination_pb2.ClaimTaskRequest(agent="killed", lease=Duration(seconds=1))
print(stub.ClaimTask(request).claims[0].lease.fence, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("background", [False, True], ids=["alone", "with services"])
def test_the_task_of_a_killed_agent_is_claimed_within_its_lease_and_a_second(
    start_app: Callable[..., App], background: bool
) -> None:
    with short_leases.allowed(), open_channel(start_app(background=background).address) as channel:
        ledger = Ledger(channel)
        ledger.task("t")
        address = start_app().address
        agent = subprocess.Popen(
            [sys.executable, "-c", AGENT, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with agent:
            assert agent.stdout is not None
            fence = int(agent.stdout.readline())
            agent.kill()
        (lease,) = ledger.coordination.ListLeases(coordination_pb2.ListLeasesRequest()).leases
        assert lease.fence == fence
        request = coordination_pb2.ClaimTaskRequest(agent="other", wait=Duration(seconds=20))
        (one,) = ledger.coordination.ClaimTask(request).claims
    late = (one.lease.start_time.ToMicroseconds() - lease.expire_time.ToMicroseconds()) / 1e6
    assert 0 <= late < LATE_SECONDS
    assert one.lease.fence > fence
