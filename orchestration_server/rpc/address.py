"""The addresses that a server may listen on: off loopback it needs encryption and credentials."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress

from orchestration_server.config.settings import ConfigurationError, Settings
from orchestration_server.model import AuthMode

LAST_PORT = 65_535
NO_ADDRESS = (
    "is no address to listen on: it takes HOST:PORT, an IPv6 address in brackets, and a port of at most"
    f" {LAST_PORT}"
)
_ANYWHERE = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
"""The address by which a server that listens on all addresses is reached from its own machine."""
_ADDRESS = re.compile(r"(?:\[(?P<v6>.*)\]|[A-Za-z0-9._-]*|\*):(?P<port>[0-9]{1,5})")


def split(address: str) -> tuple[str, int] | None:
    """Return host, without brackets, and port of an address to listen on; None if it is not valid."""
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found["port"]) > LAST_PORT:
        return None
    if found["v6"] is not None:
        try:
            ipaddress.IPv6Address(found["v6"])
        except ValueError:
            return None
    return address.rpartition(":")[0].strip("[]"), int(found["port"])


def dial_address(address: str) -> str:
    """Return the address by which a server that listens on this one is reached from its own machine."""
    host, _, port = address.rpartition(":")
    return f"{_ANYWHERE.get(host, host)}:{port}"


def is_wildcard(host: str) -> bool:
    """Return whether a host, without brackets, stands for all addresses of the machine."""
    return host in ("", "*", "0.0.0.0", "::")


def on_loopback(address: str) -> bool:
    """Return whether only this machine can reach the address. No name but localhost counts as loopback."""
    host = address.rpartition(":")[0].strip("[]")
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _check_address(address: str) -> None:
    """Raise ConfigurationError if no machine can listen on the address."""
    if address.startswith(("unix:", "unix-abstract:")):
        raise ConfigurationError(f"{address} is a unix socket, and the server listens on HOST:PORT alone")
    if split(address) is None:
        raise ConfigurationError(f"{address} {NO_ADDRESS}")


def check_metrics(settings: Settings) -> None:
    """Raise ConfigurationError if no machine can serve metrics on the address of the settings."""
    if settings.metrics_address and split(settings.metrics_address) is None:
        raise ConfigurationError(f"metrics_address: {settings.metrics_address} {NO_ADDRESS}")


def check(settings: Settings) -> None:
    """Raise ConfigurationError, with the fix, if the server must not listen as the settings say."""
    _check_address(settings.address)
    check_metrics(settings)
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ConfigurationError("tls_cert and tls_key go together: give both")
    if settings.tls_client_ca is not None and settings.tls_cert is None and not settings.auto_tls:
        raise ConfigurationError("tls_client_ca takes tls_cert and tls_key beside it")
    if settings.auto_tls and settings.tls_cert is not None:
        raise ConfigurationError("auto_tls makes a certificate, and tls_cert names one: give one of them")
    if on_loopback(settings.address):
        return
    where = f"{settings.address} can be reached from other machines"
    if settings.auth is AuthMode.OPEN:
        raise ConfigurationError(
            f"{where}, so auth=open is refused there: leave it out, and make a key with"
            " `orchestration keys create`"
        )
    if not (settings.tls_cert or settings.auto_tls or settings.allow_plaintext):
        raise ConfigurationError(
            f"{where}, and keys would travel in the clear. Either give --tls-cert and --tls-key, or"
            " --auto-tls for a first try, or listen on 127.0.0.1. Where a proxy encrypts, --allow-plaintext"
        )
