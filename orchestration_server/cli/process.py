"""Settings of the interpreter and the signals of a command's process."""

from __future__ import annotations

import gc
import signal
import sys
import threading

COLLECT_OBJECTS = 20_000
"""The number of new objects after which the garbage collector examines the young generation."""
POLL_SECONDS = 0.2
SWITCH_SECONDS = 0.001
"""The time for which a thread may keep the interpreter while another waits for it.

A call takes the interpreter about five times. With Python's default of 5 ms, a call of 1 ms took 20 ms beside
threads that assemble contexts.
"""


def freeze_gc() -> None:
    """Exclude everything that is loaded from garbage collection, and let threads switch more often.

    Without this, each full collection would examine all loaded modules again.
    """
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
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def wait_for(stop: threading.Event) -> None:
    """Wait for the event of ``stop_signal``, by polling.

    A handler runs when the main thread next wakes up. A signal that another thread received, or that came
    just before the wait began, does not wake it: under load one stop in ten went unnoticed.
    """
    while not stop.wait(POLL_SECONDS):
        pass
