"""Keys that are scoped to a sprint or a session pause their own work alone."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from orchestration.v1 import coordination_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration_server.app import App
from orchestration_server.model import Role
from tests.support.credentials import calling_with, make_key
from tests.support.ledger import Ledger
from tests.support.rpc_errors import refused

DENIED = grpc.StatusCode.PERMISSION_DENIED
Stub = Callable[..., CoordinationServiceStub]


@pytest.fixture
def stub(closed: App, channel: grpc.Channel, database_url: str) -> Stub:
    """Return a function that makes a stub whose calls carry a new key, on a ledger with two sprints."""
    ledger = Ledger(calling_with(channel, make_key(database_url, role=Role.ADMIN)))
    for sprint, task in (("s", "t"), ("s2", "t2")):
        ledger.sprint(sprint, status=2)
        ledger.task(task, sprint_code=sprint)
    ledger.session("k", task_code="t")

    def make(**fields: Any) -> CoordinationServiceStub:
        return CoordinationServiceStub(calling_with(channel, make_key(database_url, **fields)))

    return make


def pause_and_resume(stub: CoordinationServiceStub, **fields: Any) -> None:
    scope = coordination_pb2.WorkScope(**fields)
    stub.PauseWork(coordination_pb2.PauseWorkRequest(scope=scope, reason="why"))
    stub.ResumeWork(coordination_pb2.ResumeWorkRequest(scope=scope))


OUTSIDE: tuple[dict[str, Any], ...] = (
    {"project": True}, {"sprint_code": "s2"}, {"task_code": "t2"}, {"agent": "a"}, {"label": "db"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("key", "inside"),
    [
        ({"sprint_code": "s"}, [{"sprint_code": "s"}, {"task_code": "t"}]),
        ({"session_key": "k"}, [{"task_code": "t"}]),
    ],
    ids=["sprint", "session"],
)
def test_a_scoped_key_pauses_its_own_work_alone(
    stub: Stub, key: dict[str, str], inside: list[dict[str, str]]
) -> None:
    scoped = stub(**key)
    for fields in inside:
        pause_and_resume(scoped, **fields)
    for fields in OUTSIDE:
        with refused(DENIED):
            pause_and_resume(scoped, **fields)
    limit = coordination_pb2.WorkLimit(agent="a", max_leases=1)
    with refused(DENIED):
        scoped.SetWorkLimit(coordination_pb2.SetWorkLimitRequest(limit=limit))
    with refused(DENIED):
        scoped.ListPauses(coordination_pb2.ListPausesRequest())


def test_a_reader_pauses_nothing(stub: Stub) -> None:
    with refused(DENIED):
        pause_and_resume(stub(role=Role.READER), project=True)
    stub(role=Role.READER).ListPauses(coordination_pb2.ListPausesRequest())
