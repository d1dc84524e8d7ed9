"""Health, reflection and the stop of a server."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from typer.testing import CliRunner

from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.__main__ import cli
from orchestration_server.app import App
from orchestration_server.rpc import server
from tests.conftest import Server, open_channel
from tests.support.rpc_catalog import SERVICE_NAMES
from tests.support.rpc_errors import details, must_be

pytestmark = pytest.mark.shared_server

SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("service", ["", *SERVICE_NAMES])
def test_each_service_is_serving(channel: grpc.Channel, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
    assert answer.status == SERVING


def test_an_unknown_service_is_not_found(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="none"), timeout=5)
    must_be(caught.value, grpc.StatusCode.NOT_FOUND)


def test_reflection_lists_the_services(channel: grpc.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = stub.ServerReflectionInfo(iter([asked]), timeout=5)
    names = {service.name for service in answer.list_services_response.service}
    assert names >= {*SERVICE_NAMES, "grpc.health.v1.Health"}


def test_reflection_describes_each_service(channel: grpc.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=service) for service in SERVICE_NAMES
    ]
    for answer in stub.ServerReflectionInfo(iter(asked), timeout=5):
        assert answer.file_descriptor_response.file_descriptor_proto


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize("name", ["Status", "ErrorInfo", "BadRequest", "RetryInfo", "ResourceInfo"])
def test_reflection_describes_the_details_of_errors(channel: grpc.Channel, version: str, name: str) -> None:
    """A client that knows only reflection can decode the reason of an error."""
    asks = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"google.rpc.{name}")
    (answer,) = asks(iter([asked]), timeout=5)
    pool = DescriptorPool()
    files = answer.file_descriptor_response.file_descriptor_proto
    assert files
    for body in reversed(files):
        pool.AddSerializedFile(body)
    message = GetMessageClass(pool.FindMessageTypeByName(f"google.rpc.{name}"))
    if name == "ErrorInfo":
        detail = error_details_pb2.ErrorInfo(reason="NOT_FOUND", domain="orchestration.v1")
        assert json_format.MessageToDict(message.FromString(detail.SerializeToString())) == {
            "reason": "NOT_FOUND", "domain": "orchestration.v1",
        }  # fmt: skip


def test_every_rpc_is_registered(channel: grpc.Channel) -> None:
    """The ledger refuses the calls with a reason. The transport gives none for an unknown rpc."""
    unknown = []
    for service in server.SERVICES.values():
        for method in service.methods:
            request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
            streams = ("unary", "stream")
            kind = f"{streams[method.client_streaming]}_{streams[method.server_streaming]}"
            rpc = getattr(channel, kind)(
                f"/{service.full_name}/{method.name}", request.SerializeToString, response.FromString
            )
            asked = iter(()) if method.client_streaming else request()
            try:
                answer = rpc(asked, timeout=5)
                if method.server_streaming:
                    list(answer)
            except grpc.RpcError as error:
                if "ErrorInfo" not in details(error):
                    unknown.append(method.full_name)
    assert unknown == []


def test_a_server_that_stops_reports_it_first_and_ends_its_streams(
    database_url: str, start_server: Callable[[str], Server]
) -> None:
    started = start_server(database_url)
    assert started.app is not None
    with open_channel(started.address) as channel, ThreadPoolExecutor(1) as pool:
        health = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service=SERVICE_NAMES[1]), timeout=10
        )
        assert next(health).status == SERVING
        timeline = EventServiceStub(channel).StreamTimeline(
            event_pb2.StreamTimelineRequest(follow=True), timeout=10
        )
        assert next(timeline).WhichOneof("message") == "caught_up"

        stopping = pool.submit(started.app.stop)
        assert next(health).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.RpcError) as caught:
            list(timeline)
        must_be(caught.value, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        stopping.result(timeout=10)
        with pytest.raises(grpc.RpcError):
            TaskServiceStub(channel).ListTasks(task_pb2.ListTasksRequest(), timeout=2)


def test_a_server_that_drains_reports_it_and_answers_as_before(
    start_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    drained = threading.Event()
    monkeypatch.setattr(server, "sleep", lambda _: drained.wait(10))
    app = start_app(drain_seconds=0.01)
    with open_channel(app.address) as channel, ThreadPoolExecutor(1) as pool:
        health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=10)
        assert next(health).status == SERVING
        stopping = pool.submit(app.stop)
        assert next(health).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with open_channel(app.address) as other:
            TaskServiceStub(other).ListTasks(task_pb2.ListTasksRequest(), timeout=10)
        drained.set()
        # The watch ends at once, not after the grace period.
        assert list(health) == []
        stopping.result(timeout=10)


def test_a_server_in_another_process_answers_and_stops(
    database_url: str, start_process: Callable[[str], Server]
) -> None:
    started = start_process(database_url)
    with open_channel(started.address) as channel:
        answer = TaskServiceStub(channel).ListTasks(task_pb2.ListTasksRequest(), timeout=5)
    assert not answer.tasks


def health(address: str, *more: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["health", "--address", address, *more])
    return result.exit_code, result.output.strip()


def test_the_command_checks_the_health(server: Server) -> None:
    patient = ("--seconds", "30")
    assert health(server.address, *patient) == (0, "SERVING")
    assert health(server.address, "--service", SERVICE_NAMES[0], *patient) == (0, "SERVING")
    # The command checks a server that listens on all addresses by loopback.
    assert health(server.address.replace("127.0.0.1", "0.0.0.0"), *patient) == (0, "SERVING")


def test_the_command_fails_if_no_server_serves(server: Server) -> None:
    assert server.app is not None
    code, said = health(server.address, "--service", "none", "--seconds", "30")
    assert (code, said.partition(":")[0]) == (1, "not serving")
    server.app.server._health.set(serving=False)
    assert health(server.address, "--seconds", "30") == (1, "not serving: NOT_SERVING")
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        code, said = health(f"127.0.0.1:{silent.getsockname()[1]}", "--seconds", "0.1")
    assert code == 1
    assert said.startswith("not serving: ")
