"""Waits for conditions that send no signal, without using a processor meanwhile."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from time import monotonic

PAUSE = 0.01
_never = Event()


def turns(seconds: float) -> Iterator[None]:
    """Yield every 10 ms, for the caller to look at a condition. Raises AssertionError after ``seconds``."""
    end = monotonic() + seconds
    while monotonic() < end:
        yield
        _never.wait(PAUSE)
    raise AssertionError(f"it did not happen within {seconds} s")


def read_ready(process: subprocess.Popen[bytes], ready: Path, seconds: float) -> dict[str, str]:
    """Return the content of a ready file, once it is there. Raises AssertionError if the server ends."""
    for _ in turns(seconds):
        if ready.exists() and (text := ready.read_text().strip()):
            break
        assert process.poll() is None, f"the server ended with {process.returncode}"
    found: dict[str, str] = json.loads(text)
    return found
