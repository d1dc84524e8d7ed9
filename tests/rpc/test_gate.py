"""The write gate wakes timelines only after commits that log events, and may be amended."""

from collections.abc import Sequence

import pytest

from orchestration.v1 import common_pb2, task_pb2
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.model import Call
from orchestration_server.services.tasks import update_status
from orchestration_server.store.prepared import Prepared
from orchestration_server.store.writes import Change
from orchestration_server.writes.gate import Gate
from orchestration_server.writes.write import Write
from tests.conftest import Server
from tests.support import factories


class Refused(Exception):
    """The error of an amendment."""


@pytest.fixture
def wakes() -> list[None]:
    """One item for each call of ``wake``."""
    return []


@pytest.fixture
def gate(server: Server, tasks: TaskServiceStub, wakes: list[None]) -> Gate:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a")))
    assert server.app is not None
    return Gate(server.app.db, lambda: wakes.append(None))


def begin(request_id: str = "") -> Write[None]:
    request = task_pb2.UpdateTaskStatusRequest(
        task_code="a", status=common_pb2.TASK_STATUS_IN_PROGRESS, request_id=request_id
    )
    return update_status(request, Call("UpdateTaskStatus"))


def status(tasks: TaskServiceStub) -> int:
    return tasks.GetTask(task_pb2.GetTaskRequest(task_code="a")).task.status


def test_only_a_commit_with_events_wakes_timelines(gate: Gate, wakes: Sequence[None]) -> None:
    response = gate.write(begin("r"))
    assert len(wakes) == 1
    # The retry gets the stored response, and the other request changes nothing.
    assert gate.write(begin("r")) == response
    gate.write(begin("other"))
    assert len(wakes) == 1


def test_an_amendment_that_raises_rolls_the_write_back(gate: Gate, tasks: TaskServiceStub) -> None:
    def refuse(conn: object, found: Prepared[object], change: Change) -> Change:
        assert [event.type for event in change.events] == ["orchestration.task.status_updated"]
        raise Refused

    with pytest.raises(Refused):
        gate.write(begin(), amend=refuse)
    assert status(tasks) == common_pb2.TASK_STATUS_PENDING


def test_an_amendment_replaces_the_change_of_a_write(
    gate: Gate, tasks: TaskServiceStub, wakes: Sequence[None]
) -> None:
    gate.write(begin(), amend=lambda conn, found, change: Change(b"nothing"))
    assert status(tasks) == common_pb2.TASK_STATUS_PENDING
    assert not wakes
