"""One of several server processes on one port, started by ``serve --workers N``.

Ends on SIGTERM, and when the process that started it is gone: its standard input closes then.
"""

from __future__ import annotations

import signal
import sys
import threading

from orchestration_server import logs, process
from orchestration_server.app import App
from orchestration_server.config import Settings


def main() -> None:
    """Serves until told to stop."""
    logs.configure()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    app = App(Settings())
    address = app.start()
    process.settle()
    print(address, flush=True)
    threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()
    process.wait_for(stop)
    app.stop()


def _watch_parent(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()


if __name__ == "__main__":
    main()
