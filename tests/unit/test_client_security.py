"""A client sends its key to this machine, or encrypted, or not at all."""

import asyncio
from pathlib import Path

import grpc
import pytest

from orchestration import AsyncClient, Client
from orchestration.settings import on_loopback, resolve_project, resolve_token
from orchestration_server import tls

ELSEWHERE = [
    "192.0.2.1:20051",
    "ledger.example:20051",
    "dns:///ledger.example:1",
    "[2001:db8::1]:1",
    "0.0.0.0:1",
]
HERE = [
    "127.0.0.1:20051",
    "localhost:1",
    "[::1]:1",
    "::1",
    "unix:/run/o",
    "ipv4:127.0.0.1:1",
    "dns:///localhost:1",
]


@pytest.mark.parametrize("address", ELSEWHERE)
def test_a_token_does_not_leave_in_the_clear(address: str) -> None:
    assert not on_loopback(address)
    with pytest.raises(ValueError, match="ORCHESTRATION_CA_FILE") as caught:
        Client(address, token="secret")
    assert "secret" not in str(caught.value)
    Client(address).close()
    Client(address, token="secret", credentials=grpc.ssl_channel_credentials()).close()


@pytest.mark.parametrize("address", HERE)
def test_on_this_machine_it_may(address: str) -> None:
    assert on_loopback(address)
    Client(address, token="secret").close()


def test_an_async_client_keeps_it_too() -> None:
    async def opened() -> None:
        AsyncClient(ELSEWHERE[0], token="secret")

    with pytest.raises(ValueError, match="in the clear"):
        asyncio.run(opened())


def test_the_environment_names_key_project_and_authority(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORCHESTRATION_TOKEN", "secret")
    monkeypatch.setenv("ORCHESTRATION_PROJECT", "p")
    assert (resolve_token(None), resolve_token(""), resolve_project("")) == ("secret", "", "p")
    with pytest.raises(ValueError, match="in the clear"):
        Client(ELSEWHERE[0])
    for authority in ("system", str(tls.make(tmp_path, "h").cert)):
        monkeypatch.setenv("ORCHESTRATION_CA_FILE", authority)
        Client(ELSEWHERE[0]).close()
    monkeypatch.setenv("ORCHESTRATION_CA_FILE", str(tmp_path / "none"))
    with pytest.raises(ValueError, match="which ORCHESTRATION_CA_FILE names"):
        Client(ELSEWHERE[0])
