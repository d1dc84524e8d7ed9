"""`orchestration why` prints the reasons and the next command."""

import shlex
import socket

import grpc
import pytest

from orchestration.cli import exit_codes
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
    assert f"next: orchestration why T-1 --address {server.address}\n" in output
    code, output = run(
        "why", "T-2", "--address", server.address, "--agent", "a b", "--able", "gpu", "--project", "default"
    )
    command = output.splitlines()[-1].removeprefix("next: orchestration ")
    assert shlex.split(command)[2:] == [
        "--address", server.address, "--project", "default", "--agent", "a b", "--able", "gpu",
    ]  # fmt: skip
    assert run(*shlex.split(command)) == (0, "T-1 is ready; 0 tasks come before it\n")


@pytest.mark.usefixtures("blocked")
def test_a_ready_task_and_an_agent_are_explained(server: Server) -> None:
    code, output = run("why", "T-1", "--address", server.address)
    assert (code, output) == (0, "T-1 is ready; 0 tasks come before it\n")
    code, output = run("why", "--agent", "a", "--address", server.address)
    assert code == 0
    assert output.startswith("of 2 tasks, 1 are ready\n  - 1 tasks wait for other tasks")


def test_an_unknown_task_is_said(server: Server) -> None:
    code, output = run("why", "none", "--address", server.address)
    assert code == 3
    assert "there is no task 'none'" in output


def test_each_kind_of_error_has_an_exit_code_of_its_own(server: Server) -> None:
    assert run("why", "T 1", "--address", server.address)[0] == 2
    assert run("why", "--no-such-option")[0] == 2
    with socket.socket() as deaf:
        # Nobody listens on a port that is only bound.
        deaf.bind(("127.0.0.1", 0))
        assert run("why", "T-1", "--address", f"127.0.0.1:{deaf.getsockname()[1]}")[0] == 5


def test_the_statuses_that_scripts_tell_apart() -> None:
    class Refused(grpc.RpcError):
        def __init__(self, status: grpc.StatusCode) -> None:
            self.status = status

        def code(self) -> grpc.StatusCode:
            return self.status

    codes = {status: exit_codes.of_error(Refused(status)) for status in grpc.StatusCode}
    assert {code for status, code in codes.items() if status is not grpc.StatusCode.OK} == {1, 2, 3, 4, 5}
    assert codes[grpc.StatusCode.FAILED_PRECONDITION] == 1
    assert codes[grpc.StatusCode.PERMISSION_DENIED] == 2
    assert codes[grpc.StatusCode.NOT_FOUND] == 3
    assert codes[grpc.StatusCode.ABORTED] == 4
    assert {codes[grpc.StatusCode.UNAVAILABLE], codes[grpc.StatusCode.INTERNAL]} == {5}
    assert exit_codes.of_error(ValueError("no port")) == 2
