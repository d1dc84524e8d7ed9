"""What `serve` sees to before it listens: that it may, with what certificate, and that there is a key."""

from __future__ import annotations

import sys
from pathlib import Path

from orchestration_server.cli.options import err, refuse, shell_path
from orchestration_server.config.settings import ConfigurationError, Settings
from orchestration_server.model import AuthMode
from orchestration_server.rpc import address as listening


def with_certificate(settings: Settings) -> Settings:
    """The settings with the certificate that they ask for. Ends the command where they are not safe or not
    usable, before anything is started."""
    try:
        listening.check(settings)
        if settings.jwt_key_file is not None:
            from orchestration_server.app import jwt_source

            jwt_source(settings)
        if settings.auto_tls or settings.tls_cert is not None:
            from orchestration_server.rpc import tls

            unchecked, settings = settings, tls.secured(settings)
            tls.credentials(settings)
            if unchecked.auto_tls:
                assert settings.tls_cert is not None
                _print_certificate(
                    settings.tls_cert, tls.fingerprint(settings.tls_cert), tls.names(settings.tls_cert)
                )
    except ConfigurationError as error:
        refuse(str(error))
    return settings


def _print_certificate(cert: Path, fingerprint: str, names: list[str]) -> None:
    err.print(f"certificate {cert}: clients take it as ORCHESTRATION_CA_FILE")
    err.print(f"SHA-256     {fingerprint}")
    err.print(f"good for    {', '.join(names)}")


def check_keys(settings: Settings) -> None:
    """Ends the command where other machines could connect and nobody could call. The database is up."""
    if listening.on_loopback(settings.address):
        return
    from orchestration_server.app import has_credentials

    if not has_credentials(settings):
        refuse(listening.NO_KEYS.format(address=settings.address))


def access_summary(settings: Settings) -> tuple[bool, list[tuple[str, str]]]:
    """Whether a server that answers is open, and what it says of who may call, and how."""
    from orchestration_server.app import has_credentials

    is_open = True
    make = f"`{shell_path(Path(sys.executable).with_name('orchestration'))} keys create NAME`"
    if settings.auth is AuthMode.OPEN:
        access = "open to all on this machine, as auth=open says"
    elif settings.auth is AuthMode.AUTO and not has_credentials(settings):
        access = f"open to all on this machine, until {make} makes a first key"
    else:
        is_open = False
        access = f"with a key or a token ({make} makes one)"
    way = "in the clear" if settings.tls_cert is None else f"TLS, {settings.tls_cert}"
    if settings.tls_client_ca is not None:
        way += f", clients signed by {settings.tls_client_ca}"
    return is_open, [("access", access), ("connections", way)]


def client_environment(settings: Settings, address: str, *, with_key: bool) -> str:
    """What a client's environment says to reach a server that listens on the address."""
    said = [f"ORCHESTRATION_ADDRESS={listening.reachable(address)}"]
    if settings.tls_cert is not None:
        said.append(f"ORCHESTRATION_CA_FILE={settings.tls_cert}")
    if settings.tls_client_ca is not None:
        said.append("ORCHESTRATION_CLIENT_CERT=CERT ORCHESTRATION_CLIENT_KEY=KEY")
    if with_key:
        said.append("ORCHESTRATION_TOKEN=KEY")
    return " ".join(said)
