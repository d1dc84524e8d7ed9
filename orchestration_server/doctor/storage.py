"""Checks of tables, indexes and statements."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestration_server.doctor.findings import Finding, Installation, failed, format_size, ok, warning
from orchestration_server.store import diagnosis

FROZEN_AGE = 1_000_000_000
"""Half of the about two billion transactions after which Postgres refuses writes."""
DEAD_LEAST, DEAD_SHARE = 10_000, 0.2
VISIBLE_PAGES, VISIBLE_SHARE = 1_000, 0.5
LARGEST = 5
STATEMENTS, LETTERS = 5, 60
_PARTS = re.compile(r"\b(?:insert into|update|delete from|from|join) [a-z_]+\b(?!\()")
_NO_TABLES = frozenset(("of", "set", "skip", "lateral", "only"))
_WRITES = ("insert", "update", "delete")
SLOW_MILLISECONDS = 1_000.0


def autovacuum(installation: Installation) -> Iterator[Finding]:
    """Check that autovacuum is on for every table and keeps up."""
    about = diagnosis.postgres_facts(installation.conn)
    left_alone = diagnosis.autovacuum_off(installation.conn)
    if not about.autovacuum:
        yield failed(
            "autovacuum or track_counts is off: tables grow for ever",
            installation.as_superuser("alter system set autovacuum = on", "select pg_reload_conf()"),
        )
    for table in left_alone:
        fix = installation.psql_command(f"alter table {table} reset (autovacuum_enabled)")
        yield warning(f"autovacuum is off for {table}", fix)
    if about.frozen_age > FROZEN_AGE:
        yield failed(
            f"the oldest row is {about.frozen_age:,} transactions old and not frozen; near 2,000,000,000"
            " Postgres refuses writes",
            f"vacuumdb --freeze {about.database}",
        )
    if about.autovacuum and not left_alone and about.frozen_age <= FROZEN_AGE:
        yield ok("on, for every table")


def indexes(installation: Installation) -> Iterator[Finding]:
    """Check that each index is valid."""
    found = diagnosis.invalid_indexes(installation.conn)
    for index in found:
        yield warning(f"{index} is not valid: it costs writes and serves no query",
                      installation.psql_command(f"reindex index concurrently {index}"))  # fmt: skip
    if not found:
        yield ok("all are valid")


def visibility(installation: Installation) -> Iterator[Finding]:
    """Check that pages are marked visible to all, so that statistics need only read an index."""
    found = diagnosis.not_visible(installation.conn, pages=VISIBLE_PAGES, share=VISIBLE_SHARE)
    for name, pages, visible in found:
        yield warning(
            f"{visible:,} of the {pages:,} pages of {name} are marked visible: statistics read the rows",
            installation.psql_command(f"vacuum (analyze) {name}"),
        )
    if not found:
        yield ok("event partitions are vacuumed")


def dead_rows(installation: Installation) -> Iterator[Finding]:
    """Check that no table has many dead rows."""
    found = diagnosis.dead_rows(installation.conn, least=DEAD_LEAST, share=DEAD_SHARE)
    for name, live, dead in found:
        yield warning(f"{name} has {dead:,} dead rows beside {live:,} live ones",
                      installation.psql_command(f"vacuum (analyze) {name}"))  # fmt: skip
    if not found:
        yield ok(f"no table has more than {DEAD_LEAST:,} and {DEAD_SHARE:.0%}")


def sizes(installation: Installation) -> Iterator[Finding]:
    """Report the size of the database and its largest tables."""
    total, largest = diagnosis.sizes(installation.conn, limit=LARGEST)
    yield ok(f"{format_size(total)} in all: {', '.join(largest)}")


def statements(installation: Installation) -> Iterator[Finding]:
    """Report the slowest statements in pg_stat_statements, without the values of any call."""
    found = diagnosis.slowest(installation.conn, limit=STATEMENTS)
    if found is None:
        # The server writes the configuration of the built-in Postgres, so there is no fix for it.
        fix = (
            ""
            if installation.built_in
            else (
                "shared_preload_libraries = 'pg_stat_statements' in postgresql.conf, restart Postgres, then "
                + installation.as_superuser("create extension pg_stat_statements")
            )
        )
        yield ok("pg_stat_statements, which lists the slowest statements, is not installed", fix)
        return
    for statement in found:
        text = (
            f"{statement.mean:,.1f} ms at the mean of {statement.calls:,} calls:"
            f" {statement_summary(statement.text)} (queryid {statement.queryid})"
        )
        if statement.mean > SLOW_MILLISECONDS:
            yield warning(text, "docs/operating.md, When it is slow")
        else:
            yield ok(text)
    if not found:
        yield ok("pg_stat_statements is installed and has no statement of the ledger yet")


def statement_summary(text: str) -> str:
    """Return the tables that a statement changes, else those it reads. Many statements begin alike."""
    common = frozenset(re.findall(r"\b(\w+) as (?:not )?(?:materialized )?\(", text))
    parts = dict.fromkeys(
        part for part in _PARTS.findall(text) if part.split()[-1] not in common | _NO_TABLES
    )
    writes = [part for part in parts if part.startswith(_WRITES)]
    reads = [
        part for part in parts if not part.startswith(_WRITES) and not part.split()[-1].startswith("pg_")
    ]
    return ", ".join(writes or reads) or text[:LETTERS]
