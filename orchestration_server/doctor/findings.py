"""The installation that checks examine, and the findings that they return."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from orchestration_server.config.settings import Settings
from orchestration_server.store import diagnosis

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


class Level(StrEnum):
    """The severity of a finding. A ledger runs with warnings. After a failed check it does not run safely."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding of a check. ``fix`` is a command if possible, else a text; it may be empty."""

    level: Level
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Installation:
    """An installation to examine: the settings, and the database and cache that they name.

    ``database_url`` is empty if there is no database to examine, because the built-in one does not run.
    """

    settings: Settings
    database_url: str
    redis_url: str
    built_in: bool = False
    connection: diagnosis.Connection | None = field(default=None, repr=False)

    @property
    def conn(self) -> diagnosis.Connection:
        """The connection. Only checks of the database may use it."""
        assert self.connection is not None
        return self.connection

    def transaction(self, check: Check) -> list[Finding]:
        """Run a check, in a read-only transaction if there is a connection."""
        if self.connection is None:
            return list(check(self))
        with self.connection.transaction():
            diagnosis.begin(self.connection)
            return list(check(self))

    def psql_command(self, statement: str) -> str:
        """Return a command that runs a statement. The password stays in the environment or in a file."""
        url = f"'{self.database_url}'" if self.built_in else '"$DATABASE_URL"'
        return f'psql {url} -c "{statement}"'

    def as_superuser(self, *statements: str, note: str = "") -> str:
        """Return a command that runs statements as a superuser, without the ledger's own role or password."""
        if self.built_in:
            # The role of the built-in database is a superuser.
            place = f"'{self.database_url}'"
        else:
            info = self.conn.info
            place = f"-h {shlex.quote(info.host)} -p {info.port} -d {shlex.quote(info.dbname)}"
            note = f"as a superuser; {note}" if note else "as a superuser"
        commands = "".join(f' -c "{statement}"' for statement in statements)
        return f"psql {place}{commands}" + (f"    # {note}" if note else "")


Check = Callable[[Installation], Iterable[Finding]]


def ok(text: str, fix: str = "") -> Finding:
    """Return a finding that all is well. ``fix`` may name an improvement."""
    return Finding(Level.OK, text, fix)


def warning(text: str, fix: str = "") -> Finding:
    """Return a finding of a fault with which a ledger runs, but not for ever or not well."""
    return Finding(Level.WARNING, text, fix)


def failed(text: str, fix: str = "") -> Finding:
    """Return a finding of a fault with which a ledger does not run, or not safely."""
    return Finding(Level.FAILED, text, fix)


def format_duration(seconds: float) -> str:
    """Return a duration in its largest unit."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def format_size(count: float) -> str:
    """Return a number of bytes in its largest unit."""
    for unit, name in ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:.0f} bytes"
