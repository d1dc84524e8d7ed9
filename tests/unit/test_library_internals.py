"""The private parts of libraries that the server uses. Each failure names the part that changed.

A release that changes one of them need not break anything else at once: read what the message names, change
the module that uses the part, and then the line here.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2.meta
import jinja2.runtime
import psycopg
import psycopg.adapt
import psycopg_pool
import psycopg_pool.base
import psycopg_pool.pool
import pytest
from grpc import _common, _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # written in C

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "orchestration_server"
PINNED = {
    "grpcio": "rpc/pending_call.py and rpc/stream_writer.py",
    "jinja2": "templates/sandbox.py",
    "psycopg": "db/connection.py",
    "psycopg-pool": "db/pool.py",
}
"""The libraries whose private parts are used, and where."""
PRIVATE_IMPORTS = {
    "rpc/pending_call.py": {"grpc._common", "grpc._cython", "grpc._server"},
    "rpc/stream_writer.py": {"grpc._cython", "grpc._server"},
}
PRIVATE_ATTRIBUTES = {
    "db/pool.py": {"_get_ready_connection"},
    "rpc/pending_call.py": {"_state"},
    "rpc/stream_writer.py": {"_rpc_event", "_state"},
}
OTHERS_UNDERSCORES = {"_asdict", "_exit", "_replace"}
"""Names that begin with an underscore and are public."""

CALLED: list[tuple[str, Callable[..., Any], str]] = [
    ("rpc/pending_call.py", _common.decode, "b"),
    ("rpc/pending_call.py", _common.deserialize, "serialized_message deserializer"),
    ("rpc/pending_call.py", _server._abort, "state call code details"),
    ("rpc/pending_call.py", _server._Context.__init__, "self rpc_event state request_deserializer"),
    ("rpc/pending_call.py", _server._is_rpc_state_active, "state"),
    ("rpc/pending_call.py", _server._possibly_finish_call, "state token"),
    ("rpc/pending_call.py", _server._status, "rpc_event state serialized_response"),
    ("rpc/stream_writer.py", _server._get_initial_metadata_operation, "state metadata"),
    ("db/pool.py", psycopg_pool.ConnectionPool._get_ready_connection, "self timeout"),
    ("db/pool.py", psycopg_pool.ConnectionPool.run_task, "self task"),
    ("db/pool.py", psycopg_pool.pool.AddConnection.__init__, "self pool attempt growing"),
    ("db/connection.py", psycopg.errors.error_from_result, "result encoding"),
    ("templates/sandbox.py", jinja2.runtime.Context.__init__, "self environment parent name blocks globals"),
    ("templates/sandbox.py", jinja2.meta.TrackingCodeGenerator.__init__, "self environment"),
]  # fmt: skip
"""Private functions that are called, with the names of their parameters."""
FOLLOWED: list[tuple[str, Callable[..., Any], str]] = [
    ("rpc/stream_writer.py", _server._send_response, "4e6abb7ec8c9"),
    ("rpc/stream_writer.py", _server._send_message, "b7b6576bc8ea"),
    ("rpc/pending_call.py", _server._unary_request, "35060817d7dd"),
    ("rpc/pending_call.py", _server._receive_message, "1aad7990f9d7"),
    ("rpc/pending_call.py", _server._unary_response_in_pool, "d2ee206deb46"),
    ("rpc/pending_call.py", _server._stream_response_in_pool, "0972d594694f"),
    ("rpc/pending_call.py", _server._handle_unary_unary, "5ebc57938878"),
    ("rpc/pending_call.py", _server._handle_unary_stream, "8d3e34eebcc5"),
    ("rpc/executor.py", _server._process_event_and_continue, "f784ec5c3a60"),
    ("rpc/server.py and rpc/health.py", _server._select_thread_pool_for_behavior, "99f0328ae444"),
    ("db/pool.py", psycopg_pool.ConnectionPool._getconn_unchecked, "5cddc70ef115"),
    ("db/pool.py", psycopg_pool.ConnectionPool._get_ready_connection, "99b699260c88"),
    ("db/pool.py", psycopg_pool.pool.AddConnection._run, "ec133cfa6a5e"),
]
"""Private functions whose work a module does in another way, or counts on, with a hash of their source."""


def test_the_libraries_are_pinned_exactly_and_are_those_that_are_installed() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for library, user in PINNED.items():
        found = [re.fullmatch(rf"{library}(\[\w+\])?==(.+)", one) for one in declared]
        pins = [match[2] for match in found if match is not None]
        assert pins == [version(library)], (
            f"{user} uses private parts of {library}: pin it in pyproject.toml with =={version(library)}"
        )


@pytest.mark.parametrize(("user", "function", "parameters"), CALLED, ids=lambda value: _label(value))
def test_a_private_function_takes_what_it_is_called_with(
    user: str, function: Callable[..., Any], parameters: str
) -> None:
    found = " ".join(inspect.signature(function).parameters)
    assert found == parameters, (
        f"{_label(function)} takes ({found}) and not ({parameters}): change its call in {user}"
    )


@pytest.mark.parametrize(("user", "function", "digest"), FOLLOWED, ids=lambda value: _label(value))
def test_a_private_function_is_the_one_that_was_read(
    user: str, function: Callable[..., Any], digest: str
) -> None:
    found = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]
    assert found == digest, (
        f"the source of {_label(function)} changed: read it, compare it with {user}, and write {found} here"
    )


@pytest.mark.parametrize(
    ("user", "owner", "names"),
    [
        ("rpc/pending_call.py", _common, "STATUS_CODE_TO_CYGRPC_STATUS_CODE"),
        ("rpc/pending_call.py", _server, "_CLOSED _OPEN _RECEIVE_MESSAGE_TOKEN"),
        ("rpc/pending_call.py", cygrpc, "ReceiveMessageOperation StatusCode"),
        ("rpc/stream_writer.py", cygrpc, "SendMessageOperation"),
        (
            "rpc/stream_writer.py",
            _server,
            "_SEND_INITIAL_METADATA_AND_SEND_MESSAGE_TOKEN _SEND_MESSAGE_TOKEN",
        ),
        ("tests/conftest.py", psycopg_pool.base, "random"),
        ("db/connection.py", psycopg.adapt.Transformer, "set_pgresult load_row load_rows"),
    ],
    ids=lambda value: _label(value),
)
def test_a_private_name_is_there(user: str, owner: Any, names: str) -> None:
    missing = [name for name in names.split() if not hasattr(owner, name)]
    assert not missing, f"{_label(owner)} has no {missing}, which {user} uses: read what took their place"


def test_the_state_of_a_call_has_the_fields_that_are_read() -> None:
    state: Any = _server._RPCState()  # type: ignore[no-untyped-call]  # grpcio's
    names = "aborted client condition due initial_metadata_allowed trailing_metadata"
    missing = [name for name in names.split() if not hasattr(state, name)]
    assert not missing, (
        f"grpc._server._RPCState has no {missing}: compare it with pending_call.py and stream_writer.py"
    )
    context: Any = _server._Context("event", state, None)
    found = (vars(context).get("_rpc_event"), vars(context).get("_state"))
    assert found == ("event", state), (
        "grpc._server._Context keeps its call in other fields: read its __init__"
    )


def test_a_pool_has_the_fields_that_are_read() -> None:
    pool: Any = psycopg_pool.ConnectionPool("", open=False, min_size=0, max_size=1)
    names = "_lock _min_size _nconns _pool"
    missing = [name for name in names.split() if not hasattr(pool, name)]
    assert not missing, f"psycopg_pool.ConnectionPool has no {missing}: compare it with db/pool.py"


@pytest.mark.slow
def test_no_other_module_uses_private_parts() -> None:
    imports: dict[str, set[str]] = {}
    attributes: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            for module in _private_imports(node):
                imports.setdefault(name, set()).add(module)
            if (attribute := _private_attribute(node)) is not None:
                attributes.setdefault(name, set()).add(attribute)
    hint = "pin the library, add what is used to the lists of this file, and give the reason in decision 0015"
    assert imports == PRIVATE_IMPORTS, hint
    assert attributes == PRIVATE_ATTRIBUTES, hint


def _private_imports(node: ast.AST) -> Iterator[str]:
    """Yield the modules of which something private is imported."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if _is_private(alias.name):
                yield alias.name
    elif isinstance(node, ast.ImportFrom) and node.module and node.module != "__future__":
        private = any(one.name.startswith("_") and not one.name.startswith("__") for one in node.names)
        if private or _is_private(node.module):
            yield node.module


def _is_private(module: str) -> bool:
    return any(part.startswith("_") for part in module.split("."))


def _private_attribute(node: ast.AST) -> str | None:
    """Return the name of a private attribute of another object than ``self`` and ``cls``."""
    if not isinstance(node, ast.Attribute) or not node.attr.startswith("_") or node.attr.startswith("__"):
        return None
    if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "other"):
        return None
    return None if node.attr in OTHERS_UNDERSCORES else node.attr


def _label(value: object) -> str:
    if isinstance(value, str):
        return value if "/" in value else ""
    if isinstance(value, ModuleType):
        return value.__name__
    owner = getattr(value, "__module__", "")
    return f"{owner}.{getattr(value, '__qualname__', value)}"
