"""The `orchestration` command."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""The exit code that a shell reports for a command ended by Ctrl-C."""

try:
    import typer

    from orchestration_server.cli import keys, process
    from orchestration_server.cli.archive import archive
    from orchestration_server.cli.doctor import doctor
    from orchestration_server.cli.health import health
    from orchestration_server.cli.importing.jsonl import import_files
    from orchestration_server.cli.migrate import migrate
    from orchestration_server.cli.prometheus_rules import prometheus_rules
    from orchestration_server.cli.serve import serve
    from orchestration_server.cli.why import why
    from orchestration_server.cli.worker import worker
    from orchestration_server.telemetry import logs
except KeyboardInterrupt:
    # The imports take a second or two, and nothing else catches Ctrl-C in that time.
    sys.exit(INTERRUPTED)

cli = typer.Typer(
    help="The coordination ledger for fleets of agents.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
cli.command()(serve)
cli.command()(worker)
cli.command()(migrate)
cli.command()(archive)
cli.command()(doctor)
cli.command()(health)
cli.command()(why)
cli.command(name="import")(import_files)
cli.command()(prometheus_rules)
cli.add_typer(keys.cli, name="keys")


def main() -> None:
    """Run the command."""
    try:
        process.reset_signals()
        logs.configure()
        cli()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
