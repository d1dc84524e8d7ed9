"""`orchestration serve`: run one or several server processes on one port.

Without a database URL the command starts a built-in Postgres and cache.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NoReturn

import typer
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.text import Text

from orchestration.settings import ADDRESS_VARIABLE, DEFAULT_ADDRESS
from orchestration_server import __version__
from orchestration_server.cli import process
from orchestration_server.cli.metrics_server import serve_metrics
from orchestration_server.cli.options import err, shell_path, with_settings
from orchestration_server.cli.preflight import (
    check_policies,
    check_rules,
    check_templates,
    check_tokenizer,
    check_traces,
    warn_of_workspace,
)
from orchestration_server.cli.startup_checks import (
    AccessSummary,
    access_summary,
    check_keys,
    client_environment,
    with_certificate,
)
from orchestration_server.config.settings import Settings
from orchestration_server.errors import CannotListen
from orchestration_server.rpc import address as listening
from orchestration_server.telemetry import exposition, logs, metrics


@with_settings(*Settings.model_fields)
def serve(
    settings: Settings,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Delete all data when the server stops.")
    ] = False,
    ready_file: Annotated[
        Path | None, typer.Option(help="A file to write, as JSON, once the server answers.")
    ] = None,
) -> None:
    """Run the server. Without a database URL it starts a built-in Postgres and a cache."""
    with ExitStack() as kept:
        if ephemeral and settings.auto_tls:
            # The certificate is created there and deleted with the other data.
            made = kept.enter_context(TemporaryDirectory(prefix="orchestration-"))
            settings = settings.model_copy(update={"data_dir": Path(made)})
        _check_and_serve(settings, ephemeral, ready_file)


def _check_and_serve(settings: Settings, ephemeral: bool, ready_file: Path | None) -> None:
    settings = with_certificate(settings)
    check_rules(settings)
    check_policies(settings)
    check_templates(settings)
    check_tokenizer(settings)
    check_traces(settings)
    warn_of_workspace(settings)
    _check_port_free(settings)
    logs.configure(settings.log_level)
    if settings.database_url:
        _serve(settings, "", ready_file)
        return
    from orchestration_server.embedded.engines import EmbeddedEngines, EngineError

    engines = EmbeddedEngines(None if ephemeral else settings.data_dir.expanduser(), durable=not ephemeral)
    try:
        started = engines.start()
    except EngineError as error:
        err.print(str(error), style="red")
        raise typer.Exit(1) from error
    try:
        own = {
            "database_url": started.database_url,
            "redis_url": settings.redis_url or started.redis_url or "",
        }
        _serve(settings.model_copy(update=own), str(started.data_dir), ready_file)
    finally:
        engines.stop()


def _check_port_free(settings: Settings) -> None:
    """End the command if another process has the port, before engines start in vain and grpc logs errors."""
    if settings.share_port:
        return
    host, port = listening.split(settings.address) or ("", 0)
    # On a wildcard address grpc binds IPv4 and IPv6 as available; IPv4 is bound in either case.
    found: list[OSError] = []
    try:
        places = socket.getaddrinfo(
            "0.0.0.0" if listening.is_wildcard(host) else host, port, type=socket.SOCK_STREAM
        )
        for family, kind, protocol, _, place in places:
            try:
                with socket.socket(family, kind, protocol) as tried:
                    # As the server does: a connection in TIME_WAIT does not count.
                    tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    tried.bind(place)
                    # If a name has several addresses, grpc needs only one of them.
                    return
            except OSError as error:
                found.append(error)
    except OSError as error:
        found.append(error)
    _cannot_listen(settings, found[0])


def _cannot_listen(settings: Settings, error: OSError | CannotListen) -> NoReturn:
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    err.print(
        f"cannot listen on {settings.address}: {why[:1].lower()}{why[1:]}; choose another --address",
        style="red",
    )
    raise typer.Exit(1) from error


def _serve(settings: Settings, data: str, ready_file: Path | None) -> None:
    check_keys(settings)
    stop = process.stop_signal()
    # What it prints needs the database, which may be away once the server answers calls.
    access = access_summary(settings)
    registry = metrics.REGISTRY if settings.workers == 1 else CollectorRegistry(auto_describe=False)
    # The metrics port comes first: if it is not free, there is nothing to stop yet.
    with serve_metrics(settings, registry) as metrics_address:

        def ready(address: str) -> None:
            _print_ready(address, data, settings, ready_file, metrics_address, access)

        if settings.workers > 1:
            _serve_processes(settings, ready, stop, registry)
        else:
            _serve_single(settings, ready, stop)


def _serve_single(settings: Settings, ready: Callable[[str], None], stop: threading.Event) -> None:
    from orchestration_server.app import App

    app = App(settings)
    try:
        bound = app.start()
    except CannotListen as error:
        _cannot_listen(settings, error)
    process.freeze_gc()
    ready(bound)
    process.wait_for(stop)
    app.stop()


def _serve_processes(
    settings: Settings,
    ready: Callable[[str], None],
    stop: threading.Event,
    registry: CollectorRegistry,
) -> None:
    """Run several server processes on one port. If one ends by itself, stop all of them."""
    from orchestration_server.app import migrate

    # Once for all processes; a fault of the database is reported here and not by each of them.
    migrate(settings.database_url)
    host, _, port = settings.address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # These processes share the port with each other but not with another server, so check it before.
    _check_port_free(settings)
    with socket.socket(family) as reserved:
        try:
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            reserved.bind((host.strip("[]"), int(port)))
        except OSError as error:
            _cannot_listen(settings, error)
        bound = f"{host}:{reserved.getsockname()[1]}"
        shared = settings.model_copy(update={"address": bound})
        started = [_start_process(shared) for _ in range(settings.workers)]
        children = [child for child, _ in started]
        _wait_started(children)
    registry.register(exposition.MultiProcessCollector([asked for _, asked in started]))
    ready(bound)
    for child in children:
        threading.Thread(target=_watch_process, args=(child, stop), daemon=True).start()
    process.wait_for(stop)
    died = [child for child in children if child.poll() is not None]
    for child in died:
        err.print(f"{_exit_summary(child)}; all other server processes are stopped", style="red")
    _stop_processes(children)
    if died:
        raise typer.Exit(1)


def _wait_started(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        assert child.stdout is not None
        if not child.stdout.readline():
            _stop_processes(children)
            err.print(f"a server process did not start: {_exit_summary(child)}", style="red")
            raise typer.Exit(1)


def _exit_summary(child: subprocess.Popen[bytes]) -> str:
    """Return how a server process ended, for people."""
    code = child.returncode
    if code >= 0:
        return f"server process {child.pid} ended with exit code {code} (the log above says why)"
    name = signal.Signals(-code).name
    hint = " (dmesg says if the kernel did that because memory was short)" if -code == signal.SIGKILL else ""
    return f"server process {child.pid} was ended by {name}{hint}"


def _stop_processes(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        child.wait()


def _watch_process(child: subprocess.Popen[bytes], stop: threading.Event) -> None:
    child.wait()
    stop.set()


def _start_process(settings: Settings) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a server process. Return it with the socket on which this process asks for its metrics.

    The child reads its settings from standard input, so that no other user sees them.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        child = subprocess.Popen(
            [sys.executable, "-m", "orchestration_server.cli.server_process", str(theirs.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[theirs.fileno()],
        )
    assert child.stdin is not None
    child.stdin.write(settings.model_dump_json().encode() + b"\n")
    child.stdin.flush()
    return child, ours


def _print_ready(
    address: str,
    data: str,
    settings: Settings,
    ready_file: Path | None,
    metrics_address: str,
    access: AccessSummary,
) -> None:
    if ready_file is not None:
        ready = {
            "address": address,
            "database_url": settings.database_url,
            "redis_url": settings.redis_url,
            "metrics_address": metrics_address,
            "pid": os.getpid(),
        }
        # The URLs may contain passwords, so only this user may read the file.
        part = ready_file.with_suffix(".part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(ready, file)
        part.replace(ready_file)
    out = Console(markup=False, emoji=False, soft_wrap=True, highlight=False)
    out.print(Text.assemble((f"orchestration {__version__}", "bold"), " answers on ", (address, "bold")))
    out.print("  project         default (metadata orchestration-project names another)")
    out.print(f"  data            {data or 'in the database of DATABASE_URL'}")
    is_open, lines = access
    for what, text in lines:
        out.print(f"  {what:<15} {text}")
    if metrics_address:
        out.print(f"  metrics         http://{metrics_address}{exposition.PATH}")
    out.print("  try             in another terminal:")
    for line in _first_commands(client_environment(settings, address, with_key=not is_open)):
        out.print(f"    {line}")
    out.print("  stop            Ctrl-C")


def _first_commands(environment: str) -> list[str]:
    """Return commands to try, with the variables that they need if the server is not at the usual address."""
    command = shell_path(Path(sys.executable).with_name("orchestration"))
    words = (
        "sprint create s1 'First sprint' --start",
        "task add w1 'Write the parser' -s s1",
        "task add w2 'Write the pages' -s s1 --after w1",
        "ready",
        "done w1 -m merged",
    )
    needed = [] if environment == f"{ADDRESS_VARIABLE}={DEFAULT_ADDRESS}" else [f"export {environment}"]
    return [*needed, *(f"{command} {one}" for one in words)]
