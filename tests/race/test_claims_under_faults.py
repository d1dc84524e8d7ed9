"""Agents race for tasks while servers, Postgres and agents are killed, and agents stand still too long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import cycle
from pathlib import Path
from random import Random
from time import monotonic

import psycopg
import pytest

from benchmarks.processes import ServerProcess, environment
from orchestration_server.embedded.engines import EmbeddedEngines
from orchestration_server.store import migrations
from tests.conftest import open_channel
from tests.race.test_claims import END_CONNECTIONS, create, judge, report
from tests.support.claim_histories import CLAIM, OK, REFUSED, History, Operation, read_log
from tests.support.ledger import Ledger
from tests.support.waits import turns

PROGRAM = ("-m", "tests.support.short_leases", "serve")
LEASE = 1.0
SECONDS = 25.0
TASKS = 1_000
RACERS = 8
PROCESSES = 8


RETURN = """
select extract(epoch from pg_postmaster_start_time())::float8,
    case when isfinite(back_time) then extract(epoch from back_time)::float8 else 0 end
from log_state
"""
"""The start of Postgres, and the time at which a server reached it."""


class Fleet:
    """Two servers and eight processes of agents, on engines that may be killed."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory, self._stack = directory, stack
        self._engines = EmbeddedEngines(None, durable=True, max_connections=200)
        self.database_url = self._engines.start().database_url
        stack.callback(self._engines.stop)
        with psycopg.connect(self.database_url, autocommit=True) as conn:
            migrations.migrate(conn)
        self.servers = [ServerProcess(self.database_url, program=PROGRAM) for _ in range(2)]
        stack.callback(lambda: [server.stop() for server in self.servers])
        self.addresses = [server.address for server in self.servers]
        self.agents: list[subprocess.Popen[bytes]] = []
        self.logs: list[Path] = []
        self.counts: dict[str, int] = {}
        self.graces: list[tuple[float, float]] = []

    def start_agents(self, until: float) -> None:
        number = len(self.logs)
        self.logs.append(self._directory / f"agents-{number}")
        command = [
            sys.executable, "-m", "tests.support.claim_racers", str(self.logs[-1]), f"p{number}", str(RACERS),
            str(LEASE), str(until), str(TASKS), *self.addresses,
        ]  # fmt: skip
        process = subprocess.Popen(command, env=environment())
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        self.agents.append(process)

    def kill_server(self, random: Random) -> None:
        number = random.randrange(2)
        self.servers[number].kill()
        self.servers[number] = ServerProcess(
            self.database_url, address=self.addresses[number], program=PROGRAM
        )

    def end_connections(self, _: Random) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as conn:
            conn.execute(END_CONNECTIONS)

    def kill_postgres(self, _random: Random) -> None:
        self._engines.stop_postgres("kill")
        self._engines.start_postgres()
        with psycopg.connect(self.database_url, autocommit=True) as conn:
            # Until a server has reached the Postgres, nobody can beat and nobody can write.
            for _ in turns(20):
                row = conn.execute(RETURN).fetchone()
                assert row is not None
                if row[1] > row[0]:
                    self.graces.append((row[0], row[1] + LEASE))
                    return

    def stop_agents(self, random: Random) -> None:
        """Stop a process of agents for longer than their leases, by the database's clock."""
        process = random.choice([one for one in self.agents if one.poll() is None])
        process.send_signal(signal.SIGSTOP)
        with suppress(psycopg.OperationalError), psycopg.connect(self.database_url) as conn:
            conn.execute("select pg_sleep(%s)", (1.5 * LEASE,))
        process.send_signal(signal.SIGCONT)

    def kill_agents(self, random: Random, until: float) -> None:
        process = random.choice([one for one in self.agents if one.poll() is None])
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        self.start_agents(until)

    def disturb(self, until: float) -> None:
        random = Random(13)
        faults: list[Callable[[Random], None]] = [
            self.stop_agents, self.kill_server, self.end_connections,
            lambda given: self.kill_agents(given, until), self.kill_postgres,
        ]  # fmt: skip
        names = [
            "stops of agents",
            "kills of servers",
            "ends of connections",
            "kills of agents",
            "kills of Postgres",
        ]
        for name, fault in cycle(zip(names, faults, strict=True)):
            if monotonic() > until - 3:
                return
            fault(random)
            self.counts[name] = self.counts.get(name, 0) + 1
            size = self.lines() + 50
            for _ in turns(20):
                if self.lines() > size or monotonic() > until:
                    break

    def lines(self) -> int:
        return sum(log.stat().st_size for log in self.logs if log.exists()) // 200

    def history(self) -> list[Operation]:
        for process in self.agents:
            process.wait(timeout=60)
        return [operation for log in self.logs for operation in read_log(log)]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(tmp_path, stack)


@pytest.mark.race
def test_agents_that_race_under_faults_are_told_the_truth(
    fleet: Fleet, record_property: Callable[[str, object], None]
) -> None:
    with open_channel(fleet.addresses[0]) as channel:
        create(Ledger(channel), TASKS)
    until = monotonic() + SECONDS
    for _ in range(PROCESSES):
        fleet.start_agents(until)
    fleet.disturb(until)
    history = fleet.history()
    with open_channel(fleet.addresses[0]) as channel, psycopg.connect(
        fleet.database_url, autocommit=True
    ) as conn:  # fmt: skip
        found = judge(Ledger(channel), conn, history, fleet.graces)
    report(record_property, history, **fleet.counts)
    assert not found, "\n".join(found[:20])
    counts = History(history)
    assert counts.count(CLAIM, OK) > TASKS / 4
    assert sum(o.outcome == REFUSED and o.reason == "STALE_FENCE" for o in history)
    assert all(fleet.counts.values())
