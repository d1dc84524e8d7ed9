"""Each statement of the ledger has a name of its own in metrics, logs and traces."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import orchestration_server
from orchestration_server.db.connection import Connection

ROOT = Path(orchestration_server.__file__).parent
OWN = Connection.__name__


def statements() -> Iterator[tuple[str, ast.Call]]:
    """Each statement that a function runs on a connection of the ledger's pool, and where it stands."""
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text())
        if f"import {OWN}" not in path.read_text() and f", {OWN}" not in path.read_text():
            continue
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                given = {
                    a.arg for a in function.args.args if a.annotation and ast.unparse(a.annotation) == OWN
                }
                for call in ast.walk(function):
                    if (
                        isinstance(call, ast.Call)
                        and isinstance(call.func, ast.Attribute)
                        and call.func.attr == "execute"
                        and ast.unparse(call.func.value) in given
                    ):
                        yield f"{path.relative_to(ROOT)}:{call.lineno}", call


def test_every_statement_is_named() -> None:
    found = list(statements())
    assert len(found) > 100
    for place, call in found:
        names = [keyword.value for keyword in call.keywords if keyword.arg == "name"]
        assert names, f"{place}: give it name=, as tasks.get"
        [name] = names
        if isinstance(name, ast.Constant):
            assert isinstance(name.value, str)
            assert name.value.count(".") == 1, place
