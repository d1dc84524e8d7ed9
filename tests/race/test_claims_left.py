"""A claim whose caller has left is not left held, and one that is retried gets the same lease."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration

from orchestration.v1 import coordination_pb2
from orchestration_server.model import Call
from orchestration_server.work.claiming import Claiming
from tests.conftest import Server
from tests.support.ledger import Ledger
from tests.support.waits import turns


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


@pytest.fixture
def conn(server: Server, database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as found:
        yield found


class Gap:
    """A halt between the commit of a claim and its answer, until the server knows that the caller left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.claimed, ended = Event(), Event()
        claim: Callable[..., Any] = Claiming.claim

        def halted(claiming: Claiming, request: Any, call: Call) -> Any:
            if not self.claimed.is_set() and call.on_end is not None:
                assert call.on_end(ended.set)
            response = claim(claiming, request, call)
            if response is not None and not self.claimed.is_set():
                self.claimed.set()
                assert ended.wait(20)
            return response

        monkeypatch.setattr(Claiming, "claim", halted)


def free_again(conn: psycopg.Connection) -> None:
    for _ in turns(10):
        if conn.execute("select not exists (select from leases)").fetchone() == (True,):
            return


@pytest.mark.parametrize("wait", [0, 20])
def test_a_claim_whose_caller_has_left_is_given_back(
    ledger: Ledger, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, wait: int
) -> None:
    gap = Gap(monkeypatch)
    if not wait:
        ledger.task("t")
    request = coordination_pb2.ClaimTaskRequest(agent="a", wait=Duration(seconds=wait))
    call = ledger.coordination.ClaimTask.future(request)
    if wait:
        ledger.task("t")
    assert gap.claimed.wait(20)
    call.cancel()
    free_again(conn)
    (one,) = ledger.coordination.ClaimTask(coordination_pb2.ClaimTaskRequest(agent="b")).claims
    assert one.lease.attempt == 2


def test_a_claim_with_a_request_id_stays_for_the_retry(
    ledger: Ledger, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    gap = Gap(monkeypatch)
    ledger.task("t")
    request = coordination_pb2.ClaimTaskRequest(agent="a", request_id="r")
    call = ledger.coordination.ClaimTask.future(request)
    assert gap.claimed.wait(20)
    call.cancel()
    (one,) = ledger.coordination.ClaimTask(request).claims
    assert one.lease.attempt == 1
    assert ledger.coordination.ClaimTask(request).claims == [one]


def test_a_caller_that_leaves_while_it_waits_gets_nothing(ledger: Ledger) -> None:
    request = coordination_pb2.ClaimTaskRequest(agent="a", wait=Duration(seconds=20))
    call = ledger.coordination.ClaimTask.future(request)
    call.cancel()
    with pytest.raises(grpc.FutureCancelledError):
        call.result(5)
    ledger.task("t")
    later = coordination_pb2.ClaimTaskRequest(agent="b", wait=Duration(seconds=20))
    (one,) = ledger.coordination.ClaimTask(later).claims
    assert one.lease.agent == "b"
