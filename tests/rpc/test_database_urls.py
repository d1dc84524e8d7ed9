"""Connections to the database: the parameters of its URL, and the databases that a ledger refuses."""

from __future__ import annotations

import ast
import secrets
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

import orchestration_server
from orchestration_server.app import migrate
from orchestration_server.db import connect
from orchestration_server.errors import UnfitDatabase

pytestmark = pytest.mark.connections(12)


@pytest.mark.parametrize("by_url", [True, False])
def test_a_service_gives_what_the_url_does_not(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_url: bool
) -> None:
    (tmp_path / "services").write_text("[ledger]\noptions=-c work_mem=7MB\nconnect_timeout=9\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    if by_url:
        database_url = make_conninfo(database_url, service="ledger")
    else:
        monkeypatch.setenv("PGSERVICE", "ledger")
    with connect.open_connection(database_url, application="test") as conn:
        found = conn.execute("select current_setting('work_mem'), current_setting('jit')").fetchone()
        assert found == ("7MB", "off")
        assert conn.info.get_parameters()["connect_timeout"] == "9"


def test_parameters_of_the_url_are_merged_with_the_ledgers(database_url: str) -> None:
    url = make_conninfo(
        database_url,
        options="-c work_mem=7MB -c default_transaction_isolation=serializable -c statement_timeout=7",
        connect_timeout=9,
        keepalives_idle=11,
        application_name="somebody",
        client_encoding="LATIN1",
        target_session_attrs="any",
    )
    with connect.open_connection(url, application="test", statement_seconds=12) as conn:
        found = conn.execute(
            "select current_setting('work_mem'), current_setting('transaction_isolation'),"
            " current_setting('statement_timeout'), current_setting('client_encoding')"
        ).fetchone()
        assert found == ("7MB", "read committed", "12s", "UTF8")
        parameters = conn.info.get_parameters()
        assert (parameters["connect_timeout"], parameters["keepalives_idle"]) == ("9", "11")
        assert (parameters["target_session_attrs"], parameters["application_name"]) == ("primary", "test")
        assert parameters["tcp_user_timeout"] == "10000"
    kept = connect.connection_parameters(make_conninfo(database_url, target_session_attrs="read-write"))
    assert kept["target_session_attrs"] == "read-write"


def test_a_second_ledger_is_not_made_in_front_of_the_first(database_url: str) -> None:
    """As a schema with the role's own name would come first in the usual search_path."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("create schema orchestration")
    with pytest.raises(UnfitDatabase, match="the ledger is in the schema public"):
        migrate(database_url)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_whose_encoding_cannot_work_is_refused(database_url: str, encoding: str) -> None:
    name = sql.Identifier(f"test_{secrets.token_hex(6)}")
    with psycopg.connect(database_url, autocommit=True) as conn:
        made = sql.SQL("create database {} encoding {} locale_provider libc locale 'C' template template0")
        conn.execute(made.format(name, sql.Literal(encoding)))
        try:
            with pytest.raises(UnfitDatabase, match=f"encoding is {encoding}.*createdb --encoding=UTF8"):
                migrate(make_conninfo(database_url, dbname=name.as_string().strip('"')))
        finally:
            conn.execute(sql.SQL("drop database {} with (force)").format(name))


def test_connections_are_opened_in_one_place() -> None:
    """Those of the pool aside, which are given the same parameters and the same check."""
    found = set()
    for path in Path(orchestration_server.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and node.attr == "connect"
                and isinstance(node.value, ast.Name)
            ):
                found.add((path.name, node.value.id))
    assert {one for one in found if one[1] in ("psycopg", "Connection", "kind")} == {("connect.py", "kind")}
