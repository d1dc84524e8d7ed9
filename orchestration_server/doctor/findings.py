"""What a check looks at, and what it says."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from orchestration_server.config.settings import Settings
from orchestration_server.store import diagnosis

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


class Level(StrEnum):
    """How bad it is. A ledger runs with warnings, and does not, or not safely, with what has failed."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. ``fix`` is a command where there is one, else what to do; or empty."""

    level: Level
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Installation:
    """What is examined: the settings, and the engines that they lead to.

    ``database_url`` is empty where there is no database to look at: a built-in one that does not run.
    """

    settings: Settings
    database_url: str
    redis_url: str
    built_in: bool = False
    connection: diagnosis.Connection | None = field(default=None, repr=False)

    @property
    def conn(self) -> diagnosis.Connection:
        """The connection, for the checks of the database."""
        assert self.connection is not None
        return self.connection

    def transaction(self, check: Check) -> list[Finding]:
        """Runs a check; where there is a connection, in a transaction that only reads."""
        if self.connection is None:
            return list(check(self))
        with self.connection.transaction():
            diagnosis.begin(self.connection)
            return list(check(self))

    def psql_command(self, statement: str) -> str:
        """A statement as a command. It names no password: those are in the environment or in a file."""
        url = f"'{self.database_url}'" if self.built_in else '"$DATABASE_URL"'
        return f'psql {url} -c "{statement}"'

    def as_superuser(self, *statements: str, note: str = "") -> str:
        """The same for what the ledger's own role may not do: neither its name nor its password is in it."""
        if self.built_in:
            # Its role is one.
            place = f"'{self.database_url}'"
        else:
            info = self.conn.info
            place = f"-h {shlex.quote(info.host)} -p {info.port} -d {shlex.quote(info.dbname)}"
            note = f"as a superuser; {note}" if note else "as a superuser"
        commands = "".join(f' -c "{statement}"' for statement in statements)
        return f"psql {place}{commands}" + (f"    # {note}" if note else "")


Check = Callable[[Installation], Iterable[Finding]]


def ok(text: str, fix: str = "") -> Finding:
    """All is well; ``fix`` may say what would be better still."""
    return Finding(Level.OK, text, fix)


def warning(text: str, fix: str = "") -> Finding:
    """It runs so, but will not for ever, or not as well as it could."""
    return Finding(Level.WARNING, text, fix)


def failed(text: str, fix: str = "") -> Finding:
    """It does not run so, or not safely."""
    return Finding(Level.FAILED, text, fix)


def format_duration(seconds: float) -> str:
    """A length of time for people, in its largest unit."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def format_size(count: float) -> str:
    """Bytes for people."""
    for unit, name in ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:.0f} bytes"
