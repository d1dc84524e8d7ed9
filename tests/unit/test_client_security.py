"""A client sends its key only to this machine or encrypted."""

import asyncio
import socket
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from orchestration import AsyncClient, Client
from orchestration.settings import (
    on_loopback,
    open_async_channel,
    open_channel,
    resolve_address,
    resolve_credentials,
    resolve_project,
    resolve_token,
)
from orchestration_server.config.settings import Settings
from orchestration_server.rpc import health_probe, tls

SECONDS = 10
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
def test_a_token_may_go_unencrypted_to_this_machine(address: str) -> None:
    assert on_loopback(address)
    Client(address, token="secret").close()


def test_an_async_client_sends_no_token_unencrypted_either() -> None:
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
    with pytest.raises(ValueError, match="the file in ORCHESTRATION_CA_FILE"):
        Client(ELSEWHERE[0])


@pytest.mark.parametrize("named", ["ORCHESTRATION_CLIENT_CERT", "ORCHESTRATION_CLIENT_KEY"])
def test_a_client_certificate_needs_its_key(
    named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = tls.make(tmp_path, "h")
    monkeypatch.setenv("ORCHESTRATION_CA_FILE", str(made.cert))
    monkeypatch.setenv(named, str(made.cert))
    with pytest.raises(ValueError, match="CLIENT_CERT and ORCHESTRATION_CLIENT_KEY belong together"):
        resolve_credentials(None)
    monkeypatch.setenv("ORCHESTRATION_CLIENT_CERT", str(made.cert))
    monkeypatch.setenv("ORCHESTRATION_CLIENT_KEY", str(made.key))
    assert resolve_credentials(None) is not None


@pytest.fixture
def behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment's proxy to an address where nothing listens."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("behind_a_proxy")
@pytest.mark.parametrize("credentials", [None, grpc.ssl_channel_credentials()])
def test_connections_to_this_machine_bypass_a_proxy(credentials: grpc.ChannelCredentials | None) -> None:
    async def asked(address: str) -> None:
        async with open_async_channel(address, credentials, (), ()) as channel:
            channel.get_state(try_to_connect=True)
            await asyncio.to_thread(connected)

    def connected() -> None:
        peer, _ = ledger.accept()
        peer.close()

    with socket.create_server(("127.0.0.1", 0)) as ledger:
        ledger.settimeout(SECONDS)
        address = f"localhost:{ledger.getsockname()[1]}"
        with open_channel(address, credentials, ()) as channel:
            HealthStub(channel).Check.future(HealthCheckRequest(), timeout=SECONDS)
            connected()
        asyncio.run(asked(address))


@pytest.mark.usefixtures("behind_a_proxy")
def test_the_server_is_asked_for_its_health_directly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ledger:
        ledger.settimeout(SECONDS)
        settings = Settings(address=f"127.0.0.1:{ledger.getsockname()[1]}", auto_tls=False)
        with health_probe.open_channel(settings) as channel:
            HealthStub(channel).Check.future(HealthCheckRequest(), timeout=SECONDS)
            ledger.accept()[0].close()


def test_a_newline_after_a_token_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata cannot contain a newline, so every call would fail."""
    for name in ("TOKEN", "PROJECT", "ADDRESS"):
        monkeypatch.setenv(f"ORCHESTRATION_{name}", "of-a-file\n")
    assert (resolve_token(None), resolve_project(""), resolve_address(None)) == ("of-a-file",) * 3
    assert (resolve_token("given\n"), resolve_address("given\n")) == ("given", "given")
