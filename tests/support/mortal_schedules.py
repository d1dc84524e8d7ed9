"""Processes that fire schedules and are killed at a statement."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from orchestration_server.db.connection import Connection
from orchestration_server.db.database import Database
from orchestration_server.jobs.schedules import Schedules
from orchestration_server.services import generation
from orchestration_server.templates import Templates
from orchestration_server.writes.gate import Gate

ROOT = Path(__file__).parents[2]


def worker(db: Database) -> Schedules:
    gate = Gate(db, lambda: None)
    return Schedules(db, gate, generation.Generation(gate, Templates()))


def die_at(database_url: str, statement: int) -> None:
    """Fire all due schedules, and be killed before the statement of that number; after it, if negative."""
    run = Connection.execute
    number = 0

    def counted(self: Connection, query: Any, params: Any = None, **given: Any) -> Any:
        nonlocal number
        number += 1
        if number == statement:
            os.kill(os.getpid(), signal.SIGKILL)
        done = run(self, query, params, **given)
        if number == -statement:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    db = Database(database_url, size=2)
    db.start()
    one = worker(db)
    Connection.execute = counted  # type: ignore[method-assign]  # the child does nothing else
    one.run_once()
    print("statements", number)


def die_in_turn(database_url: str) -> None:
    """Run ``die_at`` in a fork for each number on standard input; print how each ended."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            die_at(database_url, int(line))
            sys.stdout.flush()
            os._exit(0)
        print("ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


class Mortal:
    """A process whose forks are killed at statements. It imports everything once."""

    def __init__(self, database_url: str) -> None:
        child = f"from tests.support.mortal_schedules import die_in_turn; die_in_turn({database_url!r})"
        paths = os.pathsep.join([str(ROOT), *sys.path])
        self._process = subprocess.Popen(
            [sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip

    def killed(self, statement: int) -> tuple[int, int]:
        """Run the schedules in a fork; return its exit code and the statements it ran, 0 if it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{statement}\n")
        self._process.stdin.flush()
        statements = 0
        for line in self._process.stdout:
            word, _, number = line.partition(" ")
            if word == "ended":
                return int(number), statements
            if word == "statements":
                statements = int(number)
        raise AssertionError("the process ended")

    def close(self) -> None:
        self._process.communicate(timeout=60)
