"""`python -m orchestration.cli`: the `orchestration` command."""

from orchestration.cli.main import main

main()
