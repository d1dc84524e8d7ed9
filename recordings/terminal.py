"""A terminal of 80 columns with a shell in it."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

COLUMNS, LINES = 80, 30
_PROMPT = re.compile("\x1e(\\d+)\x1f")
"""The prompt of the shell, which has the exit code of the last command."""
# A new session needs its terminal set in the child, and no thread of this process may be there. Signals that
# are ignored here, such as SIGINT of a process in the background, would be by all commands of the shell.
_SHELL = """
import fcntl, os, signal, termios
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, ())
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
"""
_END_SECONDS = 20.0


class Terminal:
    """A shell whose commands have a terminal. Use it in a ``with`` block."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        mode = termios.tcgetattr(theirs)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, mode)
        self._process = subprocess.Popen(
            [sys.executable, "-ISc", _SHELL],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=directory,
            env={**environment, "PS1": "\x1e$?\x1f", "PS2": "", "HISTFILE": ""},
        )
        os.close(theirs)
        self._changed = threading.Condition()
        self._text = ""
        self._open = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._await(lambda text: bool(_PROMPT.search(text)), _END_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what runs as a reader would, with Ctrl-C, and the shell."""
        try:
            if self.running:
                self.press("^C")
                self.finish(_END_SECONDS)
            os.write(self._ours, b"exit\nexit\n")
            self._process.wait(_END_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            self._reader.join(_END_SECONDS)
            os.close(self._ours)

    @property
    def running(self) -> bool:
        """True while a command runs."""
        with self._changed:
            return not _PROMPT.search(self._text)

    def send(self, command: str) -> None:
        """Begin a command. Raises RuntimeError if another one runs."""
        if self.running:
            raise RuntimeError(f"the terminal is busy: {command}")
        with self._changed:
            self._text = ""
        os.write(self._ours, command.encode() + b"\n")

    def press(self, key: str) -> None:
        """Press a key: ``^C`` or ``^Z``. What was printed before it is dropped."""
        with self._changed:
            self._text = ""
        os.write(self._ours, bytes([ord(key[1]) - 64]))

    def finish(self, seconds: float) -> tuple[str, int | None]:
        """Wait for the end of the command. Return what it printed and its exit code, None if it runs on."""
        self._await(lambda text: bool(_PROMPT.search(text)), seconds)
        with self._changed:
            found = _PROMPT.search(self._text)
            text = self._text[: found.start()] if found else self._text
        return text.replace("\r\n", "\n"), int(found[1]) if found else None

    def wait(self, accepts: Callable[[str], bool], seconds: float) -> str:
        """Wait until what is printed is accepted, or until the time is over; return it."""
        self._await(lambda text: accepts(_PROMPT.sub("", text).replace("\r\n", "\n")), seconds)
        with self._changed:
            return _PROMPT.sub("", self._text).replace("\r\n", "\n")

    def settle(self, quiet: float, seconds: float) -> str:
        """Wait until nothing was printed for a while, and return what was."""
        end = monotonic() + seconds
        with self._changed:
            while monotonic() < end and self._changed.wait(quiet):
                pass
            return _PROMPT.sub("", self._text).replace("\r\n", "\n")

    def _await(self, accepts: Callable[[str], bool], seconds: float) -> None:
        end = monotonic() + seconds
        with self._changed:
            while self._open and not accepts(self._text) and (left := end - monotonic()) > 0:
                self._changed.wait(left)

    def _read(self) -> None:
        """Read all that is printed at once, so that no command waits for a reader."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            try:
                found = os.read(self._ours, 65_536)
            except OSError:
                # The shell has ended.
                found = b""
            with self._changed:
                self._text += decoder.decode(found)
                self._open = bool(found)
                self._changed.notify_all()
            if not found:
                return
