"""The checks of `orchestration doctor` in one table: common mistakes of operators, each with its fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psycopg

from orchestration_server.config.settings import ConfigurationError, Settings
from orchestration_server.doctor import (
    address,
    cache,
    configuration,
    database,
    database_errors,
    engines,
    horizon,
    machine,
    storage,
    upkeep,
)
from orchestration_server.doctor.findings import Check, Finding, Installation, Level, warning
from orchestration_server.errors import UnfitDatabase
from orchestration_server.store import diagnosis

__all__ = ["Finding", "Level", "examine"]

MACHINE_CHECKS: Mapping[str, Check] = {
    "python": machine.python,
    "open files": machine.open_files,
    "address": address.listen_address,
    "port": address.port,
    "security": address.security,
    "rules": configuration.rules,
    "emission": configuration.emission,
    "alerts": configuration.alerts,
    "jwt": configuration.jwt,
    "traces": configuration.traces,
    "templates": configuration.templates,
    "tokenizer": configuration.tokenizer,
    "workspace": machine.workspace,
    "built-in engines": engines.built_in,
    "disk": machine.disk,
    "cache": cache.cache,
}
"""Checks of this machine and the cache, which need no database."""
DATABASE_CHECKS: Mapping[str, Check] = {
    "version": database.version,
    "encoding": database.encoding,
    "durability": database.durability,
    "role": database.role,
    "clock": database.clock,
    "connections": database.connections,
    "sessions": database.sessions,
    "schema": upkeep.schema,
    "horizon": horizon.horizon,
    "idle transactions": horizon.idle,
    "old views": horizon.old_views,
    "replication slots": horizon.slots,
    "autovacuum": storage.autovacuum,
}
"""Checks of any Postgres."""
LEDGER_CHECKS: Mapping[str, Check] = {
    "keys": address.keys,
    "partitions": upkeep.partitions,
    "indexes": storage.indexes,
    "requests": upkeep.requests,
    "pending changes": upkeep.pending_changes,
    "file outbox": upkeep.outbox,
    "shared workspace": upkeep.shared_workspace,
    "visibility": storage.visibility,
    "dead rows": storage.dead_rows,
    "sizes": storage.sizes,
    "statements": storage.statements,
}
"""Checks of a database with a ledger of this release."""


def examine(load: Callable[[], Settings], *, file: Path | None = None) -> Iterator[tuple[str, Finding]]:
    """Yield the findings of each check, with the check's name.

    Checks that cannot run are left out: all others if the settings are not valid, those of the database if
    there is no connection.

    Args:
        load: Returns the settings.
        file: The file of settings that the operator named.
    """
    for finding in configuration.unknown_names():
        yield "configuration", finding
    try:
        settings = load()
    except ConfigurationError as error:
        yield "configuration", configuration.invalid(error)
        return
    yield "configuration", configuration.valid(file)
    installation = engines.find_installation(settings)
    yield from _run(MACHINE_CHECKS, installation)
    if not installation.database_url:
        return
    try:
        conn = diagnosis.connect(installation.database_url)
    except (psycopg.Error, UnfitDatabase) as error:
        yield "postgres", database_errors.explain(installation, error)
        return
    with conn:
        installation = replace(installation, connection=conn)
        yield "postgres", database.connected(installation)
        yield from _run(DATABASE_CHECKS, installation)
        if upkeep.is_ledger(installation):
            yield from _run(LEDGER_CHECKS, installation)


def _run(checks: Mapping[str, Check], installation: Installation) -> Iterator[tuple[str, Finding]]:
    for name, check in checks.items():
        try:
            found = list(installation.transaction(check))
        except psycopg.Error as error:
            found = [warning(f"could not be checked: {database_errors.first_line(error)}")]
        for finding in found:
            yield name, finding
