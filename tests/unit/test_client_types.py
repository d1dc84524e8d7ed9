"""The types of the client in an environment that has only the client and its dependencies."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CLIENT = Path(__file__).parents[2] / "clients" / "python" / "orchestration"
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


def required(name: str, found: dict[str, Distribution]) -> None:
    """Add a distribution and its requirements without extras."""
    if name in found:
        return
    found[name] = distribution(name)
    for line in found[name].requires or ():
        if "extra ==" not in line:
            required(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower(), found)


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


def test_no_call_of_the_client_is_any(python: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--python-executable", str(python)]
    told = subprocess.run(
        [*mypy, "--cache-dir", str(tmp_path / "cache"), str(program)],
        capture_output=True, text=True, cwd=tmp_path, timeout=110, check=False,
    ).stdout  # fmt: skip
    revealed = re.findall(r'Revealed type is "([^"]+)"', told)
    assert revealed == ["orchestration.v1.task_pb2.GetTaskResponse", "str", "datetime.datetime"], told
    assert "[arg-type]" in told
