"""TLS: the certificates of the server and of its clients."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from typer.testing import CliRunner

from orchestration import Client
from orchestration.v1.admin_pb2 import GetServerInfoRequest
from orchestration.v1.admin_pb2_grpc import AdminServiceStub
from orchestration_server.__main__ import cli
from orchestration_server.app import App
from orchestration_server.config.settings import ConfigurationError, Settings
from orchestration_server.rpc import tls
from tests.support.credentials import bearer, make_key

ASK = GetServerInfoRequest()


@pytest.fixture
def made(tmp_path: Path) -> tls.CertificateFiles:
    return tls.make(tmp_path / "tls", "127.0.0.1")


@pytest.fixture
def start(database_url: str) -> Iterator[Callable[..., str]]:
    with ExitStack() as stack:

        def started(made: tls.CertificateFiles, client_ca: Path | None = None) -> str:
            app = App(
                Settings(
                    address="127.0.0.1:0",
                    database_url=database_url,
                    grace_seconds=1,
                    threads=2,
                    tls_cert=made.cert,
                    tls_key=made.key,
                    tls_client_ca=client_ca,
                )
            )
            stack.callback(app.stop)
            return app.start()

        yield started


def ask(address: str, authorities: Path, **own: bytes) -> str:
    """Return the version that a server reports over TLS, on a new connection."""
    trusted = grpc.ssl_channel_credentials(authorities.read_bytes(), **own)
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(address, trusted, options) as channel:
        return AdminServiceStub(channel).GetServerInfo(ASK, timeout=5).version


def unreached(address: str, authorities: Path, **own: bytes) -> bool:
    with pytest.raises(grpc.RpcError) as caught:
        ask(address, authorities, **own)
    return caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_client_that_trusts_the_certificate_is_answered(
    made: tls.CertificateFiles, start: Callable[..., str], tmp_path: Path, database_url: str
) -> None:
    address = start(made)
    assert ask(address, made.cert)
    other = tls.make(tmp_path / "other", "127.0.0.1")
    assert unreached(address, other.cert)
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError):
        AdminServiceStub(channel).GetServerInfo(ASK, timeout=5)
    key = make_key(database_url)
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(made.cert.read_bytes())) as channel:
        AdminServiceStub(channel).GetServerInfo(ASK, timeout=5, metadata=bearer(key))


def test_the_environment_is_enough_for_an_agent(
    made: tls.CertificateFiles, start: Callable[..., str], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATION_ADDRESS", start(made))
    monkeypatch.setenv("ORCHESTRATION_CA_FILE", str(made.cert))
    monkeypatch.setenv("ORCHESTRATION_TOKEN", make_key(database_url, project="p2"))
    with Client() as ledger:
        assert ledger.admin.GetServerInfo(ASK).version


def test_with_a_client_ca_each_client_needs_a_certificate(
    made: tls.CertificateFiles, start: Callable[..., str], tmp_path: Path
) -> None:
    client, stranger = (tls.make(tmp_path / name, "client") for name in ("client", "stranger"))
    address = start(made, client.cert)

    def shown(one: tls.CertificateFiles) -> dict[str, bytes]:
        return {"private_key": one.key.read_bytes(), "certificate_chain": one.cert.read_bytes()}

    assert ask(address, made.cert, **shown(client))
    assert unreached(address, made.cert)
    assert unreached(address, made.cert, **shown(stranger))


def test_the_health_command_connects_as_a_client_does(
    made: tls.CertificateFiles, start: Callable[..., str], tmp_path: Path
) -> None:
    client = tls.make(tmp_path / "client", "client")
    address = start(made, client.cert)

    def health(**env: str) -> tuple[int, str]:
        given = {f"ORCHESTRATION_{name}": value for name, value in env.items()}
        command = ["health", "--address", address, "--seconds", "30"]
        result = CliRunner(env=given).invoke(cli, command)
        return result.exit_code, result.output.strip()

    named = {"CA_FILE": str(made.cert), "CLIENT_CERT": str(client.cert)}
    assert health(**named, CLIENT_KEY=str(client.key)) == (0, "SERVING")
    assert health(CA_FILE=str(made.cert))[0] == 1
    code, said = health(**named)
    assert code == 2
    assert "go together" in said
    code, said = health()
    assert code == 1
    assert "--tls-cert" in said
    assert "ORCHESTRATION_CA_FILE" in said


def test_a_new_certificate_is_used_and_a_broken_one_is_not(
    made: tls.CertificateFiles, start: Callable[..., str], tmp_path: Path
) -> None:
    address = start(made)
    assert ask(address, made.cert)
    newer = tls.make(tmp_path / "newer", "127.0.0.1")
    made.key.write_bytes(newer.key.read_bytes())
    made.cert.write_bytes(newer.cert.read_bytes())
    assert ask(address, newer.cert)
    made.cert.write_bytes(b"broken")
    assert ask(address, newer.cert)


def test_unusable_files_are_reported_at_the_start(made: tls.CertificateFiles, tmp_path: Path) -> None:
    other = tls.make(tmp_path / "other", "127.0.0.1")
    broken = tmp_path / "broken"
    broken.write_bytes(b"broken")
    for cert, key, said in (
        (made.cert, other.key, "is not the key of"),
        (broken, made.key, "not PEM"),
        (made.cert, broken, "not PEM"),
        (tmp_path / "none", made.key, "cannot read"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            tls.credentials(Settings(tls_cert=cert, tls_key=key))


def test_a_data_directory_made_for_the_certificate_is_private(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    before = os.umask(0)
    try:
        settings = Settings(auto_tls=True, data_dir=data_dir, address="127.0.0.1:0")
        tls.with_auto_tls(settings)
    finally:
        os.umask(before)
    made = [data_dir, *data_dir.rglob("*")]
    assert {path.name for path in made} == {"data", "tls", "cert.pem", "key.pem"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in made)


def test_a_self_signed_certificate_is_kept_until_it_expires_or_does_not_fit_the_host(tmp_path: Path) -> None:
    made = tls.make(tmp_path, "0.0.0.0")
    first = tls.fingerprint(made.cert)
    tls.make(tmp_path, "127.0.0.1")
    assert tls.fingerprint(made.cert) == first
    assert made.key.stat().st_mode & 0o777 == 0o600
    found = x509.load_pem_x509_certificate(made.cert.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert "0.0.0.0" not in map(str, names.get_values_for_type(x509.IPAddress))
    tls.make(tmp_path, "ledger.example")
    named = tls.fingerprint(made.cert)
    late = datetime.now(UTC) + timedelta(days=340)
    tls.make(tmp_path, "ledger.example", now=lambda: late)
    assert len({first, named, tls.fingerprint(made.cert)}) == 3


@pytest.mark.parametrize("host", ["", "*", "0.0.0.0", "::"])
def test_on_all_addresses_it_is_valid_for_those_of_the_machine(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(0, 0, 0, "", (address, 0)) for address in ("198.51.100.7", "2001:db8::7", "fe80::1%eth0")]
    monkeypatch.setattr(socket, "getfqdn", lambda: "ledger.example")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    # This machine can always reach loopback, even without a network.
    monkeypatch.setattr(tls, "_ELSEWHERE", [(socket.AF_INET, "127.8.8.8")])
    made = tls.make(tmp_path, host)
    expected = {"localhost", "127.0.0.1", "::1", socket.gethostname(), "ledger.example"}
    assert set(tls.names(made.cert)) == expected | {"198.51.100.7", "2001:db8::7"}
    first = tls.fingerprint(made.cert)
    assert tls.fingerprint(tls.make(tmp_path, host).cert) == first
    found.pop(0)
    assert tls.fingerprint(tls.make(tmp_path, host).cert) == first


def test_serve_prints_the_names_of_the_certificate_and_keeps_no_ephemeral_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        command = ["serve", "--address", address, "--auto-tls", "--data-dir", str(tmp_path / "data")]
        ephemeral = CliRunner().invoke(cli, [*command, "--ephemeral"]).output
        assert not (tmp_path / "data").exists()
        kept = CliRunner().invoke(cli, command).output
    names = ", ".join(tls.names(tmp_path / "data" / "tls" / "cert.pem"))
    for said in (ephemeral, kept):
        assert f"valid for   {names}\n" in said
    made = Path(ephemeral.partition("certificate ")[2].partition(":")[0])
    assert made.name == "cert.pem"
    assert not made.parent.parent.exists()


def test_a_pair_that_was_written_in_part_is_made_again(made: tls.CertificateFiles, tmp_path: Path) -> None:
    other = tls.make(tmp_path / "other", "127.0.0.1")
    for left in (other.key.read_bytes(), b"nothing"):
        made.key.write_bytes(left)
        again = tls.make(made.cert.parent, "127.0.0.1")
        tls.credentials(Settings(tls_cert=again.cert, tls_key=again.key))


def test_a_server_with_auto_tls_never_listens_without_its_certificate(
    database_url: str, tmp_path: Path
) -> None:
    app = App(
        Settings(
            address="127.0.0.1:0",
            database_url=database_url,
            grace_seconds=1,
            threads=2,
            auto_tls=True,
            data_dir=tmp_path,
        )
    )
    try:
        assert ask(app.start(), tmp_path / "tls" / "cert.pem")
    finally:
        app.stop()
