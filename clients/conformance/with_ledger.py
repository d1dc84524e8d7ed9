"""Run a command beside a new ledger: `python -m clients.conformance.with_ledger COMMAND...`."""

from __future__ import annotations

import subprocess
import sys

from clients.conformance.driver import own_environment
from clients.conformance.ledgers import Ledgers


def main() -> int:
    """Run the command with ORCHESTRATION_ADDRESS set, and return its exit code."""
    if len(sys.argv) < 2:
        print("usage: python -m clients.conformance.with_ledger COMMAND...", file=sys.stderr)
        return 2
    with Ledgers() as ledgers:
        env = own_environment() | {"ORCHESTRATION_ADDRESS": ledgers.address}
        return subprocess.run(sys.argv[1:], env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
