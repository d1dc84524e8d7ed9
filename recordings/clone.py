"""A home with a clone of the repository in it, as after the first `make serve` or `make venv`."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ADDRESS = "127.0.0.1:20051"
"""The address of a server without settings."""
_LINKED = ("Makefile", "README.md", "clients", "docs", "protos", "pyproject.toml", "requirements")
_INSTALLED = (".runtime-installed", ".dev-installed")


@dataclass(frozen=True)
class Clone:
    """The clone, its home, and the address that stands for 127.0.0.1:20051."""

    home: Path
    address: str

    @property
    def directory(self) -> Path:
        """The directory of the clone."""
        return self.home / "orchestration"

    @classmethod
    def make(cls, home: Path, *, usual_address: bool = False) -> Clone:
        """Make a clone that shares the files of this one and the packages of this Python."""
        clone = cls(home, ADDRESS if usual_address else _free_address())
        for name in _LINKED:
            clone.directory.mkdir(exist_ok=True)
            (clone.directory / name).symlink_to(ROOT / name)
        clone._make_environment()
        return clone

    def _make_environment(self) -> None:
        """Make .venv, in which `make` finds all packages installed."""
        environment, installed = self.directory / ".venv", Path(sys.executable).parents[1]
        commands = environment / "bin"
        commands.mkdir(parents=True)
        for name in ("lib", "lib64", "include", "pyvenv.cfg"):
            if (installed / name).exists():
                (environment / name).symlink_to((installed / name).resolve())
        for path in (installed / "bin").iterdir():
            if path.name not in ("activate", "orchestration"):
                (commands / path.name).symlink_to(path)
        activate = (installed / "bin" / "activate").read_text()
        (commands / "activate").write_text(activate.replace(str(installed), str(environment)))
        command = commands / "orchestration"
        command.write_text(f"#!{commands / 'python'}\nfrom orchestration.cli.main import main\nmain()\n")
        command.chmod(0o755)
        for name in _INSTALLED:
            (environment / name).touch()

    def variables(self) -> dict[str, str]:
        """Return the environment of a terminal."""
        found = {
            "HOME": str(self.home),
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm-256color",
            "TZ": "UTC",
            "VIRTUAL_ENV_DISABLE_PROMPT": "1",
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "clients" / "python"))),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if "TMPDIR" in os.environ:
            found["TMPDIR"] = os.environ["TMPDIR"]
        if self.address != ADDRESS:
            found["ORCHESTRATION_ADDRESS"] = self.address
        return found

    def typed(self, text: str) -> str:
        """Return a command or file of a page with the address of this clone."""
        return text.replace(ADDRESS, self.address)

    def shown(self, text: str) -> str:
        """Return what a terminal shows with the usual address, and the home as ~."""
        if self.address != ADDRESS:
            text = text.replace(f"    export ORCHESTRATION_ADDRESS={self.address}\n", "")
        return text.replace(self.address, ADDRESS).replace(str(self.home), "~")


def _free_address() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"
