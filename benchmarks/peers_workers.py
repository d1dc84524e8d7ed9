"""The processes of a comparison of job queues: workers whose counts are read while they run."""

from __future__ import annotations

import bisect
import subprocess
import threading
import time
from collections.abc import Sequence
from types import TracebackType

from benchmarks.processes import environment

RESTART_SECONDS = 1.0
"""The seconds before a supervisor restarts a worker that has ended."""
JOBS_TIMEOUT = 30.0
STOP_TIMEOUT = 15.0


class Workers:
    """A process of workers, which is started again if it ends, and the number of jobs that it has begun."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._times: list[float] = []
        self._counts: list[int] = []
        self.restarts = 0
        """The number of times that the process has ended by itself."""
        self._process = self._start()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
        )

    def _read(self) -> None:
        before = 0
        while True:
            assert self._process.stdout is not None
            for line in self._process.stdout:
                at, count = line.split()
                with self._changed:
                    self._times.append(float(at))
                    self._counts.append(before + int(count))
                    self._changed.notify_all()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
            before = self.count
            if self._stopping.wait(RESTART_SECONDS):
                return
            with self._changed:
                if self._stopping.is_set():
                    return
                self.restarts += 1
                self._process = self._start()

    @property
    def count(self) -> int:
        """The number of jobs that have begun."""
        return self._counts[-1] if self._counts else 0

    def wait_for_jobs(self, jobs: int = 1) -> None:
        """Wait until `jobs` jobs have begun. Raises RuntimeError if they do not."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.count >= jobs, timeout=JOBS_TIMEOUT):
                raise RuntimeError(f"{self._command[1:4]} began {self.count} jobs in {JOBS_TIMEOUT} s")

    def rate(self, seconds: float) -> float:
        """Return the jobs a second of the next ``seconds``. A count that is not told is the last one."""
        start = time.monotonic()
        time.sleep(seconds)
        with self._changed:
            return (self._at(start + seconds) - self._at(start)) / seconds

    def _at(self, moment: float) -> int:
        place = bisect.bisect_right(self._times, moment)
        return self._counts[place - 1] if place else 0

    def stop(self) -> None:
        """End the process."""
        with self._changed:
            self._stopping.set()
            process = self._process
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
        self._reader.join()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def run(command: Sequence[str], *, timeout: float = 300.0) -> str:
    """Run a command to its end and return what it printed. Raises RuntimeError with its error."""
    ended = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False, timeout=timeout
    )
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(command[1:4])} failed:\n{ended.stderr.strip()[-1000:]}")
    return ended.stdout
