"""Commands with a role that may do too little: each says so in a line, none with a traceback."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from tests.support import commands
from tests.support.commands import COMMANDS


@pytest.fixture
def role(database_url: str) -> Iterator[str]:
    """A role that has no rights in the database."""
    name = f"role_{secrets.token_hex(6)}"
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
        yield name
        conn.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
        conn.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def run(url: str, role: str, *command: str) -> tuple[int, str]:
    return commands.run(*command, DATABASE_URL=psycopg.conninfo.make_conninfo(url, user=role))


def change(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(statement.encode())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_right_that_is_missing_is_said_in_a_line(
    database_url: str, role: str, command: tuple[str, ...]
) -> None:
    said(run(database_url, role, *command))
    change(database_url, f"grant create on schema public to {role}")
    said(run(database_url, role, *command))


@pytest.mark.parametrize("command", [("keys", "list"), ("migrate",)])
def test_a_role_that_may_use_no_schema_is_told_the_same(
    database_url: str, role: str, command: tuple[str, ...]
) -> None:
    change(database_url, "revoke usage on schema public from public")
    said(run(database_url, role, *command))


def said(answer: tuple[int, str]) -> None:
    code, text = answer
    assert code == 1
    (line,) = [one for one in text.splitlines() if "lacks rights" in one]
    assert line.endswith("run: orchestration doctor")
    assert "Traceback" not in text


def test_doctor_says_what_is_missing_and_comes_to_its_end(database_url: str, role: str) -> None:
    code, text = run(database_url, role, "doctor", "--address", "127.0.0.1:0")
    assert code == 1
    assert f"{role} may not create tables in the schema public" in text
    assert f"{role} does not own events" in text
    assert "failed, " in text.splitlines()[-1]
