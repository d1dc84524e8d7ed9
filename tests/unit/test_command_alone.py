"""The command in an environment that has only the client, with its extra."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from tests.unit.test_client_types import CLIENT, required

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with the client, its dependencies and its extra, linked from this one."""
    directory = tmp_path_factory.mktemp("alone") / "env"
    venv.create(directory, with_pip=False, symlinks=True)
    (packages,) = (directory / "lib").glob("python*/site-packages")
    project = tomllib.loads((CLIENT.parent / "pyproject.toml").read_text())["project"]
    found: dict[str, Distribution] = {}
    for line in (*project["dependencies"], *project["optional-dependencies"]["cli"]):
        required(line.partition(">")[0], found)
    for each in found.values():
        tops = {Path(file).parts[0] for file in each.files or () if ".." not in Path(file).parts}
        for top in tops:
            source = Path(str(each.locate_file(top)))
            if source.exists() and not (packages / top).exists():
                (packages / top).symlink_to(source)
    (packages / "orchestration").symlink_to(CLIENT)
    return directory / "bin" / "python"


def run(python: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-I", "-m", "orchestration.cli", *words],
        capture_output=True, text=True, timeout=60, check=False, env={},
    )  # fmt: skip


def test_the_environment_has_nothing_of_the_server(python: Path) -> None:
    for name in ("orchestration_server", "psycopg", "structlog", "redis"):
        ended = subprocess.run([python, "-I", "-c", f"import {name}"], capture_output=True, check=False)
        assert ended.returncode == 1
    assert subprocess.run([sys.executable, "-c", "import structlog"], check=False).returncode == 0


def test_the_help_lists_the_commands_of_the_server_too(python: Path) -> None:
    ended = run(python, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "  serve  " in ended.stdout
    assert "  ready  " in ended.stdout


def test_a_command_of_the_server_says_what_to_install(python: Path) -> None:
    ended = run(python, "serve", "--ephemeral")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "fix: install it from a clone of the repository" in ended.stderr


VERBS = """
ready; why w1; show w1; task list; sprint list; dep list w1; claim --agent a; lease list; session list;
log w1; blame w1 status; diff w1; watch --give-up 0s; report s1; stats; alerts; prime; context w1; top s1;
demo; version; call TaskService/GetTask {}; task add w1 T; done w1; sprint create s1 S
"""


LINES = [tuple(line.split()) for line in VERBS.split(";")]
IN_FORKS = """
import json, os, sys
import orchestration
from orchestration.cli.main import main
forks = []
for words in json.loads(sys.argv[1]):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(write, 2)
        sys.argv = ["orchestration", *words, "--address", "127.0.0.1:1"]
        main()
        sys.exit(0)
    os.close(write)
    forks.append((child, os.fdopen(read)))
ended = [(told.read(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) for child, told in forks]
print(json.dumps(ended))
"""


@pytest.fixture(scope="module")
def ended(python: Path) -> dict[tuple[str, ...], tuple[str, int]]:
    """Run each line in a fork of one process, which imports grpc once; return errors and exit codes."""
    done = subprocess.run(
        [python, "-I", "-c", IN_FORKS, json.dumps(LINES)],
        capture_output=True, text=True, timeout=60, check=True, env={},
    )  # fmt: skip
    return dict(zip(LINES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_each_verb_reaches_the_call_of_a_server(
    ended: dict[tuple[str, ...], tuple[str, int]], words: tuple[str, ...]
) -> None:
    """All of its imports are there: what fails is the connection."""
    told, code = ended[words]
    assert code == 5, told
    assert told.startswith("error: no server answers at 127.0.0.1:1\nfix: ")
    assert told.count("\n") == 2
