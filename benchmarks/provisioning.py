"""Temporary databases, and keys and channels with a key, for scenarios on a ledger that needs keys."""

from __future__ import annotations  # grpc's classes take type arguments in its stubs alone

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import psycopg

from benchmarks.processes import environment
from benchmarks.target import CHANNEL_OPTIONS, RunningServer

PER_MINUTE = 10_000_000
"""A rate so high that it does not limit the measurement."""


@contextmanager
def temporary_database(started: RunningServer, name: str) -> Iterator[str]:
    """Create a database beside that of the server under test, and drop it at the end of the block."""
    with psycopg.connect(started.database_url, autocommit=True) as conn:
        conn.execute(f"drop database if exists {name} with (force)".encode())
        conn.execute(f"create database {name}".encode())
        try:
            yield re.sub(r"^(\w+://[^/]*/)[^?]*", rf"\g<1>{name}", started.database_url)
        finally:
            conn.execute(f"drop database {name} with (force)".encode())


def make_key(database_url: str, project: str) -> str:
    """Create a key of a project with the command, and return it."""
    command = [sys.executable, "-m", "orchestration_server", "keys", "create", project]
    command += ["--project", project, "--per-minute", str(PER_MINUTE)]
    command += ["--events-per-minute", str(PER_MINUTE)]
    overrides = {"DATABASE_URL": database_url}
    ended = subprocess.run(
        command, env=environment() | overrides, capture_output=True, text=True, check=True, timeout=60
    )
    return ended.stdout.strip()


Details = Any
"""The details of a call, which grpc's stubs do not declare as a named tuple."""


class _WithKey(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    def __init__(self, key: str) -> None:
        self._key = ("authorization", f"Bearer {key}")

    def intercept_unary_unary(self, continuation: Any, client_call_details: Details, request: Any) -> Any:
        return continuation(self._with(client_call_details), request)

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: Details, request_iterator: Any
    ) -> Any:
        return continuation(self._with(client_call_details), request_iterator)

    def _with(self, details: Details) -> Details:
        return details._replace(metadata=(*(details.metadata or ()), self._key))


def channel(address: str, key: str) -> grpc.Channel:
    """Return a channel whose calls carry a key."""
    return grpc.intercept_channel(grpc.insecure_channel(address, CHANNEL_OPTIONS), _WithKey(key))
