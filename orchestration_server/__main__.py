"""The command: serve, worker, migrate, import."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from orchestration_server import __version__, logs, process
from orchestration_server.config import DEFAULT_ADDRESS, Settings

Workspace = Annotated[
    Path | None,
    typer.Option(help="Where the ledger's files are written; a directory that is there, the same for all."),
]
RulesFile = Annotated[
    Path | None,
    typer.Option(help="Rules of automation: adds to the built-in ones, changes or switches them off."),
]

cli = typer.Typer(help="The coordination ledger for fleets of agents.", no_args_is_help=True)
err = Console(stderr=True)


@cli.command()
def serve(
    address: Annotated[str, typer.Option(help="HOST:PORT to listen on; port 0 takes a free one.")] = "",
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the built-in Postgres and cache keep their data.")
    ] = None,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Keep nothing: data goes when the server does.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes on the one port.")] = 1,
    workspace: Workspace = None,
    rules_file: RulesFile = None,
    templates_dir: Annotated[
        Path | None, typer.Option(help="Templates that add to the built-in ones, or replace them by name.")
    ] = None,
    background: Annotated[
        bool, typer.Option(help="Run the background services too; else `orchestration worker` has to.")
    ] = True,
    ready_file: Annotated[
        Path | None, typer.Option(help="Written, as JSON, once the server answers.")
    ] = None,
) -> None:
    """Serve. Without DATABASE_URL it starts a Postgres and a cache of its own."""
    from orchestration_server.embedded import EmbeddedEngines, EngineError

    settings = Settings()
    settings = settings.model_copy(
        update={
            "address": address or settings.address or DEFAULT_ADDRESS,
            "data_dir": (data_dir or settings.data_dir).expanduser(),
            "workers": max(workers, settings.workers),
            "workspace": workspace or settings.workspace,
            "background": background and settings.background,
            "rules_file": rules_file or settings.rules_file,
            "templates_dir": templates_dir or settings.templates_dir,
        }
    )
    _check_rules(settings)
    _check_templates(settings)
    _check_tokenizer(settings)
    engines = None
    if not settings.database_url:
        engines = EmbeddedEngines(None if ephemeral else settings.data_dir, durable=not ephemeral)
        try:
            started = engines.start()
        except EngineError as error:
            err.print(f"[red]{error}[/red]")
            raise typer.Exit(1) from error
        settings = settings.model_copy(
            update={
                "database_url": started.database_url,
                "redis_url": settings.redis_url or started.redis_url or "",
            }
        )
    try:
        _serve(settings, "" if engines is None else str(started.data_dir), ready_file)
    finally:
        if engines is not None:
            engines.stop()


def _check_rules(settings: Settings) -> None:
    """Ends the command where a rule is not valid, with its file and line."""
    from orchestration_server import automation
    from orchestration_server.yaml_nodes import YamlError

    try:
        automation.load(settings.rules_file)
    except YamlError as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(2) from error


def _check_templates(settings: Settings) -> None:
    """Ends the command where a template is not valid, with its file and line."""
    from orchestration_server.templates import TemplateFileError, Templates

    try:
        Templates(settings.templates_dir)
    except TemplateFileError as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(2) from error


def _check_tokenizer(settings: Settings) -> None:
    """Ends the command where there is no such tokenizer."""
    from orchestration_server import token_budget

    try:
        token_budget.tokenizer(settings.tokenizer)
    except ValueError as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(2) from error


def _serve(settings: Settings, data: str, ready_file: Path | None) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if settings.workers > 1:
        _serve_many(settings, data, ready_file, stop)
        return
    from orchestration_server.app import App

    app = App(settings)
    try:
        bound = app.start()
    except RuntimeError as error:
        err.print(f"[red]cannot listen on {settings.address}: {error}; choose another --address[/red]")
        raise typer.Exit(1) from error
    process.settle()
    _announce(bound, data, settings, ready_file)
    process.wait_for(stop)
    app.stop()


def _serve_many(settings: Settings, data: str, ready_file: Path | None, stop: threading.Event) -> None:
    """Processes of their own on one port; when one ends by itself, all end."""
    host, _, port = settings.address.rpartition(":")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host.strip("[]"), int(port)))
        bound = f"{host}:{held.getsockname()[1]}"
        children = [_worker(settings, bound) for _ in range(settings.workers)]
        for child in children:
            assert child.stdout is not None
            if not child.stdout.readline():
                err.print("[red]a worker did not start: the log above says why[/red]")
                _end(children)
                raise typer.Exit(1)
    _announce(bound, data, settings, ready_file)
    for child in children:
        threading.Thread(target=_watch_child, args=(child, stop), daemon=True).start()
    process.wait_for(stop)
    died = any(child.poll() is not None for child in children)
    _end(children)
    if died:
        raise typer.Exit(1)


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        child.wait()


def _watch_child(child: subprocess.Popen[bytes], stop: threading.Event) -> None:
    child.wait()
    stop.set()


def _worker(settings: Settings, address: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "ORCHESTRATION_ADDRESS": address,
        "ORCHESTRATION_WORKERS": str(settings.workers),
        "ORCHESTRATION_BACKGROUND": str(settings.background),
    }
    if settings.workspace is not None:
        environment["ORCHESTRATION_WORKSPACE"] = str(settings.workspace)
    if settings.rules_file is not None:
        environment["ORCHESTRATION_RULES_FILE"] = str(settings.rules_file)
    if settings.templates_dir is not None:
        environment["ORCHESTRATION_TEMPLATES_DIR"] = str(settings.templates_dir)
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration_server.worker"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def _announce(address: str, data: str, settings: Settings, ready_file: Path | None) -> None:
    if ready_file is not None:
        ready = {
            "address": address,
            "database_url": settings.database_url,
            "redis_url": settings.redis_url,
            "pid": os.getpid(),
        }
        part = ready_file.with_suffix(".part")
        part.write_text(json.dumps(ready))
        part.replace(ready_file)
    out = Console()
    out.print(f"[bold]orchestration {__version__}[/bold] answers on [bold]{address}[/bold]")
    out.print("  project         default (metadata orchestration-project names another)")
    out.print(f"  data            {data or 'in the database of DATABASE_URL'}")
    out.print("  try             in another terminal:", highlight=False)
    out.print(
        f"    ORCHESTRATION_ADDRESS={address} .venv/bin/python -c"
        " 'from orchestration import Client; from orchestration.v1 import sprint_pb2 as s;"
        ' c = Client(); print(c.sprints.CreateSprint(s.CreateSprintRequest('
        'sprint=s.Sprint(code="S1", title="First"))))\'',
        highlight=False, soft_wrap=True, markup=False,
    )  # fmt: skip
    out.print("  stop            Ctrl-C")


@cli.command()
def worker(workspace: Workspace = None, rules_file: RulesFile = None) -> None:
    """Run the background services beside the servers of DATABASE_URL; as many workers as you like."""
    from orchestration_server.app import Worker

    settings = Settings()
    if not settings.database_url:
        err.print("[red]DATABASE_URL is not set; `serve` runs the services of the built-in database[/red]")
        raise typer.Exit(2)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = settings.model_copy(
        update={
            "workspace": workspace or settings.workspace,
            "rules_file": rules_file or settings.rules_file,
        }
    )
    _check_rules(settings)
    working = Worker(settings)
    working.start()
    process.wait_for(stop)
    working.stop()


@cli.command()
def migrate() -> None:
    """Bring the database of DATABASE_URL to this release's schema."""
    from orchestration_server.app import migrate as run

    settings = Settings()
    if not settings.database_url:
        err.print("[red]DATABASE_URL is not set; `serve` migrates the built-in database itself[/red]")
        raise typer.Exit(2)
    applied = run(settings.database_url)
    Console().print("\n".join(applied) or "nothing to do")


def _mount() -> None:
    from orchestration_server.commands.import_jsonl import import_files

    cli.command(name="import")(import_files)


def main() -> None:
    """Runs the command."""
    logs.configure()
    _mount()
    cli()


if __name__ == "__main__":
    main()
