"""The faults of a run. Each returns when the ledger can serve again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from random import Random

import psycopg
import redis

from benchmarks.processes import ServerProcess
from orchestration_server.embedded.engines import EmbeddedEngines

HELD_SECONDS = 0.4
BACK_SECONDS = 20.0


class Cluster:
    """Two server processes on engines that may be killed."""

    def __init__(self) -> None:
        self._engines = EmbeddedEngines(None, durable=True)
        found = self._engines.start()
        self._database_url, self._redis_url = found.database_url, found.redis_url
        with psycopg.connect(self._database_url, autocommit=True) as conn:
            from orchestration_server.store import migrations

            migrations.migrate(conn)
        self._servers = [self._start() for _ in range(2)]
        self.addresses = [server.address for server in self._servers]

    def _start(self, address: str = "127.0.0.1:0") -> ServerProcess:
        return ServerProcess(self._database_url, address=address, redis_url=self._redis_url or "")

    def close(self) -> None:
        """Stop everything."""
        for server in self._servers:
            server.stop()
        self._engines.stop()

    def faults(self) -> list[Callable[[Random], None]]:
        """Return every fault."""
        return [
            self.kill_server, self.end_connections, self.forget_cache, self.stall_writers,
            self.pause_cache, self.pause_server, self.replace_server, self.kill_postgres,
        ]  # fmt: skip

    def kill_server(self, random: Random) -> None:
        """Kill a server with SIGKILL, and start another in its place."""
        self._replace(random, ServerProcess.kill)

    def replace_server(self, random: Random) -> None:
        """Stop a server as for an upgrade, and start another in its place."""
        self._replace(random, lambda server: server.stop())

    def _replace(self, random: Random, end: Callable[[ServerProcess], object]) -> None:
        number = random.randrange(len(self._servers))
        end(self._servers[number])
        self._servers[number] = self._start(self.addresses[number])

    def pause_server(self, random: Random) -> None:
        """Stop a server for a while with SIGSTOP, as if its machine were swapping."""
        pid = random.choice(self._servers).pid
        os.kill(pid, signal.SIGSTOP)
        self._hold("select pg_sleep(%s)")
        os.kill(pid, signal.SIGCONT)

    def kill_postgres(self, _: Random) -> None:
        """Kill Postgres with SIGKILL, and start it again."""
        self._engines.stop_postgres("kill")
        self._engines.start_postgres()

    def end_connections(self, _: Random) -> None:
        """End every connection of the servers in the middle of its statements."""
        self._hold(
            "select pg_terminate_backend(pid), %s::float8 from pg_stat_activity"
            " where application_name = 'orchestration'"
        )

    def stall_writers(self, _: Random) -> None:
        """Lock the table for a while in another session, which has a transaction id."""
        self._hold(
            "lock table tasks in share row exclusive mode", "select pg_current_xact_id(), pg_sleep(%s)"
        )

    def forget_cache(self, _: Random) -> None:
        """Empty Redis."""
        with self._redis() as client:
            client.flushall()

    def pause_cache(self, _: Random) -> None:
        """Let Redis answer nobody for a while."""
        with self._redis() as client:
            client.client_pause(int(HELD_SECONDS * 1000))

    def _redis(self) -> redis.Redis:
        assert self._redis_url
        return redis.Redis.from_url(self._redis_url)

    def _hold(self, *statements: str) -> None:
        with suppress(psycopg.OperationalError), psycopg.connect(self._database_url) as conn:
            for statement in statements:
                conn.execute(statement.encode(), (HELD_SECONDS,) if "%s" in statement else None)
