"""TLS: the server's credentials, and a self-signed certificate for a first try."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from orchestration_server.config.settings import ConfigurationError, Settings
from orchestration_server.rpc import address

log = structlog.get_logger()

VALID_FOR = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
"""A self-signed certificate is renewed this long before it expires."""


_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses reserved for documentation, which no machine has."""


class _Pair(NamedTuple):
    """A certificate chain with its key, and the CA of client certificates."""

    chain: bytes
    key: bytes
    client_ca: bytes | None


def credentials(settings: Settings) -> grpc.ServerCredentials:
    """Return the server's credentials, which follow changes of the files.

    The files are read again when a client connects. If they are not usable then, the last usable ones stay in
    use. Raises ConfigurationError if they are not usable at the start.
    """
    files = [file for file in (settings.tls_cert, settings.tls_key, settings.tls_client_ca) if file]
    seen = _marks(files)
    first = _configuration(_read(settings))

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """Return new files for a connection, or None to keep the last. grpc calls this on its own thread."""
        nonlocal seen
        now = _marks(files)
        if now == seen:
            return None
        seen = now
        try:
            return _configuration(_read(settings))
        except ConfigurationError as error:
            log.warning("the certificate stays as it was", error=str(error))
            return None

    return grpc.dynamic_ssl_server_credentials(
        first,
        fetch,  # type: ignore[arg-type]  # grpc accepts None
        require_client_authentication=settings.tls_client_ca is not None,
    )


def _configuration(pair: _Pair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.chain)], pair.client_ca)


def _marks(files: list[Path]) -> list[tuple[int, int]]:
    found = []
    for file in files:
        with suppress(OSError):
            state = file.stat()
            found.append((state.st_mtime_ns, state.st_ino))
    return found


def _read(settings: Settings) -> _Pair:
    """Read the files and check that they fit together.

    grpc accepts any bytes, and then refuses every client. Raises ConfigurationError.
    """
    assert settings.tls_cert is not None
    assert settings.tls_key is not None
    try:
        chain, key = settings.tls_cert.read_bytes(), settings.tls_key.read_bytes()
        client_ca = settings.tls_client_ca.read_bytes() if settings.tls_client_ca else None
    except OSError as error:
        raise ConfigurationError(f"cannot read {error.filename}: {error.strerror}") from None
    try:
        own = x509.load_pem_x509_certificates(chain)[0].public_key()
        private = serialization.load_pem_private_key(key, password=None)
        if client_ca is not None:
            x509.load_pem_x509_certificates(client_ca)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"tls_cert, tls_key or tls_client_ca is not PEM of what it should be: {error}"
        ) from None
    if _public(own) != _public(private.public_key()):
        raise ConfigurationError(f"{settings.tls_key} is not the key of {settings.tls_cert}")
    return _Pair(chain, key, client_ca)


def _public(key: object) -> bytes:
    der, info = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    found: bytes = key.public_bytes(der, info)  # type: ignore[attr-defined]  # all public keys have it
    return found


class CertificateFiles(NamedTuple):
    """The files of a self-signed certificate and its key."""

    cert: Path
    key: Path


def with_auto_tls(settings: Settings) -> Settings:
    """Return the settings with a self-signed certificate if they ask for one, else as they are."""
    if not settings.auto_tls:
        return settings
    host, _ = address.split(settings.address) or ("", 0)
    made = make(settings.data_dir.expanduser().resolve() / "tls", host)
    return settings.model_copy(update={"tls_cert": made.cert, "tls_key": made.key, "auto_tls": False})


def names(cert: Path) -> list[str]:
    """Return the names and addresses that a certificate is valid for."""
    return _names_of(x509.load_pem_x509_certificate(cert.read_bytes()))


def fingerprint(cert: Path) -> str:
    """Return the SHA-256 fingerprint of a certificate, for people to compare."""
    found = x509.load_pem_x509_certificate(cert.read_bytes())
    return found.fingerprint(hashes.SHA256()).hex(":").upper()


def make(
    directory: Path, host: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> CertificateFiles:
    """Return the self-signed certificate in a directory, after making it if it does not fit or expires soon.

    It is valid for ``host``, for this machine's name and for loopback; if ``host`` stands for all addresses,
    for all names and addresses of this machine. It signs no other certificate. Raises ConfigurationError if
    the directory cannot be written.
    """
    cert, key = directory / "cert.pem", directory / "key.pem"
    named = _own_names() if address.is_wildcard(host) else {host}
    names = sorted({"localhost", "127.0.0.1", "::1", socket.gethostname(), *named})
    found: x509.Certificate | None = None
    with suppress(OSError, ValueError, TypeError):
        # The process that wrote them may have ended between the two files.
        found = _fitting(cert.read_bytes(), key.read_bytes())
    fresh = found is not None and found.not_valid_after_utc - now() > RENEW_BEFORE
    if found is None or not fresh or not set(names) <= set(_names_of(found)):
        try:
            _make(directory, cert, key, names, now())
        except OSError as error:
            raise ConfigurationError(f"cannot write {directory}: {error.strerror}") from None
    return CertificateFiles(cert, key)


def _fitting(chain: bytes, key: bytes) -> x509.Certificate | None:
    """Return the certificate if the key belongs to it, else None."""
    found = x509.load_pem_x509_certificate(chain)
    private = serialization.load_pem_private_key(key, password=None)
    return found if _public(found.public_key()) == _public(private.public_key()) else None


def _own_names() -> set[str]:
    """Return this machine's full name, and those of its addresses that can be found."""
    found = {socket.getfqdn()}
    for family, elsewhere in _ELSEWHERE:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            # Nothing is sent: connect chooses the local address that packets would come from.
            probe.connect((elsewhere, 9))
            found.add(probe.getsockname()[0])
    with suppress(OSError):
        for *_, address_info in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM):
            found.add(str(address_info[0]))
    # A link-local address has the name of an interface, which a certificate cannot hold.
    return {name for name in found if "%" not in name}


def _name(name: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


def _names_of(found: x509.Certificate) -> list[str]:
    extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(name.value) for name in extension.value]


def _make(directory: Path, cert: Path, key: Path, names: list[str], now: datetime) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "orchestration")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    # mkdir sets the mode of the last directory only, and the parent will hold the database.
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    _write(key, private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    _write(cert, made.public_bytes(serialization.Encoding.PEM))


def _write(file: Path, content: bytes) -> None:
    """Write a file atomically, readable by this user only."""
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)
    part.replace(file)
