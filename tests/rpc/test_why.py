"""`orchestration why` prints the reasons and the next command."""

import pytest

from orchestration.v1 import coordination_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.conftest import Server
from tests.support import factories
from tests.support.commands import run


@pytest.fixture
def blocked(tasks: TaskServiceStub, coordination: CoordinationServiceStub) -> None:
    for code in ("T-1", "T-2"):
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code)))
    link = coordination_pb2.Dependency(task_code="T-2", depends_on_code="T-1")
    coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=link))


@pytest.mark.usefixtures("blocked")
def test_a_blocked_task_is_explained_with_the_next_command(server: Server) -> None:
    code, output = run("why", "T-2", "--address", server.address)
    assert code == 1
    assert "T-2 is not ready" in output
    assert "task T-1 blocks it, which is pending" in output
    assert "next: orchestration why T-1" in output


@pytest.mark.usefixtures("blocked")
def test_a_ready_task_and_an_agent_are_explained(server: Server) -> None:
    code, output = run("why", "T-1", "--address", server.address)
    assert (code, output) == (0, "T-1 is ready; 0 tasks come before it\n")
    code, output = run("why", "--agent", "a", "--address", server.address)
    assert code == 0
    assert output.startswith("of 2 tasks, 1 are ready\n  - 1 tasks wait for other tasks")


def test_an_unknown_task_is_said(server: Server) -> None:
    code, output = run("why", "none", "--address", server.address)
    assert code == 1
    assert "there is no task 'none'" in output
