"""The servers that `use` has stored, in a file of the user, and connections to them."""

from __future__ import annotations

import fcntl
import json
import os
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.cli.exit_codes import USAGE
from orchestration.cli.options import Common
from orchestration.cli.refusal import Refusal

if TYPE_CHECKING:
    import grpc

    from orchestration import Client

SERVER_VARIABLE = "ORCHESTRATION_SERVER"


@dataclass(frozen=True)
class Server:
    """What `use` stores of a server.

    A key is not stored: ``token_env`` or ``token_file`` says where it is.
    """

    address: str = ""
    project: str = ""
    agent: str = ""
    token_env: str = ""
    token_file: str = ""
    ca_file: str = ""


@dataclass(frozen=True)
class Servers:
    """The content of the file."""

    current: str
    by_name: dict[str, Server]


def path() -> Path:
    """Return the path of the file, which need not exist."""
    base = os.environ.get("XDG_CONFIG_HOME") or ""
    root = Path(base) if base.startswith("/") else Path.home() / ".config"
    return root / "orchestration" / "servers.toml"


def read() -> Servers:
    """Return the stored servers. Raises Refusal if the file cannot be read."""
    try:
        found = tomllib.loads(path().read_text())
        servers = {name: Server(**fields) for name, fields in found.get("servers", {}).items()}
        return Servers(str(found.get("current", "")), servers)
    except (FileNotFoundError, NotADirectoryError):
        return Servers("", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError, AttributeError) as error:
        raise Refusal(f"cannot read {path()}: {error}", fix="mend or remove the file", code=USAGE) from None


def change(edit: Callable[[Servers], Servers]) -> None:
    """Replace the stored servers by what ``edit`` makes of them, one process at a time.

    A reader sees the old file or the new one. Raises Refusal if the file cannot be written.
    """
    # The file itself may be a link into a directory of settings.
    target = path().resolve()
    part = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.with_name(f"{target.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            part.write_text(_text(edit(read())))
            part.replace(target)
    except OSError as error:
        raise Refusal(f"cannot write {target}: {error.strerror}", code=USAGE) from None


def _text(servers: Servers) -> str:
    lines = [f"current = {_quoted(servers.current)}"]
    for name, server in servers.by_name.items():
        lines += ["", f"[servers.{_quoted(name)}]"]
        lines += [f"{key} = {_quoted(value)}" for key, value in asdict(server).items() if value]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # A basic string of TOML is one of JSON, but for DEL.
    return json.dumps(text).replace("\x7f", "\\u007f")


def chosen(name: str | None) -> Server:
    """Return the named server, else that of ORCHESTRATION_SERVER, else the current one, else an empty one."""
    name = name or os.environ.get(SERVER_VARIABLE, "").strip()
    stored = read()
    name = name or stored.current
    if not name:
        return Server()
    if name not in stored.by_name:
        known = ", ".join(stored.by_name) or "none yet"
        raise Refusal(
            f"there is no server {name!r} in {path()}",
            fix=f"known: {known}; add it with: orchestration use {name} --address HOST:PORT",
            code=USAGE,
        )
    return stored.by_name[name]


def connect(common: Common, stored: Server, *, agent: str, timeout: float) -> Client:
    """Open a connection: flags come first, then the environment, then what `use` has stored.

    An address in the flags or in the environment is another server: it gets nothing that is stored.
    """
    from orchestration import Client
    from orchestration.settings import ADDRESS_VARIABLE, PROJECT_VARIABLE

    named = common.server or os.environ.get(SERVER_VARIABLE, "").strip()
    elsewhere = common.address or (not named and os.environ.get(ADDRESS_VARIABLE, "").strip())
    if elsewhere:
        stored = Server()
    project = common.project or ("" if named else os.environ.get(PROJECT_VARIABLE, "").strip())
    return Client(
        common.address or stored.address or None,
        project=project or stored.project,
        agent=agent,
        timeout=timeout,
        token=_token(common.token_env or stored.token_env, stored.token_file),
        credentials=_credentials(stored.ca_file),
    )


def _token(variable: str, file: str) -> str | None:
    """Return the key of the variable or the file; None for that of ORCHESTRATION_TOKEN."""
    if variable:
        if not (found := os.environ.get(variable, "").strip()):
            raise Refusal(f"the variable {variable} with the key is empty", fix=f"set {variable}", code=USAGE)
        return found
    return _read(file, "the file of the key").decode(errors="replace").strip() if file else None


def _credentials(ca_file: str) -> grpc.ChannelCredentials | None:
    if not ca_file:
        return None
    import grpc

    from orchestration.settings import KNOWN_AUTHORITIES

    known = ca_file == KNOWN_AUTHORITIES
    return grpc.ssl_channel_credentials(None if known else _read(ca_file, "the file of the authority"))


def _read(file: str, what: str) -> bytes:
    try:
        return Path(file).expanduser().read_bytes()
    except OSError as error:
        raise Refusal(f"cannot read {file}, {what}: {error.strerror}", code=USAGE) from None
