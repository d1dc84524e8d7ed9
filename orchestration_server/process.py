"""What each server process does beside serving."""

from __future__ import annotations

import gc
import signal
import threading

COLLECT_OBJECTS = 20_000
"""How many more objects there have to be before the collector looks at the young ones."""
LOOK_SECONDS = 0.2


def settle() -> None:
    """Takes what is loaded by now out of the collector's sight, which would walk it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_OBJECTS, 50, 100)


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
    while not stop.wait(LOOK_SECONDS):
        pass
