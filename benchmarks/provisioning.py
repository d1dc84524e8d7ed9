"""Databases and keys of their own, for scenarios that close the ledger to strangers."""

from __future__ import annotations  # grpc's classes take type arguments in its stubs alone

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psycopg

from benchmarks import ghz
from benchmarks.processes import environment
from benchmarks.target import CHANNEL_OPTIONS, RunningServer

PER_MINUTE = 10_000_000
"""So many that the rate of a key is not what is measured."""


@contextmanager
def temporary_database(started: RunningServer, name: str) -> Iterator[str]:
    """A database beside that of the server under test; gone at the end."""
    with psycopg.connect(started.database_url, autocommit=True) as conn:
        conn.execute(f"drop database if exists {name} with (force)".encode())
        conn.execute(f"create database {name}".encode())
        try:
            yield re.sub(r"^(\w+://[^/]*/)[^?]*", rf"\g<1>{name}", started.database_url)
        finally:
            conn.execute(f"drop database {name} with (force)".encode())


def make_key(database_url: str, project: str) -> str:
    """A key of a project, as an operator makes it."""
    command = [sys.executable, "-m", "orchestration_server", "keys", "create", project]
    command += ["--project", project, "--per-minute", str(PER_MINUTE)]
    command += ["--events-per-minute", str(PER_MINUTE)]
    overrides = {"DATABASE_URL": database_url}
    ended = subprocess.run(
        command, env=environment() | overrides, capture_output=True, text=True, check=True, timeout=60
    )
    return ended.stdout.strip()


Details = Any
"""grpc's details of a call; its stubs do not say that they are a named tuple."""


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
    """A channel whose calls carry a key."""
    return grpc.intercept_channel(grpc.insecure_channel(address, CHANNEL_OPTIONS), _WithKey(key))


def merged_latencies(outcomes: Sequence[ghz.GhzResult]) -> list[float]:
    """The latencies of several runs, sorted."""
    return sorted(latency for outcome in outcomes for latency in outcome.latencies)


def peak_mb(pid: int) -> float:
    """The most memory that a process has held since `forget_peak`, in megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has ended")


def reset_peak(pid: int) -> None:
    """Begin anew to look for the most memory that a process holds."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
