"""A pytest plugin that ages a collection: `-p tests.support.old_collection`.

While test modules are imported their clocks show a time ten minutes ago, as if the run had waited that long
between collection and test. A test that compares a time from its import with the present shows here.
"""

from __future__ import annotations

import datetime
import pkgutil
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

AGE = datetime.timedelta(minutes=10)
ELSEWHERE = ("benchmarks.peers_queues",)
"""Scripts that run in an environment of their own, so their packages are not here."""
_REAL = datetime.datetime
_time = time.time


class _Earlier(_REAL):
    """A datetime class whose `now` is ten minutes ago; it makes plain datetimes only."""

    def __new__(cls, *args: Any, **fields: Any) -> Any:
        return _REAL(*args, **fields)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _REAL.now(tz) - AGE


def _earlier_time() -> float:
    return _time() - AGE.total_seconds()


_REPLACED: dict[Any, Any] = {_Earlier: _REAL, _earlier_time: _time}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Let test modules, and no other, see the earlier time."""
    for package in ("orchestration", "orchestration_server", "benchmarks", "monitoring"):
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if "_pb2" not in module.name and not module.name.endswith(("__main__", *ELSEWHERE)):
                import_module(module.name)
    datetime.datetime, time.time = _Earlier, _earlier_time  # type: ignore[misc]
    try:
        return (yield)
    finally:
        datetime.datetime, time.time = _REAL, _time  # type: ignore[misc]
        for module_ in list(sys.modules.values()):
            for name, value in list(getattr(module_, "__dict__", {}).items()):
                if isinstance(value, type | type(_earlier_time)) and value in _REPLACED:
                    setattr(module_, name, _REPLACED[value])
