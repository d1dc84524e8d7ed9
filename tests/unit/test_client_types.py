"""The types of the client in an environment that has only the client and its dependencies."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.slow

CLIENT = Path(__file__).parents[2] / "clients" / "python" / "orchestration"
AGENT = CLIENT.parent / "examples" / "agent.py"
PROGRAM = """
from orchestration import Client
from orchestration.v1 import task_pb2

client = Client("localhost:1")
response = client.tasks.GetTask(task_pb2.GetTaskRequest(task_code="T"))
reveal_type(response)
reveal_type(response.task.title)
reveal_type(response.task.create_time.ToDatetime())
client.tasks.GetTask(task_pb2.ListTasksRequest())
"""


LEDGER = """
from orchestration import AsyncLedger, Ledger

ledger = Ledger("localhost:1")
task = ledger.create_task("T", "Title", priority="P1")
reveal_type(task.status)
reveal_type(task.due)
reveal_type(ledger.sprint("S", title="Sprint").start().goal)
reveal_type([work.prompt() for work in ledger.claims()])
ledger.create_task("T", "Title", priority="P9")


async def main() -> None:
    async with AsyncLedger() as ledger:
        reveal_type([task.code async for task in ledger.tasks()])
        reveal_type((await ledger.why("T")).reasons[0].until)
"""


def required(name: str, found: dict[str, Distribution]) -> None:
    """Add a distribution and its requirements without extras."""
    if name in found:
        return
    found[name] = distribution(name)
    for line in found[name].requires or ():
        needed = Requirement(line)
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            required(needed.name, found)


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Return an environment with the client and its dependencies, linked from this one."""
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    found: dict[str, Distribution] = {}
    required("orchestration-client", found)
    for name, each in found.items():
        tops = {Path(file).parts[0] for file in each.files or () if ".." not in Path(file).parts}
        for top in tops if name != "orchestration-client" else ():
            source = Path(str(each.locate_file(top)))
            target = packages / top
            if source.is_dir() and not target.exists():
                target.symlink_to(source)
    # Several distributions have parts of the package google, so all of it is linked.
    (packages / "orchestration").symlink_to(CLIENT)
    return tmp_path / "env" / "bin" / "python"


def check(program: Path, python: Path) -> str:
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--python-executable", str(python)]
    return subprocess.run(
        [*mypy, "--cache-dir", str(program.parent / "cache"), str(program)],
        capture_output=True, text=True, cwd=program.parent, timeout=110, check=False,
    ).stdout  # fmt: skip


def pyright(program: Path, python: Path) -> str:
    """Check strictly by pyright, which brings a runtime of 280 MB and is no package for development."""
    found = shutil.which("pyright") or shutil.which("basedpyright")
    if found is None:
        pytest.skip("pyright is not installed")
    config = program.with_name("pyrightconfig.json")
    config.write_text(json.dumps({"include": [program.name], "typeCheckingMode": "strict"}))
    return subprocess.run(
        [found, "--project", str(config), "--pythonpath", str(python)],
        capture_output=True, text=True, timeout=110, check=False,
    ).stdout  # fmt: skip


def test_no_call_of_the_client_is_any(python: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    told = check(program, python)
    revealed = re.findall(r'Revealed type is "([^"]+)"', told)
    assert revealed == ["orchestration.v1.task_pb2.GetTaskResponse", "str", "datetime.datetime"], told
    assert "[arg-type]" in told


def test_the_values_of_the_ledger_are_typed_and_its_words_checked(python: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(LEDGER)
    told = check(program, python)
    statuses = "Literal['pending'] | Literal['in_progress'] | Literal['blocked'] | Literal['completed']"
    assert re.findall(r'Revealed type is "([^"]+)"', told) == [
        f"{statuses} | Literal['cancelled']", "datetime.datetime | None", "str", "list[str]", "list[str]",
        "datetime.datetime | None",
    ], told  # fmt: skip
    assert "Found 1 error" in told
    assert "Literal['P9']" in told


def test_the_example_agent_is_clean_by_mypy(python: Path, tmp_path: Path) -> None:
    program = tmp_path / "agent.py"
    program.write_text(AGENT.read_text())
    assert "Success" in check(program, python)


def test_the_example_agent_is_clean_by_pyright(python: Path, tmp_path: Path) -> None:
    program = tmp_path / "agent.py"
    program.write_text(AGENT.read_text())
    assert "0 errors, 0 warnings" in pyright(program, python)
    program.write_text(AGENT.read_text().replace("work.done(answer", "work.done(1"))
    assert "1 error" in pyright(program, python)
