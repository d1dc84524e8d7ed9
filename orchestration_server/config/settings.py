"""The settings, and the only reader of the environment and of the configuration file."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from orchestration_server.model import AuthMode

DEFAULT_ADDRESS = "127.0.0.1:20051"
"""Below 32768, so that no outgoing connection can hold the port."""
PREFIX = "ORCHESTRATION_"
FILE_VARIABLE = "ORCHESTRATION_CONFIG"
_OF_CLIENTS = ("TOKEN", "PROJECT", "CA_FILE", "CLIENT_CERT", "CLIENT_KEY")
"""The other variables with the prefix. The client package reads them."""


class ConfigurationError(Exception):
    """An error in a setting: an invalid value or an unknown name."""


class ClientFiles(NamedTuple):
    """The TLS files that a client's environment names. ``authorities`` may be "system" instead of a file."""

    authorities: str = ""
    cert: Path | None = None
    key: Path | None = None


class Settings(BaseSettings):
    """The settings. Flags win over the environment, it over the file, and the file over the defaults.

    A setting's variable is ORCHESTRATION_<NAME>, except for DATABASE_URL and REDIS_URL. The docstring of a
    setting is its help and its row in docs/configuration.md.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        populate_by_name=True,
        use_attribute_docstrings=True,
        env_ignore_empty=True,
    )

    address: str = DEFAULT_ADDRESS
    """The HOST:PORT that the server listens on; port 0 selects a free one."""
    auth: AuthMode = AuthMode.AUTO
    """Which callers need a key or a token: `auto`, on loopback none until a first key is created, off
    loopback all; `required`, all; `open`, none, on loopback only."""
    tls_cert: Path | None = None
    """The server's certificate as PEM, followed by its chain; read again when it changes."""
    tls_key: Path | None = None
    """The private key of tls_cert as PEM, without a password."""
    tls_client_ca: Path | None = None
    """Certificates of authorities for mutual TLS: one of them must have signed a client's certificate."""
    auto_tls: bool = False
    """Use a certificate below data_dir, for a first try; `serve` creates it if it does not exist."""
    allow_plaintext: bool = False
    """Listen off loopback without TLS, because a proxy on this machine or a private network encrypts."""
    jwt_key_file: Path | None = None
    """The key that verifies JWTs: a shared secret for HS256, else a public key as PEM or a JWKS; read again
    when it changes."""
    jwt_algorithm: str = ""
    """The only accepted algorithm of JWTs, such as EdDSA, ES256, RS256 or HS256."""
    jwt_issuer: str = ""
    """The required `iss` of a JWT."""
    jwt_audience: str = ""
    """The required `aud` of a JWT."""
    jwt_leeway_seconds: float = Field(default=30.0, ge=0, le=600)
    """The accepted difference between the clocks of the server and of the issuer of JWTs."""
    calls_per_minute: int = Field(default=1_000, ge=1)
    """Calls a minute by one key, if the key has no limit of its own; a call counts once more for each tenth
    of a second that it takes."""
    events_per_minute: int = Field(default=60_000, ge=1)
    """Callers' events a minute by one key, if the key has no limit of its own."""
    database_url: str = Field(default="", validation_alias="DATABASE_URL")
    """The Postgres that stores the ledger. If unset, `serve` runs a built-in one below data_dir, where `keys`
    and `doctor` find it; `worker`, `migrate` and `archive` need one."""
    redis_url: str = Field(default="", validation_alias="REDIS_URL")
    """The Redis or Valkey in front of Postgres, which only makes reads faster. If unset, `serve` runs a
    built-in one if its Postgres is built in; otherwise none is used."""
    data_dir: Path = Path("~/.local/share/orchestration")
    """The directory of the built-in Postgres and cache, and of the certificate of auto_tls."""
    workspace: Path | None = None
    """The directory to which the ledger's files are written. It must exist and be the same for all servers
    and workers. If unset, this process writes no files."""
    background: bool = True
    """Run the background services in the server too; if not, `orchestration worker` has to run them."""
    rules_file: Path | None = None
    """Automation rules that add to the built-in ones, change them or switch them off."""
    emission_file: Path | None = None
    """Policies by event type: which events are batched, sampled or debounced. If unset, every event is stored
    at once."""
    alerts_file: Path | None = None
    """Thresholds of alerts that differ from the built-in ones, or alerts that are switched off."""
    templates_dir: Path | None = None
    """Templates in addition to the built-in ones; they take precedence over built-in ones of the same
    name."""
    tokenizer: str = ""
    """The function that counts the tokens of a context, as `module:function`; it takes a string and returns a
    number. If unset, the built-in estimate counts them."""
    priority_aging_hours: float = Field(default=168.0, ge=0, le=87_600)
    """Hours that a task has to be older than one of the next higher priority to be claimed before it. No task
    passes one of P0; 0 makes claims follow the priorities strictly."""
    archive_after_days: int = Field(default=90, ge=0, le=36_500)
    """Days after which the background services archive events of P2 and below, a month at a time when all of
    it is that old; 0 archives nothing."""
    delete_archived_after_days: int = Field(default=0, ge=0, le=36_500)
    """Days after their recording at which archived events are deleted for good; 0 deletes nothing."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that serve on the one port."""
    threads: int = Field(default=8, ge=2, le=256)
    """Unary calls at work at the same time, in each process, and as many pooled connections. More threads
    slow each other down: on two cores 16 answered a quarter fewer reads a second. If Postgres is far away,
    more threads help."""
    connections: int | None = Field(default=None, ge=2, le=1024)
    """Connections to Postgres, in each process. If unset, one for each thread and 13 for the rest."""
    waiting_calls: int = Field(default=1_000, ge=0)
    """Unary calls that may wait for a thread, in each process; further ones are refused at once."""
    waiting_seconds: float = Field(default=5.0, gt=0)
    """The longest that a unary call waits for a thread before it is refused."""
    slow_requests: int = Field(default=16, ge=1)
    """Requests that may take longer than a second to arrive, at the same time in each process; if there are
    more, the oldest is refused. With max_message_bytes it limits the memory of requests that have not
    arrived."""
    connection_calls: int = Field(default=200, ge=1)
    """Calls and streams open at the same time on one connection; clients hold further ones back until one of
    these ends. A lower value makes calls that are opened and reset cheaper."""
    client_connections: int = Field(default=10_000, ge=1)
    """Connections open at the same time, in each process; further ones are closed."""
    emit_streams: int = Field(default=64, ge=1, le=1024)
    """EmitEvents streams open at the same time, in each process."""
    timeline_streams: int = Field(default=10_000, ge=1)
    """StreamTimeline streams open at the same time, in each process."""
    file_streams: int = Field(default=16, ge=1, le=1024)
    """ReadContextFile streams open at the same time, in each process."""
    metrics_address: str = ""
    """The HOST:PORT that answers Prometheus on /metrics. Without a host it is on loopback; empty switches it
    off. It requires no password."""
    drain_seconds: float = Field(default=0.0, ge=0, le=600)
    """The time that a server continues to serve after it was told to stop, with its health NOT_SERVING at
    once: as long as load balancers take to notice."""
    grace_seconds: float = Field(default=10.0, ge=0, le=600)
    """The longest time that calls in flight may take to end after SIGTERM."""
    share_port: bool = False
    """Let another server of the same user listen on the same port, so that a new one serves before the old
    one stops. Both must use the same database."""
    keepalive_seconds: float = Field(default=60.0, gt=0)
    """Silence on a connection after which the server pings its client."""
    keepalive_timeout_seconds: float = Field(default=20.0, gt=0)
    """The longest time that a client may take to answer the ping; then its connection and its calls end."""
    connection_seconds: float = Field(default=0.0, ge=0)
    """The age at which a connection is closed, without loss of a call, so that clients move to new servers
    behind a load balancer; 0 for never."""
    statement_seconds: float = Field(default=30.0, gt=0)
    """The longest that any statement may run, whatever the caller's deadline."""
    traces: str = ""
    """The URL of the collector that traces are sent to, by OTLP over gRPC, such as http://127.0.0.1:4317. If
    unset, there are no traces. Needs the packages of requirements/traces.txt."""
    traces_share: float = Field(default=1.0, ge=0, le=1)
    """The share of calls that are traced if their callers do not decide it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is logged: debug, info, warning or error."""
    log_calls: Literal["none", "failed", "slow", "all"] = "slow"
    """The calls that are logged: none, the failed ones, these and the slow ones (over 1 s), or all. Except
    with `all`, each process logs at most 100 calls a second."""
    slow_statement_seconds: float = Field(default=1.0, gt=0)
    """Statements that take longer are logged with their text, never with values."""
    max_message_bytes: int = Field(default=16 * 1024 * 1024, ge=64 * 1024)
    """The largest accepted message; the largest response is four times that."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only arguments and the environment. The other two sources cost 10 ms and are not used."""
        return init_settings, env_settings

    @field_validator("*", mode="before")
    @classmethod
    def _stripped(cls, value: Any) -> Any:
        """Strip white space from a value: a secret from a file may end in a newline."""
        return value.strip() if isinstance(value, str) else value

    @property
    def max_answer_bytes(self) -> int:
        """Return the size of the largest answer that the server sends."""
        return 4 * self.max_message_bytes


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else PREFIX + name.upper()


def unknown_variables() -> list[str]:
    """Return the variables that have the prefix and that no part of the program reads."""
    known = {FILE_VARIABLE, *(PREFIX + name.upper() for name in (*Settings.model_fields, *_OF_CLIENTS))}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def client_files() -> ClientFiles:
    """Return the TLS files of the client package.

    Raises ConfigurationError if only one of certificate and key is given.
    """
    authorities, cert, key = (
        os.environ.get(PREFIX + name, "").strip() for name in ("CA_FILE", "CLIENT_CERT", "CLIENT_KEY")
    )
    if bool(cert) != bool(key):
        # grpc ends the process if it gets only one of them.
        raise ConfigurationError(f"{PREFIX}CLIENT_CERT and {PREFIX}CLIENT_KEY go together: name both files")
    return ClientFiles(authorities, Path(cert) if cert else None, Path(key) if key else None)


def named_file(given: Path | None = None) -> Path | None:
    """Return the configuration file: the given one, else that of the environment."""
    named = os.environ.get(FILE_VARIABLE, "").strip()
    return Path(named) if given is None and named else given


def load(file: Path | None = None, **flags: Any) -> Settings:
    """Return the settings of a command from its flags, the environment and the configuration file.

    Raises ConfigurationError if a value is invalid, or if the file has an unknown setting.
    """
    file = named_file(file)
    written = {} if file is None else _read(file)
    unknown = [name for name in written if name not in Settings.model_fields]
    if unknown:
        raise ConfigurationError(f"{file}: {unknown[0]!r} is not a setting")
    below = {name: value for name, value in written.items() if not _in_environment(name)}
    try:
        return Settings(**below | flags)
    except ValidationError as error:
        # The message leaves out the value, which may be a secret.
        faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise ConfigurationError("\n".join(faults)) from None


def _in_environment(name: str) -> bool:
    """Return whether the environment sets a setting, by its documented variable or by one with the prefix."""
    written = (os.environ.get(variable(name), ""), os.environ.get(PREFIX + name.upper(), ""))
    return any(value.strip() for value in written)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read the configuration file {file}: {error}") from None
