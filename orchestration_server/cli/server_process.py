"""One of several server processes on one port, started by ``serve --workers N``.

Its settings are the first line of its standard input; its argument is the file descriptor of the socket on
which it is asked for its metrics. It ends on SIGTERM, and when the process that started it is gone: its
standard input closes then.
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
    """Serves until told to stop."""
    settings = Settings.model_validate_json(sys.stdin.buffer.readline())
    logs.configure(settings.log_level)
    stop = process.stop_signal()
    exposition.serve_worker(socket.socket(fileno=int(sys.argv[1])))
    app = App(settings)
    try:
        address = app.start()
    except connect.FAULTS as error:
        # It takes its time, and few need it.
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
    # Past the buffer: a thread that waits in it as the interpreter ends takes the process down.
    os.read(sys.stdin.fileno(), 1)
    stop.set()


if __name__ == "__main__":
    main()
