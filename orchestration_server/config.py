"""Settings: one table of them all, and the only reader of the environment and of the configuration file."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_ADDRESS = "127.0.0.1:20051"
"""Below 32768, so that no outgoing connection can hold the port."""
FILE_VARIABLE = "ORCHESTRATION_CONFIG"


class ConfigurationError(Exception):
    """A setting that is not valid, or that there is none of; for people."""


class Settings(BaseSettings):
    """All settings. Flags win over the environment, which wins over the file, which wins over the defaults.

    A setting's variable is ORCHESTRATION_<NAME>, but for DATABASE_URL and REDIS_URL. What is written below
    each is its help and its row in docs/configuration.md.
    """

    model_config = SettingsConfigDict(
        env_prefix="ORCHESTRATION_",
        populate_by_name=True,
        use_attribute_docstrings=True,
        env_ignore_empty=True,
    )

    address: str = DEFAULT_ADDRESS
    """HOST:PORT to listen on; port 0 takes a free one."""
    database_url: str = Field(default="", validation_alias="DATABASE_URL")
    """The Postgres that keeps the ledger; without one a server runs its own below data_dir."""
    redis_url: str = Field(default="", validation_alias="REDIS_URL")
    """The Redis or Valkey in front; without one a server with a Postgres of its own runs a Valkey too."""
    data_dir: Path = Path("~/.local/share/orchestration")
    """Where the built-in Postgres and cache keep their data."""
    workspace: Path | None = None
    """Where the ledger's files are written: a directory that is there, the same for all servers and workers.
    Without one no files are written here."""
    background: bool = True
    """Run the background services in the server too; where not, `orchestration worker` has to."""
    rules_file: Path | None = None
    """Rules of automation: adds to the built-in ones, changes them or switches them off."""
    alerts_file: Path | None = None
    """Thresholds of alerts that differ from the built-in ones, or alerts that are switched off."""
    templates_dir: Path | None = None
    """Templates that are there beside the built-in ones, and win where a name is the same."""
    tokenizer: str = ""
    """What counts the tokens of a context, as `module:function`, which takes a text and returns a number.
    Without one a token is four bytes."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes on the one port."""
    threads: int = Field(default=8, ge=2, le=256)
    """Unary calls at work at once, in each process; as many pooled connections. More of them hold each other
    up: on two cores 16 answered a quarter fewer reads a second. Where Postgres is far away, more pay."""
    emit_streams: int = Field(default=64, ge=1, le=1024)
    """EmitEvents streams open at once, in each process."""
    timeline_streams: int = Field(default=10_000, ge=1)
    """StreamTimeline streams open at once, in each process."""
    file_streams: int = Field(default=16, ge=1, le=1024)
    """ReadContextFile streams open at once, in each process."""
    metrics_address: str = ""
    """HOST:PORT that answers Prometheus on /metrics; without a host it is on loopback, and empty it is off.
    It asks for no password."""
    grace_seconds: float = Field(default=10.0, ge=0, le=600)
    """How long calls in flight may take to end on SIGTERM."""
    statement_seconds: float = Field(default=30.0, gt=0)
    """The longest that any statement may run, whatever a caller's deadline says."""
    traces: str = ""
    """URL of the collector that traces are sent to, by OTLP over grpc, such as http://127.0.0.1:4317; without
    one there are none. Needs the packages of requirements/traces.txt."""
    traces_share: float = Field(default=1.0, ge=0, le=1)
    """The share of calls that are traced where their callers do not say."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged: debug, info, warning or error."""
    log_calls: Literal["none", "failed", "slow", "all"] = "slow"
    """The calls that are logged: none, the failed ones, these and the slow ones (over 1 s), or all. But for
    `all` it is 100 a second at the most, in each process."""
    slow_statement_seconds: float = Field(default=1.0, gt=0)
    """Statements that take longer are logged with their text, never with values."""
    max_message_bytes: int = Field(default=16 * 1024 * 1024, ge=64 * 1024)
    """The largest message taken; of answers the largest sent is four times that."""


def variable(name: str) -> str:
    """The environment variable of a setting."""
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"ORCHESTRATION_{name.upper()}"


def load(file: Path | None = None, **flags: Any) -> Settings:
    """The settings of a command: its flags, the environment, and the file given or named by the environment.

    ConfigurationError where one is not valid, or the file names one that there is none of.
    """
    named = os.environ.get(FILE_VARIABLE)
    if file is None and named:
        file = Path(named)
    written = {} if file is None else _read(file)
    unknown = [name for name in written if name not in Settings.model_fields]
    if unknown:
        raise ConfigurationError(f"{file}: there is no setting {unknown[0]!r}")
    below = {name: value for name, value in written.items() if not os.environ.get(variable(name))}
    try:
        return Settings(**below | flags)
    except ValidationError as error:
        # Without the value: it may be a secret.
        faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise ConfigurationError("\n".join(faults)) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read the configuration file {file}: {error}") from None
