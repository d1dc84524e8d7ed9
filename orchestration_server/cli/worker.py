"""`orchestration worker`: run the background services of a database in a process without a server."""

from __future__ import annotations

from orchestration_server.cli import process
from orchestration_server.cli.metrics_server import serve_metrics
from orchestration_server.cli.options import refuse, with_settings
from orchestration_server.cli.preflight import check_policies, check_rules, check_templates
from orchestration_server.config.settings import Settings
from orchestration_server.telemetry import logs, metrics


@with_settings(
    "database_url", "redis_url", "workspace", "rules_file", "emission_file", "alerts_file",
    "templates_dir", "archive_after_days", "delete_archived_after_days", "statement_seconds",
    "slow_statement_seconds", "metrics_address", "log_level",
)  # fmt: skip
def worker(settings: Settings) -> None:
    """Run the background services of DATABASE_URL beside its servers. Any number of workers may run."""
    from orchestration_server.app import Worker

    if not settings.database_url:
        refuse("DATABASE_URL is not set; `serve` runs the services of the built-in database")
    logs.configure(settings.log_level)
    check_rules(settings)
    check_policies(settings)
    check_templates(settings)
    stop = process.stop_signal()
    with serve_metrics(settings, metrics.REGISTRY):
        working = Worker(settings)
        working.start()
        process.wait_for(stop)
        working.stop()
