"""`use`, `version` and `completion`: how this machine reaches a ledger."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any

import typer

from orchestration.cli import completion_codes as codes
from orchestration.cli import exit_codes
from orchestration.cli.main import COMPLETE_VARIABLE
from orchestration.cli.output import Answer, Table
from orchestration.cli.refusal import Refusal
from orchestration.cli.servers import Server, Servers
from orchestration.cli.verb import Session, verb


@verb
def use(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A name for a server; none to list them.", autocompletion=codes.servers
        ),
    ] = "",
    token_file: Annotated[str | None, typer.Option(metavar="FILE", help="The file with its key.")] = None,
    ca_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Its authority as PEM, or `system`, for TLS.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Forget the server.")] = False,
) -> Answer:
    """Store servers by name, and choose the one that all verbs use.

    --address, --project, --agent and --token-env are stored with the name. A key itself is
    not stored. An address in the options or in ORCHESTRATION_ADDRESS comes before the
    chosen server.
    """
    from orchestration.cli import servers

    if not name:
        return _list(session, servers.read())
    if remove:
        servers.change(lambda stored: _without(stored, name))
        return Answer({"removed": name}, [f"{name} is forgotten"], [name])
    given = {
        "address": session.common.address, "project": session.common.project, "agent": session.common.agent,
        "token_env": session.common.token_env, "token_file": token_file, "ca_file": ca_file,
    }  # fmt: skip
    named = {key: value for key, value in given.items() if value is not None}
    if named.get("address"):
        from orchestration.settings import resolve_address

        named["address"] = resolve_address(named["address"])
    servers.change(lambda stored: _with(stored, name, named))
    server = servers.read().by_name[name]
    where = f"{server.address}" + (f", project {server.project}" if server.project else "")
    return Answer({"current": name, "server": asdict(server)}, [f"all verbs use {name} now: {where}"], [name])


def _without(stored: Servers, name: str) -> Servers:
    if name not in stored.by_name:
        raise Refusal(f"there is no server {name!r}", code=exit_codes.NOT_FOUND)
    kept = {one: server for one, server in stored.by_name.items() if one != name}
    return Servers("" if stored.current == name else stored.current, kept)


def _with(stored: Servers, name: str, named: dict[str, str]) -> Servers:
    if name not in stored.by_name and not named.get("address"):
        raise Refusal(
            f"there is no server {name!r} yet",
            fix=f"orchestration use {name} --address HOST:PORT",
            code=exit_codes.NOT_FOUND,
        )
    server = replace(stored.by_name.get(name, Server()), **named)
    return Servers(name, stored.by_name | {name: server})


def _list(session: Session, stored: Servers) -> Answer:
    from orchestration.cli import servers

    table = Table(("", "NAME", "ADDRESS", "PROJECT", "AGENT"))
    for name, server in stored.by_name.items():
        mark = "*" if name == stored.current else ""
        table.add(mark, name, server.address, server.project or "-", server.agent or "-")
    document = {
        "current": stored.current or None,
        "servers": {name: asdict(server) for name, server in stored.by_name.items()},
        "file": str(servers.path()),
    }
    lines = session.out.table(table) or [
        "no servers yet; add one: orchestration use NAME --address HOST:PORT"
    ]
    return Answer(document, lines, list(stored.by_name))


@verb
def version(
    session: Session,
    client: Annotated[bool, typer.Option("--client", help="Do not ask a server.")] = False,
) -> Answer:
    """Print the versions of this command and of the server."""
    from importlib import metadata

    try:
        own = metadata.version("orchestration-client")
    except metadata.PackageNotFoundError:
        own = "not installed"
    lines = [f"client  {own}"]
    document: dict[str, Any] = {"client": own, "server": None}
    if client:
        return Answer(document, lines)
    import grpc

    from orchestration.cli import call_errors
    from orchestration.cli.documents import to_document
    from orchestration.v1.admin_pb2 import GetServerInfoRequest

    connection = session.client
    try:
        found = connection.admin.GetServerInfo(GetServerInfoRequest())
    except grpc.RpcError as error:
        refusal = call_errors.explain(error, session)
        session.out.refuse(refusal)
        return Answer(document, lines, code=refusal.code)
    lines.append(f"server  {found.version}, schema {found.schema}, at {connection.address}")
    return Answer(document | {"server": to_document(found)}, lines)


@verb
def completion(
    session: Session,
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> Answer:
    """Print the script that completes commands, options and codes in a shell.

    Codes of tasks and sprints come from the live server. In ~/.bashrc:
    source <(orchestration completion bash). In ~/.zshrc after compinit: the same with zsh.
    For fish, write it to ~/.config/fish/completions/orchestration.fish.
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # it is imported there

    if shell not in ("bash", "zsh", "fish"):
        raise Refusal(f"{shell!r} is none of bash, zsh, fish", code=exit_codes.USAGE)
    script = get_completion_script(prog_name="orchestration", complete_var=COMPLETE_VARIABLE, shell=shell)
    return Answer({"shell": shell, "script": script}, [script])
