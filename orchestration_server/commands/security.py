"""What `serve` sees to before it listens: that it may, with what certificate, and that there is a key."""

from __future__ import annotations

from orchestration_server import listening
from orchestration_server.commands.options import err, refuse
from orchestration_server.config import ConfigurationError, Settings
from orchestration_server.model import AuthMode


def secured(settings: Settings) -> Settings:
    """The settings with the certificate that they ask for. Ends the command where they are not safe or not
    usable, before anything is started."""
    try:
        listening.check(settings)
        if settings.jwt_key_file is not None:
            from orchestration_server.app import jwt_source

            jwt_source(settings)
        if settings.auto_tls:
            settings = _made(settings)
        if settings.tls_cert is not None:
            from orchestration_server import tls

            tls.credentials(settings)
    except ConfigurationError as error:
        refuse(str(error))
    return settings


def _made(settings: Settings) -> Settings:
    from orchestration_server import tls

    directory = settings.data_dir.expanduser().resolve() / "tls"
    made = tls.make(directory, listening.host_of(settings.address))
    err.print(f"certificate {made.cert}: clients take it as ORCHESTRATION_CA_FILE", soft_wrap=True)
    err.print(f"SHA-256     {made.fingerprint}", highlight=False, soft_wrap=True)
    return settings.model_copy(update={"tls_cert": made.cert, "tls_key": made.key, "auto_tls": False})


def check_keys(settings: Settings) -> None:
    """Ends the command where other machines could connect and nobody could call. The database is up."""
    if listening.on_loopback(settings.address):
        return
    from orchestration_server.app import has_credentials

    if not has_credentials(settings):
        refuse(listening.NO_KEYS.format(address=settings.address))


def told(settings: Settings) -> list[tuple[str, str]]:
    """What a server that answers says of who may call, and how."""
    from orchestration_server.app import has_credentials

    if settings.auth is AuthMode.OPEN:
        access = "open to all on this machine, as auth=open says"
    elif settings.auth is AuthMode.AUTO and not has_credentials(settings):
        access = "open to all on this machine, until `orchestration keys create NAME` makes a first key"
    else:
        access = "with a key or a token (`orchestration keys create NAME` makes one)"
    way = "in the clear" if settings.tls_cert is None else f"TLS, {settings.tls_cert}"
    if settings.tls_client_ca is not None:
        way += f", clients signed by {settings.tls_client_ca}"
    return [("access", access), ("connections", way)]
