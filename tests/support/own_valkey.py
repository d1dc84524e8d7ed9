"""A Valkey that a test can stop, pause and start again, and the ways in which it is away."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from orchestration_server.embedded.engines import EmbeddedEngines


class Valkey:
    """A Redis that a test can stop, pause and start again."""

    def __init__(self, engines: EmbeddedEngines) -> None:
        self._engines = engines
        url = engines.start().redis_url
        assert url is not None
        self.url = url
        self._paused = False

    def _signal(self, number: signal.Signals) -> None:
        assert self._engines.valkey_pid is not None
        os.kill(self._engines.valkey_pid, number)

    def stop(self) -> None:
        self._signal(signal.SIGKILL)
        assert self._engines._valkey is not None
        self._engines._valkey.join()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)
        self._paused = True

    def go_on(self) -> None:
        if self._paused:
            self._signal(signal.SIGCONT)
            self._paused = False

    def restart(self) -> None:
        self.stop()
        assert self._engines._start_valkey() == self.url

    def pause_and_go_on(self) -> None:
        self.pause()
        self.go_on()

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def drop_listeners(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    engines = EmbeddedEngines(tmp_path / "valkey", postgres=False)
    try:
        found = Valkey(engines)
        yield found
        found.go_on()
    finally:
        engines.stop()


def _never_there(valkey: Valkey) -> str:
    return "unix:///nowhere/valkey.sock"


def _stopped(valkey: Valkey) -> str:
    valkey.stop()
    return ""


def _paused(valkey: Valkey) -> str:
    valkey.pause()
    return ""


AWAY = [_never_there, _stopped, _paused]
