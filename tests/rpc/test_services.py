"""Which background services a process has: one that is left out fails nothing until its work is missed."""

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
    "automation",
    "debounce",
    "measure-storage",
    "alerts",
}


def names(app: App, **given: Any) -> list[str]:
    """Those of a server and of a worker with these settings."""
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
def test_a_process_has_each_service_that_its_settings_ask_for(
    app: App, given: dict[str, Any], more: set[str]
) -> None:
    # Settings that say nothing of archives have none of it.
    assert names(app, **{"archive_after_days": 0, "delete_archived_after_days": 0} | given) == sorted(
        ALWAYS | more
    )
