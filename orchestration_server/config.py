"""Settings, and the only reader of the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_ADDRESS = "127.0.0.1:20051"
"""Below 32768, so that no outgoing connection can hold the port."""


class Settings(BaseSettings):
    """One server's settings; each may come from the environment as ORCHESTRATION_<NAME>.

    ``database_url`` and ``redis_url`` are read from DATABASE_URL and REDIS_URL; without the first, a
    Postgres and a Valkey of the server's own run below ``data_dir``.
    """

    model_config = SettingsConfigDict(env_prefix="ORCHESTRATION_", populate_by_name=True)

    address: str = DEFAULT_ADDRESS
    database_url: str = Field(default="", validation_alias="DATABASE_URL")
    redis_url: str = Field(default="", validation_alias="REDIS_URL")
    data_dir: Path = Path("~/.local/share/orchestration")
    workspace: Path | None = None
    """Where files are written; every server and worker of a ledger has the same. None: by no one here."""
    background: bool = True
    """Whether a server also runs the background services; where not, workers have to."""
    rules_file: Path | None = None
    """Rules of automation that are added to the built-in ones, change them or switch them off."""
    templates_dir: Path | None = None
    """Whose templates are there beside the built-in ones, and win where a name is the same."""
    tokenizer: str = ""
    """What counts the tokens of a context, as ``module:function``, which takes a text and returns a number.
    Without one a token is four bytes."""
    workers: int = Field(default=1, ge=1, le=64)
    threads: int = Field(default=8, ge=2, le=256)
    """Unary calls at work at once, in each process; as many pooled connections. More of them hold each other
    up: on two cores 16 answered a quarter fewer reads a second. Where Postgres is far away, more pay."""
    emit_streams: int = Field(default=64, ge=1, le=1024)
    """EmitEvents streams open at once, in each process."""
    timeline_streams: int = Field(default=10_000, ge=1)
    """StreamTimeline streams open at once, in each process."""
    file_streams: int = Field(default=16, ge=1, le=1024)
    """ReadContextFile streams open at once, in each process."""
    grace_seconds: float = Field(default=10.0, ge=0, le=600)
    """How long calls in flight may take to end on SIGTERM."""
    statement_seconds: float = Field(default=30.0, gt=0)
    """The longest that any statement may run, whatever a caller's deadline says."""
    max_message_bytes: int = Field(default=16 * 1024 * 1024, ge=64 * 1024)
    """The largest message taken or sent."""
