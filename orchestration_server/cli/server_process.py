"""One of several server processes on one port, started by ``serve --workers N``.

The first line of standard input has the settings as JSON. The argument is the file descriptor of the socket
on which the parent asks for metrics. The process ends on SIGTERM, and when its parent ends, which closes
standard input.
"""

from __future__ import annotations

import os
import socket
import sys
import threading

from orchestration_server.app import App
from orchestration_server.cli import process
from orchestration_server.config.settings import ConfigurationError, Settings
from orchestration_server.db import connect
from orchestration_server.errors import CannotListen
from orchestration_server.telemetry import exposition, logs


def main() -> None:
    """Run the server until SIGTERM or until the parent ends."""
    settings = Settings.model_validate_json(sys.stdin.buffer.readline())
    logs.configure(settings.log_level)
    stop = process.stop_signal()
    exposition.serve_worker(socket.socket(fileno=int(sys.argv[1])))
    app = App(settings)
    try:
        address = app.start()
    except connect.CONNECT_ERRORS as error:
        # Imported late: it is slow to import and seldom needed.
        from orchestration_server.doctor import database_errors, engines

        found = database_errors.explain(engines.find_installation(settings), error)
        sys.exit(f"{found.text}\n-> {found.fix}")
    except (CannotListen, ConfigurationError) as error:
        sys.exit(str(error))
    process.freeze_gc()
    print(address, flush=True)
    threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()
    process.wait_for(stop)
    app.stop()


def _watch_parent(stop: threading.Event) -> None:
    # Not by sys.stdin: a thread that waits in its buffer while the interpreter ends crashes the process.
    os.read(sys.stdin.fileno(), 1)
    stop.set()


if __name__ == "__main__":
    main()
