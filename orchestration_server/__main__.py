"""`python -m orchestration_server`: the `orchestration` command, also without installed entry points."""

from __future__ import annotations

import sys
from collections.abc import Mapping

INTERRUPTED = 130
"""The exit code that a shell reports for a command ended by Ctrl-C."""

try:
    from orchestration.cli.app import new_app
    from orchestration.cli.group import LazyGroup
    from orchestration.cli.main import run
    from orchestration_server.cli.entry import COMMANDS
except KeyboardInterrupt:
    # Nothing else catches Ctrl-C while the imports run.
    sys.exit(INTERRUPTED)


class _Commands(LazyGroup):
    """The commands of the client and those of this package."""

    own: Mapping[str, str] = COMMANDS


cli = new_app(_Commands)


def main() -> None:
    """Run the command."""
    run(lambda: cli(prog_name="orchestration"))


if __name__ == "__main__":
    main()
