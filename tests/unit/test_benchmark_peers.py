"""The comparison with other job queues: its locked packages, and the workers that it counts."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks import peers_workers
from benchmarks.peers_workers import Workers

ROOT = Path(__file__).parent.parent.parent
_ENDS = "import time; print(time.monotonic(), 3, flush=True)"
_RUNS = "import sys, time; print(time.monotonic(), 3, flush=True); sys.stdin.read()"
_FAILS = "import sys; sys.exit('no such queue')"


def test_the_lock_has_the_packages_of_the_dependency_group() -> None:
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["peers"]
    locked = (ROOT / "requirements" / "peers.txt").read_text()
    exact = [package.replace("[binary]", "") for package in group if "==" in package]
    assert len(exact) == len(group) - 1
    assert [package for package in exact if f"{package} \\\n    --hash=sha256:" not in locked] == []


@pytest.mark.slow
def test_a_process_that_ends_is_started_again_and_its_jobs_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_workers, "RESTART_SECONDS", 0.0)
    with Workers([sys.executable, "-c", _ENDS]) as workers:
        workers.wait_for_jobs(9)
        assert workers.restarts >= 2


@pytest.mark.slow
def test_a_process_that_runs_is_not_started_again() -> None:
    with Workers([sys.executable, "-c", _RUNS]) as workers:
        workers.wait_for_jobs(3)
        assert (workers.count, workers.restarts) == (3, 0)


@pytest.mark.slow
def test_workers_that_begin_no_job_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_workers, "JOBS_TIMEOUT", 0.2)
    with (
        Workers([sys.executable, "-c", _FAILS]) as workers,
        pytest.raises(RuntimeError, match="began 0 jobs"),
    ):
        workers.wait_for_jobs()


@pytest.mark.slow
def test_a_command_that_fails_is_an_error_with_its_text() -> None:
    with pytest.raises(RuntimeError, match="no such queue"):
        peers_workers.run([sys.executable, "-c", _FAILS])
