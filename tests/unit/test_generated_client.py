"""The client for threads is the one that its source for asyncio gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CLIENT = Path(__file__).parents[2] / "clients" / "python"


def test_the_sync_client_is_generated_from_the_async_one(tmp_path: Path) -> None:
    check = [sys.executable, str(CLIENT / "generate_sync.py"), "--check"]
    told = subprocess.run(check, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


def test_no_module_of_one_kind_uses_the_other() -> None:
    for directory, foreign in (("_sync", ("_async", "asyncio", "await ", "Async")), ("_async", ("_sync.",))):
        modules = list((CLIENT / "orchestration" / directory).glob("*.py"))
        assert len(modules) > 10
        for module in modules:
            code = module.read_text().partition('"""\n\n')[2]
            assert not [word for word in foreign if word in code], module
