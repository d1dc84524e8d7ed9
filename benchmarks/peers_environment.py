"""The environment of the other job queues: requirements/peers.txt, installed once."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.tools import BIN, ProgramMissing

LOCK = Path(__file__).parent.parent / "requirements" / "peers.txt"
PLACE = BIN / "peers"


def python() -> Path:
    """Return the Python of the environment, which is created if the lock has changed.

    Raises ProgramMissing if the packages cannot be installed.
    """
    program, mark = PLACE / "bin" / "python", PLACE / ".installed"
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    if mark.exists() and mark.read_text() == digest:
        return program
    print("installing the job queues that the ledger is compared with, once", flush=True)
    venv.create(PLACE, clear=True, with_pip=True)
    # The lock names every package and its hash, so pip resolves and trusts nothing.
    command = [str(program), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    command += ["--require-hashes", "--no-deps", "--requirement", str(LOCK)]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    if installed.returncode != 0:
        raise ProgramMissing(f"pip install -r {LOCK.name} failed:\n{installed.stderr.strip()[-2000:]}")
    mark.write_text(digest)
    return program
