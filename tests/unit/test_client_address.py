"""An address that cannot be valid is refused at once instead of being retried for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration import DEFAULT_ADDRESS, AsyncClient, Client
from orchestration.settings import resolve_address
from orchestration_server.__main__ import cli

WRONG = [
    "http://127.0.0.1:20051",
    "https://ledger.example",
    "grpc://ledger.example:20051",
    "HTTP://ledger.example:20051",
    "dns:http://ledger.example:1",
    "ledger.example:20051/",
    "ledger.example/v1",
    "ledger.example:port",
    "ledger.example:",
    "ledger.example:0",
    "ledger.example:65536",
    "ledger.example:²",
    "ledger .example:1",
    ":20051",
    "a..b:1",
    "-a:1",
    "user@ledger.example:1",
    "[::1:1",
    "fe80::zz:1",
    "büro.example:1",
    "x" * 64 + ":1",
]
RIGHT = [
    "127.0.0.1:20051",
    "localhost:1",
    "ledger",
    "ledger.example",
    "ledger.example.:65535",
    "my_service:1",
    "[::1]:1",
    "[fe80::1%eth0]:1",
    "::1",
    "unix:/run/o",
    "unix:///run/o",
    "unix-abstract:o",
    "ipv4:127.0.0.1:1",
    "ipv4:127.0.0.1:1,127.0.0.2:1",
    "ipv6:[::1]:1",
    "dns:ledger.example:1",
    "dns:///localhost:1",
    "dns://192.0.2.1/ledger.example:1",
    "xds:///ledger",
]


@pytest.mark.parametrize("address", WRONG)
def test_an_address_that_cannot_be_valid_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        Client(address)


@pytest.mark.parametrize("address", RIGHT)
def test_an_address_that_grpc_accepts_is_accepted(address: str) -> None:
    Client(address).close()
    assert resolve_address(address) == address


def test_a_blank_address_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORCHESTRATION_ADDRESS", raising=False)
    assert resolve_address(" \n") == DEFAULT_ADDRESS


def test_an_async_client_refuses_it_too() -> None:
    async def opened() -> None:
        AsyncClient("http://127.0.0.1:20051")

    with pytest.raises(ValueError, match="leave out http://"):
        asyncio.run(opened())


def test_the_variable_is_checked_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATION_ADDRESS", "http://user:hunter2@127.0.0.1:20051")
    with pytest.raises(ValueError, match="is no address") as raised:
        list(Client().follow())
    assert "hunter2" not in str(raised.value)


def test_an_import_refuses_it_as_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_text("")
    arguments = ["import", "--address", "http://127.0.0.1:1", "--tasks", str(tmp_path / "tasks.jsonl")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "no address" in result.output
