"""The entry point of the `orchestration` script. It imports the rest when it runs, so Ctrl-C is clean."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

INTERRUPTED = 130
"""The exit code that a shell reports for a command ended by Ctrl-C."""
PIPE_CLOSED = 141
"""The exit code that a shell reports for a command whose reader went away."""
COMPLETE_VARIABLE = "_ORCHESTRATION_COMPLETE"
"""The variable by which the script of a shell asks for completions."""
_EXTRA = {"typer": "typer", "rich": "rich", "yaml": "pyyaml"}


def main() -> None:
    """Run the command."""
    try:
        from orchestration.cli.app import cli
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ModuleNotFoundError as error:
        sys.exit(without_extra(error))
    run(lambda: cli(prog_name="orchestration"))


def quiet_channels(failed: threading.ExceptHookArgs) -> None:
    """Report an exception of a thread, unless it is of grpc's own after Ctrl-C.

    If Ctrl-C arrives while a call starts, grpc's thread of the channel ends with a TypeError in
    ``channel_spin``. Nobody waits for that call any more.
    """
    trace = failed.exc_traceback
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_name != "channel_spin":
        threading.__excepthook__(failed)


def run(command: Callable[[], object]) -> None:
    """Run a command until it exits. End quietly if it is interrupted or its reader goes away."""
    threading.excepthook = quiet_channels
    try:
        try:
            if COMPLETE_VARIABLE in os.environ:
                from typer.completion import completion_init  # type: ignore[attr-defined]  # imported there

                completion_init()
            command()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Python flushes the output again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_CLOSED)


def without_extra(error: ModuleNotFoundError) -> int:
    """Say what to install if a package of the extra is missing, and return the exit code."""
    if error.name not in _EXTRA:
        raise error
    print(
        f"error: the command needs the package {_EXTRA[error.name]}\n"
        "fix: install the client with its extra: pip install 'clients/python[cli]'",
        file=sys.stderr,
    )
    return 2
