"""Where the server listens."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc

from orchestration.v1.admin_pb2 import GetServerInfoRequest
from orchestration.v1.admin_pb2_grpc import AdminServiceStub
from orchestration_server import __version__, probe
from orchestration_server.config import DEFAULT_ADDRESS
from orchestration_server.doctor.findings import Finding, Subject, failed, ok, warning

ASK_SECONDS = 2.0
_REFUSALS = frozenset((grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED))
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TAKE_ANOTHER = f"orchestration serve --address {DEFAULT_ADDRESS}"


def usable(subject: Subject) -> Iterator[Finding]:
    """It can be listened on, or a server of ours does so already."""
    address = subject.settings.address
    parts = split(address)
    if parts is None:
        yield failed(f"{address} is not HOST:PORT", _TAKE_ANOTHER)
        return
    host, number = parts
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        yield failed(f"{host} is no address of this machine: {error.strerror}", _TAKE_ANOTHER)
        return
    with socket.socket(family, kind, protocol) as tried:
        # As the server's own: what is left of an ended connection does not count.
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(place)
        except PermissionError:
            yield failed(f"port {number} is for root alone", _TAKE_ANOTHER)
            return
        except OSError as error:
            yield _taken(subject, number) if number else failed(f"{address}: {error.strerror}", _TAKE_ANOTHER)
            return
    yield ok(f"{address} is free")


def _taken(subject: Subject, number: int) -> Finding:
    address = probe.reachable(subject.settings.address)
    try:
        with probe.open_channel(subject.settings) as channel:
            info = AdminServiceStub(channel).GetServerInfo(GetServerInfoRequest(), timeout=ASK_SECONDS)
    except OSError as error:
        return failed(f"{error.filename} cannot be read: {error.strerror}", f"ls -l {error.filename}")
    except grpc.RpcError as error:
        if error.code() in _REFUSALS:
            return ok(f"a ledger answers on {address}, and wants a key before it says more")
        return failed(
            f"{subject.settings.address} is taken, by something that does not answer as this ledger would",
            f"ss -ltnp 'sport = :{number}'",
        )
    if info.version != __version__:
        return warning(
            f"a ledger of release {info.version} answers on {address}; this is {__version__}",
            "restart it with this release: docs/operating.md, Upgrading",
        )
    return ok(f"a ledger of this release answers on {address}, schema {info.schema}")


def port(subject: Subject) -> Iterator[Finding]:
    """No outgoing connection can hold the port: a bind then fails now and then, at random."""
    parts = split(subject.settings.address)
    if parts is None or not parts[1]:
        return
    try:
        first, last = map(int, _RANGE.read_text().split())
    except OSError:
        return
    if first <= parts[1] <= last:
        yield warning(
            f"{parts[1]} is a port of outgoing connections ({first}-{last}): a start can fail at random",
            f"{_TAKE_ANOTHER}    # or: sysctl -w net.ipv4.ip_local_reserved_ports={parts[1]}",
        )
    else:
        yield ok(f"{parts[1]} is none of those that outgoing connections get ({first}-{last})")


def security(subject: Subject) -> Iterator[Finding]:
    """Off loopback nobody gets in without a key, and nothing is sent in the clear."""
    parts = split(subject.settings.address)
    if parts is None:
        return
    settings = subject.settings
    encrypted = settings.tls_cert is not None or settings.auto_tls
    if on_loopback(parts[0]):
        yield ok("on loopback: no other machine reaches it")
    elif encrypted:
        yield ok("encrypted, as it has to be where other machines reach it")
    elif settings.allow_plaintext:
        yield warning(
            f"{settings.address} is reached from other machines in the clear: a proxy or the network has to"
            " encrypt, else keys can be read on the way",
            f"orchestration serve --address {settings.address} --tls-cert FILE --tls-key FILE",
        )
    else:
        yield failed(
            f"{settings.address} is reached from other machines, in the clear",
            f"{_TAKE_ANOTHER}    # or with --tls-cert FILE --tls-key FILE",
        )
    for path in (settings.tls_cert, settings.tls_key, settings.tls_client_ca):
        if path is not None and not os.access(path, os.R_OK):
            yield failed(f"{path} is not there, or may not be read", f"ls -l {path}")


def split(address: str) -> tuple[str, int] | None:
    """Host and port; None where it is none. A host that is an IPv6 address stands in brackets."""
    host, colon, number = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if (
        not colon
        or not bare
        or not number.isdecimal()
        or int(number) > 65_535
        or (":" in bare) != (bare != host)
    ):
        return None
    return bare, int(number)


def on_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
