"""What a first-time operator gets wrong, and the fix: the checks of `orchestration doctor`, in one table."""

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
    engines,
    explaining,
    horizon,
    machine,
    storage,
    upkeep,
)
from orchestration_server.doctor.findings import Check, Finding, Level, Subject, warning
from orchestration_server.errors import UnfitDatabase
from orchestration_server.store import diagnosis

__all__ = ["Finding", "Level", "examine"]

HERE: Mapping[str, Check] = {
    "python": machine.python,
    "open files": machine.open_files,
    "address": address.usable,
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
"""About this machine and the cache; nothing of it needs the database."""
DATABASE: Mapping[str, Check] = {
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
"""About any Postgres."""
LEDGER: Mapping[str, Check] = {
    "keys": address.keys,
    "partitions": upkeep.partitions,
    "indexes": storage.indexes,
    "requests": upkeep.requests,
    "held changes": upkeep.held,
    "file outbox": upkeep.outbox,
    "shared workspace": upkeep.shared_workspace,
    "visibility": storage.visibility,
    "dead rows": storage.dead_rows,
    "sizes": storage.sizes,
    "statements": storage.statements,
}
"""About a database that holds a ledger of this release."""


def examine(load: Callable[[], Settings], *, file: Path | None = None) -> Iterator[tuple[str, Finding]]:
    """Yields what each check found, by the check's name. ``file`` is the one given for the settings.

    What cannot be looked at, because what it stands on is not there, is left out: without valid settings all
    but those, without a connection all of the database.
    """
    for finding in configuration.variables():
        yield "configuration", finding
    try:
        settings = load()
    except ConfigurationError as error:
        yield "configuration", configuration.refused(error)
        return
    yield "configuration", configuration.taken(file)
    subject = engines.subject(settings)
    yield from _run(HERE, subject)
    if not subject.database_url:
        return
    try:
        conn = diagnosis.connect(subject.database_url)
    except (psycopg.Error, UnfitDatabase) as error:
        yield "postgres", explaining.explained(subject, error)
        return
    with conn:
        subject = replace(subject, connection=conn)
        yield "postgres", database.reached(subject)
        yield from _run(DATABASE, subject)
        if upkeep.is_ledger(subject):
            yield from _run(LEDGER, subject)


def _run(checks: Mapping[str, Check], subject: Subject) -> Iterator[tuple[str, Finding]]:
    for name, check in checks.items():
        try:
            found = list(subject.transaction(check))
        except psycopg.Error as error:
            found = [warning(f"could not be looked at: {explaining.first_line(error)}")]
        for finding in found:
            yield name, finding
