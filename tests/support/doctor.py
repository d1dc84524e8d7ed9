"""Checks of `orchestration doctor` on the database of a test, and a connection beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from orchestration_server.config.settings import Settings
from orchestration_server.doctor.findings import Check, Finding, Installation, Level
from orchestration_server.store import diagnosis

Look = Callable[..., list[Finding]]
Plain = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def look(database_url: str) -> Iterator[Look]:
    """Yield a function that runs a check on a database of this test."""
    with looking(database_url) as run:
        yield run


@contextmanager
def looking(url: str) -> Iterator[Look]:
    with diagnosis.connect(url) as conn:
        installation = Installation(Settings(database_url=url), url, "", connection=conn)

        def run(check: Check, settings: Settings | None = None) -> list[Finding]:
            return replace(installation, settings=settings or installation.settings).transaction(check)

        yield run


@pytest.fixture
def own(database_url: str) -> Iterator[Plain]:
    """Yield a connection for the test itself."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        yield conn


def levels(found: list[Finding]) -> list[Level]:
    return [one.level for one in found]
