"""The checks and preparations of `serve` before it listens: the address, certificates and keys."""

from __future__ import annotations

import sys
from pathlib import Path

from orchestration_server.cli.options import err, refuse, shell_path
from orchestration_server.config.settings import ConfigurationError, Settings
from orchestration_server.model import AuthMode
from orchestration_server.rpc import address as listening

NO_KEYS = (
    "{address} can be reached from other machines, but no key exists, so nobody could call. Create one first:"
    " `orchestration keys create NAME`, with the same --data-dir or DATABASE_URL"
)


AccessSummary = tuple[bool, list[tuple[str, str]]]
"""True if the server takes calls without a key, and lines of its banner, each a name and a text."""


def with_certificate(settings: Settings) -> Settings:
    """Return the settings with the certificate of --auto-tls, after checking that they are safe and usable.

    If they are not, end the command before anything is started.
    """
    try:
        listening.check(settings)
        if settings.jwt_key_file is not None:
            from orchestration_server.app import jwt_source

            jwt_source(settings)
        if settings.auto_tls or settings.tls_cert is not None:
            from orchestration_server.rpc import tls

            requested, settings = settings, tls.with_auto_tls(settings)
            tls.credentials(settings)
            if requested.auto_tls:
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
    err.print(f"valid for   {', '.join(names)}")


def check_keys(settings: Settings) -> None:
    """End the command if other machines can connect but no key exists. The database must run."""
    if listening.on_loopback(settings.address):
        return
    from orchestration_server.app import has_credentials

    if not has_credentials(settings):
        refuse(NO_KEYS.format(address=settings.address))


def access_summary(settings: Settings) -> AccessSummary:
    """Return the part of the banner on access: who may call, and how connections are protected."""
    from orchestration_server.app import has_credentials

    is_open = True
    create = f"{shell_path(Path(sys.executable).with_name('orchestration'))} keys create NAME"
    key = [("", create)]
    if settings.auth is AuthMode.OPEN:
        access, key = "open to all on this machine, because auth=open", []
    elif settings.auth is AuthMode.AUTO and not has_credentials(settings):
        access = "open to all on this machine, until there is a key, made by"
    else:
        is_open = False
        access = "with a token, or with a key, made by"
    connections = "in the clear" if settings.tls_cert is None else f"TLS, {settings.tls_cert}"
    if settings.tls_client_ca is not None:
        connections += f", clients signed by {settings.tls_client_ca}"
    return is_open, [("access", access), *key, ("connections", connections)]


def client_environment(settings: Settings, address: str, *, with_key: bool) -> str:
    """Return the environment variables with which a client reaches a server that listens on the address."""
    variables = [f"ORCHESTRATION_ADDRESS={listening.dial_address(address)}"]
    if settings.tls_cert is not None:
        variables.append(f"ORCHESTRATION_CA_FILE={settings.tls_cert}")
    if settings.tls_client_ca is not None:
        variables.append("ORCHESTRATION_CLIENT_CERT=CERT ORCHESTRATION_CLIENT_KEY=KEY")
    if with_key:
        variables.append("ORCHESTRATION_TOKEN=KEY")
    return " ".join(variables)
