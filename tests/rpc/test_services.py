"""The background services of a process: a missing one fails no call, so nothing else would notice it."""

from pathlib import Path
from typing import Any

import pytest

from orchestration_server.app import App, gauge_services, services
from orchestration_server.config.settings import Settings

ALWAYS = {
    "partitions",
    "expire-requests",
    "fold-sampled-out",
    "rollups",
    "expire-leases",
    "tell-overdue",
    "complete-parents",
    "wake-tasks",
    "queue-dependents",
    "automation",
    "schedules",
    "debounce",
    "measure-storage",
    "alerts",
}


def names(app: App, **given: Any) -> list[str]:
    """Return the names of the services of a server or worker with these settings."""
    settings = Settings(database_url=app.settings.database_url, **given)
    found = services(settings, app.db, lambda: None) + gauge_services(settings, app.db)
    return sorted(service.name for service in found)


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ({}, set()),
        ({"workspace": Path("w")}, {"file-sync", "measure-workspace"}),
        ({"archive_after_days": 90}, {"archive"}),
        ({"delete_archived_after_days": 365}, {"delete-archived"}),
        ({"metrics_address": "127.0.0.1:0"}, {"observe"}),
    ],
)
def test_a_process_has_the_services_that_its_settings_turn_on(
    app: App, given: dict[str, Any], more: set[str]
) -> None:
    # By default the services of the archive are off.
    assert names(app, **{"archive_after_days": 0, "delete_archived_after_days": 0} | given) == sorted(
        ALWAYS | more
    )
