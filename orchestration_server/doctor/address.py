"""Checks of the address on which the server listens."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc

from orchestration.v1.admin_pb2 import GetServerInfoRequest
from orchestration.v1.admin_pb2_grpc import AdminServiceStub
from orchestration_server import __version__
from orchestration_server.config.settings import DEFAULT_ADDRESS, ConfigurationError
from orchestration_server.doctor.findings import Finding, Installation, failed, ok, warning
from orchestration_server.model import AuthMode
from orchestration_server.rpc import address as listening
from orchestration_server.rpc import health_probe
from orchestration_server.store import diagnosis

ASK_SECONDS = 2.0
_REFUSALS = frozenset((grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED))
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CREATE_KEY = "orchestration keys create NAME"
_UNSURE = "this does not check that it uses this database"
_OTHER_ADDRESS = f"orchestration serve --address {DEFAULT_ADDRESS}"


def listen_address(installation: Installation) -> Iterator[Finding]:
    """Check that the server can listen on the address, or that a ledger already does."""
    address = installation.settings.address
    parts = _parts(installation)
    if parts is None:
        yield failed(f"{address} is not HOST:PORT", _OTHER_ADDRESS)
        return
    host, number = parts
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        yield failed(f"{host} is not an address of this machine: {error.strerror}", _OTHER_ADDRESS)
        return
    with socket.socket(family, kind, protocol) as tried:
        # As the server does: a connection in TIME_WAIT does not count.
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(place)
        except PermissionError:
            yield failed(f"only root may listen on port {number}", _OTHER_ADDRESS)
            return
        except OSError as error:
            yield (
                _taken(installation, number)
                if number
                else failed(f"{address}: {error.strerror}", _OTHER_ADDRESS)
            )
            return
    yield ok(f"{address} is free")


def _taken(installation: Installation, number: int) -> Finding:
    address = listening.dial_address(installation.settings.address)
    try:
        with health_probe.open_channel(installation.settings) as channel:
            info = AdminServiceStub(channel).GetServerInfo(GetServerInfoRequest(), timeout=ASK_SECONDS)
    except OSError as error:
        return failed(f"{error.filename} cannot be read: {error.strerror}", f"ls -l {error.filename}")
    except grpc.RpcError as error:
        if error.code() in _REFUSALS:
            return ok(f"a ledger answers on {address} and needs a key to say more; {_UNSURE}")
        return failed(
            f"{installation.settings.address} is in use by a program that does not answer as the ledger does",
            f"ss -ltnp 'sport = :{number}'",
        )
    if info.version != __version__:
        return warning(
            f"a ledger of release {info.version} answers on {address}; this is {__version__}",
            "restart it with this release: docs/operating.md, Upgrading",
        )
    return ok(f"a ledger of this release answers on {address}, schema {info.schema}; {_UNSURE}")


def port(installation: Installation) -> Iterator[Finding]:
    """Check that no outgoing connection can occupy the port, which makes a start fail at random."""
    parts = _parts(installation)
    if parts is None or not parts[1]:
        return
    try:
        first, last = map(int, _RANGE.read_text().split())
    except OSError:
        return
    if first <= parts[1] <= last:
        yield warning(
            f"outgoing connections use ports {first}-{last}, so a start on {parts[1]} can fail at random",
            f"{_OTHER_ADDRESS}    # or: sysctl -w net.ipv4.ip_local_reserved_ports={parts[1]}",
        )
    else:
        yield ok(f"outgoing connections do not use {parts[1]} (they use {first}-{last})")


def security(installation: Installation) -> Iterator[Finding]:
    """Check that an address off loopback needs a key and is encrypted."""
    if _parts(installation) is None:
        return
    settings = installation.settings
    try:
        listening.check(settings)
    except ConfigurationError as error:
        yield failed(str(error), _OTHER_ADDRESS)
    else:
        if listening.on_loopback(settings.address):
            yield ok("on loopback: no other machine can connect")
        elif settings.tls_cert is not None or settings.auto_tls:
            yield ok("encrypted, as it must be if other machines connect")
        else:
            yield warning(
                f"other machines connect to {settings.address} in the clear: a proxy or the network has to"
                " encrypt, else keys can be read on the way",
                f"orchestration serve --address {settings.address} --tls-cert FILE --tls-key FILE",
            )
    for path in (settings.tls_cert, settings.tls_key, settings.tls_client_ca):
        if path is not None and not os.access(path, os.R_OK):
            yield failed(f"{path} does not exist or cannot be read", f"ls -l {path}")


def keys(installation: Installation) -> Iterator[Finding]:
    """Check that callers can authenticate: off loopback each of them needs a key."""
    settings = installation.settings
    made, good = diagnosis.keys(installation.conn)
    if good or settings.jwt_key_file is not None:
        yield ok(f"{good} of {made} keys are valid" if made else "JWTs are accepted")
    elif settings.auth is AuthMode.REQUIRED or not listening.on_loopback(settings.address):
        yield failed("calls need a key, and no valid key exists", _CREATE_KEY)
    elif made:
        yield warning("keys were created, so calls need one, but none of them is valid any more", _CREATE_KEY)
    else:
        yield ok("none yet: on loopback the ledger is open until a key exists")


def _parts(installation: Installation) -> tuple[str, int] | None:
    """Return host and port of the address; None if one of them is missing."""
    parts = listening.split(installation.settings.address)
    return parts if parts is not None and parts[0] else None
