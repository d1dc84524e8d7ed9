"""What a claim that waits gets: a task with its context, an error, or word that the server stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from orchestration.v1 import common_pb2, context_pb2, coordination_pb2, session_pb2
from orchestration_server.app import App
from orchestration_server.context.broker import Broker
from orchestration_server.errors import Unavailable
from orchestration_server.work import waiting_claims
from tests.conftest import open_channel
from tests.support.ledger import Ledger
from tests.support.rpc_errors import details, refused
from tests.support.waits import turns

Answer = Any
"""The future of a claim, whose type grpc's stubs do not name."""


@pytest.fixture
def app(start_app: Callable[..., App]) -> App:
    return start_app()


@pytest.fixture
def ledger(app: App) -> Iterator[Ledger]:
    with open_channel(app.address) as channel:
        yield Ledger(channel)


def waiting(app: App, ledger: Ledger, metadata: Any = (), **fields: Any) -> Answer:
    """Claim the next task, and return once the claim waits."""
    before = len(app.waiting_claims._waiting)
    request = coordination_pb2.ClaimTaskRequest(agent="a", wait=Duration(seconds=30), **fields)
    answer = ledger.coordination.ClaimTask.future(request, metadata=metadata, timeout=60)
    for _ in turns(10):
        if len(app.waiting_claims._waiting) > before:
            break
    return answer


def test_a_task_comes_with_its_context(app: App, ledger: Ledger) -> None:
    answer = waiting(app, ledger, context=context_pb2.ContextOptions())
    ledger.task("t", description="Mend the parser")
    (one,) = answer.result(20).claims
    assert (one.task.code, one.context.task.description) == ("t", "Mend the parser")


def test_a_context_that_fails_gives_the_task_back(
    app: App, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(Broker, "assemble", failing)
    answer = waiting(app, ledger, context=context_pb2.ContextOptions())
    ledger.task("t")
    with refused(grpc.StatusCode.UNAVAILABLE):
        answer.result(20)
    (again,) = ledger.coordination.ClaimTask(coordination_pb2.ClaimTaskRequest(agent="b")).claims
    assert again.task.code == "t"


def test_a_server_that_stops_answers_the_waiting_claims(app: App, ledger: Ledger) -> None:
    answer = waiting(app, ledger)
    app.waiting_claims.stop()
    with refused(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING"):
        answer.result(20)
    request = coordination_pb2.ClaimTaskRequest(agent="b", wait=Duration(seconds=30))
    with refused(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING"):
        ledger.coordination.ClaimTask(request, timeout=20)


def test_one_claim_too_many_is_told_when_to_come_back(
    app: App, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_claims, "MAX_WAITING", 1)
    first = waiting(app, ledger)
    request = coordination_pb2.ClaimTaskRequest(agent="b", wait=Duration(seconds=30))
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WAITING_CLAIMS") as error:
        ledger.coordination.ClaimTask(request, timeout=20)
    assert details(error.value)["RetryInfo"].retry_delay.seconds == 1
    ledger.task("t")
    assert [one.task.code for one in first.result(20).claims] == ["t"]


def test_a_session_that_closes_meanwhile_gets_no_task(app: App, ledger: Ledger) -> None:
    ledger.task("other")
    ledger.session("k", task_code="other")
    ledger.coordination.ClaimTask(coordination_pb2.ClaimTaskRequest(agent="b", task_code="other"))
    answer = waiting(app, ledger, (("orchestration-session", "k"),))
    ledger.sessions.CloseSession(
        session_pb2.CloseSessionRequest(session_key="k", outcome=common_pb2.SESSION_OUTCOME_SUCCEEDED)
    )
    ledger.task("t")
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "SESSION_CLOSED"):
        answer.result(20)
    (one,) = ledger.coordination.ClaimTask(coordination_pb2.ClaimTaskRequest(agent="b")).claims
    assert one.task.code == "t"


def test_a_claim_waits_on_while_the_database_is_away(
    app: App, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = waiting(app, ledger)
    tried, take = Event(), app.windows.take

    def away(*arguments: Any) -> list[str]:
        if tried.is_set():
            return take(*arguments)
        tried.set()
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(app.windows, "take", away)
    app.waiting_claims.wake()
    assert tried.wait(20)
    ledger.task("t")
    assert [one.task.code for one in answer.result(20).claims] == ["t"]
