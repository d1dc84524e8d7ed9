"""What each server process does beside serving."""

from __future__ import annotations

import gc
import signal
import sys
import threading

COLLECT_OBJECTS = 20_000
"""How many more objects there have to be before the collector looks at the young ones."""
POLL_SECONDS = 0.2
SWITCH_SECONDS = 0.001
"""How long one thread keeps the interpreter from another that waits for it. A call needs it about five times
on its way, so Python's 5 ms made 20 of a call of one millisecond beside threads that assemble contexts."""


def freeze_gc() -> None:
    """Let threads switch often, and take what is loaded by now out of the collector's sight, which would walk
    it again and again."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_OBJECTS, 50, 100)


def reset_signals() -> None:
    """Undo what the parent process ignores or blocks and a command cannot work without.

    With SIGCHLD ignored the exit code of every child reads as 0, and without SIGTERM nothing can end a
    command. SIGINT and SIGHUP stay as they are: a shell ignores them for background jobs and under `nohup`.
    """
    for number in (signal.SIGCHLD, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def stop_signal() -> threading.Event:
    """What SIGTERM and SIGINT set from now on."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def wait_for(stop: threading.Event) -> None:
    """Waits for the event of ``stop_signal``.

    A handler runs when the main thread next wakes up. A signal that another thread received, or that came
    just before the wait began, wakes nobody: under load one stop in ten was not noticed.
    """
    while not stop.wait(POLL_SECONDS):
        pass
