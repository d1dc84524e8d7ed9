"""The client's calls, lists and errors with a fake ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import orchestration.retry as retry_module
from orchestration import AsyncClient, Client, LedgerError, error_details
from orchestration.errors import ErrorDetails
from orchestration.settings import RETRIED_METHODS, resolve_address, service_config
from orchestration.v1.task_pb2 import (
    CreateTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Task,
)
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support.rpc_catalog import SERVICE_NAMES
from tests.unit.fake_ledger import Ledger, running_ledger

PUBLISHED = Path(__file__).parents[2] / "clients" / "service_config.json"


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with running_ledger() as running:
        yield running


@pytest.fixture
def client(ledger: Ledger) -> Iterator[Client]:
    with Client(ledger.address, project="p", agent="a", session="s", token="secret") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_module, "_INITIAL", 0.001)
    monkeypatch.setattr(retry_module, "_LONGEST", 0.01)


def test_a_call_says_who_calls_and_has_a_deadline(client: Client, ledger: Ledger) -> None:
    client.tasks.CreateTask(CreateTaskRequest(task=Task(code="t")))
    said = ledger.tasks.metadata[0]
    assert said["orchestration-project"] == "p"
    assert said["orchestration-agent"] == "a"
    assert said["orchestration-session"] == "s"
    assert said["authorization"] == "Bearer secret"
    assert "orchestration-correlation-id" not in said
    assert 5 < ledger.tasks.deadlines[0] < 11


def test_values_of_the_call_take_precedence(client: Client, ledger: Ledger) -> None:
    request = CreateTaskRequest(task=Task(code="t"), request_id="mine")
    client.tasks.CreateTask(request, timeout=100, metadata=(("orchestration-agent", "b"), ("x-other", "1")))
    said = ledger.tasks.metadata[0]
    assert (said["orchestration-agent"], said["x-other"]) == ("b", "1")
    assert ledger.tasks.deadlines[0] > 50
    assert ledger.tasks.created[0].request_id == "mine"


def test_a_request_id_is_made_and_kept_over_retries(client: Client, ledger: Ledger) -> None:
    ledger.tasks.cancel_first = 2
    request = CreateTaskRequest(task=Task(code="t"))
    client.tasks.CreateTask(request)
    client.tasks.CreateTask.future(request).result()
    assert request.request_id == ""
    first, again, third, other = [seen.request_id for seen in ledger.tasks.created]
    assert first == again == third != ""
    assert other not in ("", first)


def test_unary_calls_of_every_service_are_retried_and_streams_are_not() -> None:
    retried = {(name["service"], name["method"]) for name in RETRIED_METHODS}
    assert {service for service, _ in retried} == set(SERVICE_NAMES)
    events = {method for service, method in retried if service == "orchestration.v1.EventService"}
    assert "EmitEvent" in events
    streams = {"EmitEvents", "StreamTimeline", "ReadContextFile"}
    assert not streams & {method for _, method in retried}


def test_a_header_takes_ascii_only() -> None:
    with pytest.raises(ValueError, match="orchestration-agent"):
        Client(agent="zoë")
    with pytest.raises(ValueError, match="orchestration-session"):
        Client(session="a\nb")


def test_the_address_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORCHESTRATION_ADDRESS", raising=False)
    assert resolve_address(None) == "127.0.0.1:20051"
    monkeypatch.setenv("ORCHESTRATION_ADDRESS", "ledger:1")
    assert resolve_address(None) == "ledger:1"
    assert resolve_address("other:2") == "other:2"


def check_details(error: ErrorDetails) -> None:
    assert error.code is grpc.StatusCode.ABORTED
    assert error.message == "stale"
    assert error.reason == "STALE_REVISION"
    assert error.metadata == {"current_revision": "7"}
    assert error.violations == {"a.b": "wrong"}
    assert error.resource is not None
    assert (error.resource.type, error.resource.name) == ("task", "t")
    assert error.retry_delay == 0.25


def test_an_error_tells_what_it_carries(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        client.tasks.GetTask(GetTaskRequest(task_code="t"))
    check_details(error_details(raised.value))


def test_pages_yields_all_items_from_the_token_on(client: Client) -> None:
    request = ListTasksRequest()
    codes = [task.code for task in client.pages(client.tasks.ListTasks, request)]
    assert codes == [f"t{n}" for n in range(8)]
    assert request.page_token == ""
    later = client.pages(client.tasks.ListTasks, ListTasksRequest(page_token="6"))
    assert [task.code for task in later] == ["t6", "t7"]


def test_a_page_refused_raises(client: Client) -> None:
    with pytest.raises(LedgerError, match="no such page") as raised:
        list(client.pages(client.tasks.ListTasks, ListTasksRequest(page_token="bad")))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_async_calls_pages_and_errors(ledger: Ledger) -> None:
    async def run() -> None:
        async with AsyncClient(ledger.address, agent="a") as client:
            ledger.tasks.cancel_first = 1
            request = CreateTaskRequest(task=Task(code="t"))
            await client.tasks.CreateTask(request)
            assert request.request_id == ""
            first, again = [seen.request_id for seen in ledger.tasks.created]
            assert first == again != ""
            assert ledger.tasks.metadata[0]["orchestration-agent"] == "a"
            assert 5 < ledger.tasks.deadlines[0] < 11
            listed = client.pages(client.tasks.ListTasks, ListTasksRequest())
            assert [task.code async for task in listed] == [f"t{n}" for n in range(8)]
            with pytest.raises(grpc.RpcError) as raised:
                await client.tasks.GetTask(GetTaskRequest(task_code="t"))
            check_details(error_details(raised.value))

    asyncio.run(run())


def test_the_published_service_config_is_that_of_this_client() -> None:
    assert json.loads(PUBLISHED.read_text()) == service_config(), "make proto writes it"


def test_a_client_with_nothing_but_the_published_service_config_tries_again(ledger: Ledger) -> None:
    ledger.tasks.cancel_first = 3
    options = [("grpc.service_config", PUBLISHED.read_text())]
    with grpc.insecure_channel(ledger.address, options) as channel:
        request = CreateTaskRequest(task=Task(code="t"), request_id="r")
        assert TaskServiceStub(channel).CreateTask(request, timeout=10).task.code == "t"
    assert [asked.request_id for asked in ledger.tasks.created] == ["r"] * 4
