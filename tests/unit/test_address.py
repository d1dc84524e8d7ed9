"""The addresses that a server may listen on, and the errors for others."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration_server.__main__ import cli
from orchestration_server.config.settings import ConfigurationError, Settings
from orchestration_server.model import AuthMode
from orchestration_server.rpc import address as listening

CERT = {"tls_cert": Path("c"), "tls_key": Path("k")}


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.1.2.3:0", "localhost:1", "[::1]:1"])
def test_only_this_machine_reaches_loopback(address: str) -> None:
    assert listening.on_loopback(address)
    listening.check(Settings(address=address))


@pytest.mark.parametrize(
    "address", ["0.0.0.0:1", "[::]:1", ":1", "*:1", "192.0.2.1:1", "localhost.example:1", "db:1"]
)
def test_other_addresses_need_tls(address: str) -> None:
    assert not listening.on_loopback(address)
    with pytest.raises(ConfigurationError, match="--auto-tls"):
        listening.check(Settings(address=address))
    for enough in (CERT, {"auto_tls": True}, {"allow_plaintext": True}):
        listening.check(Settings(address=address, **enough))
        with pytest.raises(ConfigurationError, match="auth=open"):
            listening.check(Settings(address=address, auth=AuthMode.OPEN, **enough))


@pytest.mark.parametrize(
    "address",
    [
        "", "1", "db", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:65536", "::1:1",
        "[::1]", "[::1:1", "[one]:1", "[]:1", "a b:1", "http://db:1", "unix:/run/o.sock", "unix-abstract:o",
    ],
)  # fmt: skip
def test_an_address_that_is_no_host_and_port_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        listening.check(Settings(address=address, allow_plaintext=True))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tls_cert": Path("c")}, "tls_cert and tls_key go together"),
        ({"tls_key": Path("k")}, "tls_cert and tls_key go together"),
        ({"tls_client_ca": Path("a")}, "tls_client_ca takes tls_cert"),
        (CERT | {"auto_tls": True}, "give one of them"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        listening.check(Settings(**given))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "flags",
    [
        ["--address", "0.0.0.0:0"],
        ["--address", "127.0.0.1:99999"],
        ["--address", "unix:/run/o.sock", "--workers", "2"],
        ["--address", "0.0.0.0:0", "--auto-tls", "--auth", "open"],
        ["--tls-cert", "/none", "--tls-key", "/none"],
        ["--jwt-key-file", "/none", "--jwt-algorithm", "EdDSA", "--jwt-issuer", "i", "--jwt-audience", "a"],
        ["--jwt-key-file", "/none"],
    ],
)
def test_serve_refuses_before_it_starts_anything(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    data = tmp_path / "data"
    result = CliRunner().invoke(cli, ["serve", "--data-dir", str(data), *flags])
    assert result.exit_code == 2
    assert not (data / "lock").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
@pytest.mark.parametrize("more", [[], ["--workers", "2"]])
def test_a_port_in_use_is_reported_before_anything_starts(
    host: str, more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    data = tmp_path / "data"
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as other:
        address = f"{host}:{other.getsockname()[1]}"
        flags = ["--address", address, "--allow-plaintext", "--data-dir", str(data), *more]
        result = CliRunner(env={"COLUMNS": "40"}).invoke(cli, ["serve", *flags])
    assert result.exit_code == 1
    said = f"cannot listen on {address}: address already in use; choose another --address\n"
    assert result.output == said
    assert not data.exists()
